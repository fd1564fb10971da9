//! `kvali funnel define`, `redefine` and `retire`: funnels that have a name. They are asked in `crate::funnel`.

use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use kvali_domain::funnel::{Command, Corrections, Definition, PopulationKind, Rule, Start, Step, Window};
use kvali_domain::pipeline::{Class, Config};
use kvali_domain::{FunnelId, Order};

#[derive(Subcommand)]
pub(crate) enum Funnel {
    /// Give a funnel a name
    Define(Shape),
    /// Define a named funnel anew, over all of history; what it was stays as an older version
    Redefine(Shape),
    /// Take a named funnel out of force
    Retire { name: String },
}

/// What a named funnel counts.
#[derive(Args)]
pub(crate) struct Shape {
    name: String,
    /// The pipeline, by name
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// Steps in order, parted by commas; stages that count as one are joined by + [default: the process stages, then the success stage]
    #[arg(long, value_name = "A,B+C,D")]
    stages: Option<String>,
    /// When a deal counts at a step
    #[arg(long, default_value = "entered", value_name = "RULE")]
    rule: Rule,
    /// Time that a deal has from its start to each step, such as 30d, 12h or 90m
    #[arg(long, value_name = "DURATION")]
    window: Option<Window>,
    /// Which start the window counts from: first or best
    #[arg(long, default_value = "first", requires = "window", value_name = "START")]
    start: Start,
    /// Which deals are asked about
    #[arg(long, value_enum, default_value_t = Kind::All)]
    population: Kind,
    /// For rule passed: count lost deals in the stages that they jumped over, too
    #[arg(long)]
    impute_lost: bool,
    /// Count corrected mistakes as the history that they were
    #[arg(long)]
    ever: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    All,
    /// Deals created (else first entered) in a period
    Cohort,
    /// Stage entries in a period
    #[value(name = "event_dated", alias = "event-dated")]
    EventDated,
    /// Deals closed in a period
    #[value(name = "closed_dated", alias = "closed-dated")]
    ClosedDated,
}

impl From<Kind> for PopulationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::All => Self::All,
            Kind::Cohort => Self::Cohort,
            Kind::EventDated => Self::EventDated,
            Kind::ClosedDated => Self::ClosedDated,
        }
    }
}

impl Form for Funnel {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let (funnel, command) = match self {
            Self::Define(shape) => {
                let definition = shape.definition(directory).await?;
                (FunnelId(by.id("funnel")), Command::Define { name: shape.name.clone(), definition })
            }
            Self::Redefine(shape) => {
                let definition = shape.definition(directory).await?;
                (directory.funnel(&shape.name).await?, Command::Redefine { definition })
            }
            Self::Retire { name } => (directory.funnel(name).await?, Command::Retire {}),
        };
        Ok(vec![order(funnel.stream(), command)])
    }
}

impl Shape {
    async fn definition(&self, directory: &Directory<'_>) -> Result<Definition, Failure> {
        let (pipeline, config) = directory.pipeline(&self.pipeline).await?;
        let steps = match &self.stages {
            Some(list) => list.split(',').map(|step| self::step(&config, step)).collect::<Result<_, _>>()?,
            None => whole_way(&config),
        };
        Ok(Definition {
            pipeline,
            steps,
            rule: self.rule,
            window: self.window,
            start: self.start,
            population: self.population.into(),
            corrections: if self.ever { Corrections::Ever } else { Corrections::Effective },
            impute_lost: self.impute_lost,
        })
    }
}

/// A stage, or several joined by +. A stage whose name holds a + is meant before its parts are.
fn step(config: &Config, said: &str) -> Result<Step, Failure> {
    let said = said.trim();
    let stages = match config.stage_named(said) {
        Some(stage) => vec![stage.id],
        None => said.split('+').map(|stage| directory::stage(config, stage)).collect::<Result<_, _>>()?,
    };
    Ok(Step { name: said.to_owned(), stages })
}

fn whole_way(config: &Config) -> Vec<Step> {
    let stages = config.of_class(Class::Process).chain(config.of_class(Class::Success));
    stages.map(|stage| Step { name: stage.name.clone(), stages: vec![stage.id] }).collect()
}
