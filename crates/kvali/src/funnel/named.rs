//! Funnels that have a name: those there are, and what their standing counters say.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::forms::{By, Filled, funnel as forms};
use crate::output::{Answer, Table};
use crate::progress::Folding;
use clap::Subcommand;
use kvali_eventstore::project::AsOf;
use kvali_projections::conversion_funnel::{self as funnel, Named, StandingCounts};
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(crate) enum Action {
    /// The named funnels, as they are defined
    List,
    /// Give a funnel a name
    Define {
        #[command(flatten)]
        shape: forms::Shape,
        #[command(flatten)]
        by: By,
    },
    /// Define a named funnel anew, over all of history; what it was stays as an older version
    Redefine {
        #[command(flatten)]
        shape: forms::Shape,
        #[command(flatten)]
        by: By,
    },
    /// Take a named funnel out of force
    Retire {
        name: String,
        #[command(flatten)]
        by: By,
    },
}

impl Action {
    pub(super) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let (form, by) = match self {
            Self::List => return list(global).await,
            Self::Define { shape, by } => (forms::Funnel::Define(shape), by),
            Self::Redefine { shape, by } => (forms::Funnel::Redefine(shape), by),
            Self::Retire { name, by } => (forms::Funnel::Retire { name }, by),
        };
        Filled::new(form, by).run(global).await
    }
}

async fn list(global: &Global) -> Result<Done, Failure> {
    let session = Session::open(global, "default").await?;
    let bar = Folding::begin();
    let known = funnel::funnels(&session.store, session.tenant, edge::now(), &bar.told()).await?;
    drop(bar);
    let mut table =
        Table::new("Named funnels", &["name", "version", "rule", "window", "population", "steps"]);
    for named in &known {
        let definition = &named.definition;
        let steps: Vec<&str> = definition.steps.iter().map(|step| step.name.as_str()).collect();
        table.row([
            json!(named.name),
            json!(named.version),
            json!(definition.rule),
            json!(definition.window),
            json!(definition.population),
            json!(steps.join(" → ")),
        ]);
    }
    Answer { tables: vec![table], notes: Vec::new(), json: json!(known) }.print(global.format)?;
    Ok(Done::Well)
}

/// The definition that is asked by name.
pub(super) async fn find(session: &Session, name: &str, version: Option<i32>) -> Result<Named, Failure> {
    let (Session { store, tenant, .. }, bar) = (session, Folding::begin());
    Ok(funnel::funnel_named(store, *tenant, name, version, edge::now(), &bar.told()).await?)
}

/// What the counters of a named funnel say, without a look at any deal.
pub(super) async fn standing(session: &Session, name: &str) -> Result<Answer, Failure> {
    let (Session { store, tenant, .. }, bar) = (session, Folding::begin());
    let answer = funnel::standing(store, *tenant, name, AsOf::NOW, edge::now(), &bar.told()).await?;
    let title = format!(
        "{} version {}: {}; {} deals, {} of them open; position {}",
        answer.name,
        answer.version,
        answer.definition.rule.word(),
        answer.counts.cases,
        answer.counts.open_cases,
        answer.position
    );
    let mut whole = Table::new(title, &COLUMNS);
    rows(&mut whole, &Value::Null, &answer.counts);
    let mut owners = Table::new("By owner", &COLUMNS);
    for owner in &answer.by {
        rows(&mut owners, &json!(owner.owner_name), &owner.counts);
    }
    Ok(Answer { tables: vec![whole, owners], notes: Vec::new(), json: json!(answer) })
}

const COLUMNS: [&str; 10] = [
    "owner",
    "stage",
    "count",
    "step_conversion",
    "cumulative_conversion",
    "mean_seconds_from_previous",
    "lost",
    "still_open",
    "moved_back",
    "left",
];

fn rows(table: &mut Table, owner: &Value, counts: &StandingCounts) {
    for stage in &counts.stages {
        let dropped = stage.dropped.as_ref().map(|dropped| json!(dropped)).unwrap_or_default();
        table.row([
            owner.clone(),
            json!(stage.stage),
            json!(stage.count),
            json!(stage.step_conversion),
            json!(stage.cumulative_conversion),
            json!(stage.mean_seconds_from_previous),
            dropped["lost"].clone(),
            dropped["open"].clone(),
            dropped["moved_back"].clone(),
            dropped["left"].clone(),
        ]);
    }
}
