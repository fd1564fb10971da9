//! What a deal sells: lines, and the value that follows from them.

use super::{Event, OpenDeal, Refusal, ValueChanged};
use crate::money::Currency;
use crate::{Money, ProductId};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line; its total is quantity × unit price, less the discount.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub product: ProductId,
    /// Above zero.
    #[schemars(with = "String", regex(pattern = r"^[0-9]+(\.[0-9]+)?$"))]
    pub quantity: Decimal,
    pub unit_price: Money,
    /// In per cent, 0 to 100.
    #[serde(default)]
    #[schemars(with = "String", regex(pattern = r"^[0-9]+(\.[0-9]+)?$"))]
    pub discount_percent: Decimal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LineAdded {
    /// From 1; never used again.
    pub line: i32,
    pub is: Line,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LineChanged {
    pub line: i32,
    pub from: Line,
    pub to: Line,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LineRemoved {
    pub line: i32,
    pub was: Line,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Lines {
    pub(super) lines: BTreeMap<i32, Line>,
    last: i32,
}

impl Line {
    fn total(&self) -> Option<Decimal> {
        let hundred = Decimal::ONE_HUNDRED;
        let gross = self.quantity.checked_mul(self.unit_price.amount)?;
        let net = gross.checked_mul(hundred.checked_sub(self.discount_percent)?)?.checked_div(hundred)?;
        Some(net.round_dp(2))
    }

    fn check(&self, others: &Lines) -> Result<(), Refusal> {
        if self.quantity <= Decimal::ZERO {
            return Err(Refusal::QuantityNotPositive { quantity: self.quantity.to_string() });
        }
        super::not_negative(self.unit_price)?;
        if self.discount_percent < Decimal::ZERO || self.discount_percent > Decimal::ONE_HUNDRED {
            return Err(Refusal::DiscountOutOfRange { discount: self.discount_percent.to_string() });
        }
        let currency = self.unit_price.currency;
        match others.currency().filter(|known| *known != currency) {
            Some(known) => Err(Refusal::OtherCurrency { currency: known.to_string() }),
            None => Ok(()),
        }
    }
}

impl Lines {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Other lines in place of these; numbers that were used are not used again.
    pub(super) fn replace(&mut self, lines: BTreeMap<i32, Line>) {
        self.last = self.last.max(lines.last_key_value().map_or(0, |(number, _)| *number));
        self.lines = lines;
    }

    fn currency(&self) -> Option<Currency> {
        self.lines.values().next().map(|line| line.unit_price.currency)
    }

    fn without(&self, number: i32) -> Self {
        let mut others = self.clone();
        others.lines.remove(&number);
        others
    }

    fn with(&self, number: i32, line: &Line) -> Self {
        let mut all = self.clone();
        all.lines.insert(number, line.clone());
        all
    }

    fn value(&self) -> Result<Option<Money>, Refusal> {
        let Some(currency) = self.currency() else { return Ok(None) };
        let sum = |sum: Decimal, line: &Line| sum.checked_add(line.total()?);
        let amount = self.lines.values().try_fold(Decimal::ZERO, sum).ok_or(Refusal::TooLarge)?;
        Ok(Some(Money { amount, currency }))
    }

    pub(super) fn evolve(&mut self, event: &Event) {
        match event {
            Event::LineAdded(event) => {
                self.last = event.line;
                self.lines.insert(event.line, event.is.clone());
            }
            Event::LineChanged(event) => drop(self.lines.insert(event.line, event.to.clone())),
            Event::LineRemoved(event) => drop(self.lines.remove(&event.line)),
            _ => {}
        }
    }
}

pub(super) fn add(deal: &OpenDeal, line: &Line) -> Result<Vec<Event>, Refusal> {
    line.check(&deal.lines)?;
    let number = deal.lines.last.saturating_add(1);
    let added = Event::LineAdded(LineAdded { line: number, is: line.clone() });
    valued(deal, added, &deal.lines.with(number, line))
}

pub(super) fn change(deal: &OpenDeal, number: i32, line: &Line) -> Result<Vec<Event>, Refusal> {
    let known = known(deal, number)?;
    if known == line {
        return Ok(Vec::new());
    }
    let others = deal.lines.without(number);
    line.check(&others)?;
    let changed = LineChanged { line: number, from: known.clone(), to: line.clone() };
    valued(deal, Event::LineChanged(changed), &others.with(number, line))
}

pub(super) fn remove(deal: &OpenDeal, number: i32) -> Result<Vec<Event>, Refusal> {
    // A number is used once, so a line that is gone was removed.
    if (1..=deal.lines.last).contains(&number) && !deal.lines.lines.contains_key(&number) {
        return Ok(Vec::new());
    }
    let was = known(deal, number)?.clone();
    valued(deal, Event::LineRemoved(LineRemoved { line: number, was }), &deal.lines.without(number))
}

fn known(deal: &OpenDeal, number: i32) -> Result<&Line, Refusal> {
    let lines = &deal.lines.lines;
    lines
        .get(&number)
        .ok_or_else(|| Refusal::NoSuchLine { line: number, lines: lines.keys().copied().collect() })
}

/// The event, and the value that follows from the lines after it. The last line leaves the value as it was.
fn valued(deal: &OpenDeal, event: Event, after: &Lines) -> Result<Vec<Event>, Refusal> {
    let value = after.value()?.filter(|value| deal.value != Some(*value));
    let changed = value.map(|to| Event::ValueChanged(ValueChanged { from: deal.value, to }));
    Ok([event].into_iter().chain(changed).collect())
}
