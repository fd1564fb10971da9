//! `kvali funnel`: how many deals came how far, under which rule, as of when.

use crate::as_of::{Edge, When, instant};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::progress;
use chrono_tz::Tz;
use kvali_eventstore::project::AsOf;
use kvali_projections::conversion_funnel::{
    self as funnel, Basis, Breakdown, Class, Corrections, Counts, Definition, Durations, Facts, Period,
    Population, Rule, Start, Step, Window,
};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kvali funnel --pipeline Sales
      Deals that ever entered each stage.
  kvali funnel --pipeline Sales --rule ordered --window 30d --population cohort --from 2024-01-01 --to 2024-04-01
      Of the deals created in the first quarter: how many went through the stages in order within 30 days.
  kvali funnel --pipeline Sales --by owner --rule passed
  kvali funnel --pipeline Sales --as-of 2024-03-31 --clock known
      What the funnel said on that evening; later corrections do not show.

Counting rules: a deal counts at stage k when
  snapshot   it stands in k                       entered  it has been in k
  entries    (counts visits, not deals)           any_order  it has been in all of 1..k
  ordered    it entered 1..k in order             strict   the same with no other stage between
  passed     it entered k or any later stage

JSON holds every measure at once: the funnel, transitions, cohorts, time in stage, win rate, cycle, velocity.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Funnel {
    /// The pipeline, by name
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// Stages to count, in order, parted by commas [default: the process stages, then the success stage]
    #[arg(long, value_name = "A,B,C", conflicts_with = "stage")]
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
    population: Option<Chosen>,
    /// The period's start: a day of --zone, or an instant (RFC 3339)
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The period's end, not included
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// The zone of days and months (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    zone: Tz,
    /// Break the answer down
    #[arg(long, value_enum)]
    by: Option<By>,
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

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Chosen {
    All,
    /// Deals created (else first entered) in the period
    Cohort,
    /// Stage entries in the period
    #[value(name = "event_dated", alias = "event-dated")]
    EventDated,
    /// Deals closed in the period
    #[value(name = "closed_dated", alias = "closed-dated")]
    ClosedDated,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Owner,
}

impl Funnel {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let as_of = self.when.as_of(self.zone)?;
        let population = self.population()?;
        let session = Session::open(global, "default").await?;
        let facts = load(&session, &self.pipeline, as_of, self.corrections()).await?;
        let definition = self.definition(&facts, population)?;
        let report = Report::of(&facts, definition)?;
        let mut answer = Answer {
            tables: vec![report.funnel_table(&facts)],
            notes: Vec::new(),
            json: report.json(&facts),
        };
        merge(&mut answer.json, self.when.json());
        merge(&mut answer.json, json!({ "corrections": self.corrections() }));
        answer.tables.extend(report.owner_table(&facts));
        if self.all {
            answer.tables.extend(report.other_tables());
        }
        answer.print(global.format)?;
        Ok(Done::Well)
    }

    fn corrections(&self) -> Corrections {
        if self.ever { Corrections::Ever } else { Corrections::Effective }
    }

    fn population(&self) -> Result<Population, Failure> {
        let dated = self.from.is_some() || self.to.is_some();
        let chosen = self.population.unwrap_or(if dated { Chosen::Cohort } else { Chosen::All });
        if chosen == Chosen::All && dated {
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
            Chosen::All => Population::All,
            Chosen::Cohort => Population::Cohort(period),
            Chosen::EventDated => Population::EventDated(period),
            Chosen::ClosedDated => Population::ClosedDated(period),
        })
    }

    fn definition(&self, facts: &Facts, population: Population) -> Result<Definition, Failure> {
        let named: Vec<&str> = match &self.stages {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => self.stage.iter().map(String::as_str).collect(),
        };
        let steps = if named.is_empty() { default_steps(facts) } else { steps(facts, &named)? };
        Ok(Definition {
            window: self.window,
            start: self.start,
            population,
            zone: self.zone,
            impute_lost: self.impute_lost,
            by: if self.by.is_some() { Breakdown::Owner } else { Breakdown::None },
            ..Definition::new(steps, self.rule, facts.at)
        })
    }
}

/// The facts of a pipeline, with a progress bar where they must be folded first.
pub(crate) async fn load(
    session: &Session,
    pipeline: &str,
    as_of: AsOf,
    corrections: Corrections,
) -> Result<Facts, Failure> {
    let bar = progress::bar("folding events", 0);
    let progress = |at: i64, head: i64| {
        bar.set_length(head.unsigned_abs());
        bar.set_position(at.unsigned_abs());
    };
    let facts =
        funnel::ground(&session.store, session.tenant, pipeline, as_of, corrections, edge::now(), &progress)
            .await;
    bar.finish_and_clear();
    Ok(facts?)
}

