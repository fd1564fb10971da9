//! Exchange rates by the day that they hold from: one stream per tenant.

use crate::decider::{Describe, commands, events};
use crate::money::Currency;
use crate::{Decider, Given, Occurred, StreamId, Version};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The stream that holds the rates, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_ec4a_7e00_4a00_9000_0000_0000_0001));

/// The currencies of ISO 4217 that are legal tender; its codes for metals, funds and tests are left out.
const ISO_4217: &str = "
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY
    COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS
    INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP
    MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR
    SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND
    VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

commands! {
    /// Two different currencies of ISO 4217; the rate is above zero. Another rate for the same day takes its place.
    "SetExchangeRate" = Set {
        from: Currency,
        to: Currency,
        /// How much of `to` one unit of `from` is worth.
        #[schemars(with = "String", regex(pattern = r"^-?[0-9]+(\.[0-9]+)?$"))]
        rate: Decimal,
        /// The first day that it holds.
        effective: NaiveDate,
    } => [Set],
}

events! {
    Set = "exchange_rate.set",
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Set {
    pub from: Currency,
    pub to: Currency,
    #[schemars(with = "String", regex(pattern = r"^-?[0-9]+(\.[0-9]+)?$"))]
    pub rate: Decimal,
    pub effective: NaiveDate,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("a rate leads from {currency} to another currency; name two that differ")]
    SameCurrency { currency: Currency },
    #[error("{currency} is no currency of ISO 4217; name one that is, such as GEL, USD or EUR")]
    UnknownCurrency { currency: Currency },
    #[error("a rate of {rate} is not above zero; give how much of {to} one {from} is worth")]
    RateNotPositive { rate: String, from: Currency, to: Currency },
}

/// The rates of each pair of currencies, by the first day that they hold.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ExchangeRates {
    rates: BTreeMap<(Currency, Currency), BTreeMap<NaiveDate, Decimal>>,
}

impl ExchangeRates {
    /// How much of `to` one unit of `from` was worth on that day; `None` before the first rate.
    pub fn rate(&self, from: Currency, to: Currency, on: NaiveDate) -> Option<Decimal> {
        let (_, rate) = self.rates.get(&(from, to))?.range(..=on).next_back()?;
        Some(*rate)
    }
}

impl Decider for ExchangeRates {
    const AGGREGATE: &'static str = "exchange_rate";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(_: &Command) -> Option<StreamId> {
        Some(STREAM)
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn decide(&self, command: &Command, _: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let Command::Set { from, to, rate, effective } = *command;
        if let Some(currency) = [from, to].into_iter().find(|currency| !is_tender(*currency)) {
            return Err(Refusal::UnknownCurrency { currency });
        }
        if from == to {
            return Err(Refusal::SameCurrency { currency: from });
        }
        if rate <= Decimal::ZERO {
            return Err(Refusal::RateNotPositive { rate: rate.to_string(), from, to });
        }
        let set = self.rates.get(&(from, to)).and_then(|rates| rates.get(&effective));
        if set == Some(&rate) {
            return Ok(Vec::new());
        }
        Ok(vec![Event::Set(Set { from, to, rate, effective })])
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        let Event::Set(Set { from, to, rate, effective }) = *event;
        self.rates.entry((from, to)).or_default().insert(effective, rate);
    }
}

fn is_tender(currency: Currency) -> bool {
    ISO_4217.split_whitespace().any(|code| code == currency.as_str())
}
