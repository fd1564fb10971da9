//! `kvali audit`: who changed what, when, why and by which path; and whether the log is as it was.

mod told;

use crate::arguments;
use crate::as_of::{Edge, instant};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{About, Directory};
use crate::names::Names;
use crate::output::{Answer, Format, Table};
use crate::progress::{self, Folding};
use crate::{edge, ids};
use chrono_tz::Tz;
use kvali_domain::{ActorId, StreamId, Target};
use kvali_eventstore::project::TIMER;
use kvali_eventstore::{Digest, Inspection};
use kvali_projections::audit_trail::{self, COLUMNS, Category, Filter, Kind, Place, Sees};
use serde_json::{Value, json};
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  kvali audit --actor nino@kvali.ge
      Everything this person changed, newest first: before and after, field by field.
  kvali audit --deal 4711
      Everything that happened to a deal, its tasks, calls and notes included.
  kvali audit --category configuration --from 2026-01-01
      How the process was changed.
  kvali audit --deal 4711 --field stage --format csv
  kvali audit --kind refused
      What the rules refused; likewise denied, and read: who was shown personal texts over HTTP.
  kvali audit digest
      One number for the whole log. Note it; later, whether anything up to there was altered since:
  kvali audit digest --to 1500 --expect 5b0c…
  kvali audit verify
      Positions, versions, times, sealed values, and each event's command.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    action: Option<Action>,
    /// Who did it, or for whom it was done: a user by e-mail, name or id; an API key by id; import, cli or timer
    #[arg(long, value_name = "WHO")]
    actor: Option<String>,
    #[command(flatten)]
    about: About,
    /// What it was done to, by id: any record, pipeline, user …
    #[arg(long, value_name = "ID", value_parser = arguments::id)]
    object: Option<Uuid>,
    /// A field that was changed: its whole name, or a part of it between dots
    #[arg(long, value_name = "FIELD")]
    field: Option<String>,
    /// The first word of events, such as deal
    #[arg(long, value_name = "AGGREGATE")]
    aggregate: Option<String>,
    /// One type of event, such as deal.won
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// configuration, staff, access, records, work or privacy
    #[arg(long, value_name = "CATEGORY")]
    category: Option<Category>,
    /// The path it came by: ui, api, cli, import, timer, automation
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// event, refused, denied or read
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// Recorded at or after the start of that day, or that instant
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Recorded before
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// The zone of days (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    /// How many entries are shown, at most
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = arguments::rows::<usize>())]
    limit: usize,
    /// Go on with what came before
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<Place>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// One number for all events up to a position, by which an auditor can tell later that none was altered
    Digest {
        /// Up to this position [default: all]
        #[arg(long, value_name = "POSITION")]
        to: Option<i64>,
        /// Fail unless this is the digest
        #[arg(long, value_name = "DIGEST", requires = "to")]
        expect: Option<Digest>,
    },
    /// Look for gaps, for versions and times out of order, for what cannot be read, and for events without a command
    Verify {
        /// Up to this position [default: all]
        #[arg(long, value_name = "POSITION")]
        to: Option<i64>,
    },
}