/// A pipeline at a glance: deals that came through in order, win rate, time in stage.
pub(crate) async fn summary(session: &Session, pipeline: &str, note: &str) -> Result<Answer, Failure> {
    let facts = load(session, pipeline, AsOf::NOW, Corrections::Effective).await?;
    let report = Report::of(&facts, Definition::new(default_steps(&facts), Rule::Ordered, facts.at))?;
    Ok(Answer {
        tables: vec![report.funnel_table(&facts), report.win_rate_table(), report.time_table()],
        notes: vec![note.to_owned()],
        json: report.json(&facts),
    })
}

/// Process stages in order, then the success stage.
pub(crate) fn default_steps(facts: &Facts) -> Vec<Step> {
    let of = |class| facts.stages.iter().filter(move |stage| stage.class == class);
    let stages = of(Class::Process).chain(of(Class::Success));
    stages.map(|stage| Step { name: stage.name.clone(), stages: vec![stage.id] }).collect()
}

fn steps(facts: &Facts, names: &[&str]) -> Result<Vec<Step>, Failure> {
    let step = |name: &&str| {
        let stage = facts.stage(name)?;
        Ok(Step { name: stage.name.clone(), stages: vec![stage.id] })
    };
    names.iter().map(step).collect()
}

/// Every measure of one question.
pub(crate) struct Report {
    definition: Definition,
    answer: funnel::Answer,
    time: Vec<funnel::StageTime>,
    closed: funnel::WinRateAnswer,
    cohort: funnel::WinRateAnswer,
    cycle: funnel::CycleAnswer,
    velocity: funnel::VelocityAnswer,
}

impl Report {
    pub(crate) fn of(facts: &Facts, definition: Definition) -> Result<Self, Failure> {
        Ok(Self {
            answer: facts.funnel(definition.clone())?,
            time: facts.time_in_stage(&definition)?,
            closed: facts.win_rate(Basis::Closed, &definition),
            cohort: facts.win_rate(Basis::Cohort, &definition),
            cycle: facts.cycle(&definition),
            velocity: facts.velocity(&definition),
            definition,
        })
    }

    fn json(&self, facts: &Facts) -> Value {
        let mut json = json!(self.answer);
        let rest = json!({
            "pipeline": facts.name,
            "position": facts.position,
            "definition": self.definition.steps,
            "time_in_stage": self.time,
            "win_rate": { "closed": self.closed, "cohort": self.cohort },
            "cycle": self.cycle,
            "velocity": self.velocity,
        });
        merge(&mut json, rest);
        if let Some(owners) = json.get_mut("by").and_then(Value::as_array_mut) {
            for (shown, owner) in owners.iter_mut().zip(self.answer.by.iter().flatten()) {
                shown["owner_name"] = json!(owner_name(facts, owner.owner));
            }
        }
        json
    }

    pub(crate) fn funnel_table(&self, facts: &Facts) -> Table {
        let mut table = Table::new(
            self.title(facts),
            &[
                "stage",
                "count",
                "step_conversion",
                "cumulative_conversion",
                "median_seconds_from_previous",
                "p90_seconds_from_previous",
                "reentered",
                "lost",
                "still_open",
                "moved_back",
                "left",
            ],
        );
        for stage in &self.answer.counts.stages {
            let dropped = stage.dropped.as_ref().map(|dropped| json!(dropped)).unwrap_or_default();
            table.row([
                json!(stage.stage),
                json!(stage.count),
                json!(stage.step_conversion),
                json!(stage.cumulative_conversion),
                json!(stage.median_seconds_from_previous),
                json!(stage.p90_seconds_from_previous),
                json!(stage.reentered),
                dropped["lost"].clone(),
                dropped["open"].clone(),
                dropped["moved_back"].clone(),
                dropped["left"].clone(),
            ]);
        }
        table
    }

    /// The title names definition, population, clock and position.
    fn title(&self, facts: &Facts) -> String {
        let Definition { rule, window, start, zone, .. } = &self.definition;
        let window = window.map_or_else(String::new, |window| {
            let start = json!(start);
            format!(" within {window} of the {} start", start.as_str().unwrap_or_default())
        });
        let population = match (self.answer.from, self.answer.to) {
            (Some(from), Some(to)) => {
                let (from, to) = (from.with_timezone(zone), to.with_timezone(zone));
                format!("{} [{}, {})", self.answer.population, from.format("%F %R"), to.format("%F %R"))
            }
            _ => self.answer.population.to_owned(),
        };
        let Counts { cases, open_cases, .. } = &self.answer.counts;
        format!(
            "{}: {}{window}; population {population}: {cases} deals, {open_cases} of them open; at {} ({zone}), position {}",
            facts.name,
            rule.word(),
            facts.at.with_timezone(zone).format("%F %T"),
            facts.position
        )
    }

