//! The command line: what may be said, and who answers it.

use crate::failure::Failure;
use crate::forms::{self, Filled};
use crate::logs::LogFormat;
use crate::output::Format;
#[cfg(feature = "nats")]
use crate::relay;
use crate::settings::Settings;
use crate::{
    audit, bench, board, completeness, config, deal, demo, duplicates, forecast, funnel, help, key, load,
    log, logs, merge, order, overdue, pg, project, projections, search, serve, sql, subscriptions, task,
    tenant, timeline, user, webhooks,
};
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use kvali_api::Issuer;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

const ABOUT: &str = "An event-sourced CRM core: load a sales history, keep every change, ask it questions.";

const EXAMPLES: &str = "\
Examples:
  kvali demo --serve
      A sample company to look at, in a tenant of its own, and to ask over HTTP.
  kvali import history moves.csv --pipeline Sales --dry-run
      What would become of a file with the columns deal, stage, actor, occurred_at.
  kvali import deals export.csv --pipeline Sales --map export.toml
      One row per deal, as CRMs export.
  kvali import contacts people.csv --source crm
      One row per contact; companies, leads, tasks and users likewise. `kvali import revert` undoes an import.
  kvali funnel --pipeline Sales --rule ordered --window 30d
      How many deals came how far, and how fast; `kvali funnel --help` has the rules.
  kvali overdue --kind tasks --of nino@kvali.ge
      What is late and why; `kvali overdue --help` has the other lists.
  kvali board --pipeline Sales --sort task
      What stands where, whose it is, and what is to be done next.
  kvali timeline --contact nino@acme.ge
      Everything about one customer.
  kvali deal history 1C1I7A6R
      Everything that ever happened to a deal, by its id here or in its source.
  kvali lead capture --name \"Nino Abashidze\" --email nino@acme.ge --source site
  kvali deal move 4711 Offer
  kvali task add \"Call back\" --due 2026-11-30 --for nino@kvali.ge --deal 4711
      Daily work in the words of those who do it; `kvali deal --help` has the rest.
  kvali do --list
      Every command with its rules; `kvali do COMMAND --json '{…}'` carries one out.
  kvali log tail --follow
      The log as it grows.
  kvali audit --deal 4711
      Who changed what of a deal, when, why and by which path; `kvali audit --help` has the rest.
  kvali serve
      All of it over HTTP; the first start prints a key.
  kvali config
      The settings in force: flags before environment before kvali.toml before defaults.

Where the data is:
  With DATABASE_URL (or --database-url) Kvali uses that Postgres. Without, it runs a private one in its data
  directory and stops it when the last command ends; `kvali pg start` keeps it running.

Exit codes:
  0  done
  1  failed; the reason is on stderr
  2  the command line is not understood
  3  refused by the rules, or rows of a file were refused and listed; the other rows are in
  130  interrupted; how to go on is on stderr";

#[derive(Parser)]
#[command(name = "kvali", version, about = ABOUT, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// How to print the answer
    #[arg(long, global = true, value_enum, default_value_t, env = "KVALI_FORMAT")]
    pub(crate) format: Format,
    /// The organisation whose data it is: any name, or a UUID [default: default]
    #[arg(long, global = true, value_name = "NAME", env = "KVALI_TENANT")]
    pub(crate) tenant: Option<String>,
    /// Where the private Postgres and the master key lie [default: /var/lib/kvali for root, else ~/.local/share/kvali]
    #[arg(long, global = true, value_name = "DIR", env = "KVALI_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A Postgres to use instead of the private one
    #[arg(long, global = true, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// The file with the key that seals personal data; made if missing [default: master.key in the data directory]
    #[arg(long, global = true, value_name = "FILE", env = "KVALI_MASTER_KEY")]
    pub(crate) master_key: Option<PathBuf>,
    /// How to write the log, which goes to stderr
    #[arg(long, global = true, value_enum, default_value_t, env = "KVALI_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What to log, such as `info` or `kvali_api=debug,warn` [default: warn; info for what runs for long]
    #[arg(long, global = true, value_name = "FILTER", env = "KVALI_LOG")]
    pub(crate) log: Option<String>,
    /// A TOML file with settings, named as the flags with _ for - [default: kvali.toml here, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "KVALI_CONFIG")]
    config: Option<PathBuf>,
    /// Identity providers, which stand in the file alone.
    #[arg(skip)]
    pub(crate) issuers: Vec<Issuer>,
}

