use crate::configuring::currency;
use crate::given::{Happened, given};
use crate::sales::{at_start, date};
use kvali_domain::exchange_rates::{Command, Event, ExchangeRates, Refusal, STREAM, Set};
use kvali_domain::{Decider, Occurred, Refusal as AnyRefusal};

macro_rules! rate_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::ExchangeRates($pattern))
    };
}

fn rate(from: &str, to: &str, rate: &str, effective: &str) -> Set {
    let rate = rate.parse().expect("a decimal");
    Set { from: currency(from), to: currency(to), rate, effective: date(effective) }
}

fn command(Set { from, to, rate, effective }: Set) -> Command {
    Command::Set { from, to, rate, effective }
}

fn set(body: Set) -> Happened {
    at_start(STREAM, Event::Set(body))
}

#[test]
fn a_rate_is_set_once_for_a_day_and_may_be_set_anew() {
    let first = rate("USD", "GEL", "2.70", "2024-06-30");
    given([]).when(command(first)).then([Event::Set(first)]);
    given([set(first)]).when(command(rate("USD", "GEL", "2.7", "2024-06-30"))).then_it_is_already_so();
    for next in [
        rate("USD", "GEL", "2.71", "2024-06-30"),
        rate("USD", "GEL", "2.70", "2024-07-01"),
        rate("GEL", "USD", "2.70", "2024-06-30"),
    ] {
        given([set(first)]).when(command(next)).then([Event::Set(next)]);
    }
}

#[test]
fn a_rate_is_above_zero() {
    for wrong in ["0", "0.00", "-2.70"] {
        given([])
            .when(command(rate("USD", "GEL", wrong, "2024-06-30")))
            .refused(rate_refusal!(Refusal::RateNotPositive { .. }))
            .naming([wrong, "above zero", "how much of GEL one USD is worth"]);
    }
}

#[test]
fn a_rate_leads_to_another_currency_of_iso_4217() {
    given([])
        .when(command(rate("GEL", "GEL", "1", "2024-06-30")))
        .refused(rate_refusal!(Refusal::SameCurrency { .. }))
        .naming(["GEL", "two that differ"]);
    for (from, to, wrong) in [("ABC", "GEL", "ABC"), ("USD", "XXX", "XXX"), ("XTS", "XTS", "XTS")] {
        given([])
            .when(command(rate(from, to, "1", "2024-06-30")))
            .refused(rate_refusal!(Refusal::UnknownCurrency { .. }))
            .naming([wrong, "GEL, USD or EUR"]);
    }
}

#[test]
fn a_rate_holds_from_its_day_until_the_next() {
    let mut rates = ExchangeRates::default();
    let all = [("2.8", "2024-07-01"), ("2.6", "2024-01-01"), ("2.7", "2024-07-01")];
    for (version, (value, day)) in (1..).zip(all) {
        rates.evolve(&Event::Set(rate("USD", "GEL", value, day)), version, &Occurred::Unknown);
    }
    let on = |from, to, day| rates.rate(currency(from), currency(to), date(day)).map(|rate| rate.to_string());
    for (day, expected) in [
        ("2023-12-31", None),
        ("2024-01-01", Some("2.6")),
        ("2024-06-30", Some("2.6")),
        ("2024-07-01", Some("2.7")),
        ("2030-01-01", Some("2.7")),
    ] {
        assert_eq!(on("USD", "GEL", day).as_deref(), expected, "{day}");
    }
    assert_eq!(on("GEL", "USD", "2024-07-01"), None);
}