    fn owner_table(&self, facts: &Facts) -> Option<Table> {
        let mut table = Table::new(
            "By owner",
            &[
                "owner",
                "deals",
                "stage",
                "count",
                "step_conversion",
                "cumulative_conversion",
                "median_seconds_from_previous",
            ],
        );
        for owner in self.answer.by.as_ref()? {
            let name = owner_name(facts, owner.owner);
            for stage in &owner.counts.stages {
                table.row([
                    json!(name),
                    json!(owner.counts.cases),
                    json!(stage.stage),
                    json!(stage.count),
                    json!(stage.step_conversion),
                    json!(stage.cumulative_conversion),
                    json!(stage.median_seconds_from_previous),
                ]);
            }
        }
        Some(table)
    }

    pub(crate) fn other_tables(&self) -> Vec<Table> {
        let mut tables = vec![self.time_table(), self.win_rate_table(), self.cycle_table()];
        tables.extend([self.velocity_table(), self.transition_table(), self.cohort_table()]);
        tables
    }

    pub(crate) fn time_table(&self) -> Table {
        let mut table = Table::new(
            "Time in stage, completed visits; open ones apart",
            &[
                "stage",
                "visits",
                "mean_seconds",
                "median_seconds",
                "p75_seconds",
                "p90_seconds",
                "median_seconds_per_deal",
                "open",
                "open_median_age_seconds",
            ],
        );
        for time in &self.time {
            let Durations { n, mean_seconds, median_seconds, p75_seconds, p90_seconds } = time.per_visit;
            table.row([
                json!(time.stage),
                json!(n),
                json!(mean_seconds),
                json!(median_seconds),
                json!(p75_seconds),
                json!(p90_seconds),
                json!(time.per_deal.median_seconds),
                json!(time.open),
                json!(time.open_median_age_seconds),
            ]);
        }
        table
    }

    pub(crate) fn win_rate_table(&self) -> Table {
        let mut table = Table::new(
            "Win rate",
            &["basis", "won", "lost", "created", "win_rate", "currency", "won_value", "value_rate"],
        );
        for (basis, rate) in [("closed", &self.closed), ("cohort", &self.cohort)] {
            let shared =
                [json!(basis), json!(rate.won), json!(rate.lost), json!(rate.created), json!(rate.rate)];
            let values = rate.values.iter().map(|value| {
                [json!(value.won_value.currency), json!(value.won_value.amount), json!(value.value_rate)]
            });
            for value in or_blank(values) {
                table.rows.push(shared.iter().chain(&value).cloned().collect());
            }
        }
        table
    }

    fn cycle_table(&self) -> Table {
        let mut table = Table::new(
            "Sales cycle, first open entry to close",
            &["outcome", "deals", "mean_seconds", "median_seconds", "p75_seconds", "p90_seconds"],
        );
        for (outcome, cycle) in [("won", &self.cycle.won), ("lost", &self.cycle.lost)] {
            table.row([
                json!(outcome),
                json!(cycle.n),
                json!(cycle.mean_seconds),
                json!(cycle.median_seconds),
                json!(cycle.p75_seconds),
                json!(cycle.p90_seconds),
            ]);
        }
        table
    }

    fn velocity_table(&self) -> Table {
        let mut table = Table::new(
            "Velocity: open deals × mean won value × win rate / days of won deals",
            &["currency", "open", "mean_won_value", "win_rate", "mean_days", "per_day"],
        );
        for velocity in &self.velocity.currencies {
            table.row([
                json!(velocity.currency),
                json!(velocity.open),
                json!(velocity.mean_won_value.map(|money| money.amount)),
                json!(velocity.win_rate),
                json!(velocity.mean_days),
                json!(velocity.per_day.map(|money| money.amount)),
            ]);
        }
        table
    }

    fn transition_table(&self) -> Table {
        let mut table =
            Table::new("Transitions between stages of the funnel", &["from", "to", "n", "median_seconds"]);
        for moved in &self.answer.counts.transitions {
            table.row([json!(moved.from), json!(moved.to), json!(moved.n), json!(moved.median_seconds)]);
        }
        table
    }

    fn cohort_table(&self) -> Table {
        let mut table =
            Table::new("Cohorts by month of the first entry", &["month", "open_deals", "stage", "count"]);
        for cohort in &self.answer.counts.cohorts {
            for (step, count) in self.definition.steps.iter().zip(&cohort.counts) {
                table.row([json!(cohort.month), json!(cohort.open_cases), json!(step.name), json!(count)]);
            }
        }
        table
    }
}

fn or_blank<const N: usize>(rows: impl Iterator<Item = [Value; N]>) -> Vec<[Value; N]> {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() { vec![[const { Value::Null }; N]] } else { rows }
}

fn owner_name(facts: &Facts, owner: Option<kvali_domain::UserId>) -> Option<String> {
    let owner = owner?;
    Some(facts.owners.get(&owner).cloned().flatten().unwrap_or_else(|| format!("(no name) {owner}")))
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
