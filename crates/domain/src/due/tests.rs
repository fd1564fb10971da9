use super::{Due, local_day};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::{Africa, America, Asia, Europe, Pacific, TZ_VARIANTS, Tz};

fn day(date: &str, zone: Tz) -> Due {
    Due::Day { date: date.parse().expect("a date"), zone }
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an RFC 3339 time")
}

#[track_caller]
fn ends(date: &str, zone: Tz, end: &str) {
    let (due, end) = (day(date, zone), instant(end));
    assert_eq!(due.overdue_after(), end);
    assert!(due.is_past(end));
    assert!(!due.is_past(end - TimeDelta::microseconds(1)));
}

#[test]
fn a_day_is_over_at_the_next_local_midnight() {
    ends("2024-07-03", Asia::Tbilisi, "2024-07-03T20:00:00Z");
    ends("2024-02-29", Asia::Tbilisi, "2024-02-29T20:00:00Z");
    ends("2023-12-31", America::New_York, "2024-01-01T05:00:00Z");
}

#[test]
fn a_day_with_an_hour_less_or_more_still_ends_at_midnight() {
    ends("2024-03-30", Europe::Berlin, "2024-03-30T23:00:00Z");
    ends("2024-03-31", Europe::Berlin, "2024-03-31T22:00:00Z");
    ends("2024-10-26", Europe::Berlin, "2024-10-26T22:00:00Z");
    ends("2024-10-27", Europe::Berlin, "2024-10-27T23:00:00Z");
    ends("2024-03-10", America::New_York, "2024-03-11T04:00:00Z");
    ends("2024-11-03", America::New_York, "2024-11-04T05:00:00Z");
}

#[test]
fn a_day_before_a_missing_midnight_ends_when_the_clocks_jump() {
    // 4 November 2018 began at 01:00.
    ends("2018-11-03", America::Sao_Paulo, "2018-11-04T03:00:00Z");
    ends("2018-11-04", America::Sao_Paulo, "2018-11-05T02:00:00Z");
}

#[test]
fn a_day_whose_last_hour_comes_twice_ends_after_the_second() {
    ends("2019-02-16", America::Sao_Paulo, "2019-02-17T03:00:00Z");
    // One minute of 25 October 1987 passes before the clocks go back to the evening of the day before.
    ends("1987-10-24", America::St_Johns, "1987-10-25T03:30:00Z");
}

#[test]
fn a_day_before_one_whose_first_hour_comes_twice_ends_before_the_first() {
    ends("1977-09-23", Africa::Tunis, "1977-09-23T22:00:00Z");
    ends("1977-09-24", Africa::Tunis, "1977-09-24T23:00:00Z");
}

#[test]
fn a_day_that_was_skipped_is_over_when_the_next_one_begins() {
    ends("2011-12-29", Pacific::Apia, "2011-12-30T10:00:00Z");
    ends("2011-12-30", Pacific::Apia, "2011-12-30T10:00:00Z");
    ends("2011-12-31", Pacific::Apia, "2011-12-31T10:00:00Z");
}

#[test]
fn an_instant_is_itself_in_time() {
    let at = instant("2024-07-03T12:00:00Z");
    assert_eq!(Due::At(at).overdue_after(), at);
    assert!(!Due::At(at).is_past(at));
    assert!(Due::At(at).is_past(at + TimeDelta::microseconds(1)));
}

#[test]
fn the_edges_of_time_are_no_panic() {
    for zone in TZ_VARIANTS {
        for date in [NaiveDate::MIN, NaiveDate::MAX, NaiveDate::MAX - Days::new(1)] {
            let due = Due::Day { date, zone };
            let end = due.overdue_after();
            assert!(end <= DateTime::<Utc>::MAX_UTC);
            assert_eq!(due.days_until(due), 0);
            assert!(!due.is_past(DateTime::<Utc>::MIN_UTC));
        }
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let today = local_day(at, zone);
            assert!(today.signed_duration_since(at.date_naive()).num_days().abs() <= 1);
        }
    }
    let end = Due::Day { date: NaiveDate::MAX, zone: Pacific::Apia }.overdue_after();
    assert_eq!(end, DateTime::<Utc>::MAX_UTC);
    let (first, last) = (Due::At(DateTime::<Utc>::MIN_UTC), Due::At(DateTime::<Utc>::MAX_UTC));
    assert!(first.days_until(last) > 190_000_000);
}

