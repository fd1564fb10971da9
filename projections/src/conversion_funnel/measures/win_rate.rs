//! Which share of the deals was won, in number and in value.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use super::is_closed_in;
use crate::conversion_funnel::case::{Case, Outcome};
use crate::conversion_funnel::population::Period;
use crate::conversion_funnel::quantile::ratio;
use kvali_domain::Money;
use kvali_domain::money::Currency;

/// What the won deals are a share of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Won and lost deals, by when they were closed.
    #[default]
    Closed,
    /// Deals by when they were created (else first entered), whatever became of them since.
    Cohort,
}

/// Folds cases into a [`WinRateAnswer`].
#[derive(Debug)]
pub struct WinRate {
    basis: Basis,
    period: Option<Period>,
    zone: Tz,
    won: u64,
    lost: u64,
    created: u64,
    values: BTreeMap<Currency, Values>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct WinRateAnswer {
    pub basis: Basis,
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
    pub zone: Tz,
    pub won: u64,
    pub lost: u64,
    /// Cohort basis only: the deals that the rate is of, those still open among them.
    pub created: Option<u64>,
    /// `won / (won + lost)`, or `won / created`; null where there are none.
    pub rate: Option<f64>,
    /// One per currency; deals without a value are in none.
    pub values: Vec<CurrencyRate>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CurrencyRate {
    pub won_value: Money,
    /// The won value's share of the value of the same deals that `rate` is of.
    pub value_rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Values {
    won: Decimal,
    all: Decimal,
}

impl WinRate {
    /// Without a period: every case, dated or not.
    pub fn new(basis: Basis, period: Option<Period>, zone: Tz) -> Self {
        Self { basis, period, zone, won: 0, lost: 0, created: 0, values: BTreeMap::new() }
    }

    pub fn add(&mut self, case: &Case) {
        let asked = match self.basis {
            Basis::Closed => is_closed_in(case, self.period),
            Basis::Cohort => self.period.is_none_or(|period| period.holds(case.began_at())),
        };
        if !asked {
            return;
        }
        let is_won = case.outcome == Outcome::Won;
        self.created += 1;
        self.won += u64::from(is_won);
        self.lost += u64::from(case.outcome == Outcome::Lost);
        if let Some(value) = case.value {
            let values = self.values.entry(value.currency).or_default();
            values.all = values.all.saturating_add(value.amount);
            if is_won {
                values.won = values.won.saturating_add(value.amount);
            }
        }
    }

    #[must_use]
    pub fn finish(self) -> WinRateAnswer {
        let of = match self.basis {
            Basis::Closed => self.won + self.lost,
            Basis::Cohort => self.created,
        };
        WinRateAnswer {
            basis: self.basis,
            from: self.period.map(Period::from),
            to: self.period.map(Period::to),
            zone: self.zone,
            won: self.won,
            lost: self.lost,
            created: (self.basis == Basis::Cohort).then_some(self.created),
            rate: ratio(self.won, of),
            values: self.values.into_iter().map(|(currency, values)| values.rate(currency)).collect(),
        }
    }
}

impl Values {
    fn rate(self, currency: Currency) -> CurrencyRate {
        CurrencyRate {
            won_value: Money { amount: self.won, currency },
            value_rate: self.won.checked_div(self.all).and_then(|rate| rate.to_f64()),
        }
    }
}
