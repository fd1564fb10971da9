//! `kvali forecast`: what will be won in a period, by category and by probability, and how near earlier forecasts came.

use crate::arguments;
use crate::as_of::When;
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::progress::Folding;
use chrono::NaiveDate;
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_projections::conversion_funnel::{
    self as model, Accuracy, ForecastAnswer, ForecastCurrency, Rollup,
};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kvali forecast --pipeline Sales --from 2026-10-01 --to 2027-01-01
      Deals won in the last quarter of 2026, and open ones that are expected to close in it.
  kvali forecast --pipeline Sales --from 2026-10-01 --to 2027-01-01 --by owner
  kvali forecast --pipeline Sales --from 2026-07-01 --to 2026-10-01 --horizon 30
      How near the forecast of 30 days before the quarter came to what was won in it.

Categories are cumulative: commit holds what is closed, most_likely what is committed, and so on down to pipeline. A deal's
own category and probability stand before those of its stage. Omitted and lost deals count as nothing.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Forecast {
    /// The pipeline, by name
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// The first day
    #[arg(long, value_name = "DATE")]
    from: NaiveDate,
    /// The day after the last
    #[arg(long, value_name = "DATE")]
    to: NaiveDate,
    /// The zone of days (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    /// Break the forecast down
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Compare the forecast of so many days before the period with what was won in it
    #[arg(long, value_name = "DAYS", conflicts_with = "as_of")]
    horizon: Option<u32>,
    #[command(flatten)]
    when: When,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Owner,
}

impl Forecast {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let as_of = self.when.as_of(self.zone)?;
        let session = Session::open(global, "default").await?;
        let (bar, now) = (Folding::begin(), edge::now());
        let question = model::Forecast {
            pipeline: self.pipeline.clone(),
            from: self.from,
            to: self.to,
            zone: self.zone,
            reach: Reach::All,
        };
        let (store, tenant) = (&session.store, session.tenant);
        let found = model::forecast(store, tenant, &question, as_of, now, &bar.told()).await?;
        let accuracy = match self.horizon {
            Some(days) => {
                let told = bar.told();
                Some(model::accuracy(store, tenant, &question, days.into(), now, &told).await?)
            }
            None => None,
        };
        drop(bar);
        self.answer(&found, accuracy.as_deref()).print(global.format)?;
        Ok(Done::Well)
    }

    fn answer(&self, found: &ForecastAnswer, accuracy: Option<&[Accuracy]>) -> Answer {
        let mut json = json!(found);
        let mut tables = vec![forecast_table(found)];
        if self.by == Some(By::Owner) {
            tables.push(owner_table(found));
        } else if let Some(object) = json.as_object_mut() {
            object.remove("by_owner");
        }
        if let Some(accuracy) = accuracy {
            json["accuracy"] = json!(accuracy);
            tables.push(accuracy_table(accuracy));
        }
        if let (Value::Object(json), Value::Object(when)) = (&mut json, self.when.json()) {
            json.extend(when);
        }
        Answer { tables, notes: Vec::new(), json }
    }
}

const COLUMNS: [&str; 9] =
    ["owner", "currency", "deals", "closed", "commit", "most_likely", "best_case", "pipeline", "weighted"];

fn forecast_table(found: &ForecastAnswer) -> Table {
    let title = format!(
        "{}: won or expected to close in [{}, {}); at {} ({}), position {}; {} without a value, {} without a probability",
        found.pipeline,
        found.from,
        found.to,
        found.at.with_timezone(&found.zone).format("%F %T"),
        found.zone,
        found.position,
        found.without_value,
        found.without_probability,
    );
    let mut table = Table::new(title, &COLUMNS[1..]);
    for currency in &found.currencies {
        table.rows.push(cells(currency));
    }
    table
}

fn owner_table(found: &ForecastAnswer) -> Table {
    let mut table = Table::new("By owner", &COLUMNS);
    for owner in &found.by_owner {
        for currency in &owner.currencies {
            let name = [json!(owner.owner_name)];
            table.rows.push(name.into_iter().chain(cells(currency)).collect());
        }
    }
    table
}

fn cells(currency: &ForecastCurrency) -> Vec<Value> {
    let Rollup { pipeline, best_case, most_likely, commit, closed, weighted } = currency.rollup;
    let sums = [closed, commit, most_likely, best_case, pipeline, weighted];
    let head = [json!(currency.currency), json!(currency.deals)];
    head.into_iter().chain(sums.map(|sum| json!(sum))).collect()
}

type Read = fn(&Rollup) -> Value;

fn accuracy_table(accuracy: &[Accuracy]) -> Table {
    let mut table = Table::new(
        "Earlier forecast and what was won",
        &["currency", "horizon_days", "measure", "forecast", "actual", "accuracy", "bias"],
    );
    let measures: [(&str, Read); 5] = [
        ("weighted", |rollup| json!(rollup.weighted)),
        ("commit", |rollup| json!(rollup.commit)),
        ("most_likely", |rollup| json!(rollup.most_likely)),
        ("best_case", |rollup| json!(rollup.best_case)),
        ("pipeline", |rollup| json!(rollup.pipeline)),
    ];
    for one in accuracy {
        for (measure, of) in measures {
            table.row([
                json!(one.currency),
                json!(one.horizon_days),
                json!(measure),
                of(&one.forecast),
                json!(one.actual),
                one.accuracy.as_ref().map_or(Value::Null, of),
                one.bias.as_ref().map_or(Value::Null, of),
            ]);
        }
    }
    table
}
