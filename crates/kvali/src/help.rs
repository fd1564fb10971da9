//! The subcommands of `kvali --help` in groups.

use clap::Command;

const GROUPS: [(&str, &[&str]); 4] = [
    ("Daily work", &["lead", "contact", "company", "deal", "task", "note", "call", "duplicates", "merge"]),
    ("People", &["user", "absence", "key"]),
    (
        "Data and questions",
        &[
            "demo",
            "import",
            "search",
            "board",
            "timeline",
            "overdue",
            "completeness",
            "funnel",
            "forecast",
            "sql",
            "log",
            "audit",
            "do",
        ],
    ),
    (
        "Upkeep",
        &[
            "serve",
            "project",
            "projections",
            "subscriptions",
            "webhooks",
            #[cfg(feature = "nats")]
            "relay",
            "tenant",
            "config",
            "bench",
            "pg",
        ],
    ),
];

const WIDEST_NAME: usize = 13;

/// The command with its subcommands told group by group.
pub(crate) fn grouped(command: Command) -> Command {
    let about = |name: &str| {
        let known = command.find_subcommand(name).and_then(Command::get_about);
        known.map(ToString::to_string).unwrap_or_default()
    };
    let line = |name: &&str| format!("  {name:<WIDEST_NAME$} {}", about(name));
    let group = |(title, names): &(&str, &[&str])| {
        let lines: Vec<_> = names.iter().map(line).collect();
        format!("{title}:\n{}\n\n", lines.join("\n"))
    };
    let groups = GROUPS.iter().map(group).collect::<Vec<_>>().concat();
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{{options}}{{after-help}}");
    command.help_template(template)
}

#[cfg(test)]
mod tests {
    use super::GROUPS;
    use std::collections::BTreeSet;

    #[test]
    fn every_subcommand_is_in_one_group() {
        let command = crate::cli::command();
        let known: BTreeSet<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        let told: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        assert_eq!(told.len(), known.len());
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), known);
    }
}
