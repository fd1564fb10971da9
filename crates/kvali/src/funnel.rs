//! `kvali funnel`: how many deals came how far, under which rule, as of when.

mod named;
mod report;

use crate::arguments;
use crate::as_of::{Edge, When, instant};
use crate::ask::missing;
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::forms::funnel::Kind;
use crate::output::Answer;
use crate::progress::Folding;
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_eventstore::project::AsOf;
use kvali_projections::conversion_funnel::{
    self as funnel, Breakdown, Corrections, Definition, Facts, Named, Only, Period, Population,
    PopulationKind, Question, Rule, Start, Step, Window,
};
use named::Action;
pub(crate) use report::Report;
use report::merge;
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  kvali funnel --pipeline Sales
      Deals that ever entered each stage.
  kvali funnel --pipeline Sales --rule ordered --window 30d --population cohort --from 2024-01-01 --to 2024-04-01
      Of the deals created in the first quarter: how many went through the stages in order within 30 days.
  kvali funnel --pipeline Sales --by owner --rule passed
  kvali funnel --pipeline Sales --as-of 2024-03-31 --clock known
      What the funnel said on that evening; later corrections do not show.
  kvali funnel --pipeline Sales --stages Lead,Offer+Contract,Won --by field:region
      Two stages counted as one step, and the answer by a custom field of deals.
  kvali funnel define Main --pipeline Sales --rule ordered
  kvali funnel --name Main --standing
      A funnel with a name, and its counters, which stand ready.

Counting rules: a deal counts at stage k when
  snapshot   it stands in k                       entered  it has been in k
  entries    (counts visits, not deals)           any_order  it has been in all of 1..k
  ordered    it entered 1..k in order             strict   the same with no other stage between
  passed     it entered k or any later stage

JSON holds every measure at once: the funnel, transitions, cohorts, time in stage, win rate, cycle, velocity.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub(crate) struct Funnel {
    #[command(subcommand)]
    action: Option<Action>,
    /// The pipeline, by name
    #[arg(long, value_name = "NAME", required_unless_present = "name")]
    pipeline: Option<String>,
    /// A named funnel in place of pipeline, stages and rule; `kvali funnel list` has them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pipeline", "stages", "stage", "rule", "window", "impute_lost", "ever"])]
    name: Option<String>,
    /// An older version of the named funnel
    #[arg(long = "funnel-version", value_name = "VERSION", requires = "name")]
    version: Option<i32>,
    /// Of a named funnel: read the standing counters alone, which is quick however many deals there are
    #[arg(long, requires = "name", conflicts_with_all = ["version", "population", "from", "to", "by", "only", "as_of", "all"])]
    standing: bool,
    /// Stages to count, in order, parted by commas; those that count as one are joined by + [default: the process stages, then
    /// the success stage]
    #[arg(long, value_name = "A,B+C,D", conflicts_with = "stage")]
    stages: Option<String>,
    /// One stage to count; repeat it for each (for names that hold commas)
    #[arg(long, value_name = "NAME")]
    stage: Vec<String>,
    /// When a deal counts at a stage
    #[arg(long, default_value = "entered", value_name = "RULE")]
    rule: Rule,
    /// Time that a deal has from its start to each stage, such as 30d, 12h or 90m
    #[arg(long, value_name = "DURATION")]
    window: Option<Window>,
    /// Which start the window counts from: first or best
    #[arg(long, default_value = "first", requires = "window", value_name = "START")]
    start: Start,
    /// Which deals are asked about [default: all, or cohort with --from or --to]
    #[arg(long, value_enum)]
    population: Option<Kind>,
    /// The period's start: a day of --zone, or an instant (RFC 3339)
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The period's end, not included
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// The zone of days and months (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    #[arg(
        long,
        value_name = "WHAT",
        help = "Break the answer down: owner, team, source, product, field:KEY, loss_reason, value or value_at_entry"
    )]
    by: Option<Breakdown>,
    /// Which deals: all, revived (those that came of a lost deal) or first (the others)
    #[arg(long, default_value = "all", value_name = "WHICH")]
    only: Only,
    #[command(flatten)]
    when: When,
    /// For rule passed: count lost deals in the stages that they jumped over, too
    #[arg(long)]
    impute_lost: bool,
    /// Count corrected mistakes as the history that they were
    #[arg(long)]
    ever: bool,
    /// Print all measures, not the funnel alone
    #[arg(long)]
    all: bool,
}

