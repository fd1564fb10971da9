//! Every measure of one question, as tables and as JSON.

use crate::failure::Failure;
use crate::output::Table;
use kvali_projections::conversion_funnel::{
    self as funnel, Basis, Counts, Definition, Durations, Facts, Group, Named, Only,
};
use serde_json::{Value, json};

/// Every measure of one question.
pub(crate) struct Report {
    definition: Definition,
    named: Option<Named>,
    answer: funnel::Answer,
    time: Vec<funnel::StageTime>,
    closed: funnel::WinRateAnswer,
    cohort: funnel::WinRateAnswer,
    cycle: funnel::CycleAnswer,
    velocity: funnel::VelocityAnswer,
    revival: funnel::RevivalAnswer,
}

impl Report {
    pub(crate) fn of(facts: &Facts, definition: Definition, named: Option<Named>) -> Result<Self, Failure> {
        Ok(Self {
            answer: facts.funnel(definition.clone())?,
            time: facts.time_in_stage(&definition)?,
            closed: facts.win_rate(Basis::Closed, &definition),
            cohort: facts.win_rate(Basis::Cohort, &definition),
            cycle: facts.cycle(&definition),
            velocity: facts.velocity(&definition),
            revival: facts.revival(&definition),
            definition,
            named,
        })
    }

    pub(super) fn json(&self, facts: &Facts) -> Value {
        let mut json = json!(self.answer);
        let rest = json!({
            "pipeline": facts.name,
            "position": facts.position,
            "parked_streams": facts.parked,
            "definition": self.definition.steps,
            "time_in_stage": self.time,
            "win_rate": { "closed": self.closed, "cohort": self.cohort },
            "cycle": self.cycle,
            "velocity": self.velocity,
            "only": facts.only,
            "revival": self.revival,
        });
        merge(&mut json, rest);
        if let Some(Named { funnel, name, version, .. }) = &self.named {
            merge(&mut json, json!({ "funnel": { "id": funnel, "name": name, "version": version } }));
        }
        if let Some(groups) = json.get_mut("by").and_then(Value::as_array_mut) {
            for (shown, group) in groups.iter_mut().zip(self.answer.by.iter().flatten()) {
                let name = group_name(facts, &group.group);
                if let Some(key) = named(&group.group) {
                    shown[key] = json!(name);
                }
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
        let only = match facts.only {
            Only::All => "",
            Only::Revived => ", revived deals only",
            Only::First => ", without revived deals",
        };
        let named = self.named.as_ref();
        let named =
            named.map_or_else(String::new, |named| format!("{} version {} in ", named.name, named.version));
        format!(
            "{named}{}: {}{window}; population {population}{only}: {cases} deals, {open_cases} of them open; at {} ({zone}), position {}",
            facts.name,
            rule.word(),
            facts.at.with_timezone(zone).format("%F %T"),
            facts.position
        )
    }

    pub(super) fn group_table(&self, facts: &Facts) -> Option<Table> {
        let by = &self.definition.by;
        let overlap =
            if self.answer.groups_overlap == Some(true) { "; a deal may stand in several" } else { "" };
        let mut table = Table::new(
            format!("By {by}{overlap}"),
            &[
                by.word(),
                "deals",
                "stage",
                "count",
                "step_conversion",
                "cumulative_conversion",
                "median_seconds_from_previous",
            ],
        );
        for group in self.answer.by.as_ref()? {
            let name = group_name(facts, &group.group);
            for stage in &group.counts.stages {
                table.row([
                    json!(name),
                    json!(group.counts.cases),
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
        tables.push(self.revival_table());
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

    fn revival_table(&self) -> Table {
        let revival = &self.revival;
        let mut table = Table::new(
            "Lost deals revived, handed back to sales, and won after all",
            &[
                "lost_deals",
                "revivals",
                "handed_back",
                "won",
                "median_days",
                "currency",
                "handed_back_value",
                "won_value",
            ],
        );
        let shared = [
            json!(revival.lost_deals_revived),
            json!(revival.revivals),
            json!(revival.handed_back),
            json!(revival.won),
            json!(revival.median_days_to_revival),
        ];
        let values = revival.values.iter().map(|value| {
            [json!(value.won.currency), json!(value.handed_back.amount), json!(value.won.amount)]
        });
        for value in or_blank(values) {
            table.rows.push(shared.iter().chain(&value).cloned().collect());
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

/// The name of a group that is known by an id.
fn group_name(facts: &Facts, group: &Group) -> Option<String> {
    let unnamed = |id: &dyn std::fmt::Display| format!("(no name) {id}");
    facts.group_name(group).or_else(|| match group {
        Group::Owner(id) => id.as_ref().map(|id| unnamed(id)),
        Group::Team(id) => id.as_ref().map(|id| unnamed(id)),
        Group::Product(id) => id.map(|id| id.to_string()),
        Group::LossReason(id) => id.as_ref().map(|id| unnamed(id)),
        Group::Source(_) | Group::Field(_) | Group::Value(_) | Group::ValueAtEntry(_) => None,
    })
}

/// Where the name stands beside the id.
fn named(group: &Group) -> Option<&'static str> {
    match group {
        Group::Owner(_) => Some("owner_name"),
        Group::Team(_) => Some("team_name"),
        Group::LossReason(_) => Some("loss_reason_name"),
        _ => None,
    }
}

pub(super) fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
