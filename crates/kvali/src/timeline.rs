//! `kvali timeline`: everything about one customer, in words.

use crate::arguments;
use crate::as_of::When;
use crate::ask::{ask, stands};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{About, Directory};
use crate::names::Names;
use crate::output::{Answer, Table};
use crate::story;
use crate::words;
use chrono_tz::Tz;
use kvali_eventstore::Opened;
use kvali_projections::timeline::{self, Kind, Timeline};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kvali timeline --contact nino@acme.ge
      What happened to a contact, to its deals, tasks, calls and notes, and to those merged into it; newest first.
  kvali timeline --deal 4711 --kind task
  kvali timeline --company acme.ge --as-of 2024-03-31
      What was known of it on that evening.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    about: About,
    /// Only what is of this kind: contact, company, lead, deal, task, meeting, call, conversation, note …
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// How many entries are shown, at most
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = arguments::rows::<i64>())]
    limit: i64,
    /// Go on with what came before this position
    #[arg(long, value_name = "POSITION")]
    before: Option<i64>,
    /// The zone of days (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    #[command(flatten)]
    when: When,
}

impl Args {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let as_of = self.when.as_of(self.zone)?;
        let session = Session::open(global, "default").await?;
        let [about] = self.about.targets(&Directory::new(&session)).await?[..] else {
            let said = "say whose timeline: one --contact, --company, --lead or --deal";
            return Err(Failure::Impossible(said.to_owned()));
        };
        let Self { kind, before, limit, .. } = self;
        let question = timeline::Ask { customer: about.stream(), kind, before, limit };
        let answered = ask(&session, Timeline, as_of, question).await?;
        let page = &answered.answer;
        let positions: Vec<i64> = page.entries.iter().map(|entry| entry.position).collect();
        let events = session.store.at(session.tenant, &positions).await?;
        let mut opened = session.store.open(session.tenant, events).await?;
        opened.reverse();
        let mut names = Names::new(&session);
        let table = told(&mut names, page, &opened).await?;
        let mut json = json!({
            "position": answered.position, "at": answered.at, "customer": page.customer, "kind": page.kind,
            "aliases": page.aliases, "before": page.before, "entries": Answer::of(table.clone()).json,
        });
        if let (Value::Object(json), Value::Object(when)) = (&mut json, self.when.json()) {
            json.extend(when);
        }
        let mut notes = stands(&answered);
        notes.extend(page.before.map(|before| format!("earlier ones with --before {before}")));
        Answer { tables: vec![table], notes, json }.print(global.format)?;
        Ok(Done::Well)
    }
}

/// The events newest first, as the page has them.
async fn told(names: &mut Names<'_>, page: &timeline::Page, events: &[Opened]) -> Result<Table, Failure> {
    let customer = names.of(page.customer).await?;
    let columns = ["position", "occurred", "kind", "id", "actor", "what", "reason"];
    let mut table = Table::new(format!("Timeline of {} {customer}", page.kind.word()), &columns);
    for (entry, opened) in page.entries.iter().zip(events) {
        let recorded = &opened.recorded;
        table.row([
            json!(entry.position),
            json!(words::when(&recorded.occurred)),
            json!(entry.kind),
            json!(entry.stream),
            json!(names.actor(entry.actor).await?),
            json!(story::what(names, opened).await?),
            json!(story::reason(opened)),
        ]);
    }
    Ok(table)
}
