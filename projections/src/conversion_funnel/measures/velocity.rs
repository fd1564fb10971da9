//! What the pipeline is worth per day: N·V·W/L.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

use super::is_closed_in;
use crate::conversion_funnel::case::{Case, Layouts, Outcome};
use crate::conversion_funnel::population::Period;
use crate::conversion_funnel::quantile::{ratio, sum};
use kvali_domain::Money;
use kvali_domain::money::Currency;

/// Folds cases into a [`VelocityAnswer`]. Each currency is a pipeline of its own, with its own N, V, W and L.
#[derive(Debug)]
pub struct Velocity<'a> {
    at: DateTime<Utc>,
    period: Option<Period>,
    layouts: &'a Layouts,
    /// Under `None` the deals without a value.
    factors: BTreeMap<Option<Currency>, Factors>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct VelocityAnswer {
    /// T, at which the open deals were open.
    pub at: DateTime<Utc>,
    /// The period of the closes behind V, W and L; null for all of them.
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
    pub currencies: Vec<CurrencyVelocity>,
}

/// A factor without any deal behind it is null, and with it the product.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CurrencyVelocity {
    /// Null: deals without a value, where there are several currencies and none can be assumed. With a single
    /// currency they count under it.
    pub currency: Option<Currency>,
    /// N, undated deals too.
    pub open: u64,
    pub won: u64,
    pub lost: u64,
    /// V, of won deals with a value.
    pub mean_won_value: Option<Money>,
    /// W, on the closed basis.
    pub win_rate: Option<f64>,
    /// L, of won deals with a date at both ends, in days of 24 hours.
    pub mean_days: Option<f64>,
    pub per_day: Option<Money>,
}

/// Decimal places of V and of the product; the factors themselves are multiplied unrounded.
const PLACES: u32 = 4;

#[derive(Debug, Default)]
struct Factors {
    open: u64,
    won: u64,
    lost: u64,
    valued: u64,
    won_value: Decimal,
    cycles: Vec<i64>,
}

impl<'a> Velocity<'a> {
    pub fn new(at: DateTime<Utc>, period: Option<Period>, layouts: &'a Layouts) -> Self {
        Self { at, period, layouts, factors: BTreeMap::new() }
    }

    pub fn add(&mut self, case: &Case) {
        if case.outcome != Outcome::Open && !is_closed_in(case, self.period) {
            return;
        }
        let factors = self.factors.entry(case.value.map(|value| value.currency)).or_default();
        match case.outcome {
            Outcome::Left => {}
            Outcome::Open => factors.open += 1,
            Outcome::Lost => factors.lost += 1,
            Outcome::Won => {
                factors.won += 1;
                factors.valued += u64::from(case.value.is_some());
                let value = case.value.map_or(Decimal::ZERO, |value| value.amount);
                factors.won_value = factors.won_value.saturating_add(value);
                factors.cycles.extend(case.cycle_micros(self.layouts));
            }
        }
    }

    #[must_use]
    pub fn finish(mut self) -> VelocityAnswer {
        self.join_the_only_currency();
        VelocityAnswer {
            at: self.at,
            from: self.period.map(Period::from),
            to: self.period.map(Period::to),
            currencies: self
                .factors
                .into_iter()
                .map(|(currency, factors)| factors.product(currency))
                .collect(),
        }
    }

    fn join_the_only_currency(&mut self) {
        if self.factors.len() == 2
            && let Some(unvalued) = self.factors.remove(&None)
            && let Some((_, only)) = self.factors.iter_mut().next()
        {
            only.open += unvalued.open;
            only.won += unvalued.won;
            only.lost += unvalued.lost;
            only.cycles.extend(unvalued.cycles);
        }
    }
}

impl Factors {
    fn product(self, currency: Option<Currency>) -> CurrencyVelocity {
        let money = |amount: Decimal| Some(Money { amount: amount.round_dp(PLACES), currency: currency? });
        let value = self.won_value.checked_div(Decimal::from(self.valued));
        let days = self.mean_days();
        CurrencyVelocity {
            currency,
            open: self.open,
            won: self.won,
            lost: self.lost,
            mean_won_value: value.and_then(money),
            win_rate: ratio(self.won, self.won + self.lost),
            mean_days: days.and_then(|days| days.to_f64()),
            per_day: value.zip(days).and_then(|(value, days)| self.per_day(value, days)).and_then(money),
        }
    }

    fn mean_days(&self) -> Option<Decimal> {
        const MICROS_PER_DAY: u64 = 86_400_000_000;
        let micros = Decimal::try_from_i128_with_scale(sum(&self.cycles), 0).ok()?;
        let days = micros.checked_div(Decimal::from(MICROS_PER_DAY))?;
        days.checked_div(Decimal::from(self.cycles.len()))
    }

    fn per_day(&self, value: Decimal, days: Decimal) -> Option<Decimal> {
        let win_rate = Decimal::from(self.won).checked_div(Decimal::from(self.won + self.lost))?;
        Decimal::from(self.open).checked_mul(value)?.checked_mul(win_rate)?.checked_div(days)
    }
}
