//! How days are counted, and when somebody is away.

use super::clock::{days_after, monday, stored, stored_day};
use super::record::{AbsenceRow, overdue_from, since_when};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use kvali_domain::calendar::{Hours, Interval};
use kvali_domain::{Due, UserId, absence};
use std::collections::BTreeMap;
use uuid::Uuid;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Monday to Friday.
fn hours(zone: Tz, holidays: &[&str]) -> Hours {
    let days = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    Hours {
        name: "Office".to_owned(),
        zone,
        week: days.map(|day| Interval { day, start: 540, end: 1_080 }).to_vec(),
        holidays: holidays.iter().map(|day| (date(day), "A feast".to_owned())).collect::<BTreeMap<_, _>>(),
    }
}

#[test]
fn days_of_a_limit_are_counted_by_either_clock() {
    let (tbilisi, berlin) = (Tz::Asia__Tbilisi, Tz::Europe__Berlin);
    for (since, days, zone, holidays, expected) in [
        ("2024-05-03T10:00:00Z", 1, tbilisi, &[][..], Some("2024-05-06T10:00:00Z")),
        ("2024-05-03T10:00:00Z", 1, tbilisi, &["2024-05-06"], Some("2024-05-07T10:00:00Z")),
        // Saturday evening in UTC is Sunday in Tbilisi; Monday is the first business day after it.
        ("2024-05-04T21:00:00Z", 1, tbilisi, &[], Some("2024-05-05T21:00:00Z")),
        // The same local time: an hour sooner in UTC once the clocks have gone forward.
        ("2024-03-29T10:00:00Z", 1, berlin, &[], Some("2024-04-01T09:00:00Z")),
        ("2024-10-25T10:00:00Z", 1, berlin, &[], Some("2024-10-28T11:00:00Z")),
        ("2024-10-25T10:00:00Z", 0, berlin, &[], Some("2024-10-25T10:00:00Z")),
        ("2024-10-25T10:00:00Z", i32::MAX, berlin, &[], None),
    ] {
        let counted = days_after(at(since), days, Some(&hours(zone, holidays)));
        assert_eq!(counted, expected.map(at), "{days} business days after {since}");
    }
    assert_eq!(days_after(at("2024-03-30T10:00:00Z"), 1, None), Some(at("2024-03-31T10:00:00Z")));
    assert_eq!(days_after(at("2024-03-30T10:00:00Z"), i32::MAX, None), None, "never");
}

#[test]
fn a_business_clock_never_runs_faster_than_the_sun() {
    // On the only Sunday shift of the year the clocks go forward; a day of 23 hours is not yet a day of age.
    let mut hours = hours(Tz::Europe__Berlin, &[]);
    hours.week.push(Interval { day: Weekday::Sat, start: 540, end: 1_080 });
    hours.week.push(Interval { day: Weekday::Sun, start: 540, end: 1_080 });
    assert_eq!(days_after(at("2024-03-30T10:00:00Z"), 1, Some(&hours)), Some(at("2024-03-31T10:00:00Z")));
}

#[test]
fn an_instant_is_in_time_and_a_day_is_over_with_its_last_moment() {
    let instant = at("2024-05-01T10:00:00Z");
    assert_eq!(overdue_from(Due::At(instant), None), instant + TimeDelta::microseconds(1));
    assert_eq!(since_when(Due::At(instant), None), instant);
    let day = Due::Day { date: date("2024-05-01"), zone: Tz::UTC };
    assert_eq!(overdue_from(day, None), at("2024-05-02T00:00:00Z"));
    let later = at("2024-05-03T08:00:00Z");
    assert_eq!(overdue_from(day, Some(later)), later);
    assert_eq!(overdue_from(day, Some(instant)), at("2024-05-02T00:00:00Z"), "a deferral shortens nothing");
}

#[test]
fn what_tables_cannot_hold_is_as_good_as_never() {
    assert_eq!(stored_day(NaiveDate::MAX), date("9999-12-28"));
    assert_eq!(stored_day(NaiveDate::MIN), date("0001-01-03"));
    assert_eq!(stored(DateTime::<Utc>::MAX_UTC), at("9999-12-28T00:00:00Z"));
    assert_eq!(stored(at("2024-05-01T00:00:00.123456789Z")), at("2024-05-01T00:00:00.123456Z"));
    let far = Due::Day { date: NaiveDate::MAX, zone: Tz::Asia__Tbilisi };
    assert_eq!(overdue_from(far, None), at("9999-12-28T00:00:00Z"));
    assert_eq!(monday(date("2024-05-05")), date("2024-04-29"));
}

#[test]
fn somebody_is_away_from_the_start_to_the_end_or_on_the_planned_days() {
    let planned = AbsenceRow {
        user_id: UserId(Uuid::nil()),
        number: 1,
        kind: absence::Kind::Sickness,
        first_day: date("2024-05-06"),
        last_day: date("2024-05-07"),
        zone: Tz::Asia__Tbilisi,
        started_at: None,
        ended_at: None,
        cancelled_at: None,
    };
    let (first, last) = ("2024-05-05T20:00:00Z", "2024-05-07T19:59:59.999999Z");
    for (when, is_away) in [("2024-05-05T19:59:59.999999Z", false), (first, true), (last, true)] {
        assert_eq!(planned.covers(at(when)), is_away, "{when}");
    }
    assert!(!planned.covers(at("2024-05-07T20:00:00Z")));
    let began = AbsenceRow { started_at: Some(at("2024-05-04T08:00:00Z")), ..planned.clone() };
    assert!(
        began.covers(at("2024-05-04T08:00:00Z")) && began.covers(at("2024-05-20T08:00:00Z")),
        "till it ends"
    );
    let ended = AbsenceRow { ended_at: Some(at("2024-05-06T12:00:00Z")), ..began };
    assert!(ended.covers(at("2024-05-06T11:59:59Z")) && !ended.covers(at("2024-05-06T12:00:00Z")));
    let cancelled = AbsenceRow { cancelled_at: Some(at("2024-05-06T12:00:00Z")), ..planned };
    assert!(cancelled.covers(at("2024-05-06T11:00:00Z")) && !cancelled.covers(at("2024-05-06T13:00:00Z")));
}