#[derive(Subcommand)]
enum Command {
    /// Make a sample company and look at its deals
    Demo(demo::Demo),
    /// Load a CSV or XLSX file: companies, contacts, leads, tasks, users, deals as they stand, or their history
    #[command(subcommand)]
    Import(load::Import),
    /// Count how many deals came how far: seven rules, windows, cohorts, any past instant
    Funnel(Box<funnel::Funnel>),
    /// Tell what will be won in a period, and how near earlier forecasts came
    Forecast(Box<forecast::Forecast>),
    /// See what is overdue and why, which deals nobody works at, and how much everybody has to do
    Overdue(Box<overdue::Overdue>),
    /// What stands where: open deals by stage, with owner, age and next task
    Board(Box<board::Board>),
    /// Everything about one customer, across its deals, tasks, calls and notes
    Timeline(Box<timeline::Args>),
    /// Which fields nobody fills, and how complete each owner's records are
    Completeness(completeness::Completeness),
    /// Find people, companies and deals by name, e-mail and phone
    Search(search::Search),
    /// Carry out any one command by its word
    Do(Box<order::Do>),
    /// Capture, assign, qualify and convert leads
    #[command(subcommand)]
    Lead(Filled<forms::lead::Lead>),
    /// Add people, with e-mail and phone
    #[command(subcommand)]
    Contact(Filled<forms::contact::Contact>),
    /// Add companies
    #[command(subcommand)]
    Company(Filled<forms::company::Company>),
    /// Open, move, win and lose deals; show one, or everything that happened to it
    #[command(subcommand)]
    Deal(deal::Deal),
    /// Add tasks, do them, snooze or reschedule them
    #[command(subcommand)]
    Task(task::Task),
    /// Add notes
    #[command(subcommand)]
    Note(Filled<forms::note::Note>),
    /// Log calls, and missed ones
    #[command(subcommand)]
    Call(Filled<forms::call::Call>),
    /// Merge records that are one, and tell them apart again
    #[command(subcommand)]
    Merge(merge::Merge),
    /// List records that may be one, say why, and look whether somebody is known
    Duplicates(Box<duplicates::Duplicates>),
    /// Invite users, see what they have open, and hand it over
    #[command(subcommand)]
    User(user::User),
    /// Plan when users are away, and who stands in
    #[command(subcommand)]
    Absence(Filled<forms::absence::Absence>),
    /// Issue keys for services, list and revoke them
    #[command(subcommand)]
    Key(key::Key),
    /// Let analysts query by SQL: roles of the database, each for one tenant
    #[command(subcommand)]
    Sql(sql::Sql),
    /// Read the log in order of position
    #[command(subcommand)]
    Log(log::Log),
    /// Who changed what, when and why; who was refused, denied, shown; and proof that nothing was altered since
    Audit(Box<audit::Audit>),
    /// Where the read models stand, what is parked; build them anew, or go back
    #[command(subcommand)]
    Projections(projections::Projections),
    /// Where the services stand that follow the log in groups, and what they could not do
    #[command(subcommand)]
    Subscriptions(subscriptions::Subscriptions),
    /// Send events to URLs, signed; see what became of it, send again
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Send every event on to a message broker, until told to stop
    #[cfg(feature = "nats")]
    #[command(subcommand)]
    Relay(relay::Relay),
    /// Answer over HTTP, until told to stop
    Serve(serve::Serve),
    /// Fold the log into the read models, until told to stop
    Project(project::Project),
    /// Write everything of a tenant to a file, or bring it in elsewhere
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Show the settings in force, and where each comes from
    Config(config::Config),
    /// How well duplicates are found in data of which the truth is known
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run the private Postgres
    #[command(subcommand)]
    Pg(pg::Pg),
}

impl Command {
    fn runs_for_long(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Project(_) => true,
            #[cfg(feature = "nats")]
            Self::Relay(_) => true,
            Self::Demo(demo) => demo.serves(),
            _ => false,
        }
    }

    /// How it is taken up again after it broke off.
    fn way_on(&self) -> Option<String> {
        let command_id = match self {
            Self::Demo(_) | Self::Import(_) => {
                let words = "Run the same command again: it adds what is missing and nothing twice.";
                return Some(words.to_owned());
            }
            Self::Do(order) => Some(order.command_id()),
            Self::Lead(form) => Some(form.command_id()),
            Self::Contact(form) => Some(form.command_id()),
            Self::Company(form) => Some(form.command_id()),
            Self::Deal(deal::Deal::Form(form)) => Some(form.command_id()),
            Self::Task(task::Task::Form(form)) => Some(form.command_id()),
            Self::Note(form) => Some(form.command_id()),
            Self::Call(form) => Some(form.command_id()),
            Self::Merge(merge::Merge::Form(form)) => Some(form.command_id()),
            Self::User(user::User::Form(form)) => Some(form.command_id()),
            Self::Absence(form) => Some(form.command_id()),
            _ => None,
        };
        command_id.map(|id| {
            format!(
                "Run the same command again with --command-id {id}: it does what is left, and nothing twice."
            )
        })
    }
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Done {
    Well,
    /// Rows of a file were refused; the answer lists them.
    RowsRefused,
}

pub(crate) fn command() -> clap::Command {
    help::grouped(Cli::command())
}