impl Funnel {
    pub(crate) async fn run(mut self, global: &Global) -> Result<Done, Failure> {
        if let Some(action) = self.action.take() {
            return action.run(global).await;
        }
        let as_of = self.when.as_of(self.zone)?;
        let session = Session::open(global, "default").await?;
        let answer = match (&self.name, self.standing) {
            (Some(name), true) => named::standing(&session, name).await?,
            (Some(name), false) => {
                let named = named::find(&session, name, self.version).await?;
                self.answer(&session, as_of, Some(named)).await?
            }
            (None, _) => self.answer(&session, as_of, None).await?,
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }

    async fn answer(&self, session: &Session, as_of: AsOf, named: Option<Named>) -> Result<Answer, Failure> {
        let population = self.population(named.as_ref())?;
        let corrections = named.as_ref().map_or(self.corrections(), |named| named.definition.corrections);
        let facts = load(session, self.question(named.as_ref()), as_of, corrections).await?;
        let definition = self.definition(&facts, population, named.as_ref())?;
        let report = Report::of(&facts, definition, named)?;
        let mut answer = Answer {
            tables: vec![report.funnel_table(&facts)],
            notes: missing(facts.parked).into_iter().collect(),
            json: report.json(&facts),
        };
        merge(&mut answer.json, self.when.json());
        merge(&mut answer.json, json!({ "corrections": corrections }));
        answer.tables.extend(report.group_table(&facts));
        if self.all {
            answer.tables.extend(report.other_tables());
        }
        Ok(answer)
    }

    fn question(&self, named: Option<&Named>) -> Question {
        let pipeline = named.map(|named| named.pipeline().to_string());
        let pipeline = pipeline.or_else(|| self.pipeline.clone()).unwrap_or_default();
        Question { pipeline, by: self.breakdown(), only: self.only, reach: Reach::All }
    }

    fn breakdown(&self) -> Breakdown {
        self.by.clone().unwrap_or_default()
    }

    fn corrections(&self) -> Corrections {
        if self.ever { Corrections::Ever } else { Corrections::Effective }
    }

    fn population(&self, named: Option<&Named>) -> Result<Population, Failure> {
        let dated = self.from.is_some() || self.to.is_some();
        let otherwise = match named.map(|named| named.definition.population) {
            None | Some(PopulationKind::All) if dated => Kind::Cohort,
            None | Some(PopulationKind::All) => Kind::All,
            Some(PopulationKind::Cohort) => Kind::Cohort,
            Some(PopulationKind::EventDated) => Kind::EventDated,
            Some(PopulationKind::ClosedDated) => Kind::ClosedDated,
        };
        let chosen = self.population.unwrap_or(otherwise);
        if chosen == Kind::All && dated {
            return Err(Failure::Impossible(
                "--from and --to need a population with dates: cohort, event_dated or closed_dated".into(),
            ));
        }
        let bound = |flag, text: &Option<String>, otherwise: &str| {
            instant(flag, text.as_deref().unwrap_or(otherwise), self.zone, Edge::Start)
        };
        let period =
            Period::new(bound("--from", &self.from, "0001-01-01")?, bound("--to", &self.to, "9999-12-31")?);
        let period = period.map_err(|error| Failure::Impossible(error.to_string()))?;
        Ok(match chosen {
            Kind::All => Population::All,
            Kind::Cohort => Population::Cohort(period),
            Kind::EventDated => Population::EventDated(period),
            Kind::ClosedDated => Population::ClosedDated(period),
        })
    }

    fn definition(
        &self,
        facts: &Facts,
        population: Population,
        named: Option<&Named>,
    ) -> Result<Definition, Failure> {
        if let Some(named) = named {
            let asked = named.asked(population, facts.at);
            return Ok(Definition { zone: self.zone, by: self.breakdown(), ..asked });
        }
        let said: Vec<&str> = match &self.stages {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => self.stage.iter().map(String::as_str).collect(),
        };
        let steps = if said.is_empty() {
            facts.default_steps()
        } else {
            said.iter().map(|said| self.step(facts, said)).collect::<Result<_, _>>()?
        };
        Ok(Definition {
            window: self.window,
            start: self.start,
            population,
            zone: self.zone,
            impute_lost: self.impute_lost,
            by: self.breakdown(),
            ..Definition::new(steps, self.rule, facts.at)
        })
    }

    /// A stage, or with `--stages` several joined by +. A stage whose name holds a + is meant before its parts are.
    fn step(&self, facts: &Facts, said: &str) -> Result<Step, Failure> {
        let stages = match facts.stage(said) {
            Err(_) if self.stages.is_some() && said.contains('+') => {
                said.split('+').map(|part| Ok(facts.stage(part)?.id)).collect::<Result<_, Failure>>()?
            }
            found => {
                let stage = found?;
                return Ok(Step { name: stage.name.clone(), stages: vec![stage.id] });
            }
        };
        Ok(Step { name: said.to_owned(), stages })
    }
}

/// The facts of a pipeline, with a progress bar where they must be folded first.
pub(crate) async fn load(
    session: &Session,
    question: impl Into<Question>,
    as_of: AsOf,
    corrections: Corrections,
) -> Result<Facts, Failure> {
    let (Session { store, tenant, .. }, bar) = (session, Folding::begin());
    let told = bar.told();
    Ok(funnel::ground(store, *tenant, question, as_of, corrections, edge::now(), &told).await?)
}

/// A pipeline at a glance: deals that came through in order, win rate, time in stage.
pub(crate) async fn summary(session: &Session, pipeline: &str, note: &str) -> Result<Answer, Failure> {
    let facts = load(session, pipeline, AsOf::NOW, Corrections::Effective).await?;
    let report = Report::of(&facts, Definition::new(facts.default_steps(), Rule::Ordered, facts.at), None)?;
    Ok(Answer {
        tables: vec![report.funnel_table(&facts), report.win_rate_table(), report.time_table()],
        notes: vec![note.to_owned()],
        json: report.json(&facts),
    })
}