impl Audit {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        match self.action {
            Some(Action::Digest { to, expect }) => digest(&session, to, expect, global.format).await?,
            Some(Action::Verify { to }) => verify(&session, to, global.format).await?,
            None => self.trail(&session, global.format).await?,
        }
        Ok(Done::Well)
    }

    async fn trail(self, session: &Session, format: Format) -> Result<(), Failure> {
        let (limit, after) = (self.limit, self.cursor);
        let ask = audit_trail::Ask { filter: self.filter(session).await?, after, limit };
        let folding = Folding::begin();
        let trail =
            audit_trail::trail(&session.store, session.tenant, ask, edge::now(), &folding.told()).await?;
        drop(folding);
        let next = trail.next.map(|next| next.to_string());
        let entries: Vec<Value> = trail.entries.iter().map(|entry| entry.json(Sees::All)).collect();
        let json = json!({ "entries": entries, "cursor": next, "parked_streams": trail.parked });
        let mut table = Table::new("", &COLUMNS);
        if format == Format::Csv {
            table.rows = trail.entries.iter().flat_map(|entry| entry.rows(Sees::All)).collect();
        } else if format == Format::Table {
            table = told::table(&mut Names::new(session), &trail.entries).await?;
        }
        let mut notes: Vec<String> =
            next.map(|next| format!("earlier ones with --cursor {next}")).into_iter().collect();
        notes.extend(crate::ask::missing(trail.parked));
        Answer { tables: vec![table], notes, json }.print(format)
    }

    async fn filter(self, session: &Session) -> Result<Filter, Failure> {
        let directory = Directory::new(session);
        let named = self.about.targets(&directory).await?.into_iter().map(Target::stream);
        let objects: Vec<StreamId> = named.chain(self.object.map(StreamId)).collect();
        if objects.len() > 1 {
            let said = "say one thing: a --contact, --company, --lead, --deal or --object";
            return Err(Failure::Impossible(said.to_owned()));
        }
        let actor = match &self.actor {
            Some(said) => Some(actor(&directory, said).await?),
            None => None,
        };
        let day = |flag, text: Option<&String>| {
            text.map(|text| instant(flag, text, self.zone, Edge::Start)).transpose()
        };
        Ok(Filter {
            kind: self.kind,
            actor,
            object: objects.first().copied(),
            from: day("--from", self.from.as_ref())?,
            to: day("--to", self.to.as_ref())?,
            field: self.field,
            aggregate: self.aggregate,
            event_type: self.event_type,
            category: self.category,
            channel: self.channel,
        })
    }
}

async fn actor(directory: &Directory<'_>, said: &str) -> Result<ActorId, Failure> {
    if let Ok(id) = said.parse() {
        return Ok(ActorId(id));
    }
    Ok(match said {
        "import" => ids::importer(),
        "cli" => ids::operator(),
        "timer" => TIMER,
        name => directory.user(name).await?.into(),
    })
}

/// How far the log has been read.
fn reading() -> (indicatif::ProgressBar, impl Fn(i64, i64) + Sync) {
    let bar = progress::bar("reading events", 0);
    let told = bar.clone();
    (bar, move |at: i64, until: i64| {
        told.set_length(until.unsigned_abs());
        told.set_position(at.unsigned_abs());
    })
}

async fn digest(
    session: &Session,
    to: Option<i64>,
    expected: Option<Digest>,
    format: Format,
) -> Result<(), Failure> {
    let (bar, progress) = reading();
    let found = session.store.digest(session.tenant, to, &progress).await;
    bar.finish_and_clear();
    let Inspection { position, digest, recorded_at, .. } = found?;
    if let Some(expected) = expected.filter(|expected| *expected != digest) {
        let told = format!(
            "the log up to position {position} has digest {digest}, not {expected}: an event up to there was altered, or \
             the digest was noted of another position or tenant"
        );
        return Err(Failure::Impossible(told));
    }
    let mut table = Table::new("Digest of the log", &["position", "recorded_at", "digest"]);
    table.row([json!(position), json!(recorded_at), json!(digest.to_string())]);
    let json = json!({
        "tenant": session.tenant, "position": position, "recorded_at": recorded_at, "digest": digest.to_string(),
    });
    let note = if expected.is_some() {
        "as expected: nothing up to there was altered"
    } else {
        "note position and digest"
    };
    Answer { tables: vec![table], notes: vec![note.to_owned()], json }.print(format)
}

async fn verify(session: &Session, to: Option<i64>, format: Format) -> Result<(), Failure> {
    let (bar, progress) = reading();
    let found = session.store.inspect(session.tenant, to, &progress).await;
    bar.finish_and_clear();
    let Inspection { position, digest, faults, .. } = found?;
    let mut table = Table::new("Faults of the log", &["fault"]);
    for fault in &faults {
        table.row([json!(fault.to_string())]);
    }
    let sound = faults.is_empty();
    let digest = sound.then(|| digest.to_string());
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let notes = vec![format!("{position} events: {}", if sound { "sound" } else { "not sound" })];
    let json = json!({ "position": position, "digest": digest, "faults": faults });
    let tables = if sound && format == Format::Table { Vec::new() } else { vec![table] };
    Answer { tables, notes, json }.print(format)?;
    if sound {
        return Ok(());
    }
    Err(Failure::Impossible("the log is not as Kvali wrote it; restore it from a backup".to_owned()))
}
