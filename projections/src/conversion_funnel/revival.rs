//! What became of lost deals: how many were revived, handed back to sales, and won after all.

use super::model::{money, outcome};
use super::population::Period;
use super::quantile::{Durations, span};
use crate::sql::sql;
use chrono::{DateTime, Utc};
use kvali_domain::deal::Outcome;
use kvali_domain::money::Currency;
use kvali_domain::{DealId, Money, PipelineId};
use kvali_eventstore::project::Look;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Which deals are asked about.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Only {
    #[default]
    All,
    /// Those that came of a lost deal: opened in a recycle pipeline, or handed back to sales.
    Revived,
    /// The others.
    First,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("only {0:?} is none of all, revived, first")]
pub struct NotOnly(String);

impl std::str::FromStr for Only {
    type Err = NotOnly;

    fn from_str(text: &str) -> Result<Self, NotOnly> {
        match text {
            "all" => Ok(Self::All),
            "revived" => Ok(Self::Revived),
            "first" => Ok(Self::First),
            _ => Err(NotOnly(text.to_owned())),
        }
    }
}

impl Only {
    pub(super) fn admits(self, is_revived: bool) -> bool {
        match self {
            Self::All => true,
            Self::Revived => is_revived,
            Self::First => !is_revived,
        }
    }
}

/// One deal in a recycle pipeline, that came of a lost one.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Revival {
    pub(super) lost: DealId,
    pub(super) lost_at: Option<DateTime<Utc>>,
    pub(super) revived_at: Option<DateTime<Utc>>,
    /// The deal that went back to sales.
    pub(super) back: Option<Back>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Back {
    pub(super) is_won: bool,
    pub(super) value: Option<Money>,
}

/// Deals that were lost in the pipeline and revived elsewhere, whatever became of them since.
const REVIVALS: &str = "select l.deal_id as lost, l.closed_at as lost_at, r.created_at as revived_at, \
    s.deal_id as back, s.outcome, s.amount, s.currency from {schema}.deal r \
    join {schema}.deal l on l.tenant_id = $1 and l.deal_id = r.comes_of and l.pipeline_id = $2 \
    left join {schema}.deal s on s.tenant_id = $1 and s.comes_of = r.deal_id and s.origin = 'revived' \
    where r.tenant_id = $1 and r.origin = 'recycle' order by r.opened_position";

pub(super) async fn revivals(look: &mut Look<'_>, pipeline: PipelineId) -> Result<Vec<Revival>, sqlx::Error> {
    let query = sqlx::query(sql(look.schema, REVIVALS)).bind(look.tenant.0).bind(pipeline.0);
    let rows = query.fetch_all(&mut *look.connection).await?;
    rows.iter().map(revival).collect()
}

fn revival(row: &PgRow) -> Result<Revival, sqlx::Error> {
    let is_back = row.try_get::<Option<Uuid>, _>("back")?.is_some();
    let won = |word: Option<&str>| word.and_then(outcome) == Some(Outcome::Won);
    let back = Back { is_won: won(row.try_get("outcome")?), value: money(row, "amount", "currency")? };
    Ok(Revival {
        lost: DealId(row.try_get("lost")?),
        lost_at: row.try_get("lost_at")?,
        revived_at: row.try_get("revived_at")?,
        back: is_back.then_some(back),
    })
}

/// Of the deals that were lost in the pipeline.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct RevivalAnswer {
    /// Lost deals that were revived, each once however often.
    pub lost_deals_revived: usize,
    /// Times that one was.
    pub revivals: u64,
    pub handed_back: u64,
    pub won: u64,
    /// Of the deals handed back; those without a value are in none.
    pub values: Vec<RevivalValue>,
    /// Revivals with dates at both ends.
    pub n_days_to_revival: usize,
    pub mean_days_to_revival: Option<f64>,
    pub median_days_to_revival: Option<f64>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct RevivalValue {
    pub handed_back: Money,
    pub won: Money,
}

const SECONDS_A_DAY: f64 = 86_400.0;

/// Revivals within `period`, by when they were made; of all times without one.
pub(super) fn summed(revivals: &[Revival], period: Option<Period>) -> RevivalAnswer {
    let asked: Vec<&Revival> = revivals
        .iter()
        .filter(|revival| period.is_none_or(|period| period.holds(revival.revived_at)))
        .collect();
    let lost: BTreeSet<DealId> = asked.iter().map(|revival| revival.lost).collect();
    let back: Vec<&Back> = asked.iter().filter_map(|revival| revival.back.as_ref()).collect();
    let micros = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_micros());
    let mut took: Vec<i64> = asked
        .iter()
        .filter_map(|revival| span(micros(revival.lost_at), micros(revival.revived_at)))
        .collect();
    let took = Durations::of(&mut took);
    let days = |seconds: Option<f64>| seconds.map(|seconds| seconds / SECONDS_A_DAY);
    RevivalAnswer {
        lost_deals_revived: lost.len(),
        revivals: asked.len() as u64,
        handed_back: back.len() as u64,
        won: back.iter().filter(|back| back.is_won).count() as u64,
        values: values(&back),
        n_days_to_revival: took.n,
        mean_days_to_revival: days(took.mean_seconds),
        median_days_to_revival: days(took.median_seconds),
    }
}

fn values(back: &[&Back]) -> Vec<RevivalValue> {
    let mut sums: BTreeMap<Currency, [Decimal; 2]> = BTreeMap::new();
    for back in back {
        let Some(Money { amount, currency }) = back.value else { continue };
        let [all, won] = sums.entry(currency).or_default();
        *all = all.saturating_add(amount);
        if back.is_won {
            *won = won.saturating_add(amount);
        }
    }
    let value = |(currency, [handed_back, won]): (Currency, [Decimal; 2])| RevivalValue {
        handed_back: Money { amount: handed_back, currency },
        won: Money { amount: won, currency },
    };
    sums.into_iter().map(value).collect()
}