/// The whole program.
pub fn run() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let told = Settings::load(command(), &words).map_err(Failure::from).and_then(|settings| {
        let matches = settings.command.clone().get_matches_from(&words);
        let Cli { mut global, command } =
            Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        global.issuers.clone_from(&settings.issuers);
        let filter = if command.runs_for_long() { logs::OF_SERVICES } else { logs::OF_COMMANDS };
        let _logs = logs::start(&global, filter)?;
        let way_on = command.way_on();
        let done = match command {
            Command::Config(_) => report(&settings, &matches, global.format),
            command => carry_out(&global, command),
        };
        Ok((done, way_on))
    });
    let (done, way_on) = told.unwrap_or_else(|failure| (Err(failure), None));
    match done {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::RowsRefused) => ExitCode::from(3),
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(way_on.as_deref());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn report(settings: &Settings, matches: &ArgMatches, format: Format) -> Result<Done, Failure> {
    let of_config = matches.subcommand_matches("config").unwrap_or(matches);
    settings.report(of_config).print(format)?;
    Ok(Done::Well)
}

fn carry_out(global: &Global, command: Command) -> Result<Done, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Failure::Runtime)?.block_on(async {
        let command = match command {
            Command::Demo(demo) => return demo.run(global, interrupted()).await,
            Command::Project(project) => return project.run(global, interrupted()).await,
            Command::Serve(serve) => return serve.run(global, interrupted()).await,
            #[cfg(feature = "nats")]
            Command::Relay(relay) => return relay.run(global, interrupted()).await,
            command => command,
        };
        tokio::select! {
            done = answer(global, command) => done,
            // Dropping the answer lets go of the private cluster, which stops if nobody else uses it.
            () = interrupted() => Err(Failure::Interrupted),
        }
    })
}

async fn answer(global: &Global, command: Command) -> Result<Done, Failure> {
    match command {
        Command::Demo(demo) => demo.run(global, std::future::pending()).await,
        Command::Import(import) => import.run(global).await,
        Command::Funnel(funnel) => funnel.run(global).await,
        Command::Forecast(forecast) => forecast.run(global).await,
        Command::Overdue(overdue) => overdue.run(global).await,
        Command::Board(board) => board.run(global).await,
        Command::Timeline(timeline) => timeline.run(global).await,
        Command::Completeness(completeness) => completeness.run(global).await,
        Command::Search(search) => search.run(global).await,
        Command::Do(order) => order.run(global).await,
        Command::Lead(form) => form.run(global).await,
        Command::Contact(form) => form.run(global).await,
        Command::Company(form) => form.run(global).await,
        Command::Deal(deal) => deal.run(global).await,
        Command::Task(task) => task.run(global).await,
        Command::Note(form) => form.run(global).await,
        Command::Merge(merge) => merge.run(global).await,
        Command::Duplicates(duplicates) => duplicates.run(global).await,
        Command::Call(form) => form.run(global).await,
        Command::User(user) => user.run(global).await,
        Command::Absence(form) => form.run(global).await,
        Command::Key(key) => key.run(global).await,
        Command::Sql(sql) => sql.run(global).await,
        Command::Log(log) => log.run(global).await,
        Command::Audit(audit) => audit.run(global).await,
        Command::Projections(projections) => projections.run(global).await,
        Command::Webhooks(webhooks) => webhooks.run(global).await,
        Command::Subscriptions(subscriptions) => subscriptions.run(global).await,
        Command::Project(project) => project.run(global, std::future::pending()).await,
        Command::Serve(serve) => serve.run(global, std::future::pending()).await,
        #[cfg(feature = "nats")]
        Command::Relay(relay) => relay.run(global, std::future::pending()).await,
        Command::Tenant(tenant) => tenant.run(global).await,
        Command::Config(_) => unreachable!("it is reported before anything is opened"),
        Command::Bench(bench) => bench.run(global),
        Command::Pg(pg) => pg.run(global),
    }
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = terminated => {}
        () = interrupted => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Cli, FromArgMatches, command};

    fn way_on(words: &[&str]) -> Option<String> {
        let said = command().try_get_matches_from([&["kvali"], words].concat()).ok()?;
        Cli::from_arg_matches(&said).ok()?.command.way_on()
    }

    #[test]
    fn what_broke_off_is_taken_up_again_as_the_same_command() {
        let id = "0190d9c6-4a00-7000-8000-0000000000e1";
        let again = format!("--command-id {id}");
        for words in [&["deal", "won", "1"] as &[&str], &["do", "CloseWon"], &["user", "activate", "Nino"]] {
            let told = way_on(&[words, &["--command-id", id]].concat()).unwrap_or_default();
            assert!(told.contains(&again), "{words:?}: {told}");
            assert!(way_on(words).is_some_and(|told| !told.contains(id)), "{words:?}");
        }
        assert!(way_on(&["demo"]).is_some_and(|told| told.contains("nothing twice")));
        assert_eq!(way_on(&["deal", "show", "1"]), None);
    }
    #[test]
    fn no_two_commands_of_a_kind_are_told_in_the_same_words() {
        fn look(command: &clap::Command) {
            let told = |command: &clap::Command| command.get_about().map(ToString::to_string);
            let mut words: Vec<_> =
                command.get_subcommands().map(|sub| (told(sub), sub.get_name())).collect();
            words.sort_unstable();
            for pair in words.windows(2) {
                assert!(pair[0].0.is_some() && pair[0].0 != pair[1].0, "{}: {pair:?}", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        look(&command());
    }
}
