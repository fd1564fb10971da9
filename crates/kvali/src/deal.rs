//! `kvali deal`: one deal as it stands, and everything that happened to it; its forms are in `forms::deal`.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{self, Directory, Filled};
use crate::names::Names;
use crate::output::{Answer, Table};
use crate::words;
use clap::{Args, Subcommand};
use kvali_domain::deal::{OpenDeal, Visit};
use kvali_domain::{DealId, Event, State};
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(crate) enum Deal {
    /// How a deal stands
    Show(Which),
    /// Everything that happened to a deal, in order
    History(Which),
    #[command(flatten)]
    Form(Box<Filled<forms::deal::Deal>>),
}

#[derive(Args)]
pub(crate) struct Which {
    /// The deal's id here, or its id in the system that it came from: ID, or SOURCE:ID if several know it
    #[arg(value_name = "ID")]
    id: String,
    /// The system that the id is from
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

impl Deal {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let answer = match self {
            Self::Form(form) => return form.run(global).await,
            Self::Show(which) => {
                let session = Session::open(global, "default").await?;
                show(&session, which.find(&session).await?).await?
            }
            Self::History(which) => {
                let session = Session::open(global, "default").await?;
                history(&session, which.find(&session).await?).await?
            }
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }
}

impl Which {
    async fn find(&self, session: &Session) -> Result<DealId, Failure> {
        let directory = Directory::new(session);
        match &self.source {
            Some(source) => directory.deal(&format!("{source}:{}", self.id)).await,
            None => directory.deal(&self.id).await,
        }
    }
}

async fn show(session: &Session, id: DealId) -> Result<Answer, Failure> {
    let (version, deal) = deal_state(session, id).await?;
    let record = deal.record().ok_or_else(|| no_deal(id))?;
    let mut names = Names::new(session);
    let stage = names.stage(record.pipeline, i32::MAX, record.stage).await?;
    let pipeline = names.pipeline(record.pipeline).await?.map(|config| config.name.clone());
    let owner = match record.owner {
        Some(owner) => Some(names.user(owner).await?),
        None => None,
    };
    let mut visits = Vec::new();
    for visit in &record.visits {
        visits.push(visited(&mut names, record, *visit).await?);
    }
    let standing = deal.outcome().map_or("open", kvali_domain::deal::Outcome::as_str);
    let fields = [
        ("deal", json!(id.to_string())),
        ("external_id", json!(record.external.as_ref().map(|external| &external.id))),
        ("source", json!(record.external.as_ref().map(|external| &external.source))),
        ("pipeline", json!(pipeline)),
        ("state", json!(standing)),
        ("stage", json!(stage)),
        ("entered_at", json!(record.entered_at)),
        ("owner", json!(owner)),
        ("value", json!(record.value)),
        ("expected_close", json!(record.expected_close)),
        ("push_count", json!(record.push_count)),
        ("visits", json!(visits)),
        ("merged_into", json!(record.merging.into)),
        ("version", json!(version)),
    ];
    Ok(described(fields.into_iter().collect(), record))
}

/// The fields as an object, and as a table for people.
fn described(fields: Vec<(&'static str, Value)>, record: &OpenDeal) -> Answer {
    let mut table = Table::new("Deal", &["field", "value"]);
    for (name, value) in &fields {
        let value = match (*name, value) {
            ("value", _) => json!(record.value.map(|value| value.to_string())),
            (_, Value::Array(visits)) => {
                json!(visits.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" → "))
            }
            (_, value) => value.clone(),
        };
        table.row([json!(name), value]);
    }
    let json = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Answer { tables: vec![table], notes: Vec::new(), json: Value::Object(json) }
}

/// A stage; with its pipeline, where that is not the one that the deal is in.
async fn visited(names: &mut Names<'_>, record: &OpenDeal, visit: Visit) -> Result<String, Failure> {
    let stage = names.stage(visit.pipeline, i32::MAX, visit.stage).await?;
    if visit.pipeline == record.pipeline {
        return Ok(stage);
    }
    Ok(format!("{stage} in {}", names.pipeline_name(visit.pipeline).await?))
}

async fn deal_state(session: &Session, id: DealId) -> Result<(i32, kvali_domain::deal::Deal), Failure> {
    let state = session.store.state(session.tenant, id.stream()).await?;
    match state.map(|(version, state)| (version, (*state).clone())) {
        Some((version, State::Deal(deal))) => Ok((version, deal)),
        _ => Err(no_deal(id)),
    }
}

fn no_deal(id: DealId) -> Failure {
    Failure::Impossible(format!("{id} is no deal"))
}

async fn history(session: &Session, id: DealId) -> Result<Answer, Failure> {
    let (_, deal) = deal_state(session, id).await?;
    let record = deal.record().ok_or_else(|| no_deal(id))?;
    let events = session.store.stream(session.tenant, id.stream()).await?;
    let mut names = Names::new(session);
    let columns =
        ["position", "version", "occurred", "precision", "recorded", "actor", "channel", "what", "reason"];
    let mut table = Table::new(format!("History of deal {id}"), &columns);
    for opened in session.store.open(session.tenant, events).await? {
        let recorded = opened.recorded;
        let Event::Deal(event) = opened.event else { continue };
        let reason = words::reason(&event).map(str::to_owned).or(recorded.reason_code);
        table.row([
            json!(recorded.position),
            json!(recorded.version),
            json!(words::when(&recorded.occurred)),
            json!(recorded.occurred.precision()),
            json!(recorded.recorded_at),
            json!(names.actor(recorded.actor).await?),
            json!(recorded.channel.to_string()),
            json!(words::what(&mut names, record, &event).await?),
            json!(reason),
        ]);
    }
    Ok(Answer::of(table))
}