/// Around every change of the clocks since 1970, in every zone: before its end the day may come back, after it never.
#[test]
fn the_end_of_a_day_is_where_its_last_instant_was() {
    for zone in TZ_VARIANTS {
        for (date, end) in days_around_changes(zone) {
            assert!(local_day(end - TimeDelta::seconds(1), zone) <= date, "{date} {zone}");
            for minutes in (0..=26 * 60).step_by(30) {
                assert!(local_day(end + TimeDelta::minutes(minutes), zone) > date, "{date} {zone}");
            }
        }
    }
}

fn days_around_changes(zone: Tz) -> Vec<(NaiveDate, DateTime<Utc>)> {
    let offset = |at: &DateTime<Utc>| chrono::Offset::fix(&zone.offset_from_utc_datetime(&at.naive_utc()));
    let start = instant("1970-01-01T00:00:00Z");
    let weeks: Vec<DateTime<Utc>> = (0..70 * 52).map(|week| start + TimeDelta::weeks(week)).collect();
    let changing = weeks.windows(2).filter(|pair| offset(&pair[0]) != offset(&pair[1]));
    let days = changing.flat_map(|pair| (0..9).map(|days| local_day(pair[0] + TimeDelta::days(days), zone)));
    days.map(|date| (date, Due::Day { date, zone }.overdue_after())).collect()
}

#[test]
fn the_local_day_of_an_instant_is_that_of_the_zone() {
    let at = instant("2024-07-03T20:30:00Z");
    assert_eq!(local_day(at, Asia::Tbilisi), NaiveDate::from_ymd_opt(2024, 7, 4).expect("a date"));
    assert_eq!(local_day(at, Europe::Berlin), NaiveDate::from_ymd_opt(2024, 7, 3).expect("a date"));
    assert_eq!(local_day(at, Pacific::Honolulu), NaiveDate::from_ymd_opt(2024, 7, 3).expect("a date"));
}

#[test]
fn days_between_are_those_of_the_calendar() {
    let friday = day("2024-03-29", Europe::Berlin);
    assert_eq!(friday.days_until(day("2024-04-02", Europe::Berlin)), 4);
    assert_eq!(day("2024-04-02", Europe::Berlin).days_until(friday), -4);
    let at = |text| Due::At(instant(text));
    assert_eq!(at("2024-03-30T12:00:00Z").days_until(at("2024-03-31T11:59:59Z")), 0);
    assert_eq!(at("2024-03-30T12:00:00Z").days_until(at("2024-03-31T12:00:00Z")), 1);
    assert_eq!(friday.days_until(at("2024-03-30T23:00:00Z")), 1);
}

#[test]
fn a_due_is_written_as_a_day_or_as_an_instant_and_never_both() {
    let day = day("2024-07-03", Asia::Tbilisi);
    let written = r#"{"day":{"date":"2024-07-03","zone":"Asia/Tbilisi"}}"#;
    assert_eq!(serde_json::to_string(&day).ok().as_deref(), Some(written));
    assert_eq!(serde_json::from_str(written).ok(), Some(day));
    let at = Due::At(instant("2024-07-03T12:00:00Z"));
    assert_eq!(serde_json::to_string(&at).ok().as_deref(), Some(r#"{"at":"2024-07-03T12:00:00Z"}"#));
    for wrong in [
        r#"{"day":{"date":"2024-07-03","zone":"Asia/Tbilisi"},"at":"2024-07-03T12:00:00Z"}"#,
        r#"{"day":{"date":"2024-07-03"}}"#,
        r#"{"day":{"date":"2024-07-03","zone":"Tbilisi"}}"#,
        r#"{"day":{"date":"2024-02-30","zone":"Asia/Tbilisi"}}"#,
        "{}",
    ] {
        assert!(serde_json::from_str::<Due>(wrong).is_err(), "{wrong}");
    }
}
