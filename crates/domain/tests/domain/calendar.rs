use crate::given::{Happened, given};
use crate::sales::*;
use chrono::{NaiveDate, Weekday};
use chrono_tz::Asia::Tbilisi;
use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use kvali_domain::calendar::{Calendar, Command, Defined, Event, HolidayAdded, Hours, Interval, Refusal};
use kvali_domain::decider::Describe;
use kvali_domain::{Claim, Decider, Occurred, Refusal as AnyRefusal};

macro_rules! calendar_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Calendar($pattern))
    };
}

const DAYS: [Weekday; 5] = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];

fn interval(day: Weekday, start: i32, end: i32) -> Interval {
    Interval { day, start, end }
}

/// Monday to Friday, 9 to 13 and 14 to 18.
fn week() -> Vec<Interval> {
    DAYS.iter().flat_map(|day| [interval(*day, 540, 780), interval(*day, 840, 1080)]).collect()
}

fn define(week: Vec<Interval>) -> Command {
    Command::Define { name: "Office".to_owned(), zone: Tbilisi, week }
}

fn defined(zone: Tz, week: Vec<Interval>) -> Event {
    Event::Defined(Defined { renamed_from: None, name: "Office".to_owned(), zone, week })
}

fn holiday(day: &str, name: &str) -> Event {
    Event::HolidayAdded(HolidayAdded { date: date(day), name: name.to_owned() })
}

fn log(events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    events.into_iter().map(|event| at_start(CALENDAR.stream(), event)).collect()
}

fn hours(zone: Tz, week: Vec<Interval>, holidays: &[&str]) -> Hours {
    let mut calendar = Calendar::default();
    let holidays = holidays.iter().map(|day| holiday(day, "A holiday"));
    for event in [defined(zone, week)].into_iter().chain(holidays) {
        calendar.evolve(&event, 1, &Occurred::Unknown);
    }
    calendar.hours().expect("it was defined").clone()
}

#[test]
fn a_calendar_is_defined_in_the_order_of_the_week() {
    let mut shuffled = week();
    shuffled.reverse();
    given([]).when(define(shuffled.clone())).then([defined(Tbilisi, week())]);
    given(log([defined(Tbilisi, week())])).when(define(shuffled)).then_it_is_already_so();
}

#[test]
fn defining_again_replaces_the_hours_and_keeps_the_holidays() {
    let short = vec![interval(Weekday::Mon, 0, 1440)];
    let before = || vec![defined(Tbilisi, week()), holiday("2024-05-26", "Independence")];
    given(log(before())).when(define(short.clone())).then([defined(Tbilisi, short.clone())]);
    let after = before().into_iter().chain([defined(Tbilisi, short)]);
    given(log(after))
        .when(Command::AddHoliday { date: date("2024-05-26"), name: "Independence".to_owned() })
        .then_it_is_already_so();
}

#[test]
fn a_calendar_name_is_unique_and_let_go_of_when_it_changes() {
    let event = |renamed_from: Option<&str>| {
        let (renamed_from, name) = (renamed_from.map(str::to_owned), "Office B".to_owned());
        Event::Defined(Defined { renamed_from, name, zone: Tbilisi, week: week() })
    };
    assert_eq!(event(None).claims(), [Claim::take("calendar.name", "office b")]);
    let both = [Claim::release("calendar.name", "office"), Claim::take("calendar.name", "office b")];
    assert_eq!(event(Some("Office")).claims(), both);
    let command = Command::Define { name: "Office B".to_owned(), zone: Tbilisi, week: week() };
    given(log([defined(Tbilisi, week())])).when(command).then([event(Some("Office"))]);
}

#[test]
fn names_are_not_blank() {
    let blank = Command::Define { name: " ".to_owned(), zone: Tbilisi, week: week() };
    let holiday = Command::AddHoliday { date: date("2024-05-26"), name: String::new() };
    for command in [blank, holiday] {
        given(log([defined(Tbilisi, week())]))
            .when(command)
            .refused(calendar_refusal!(Refusal::Blank { field: "name" }))
            .naming(["visible character"]);
    }
}

#[test]
fn a_week_has_working_time() {
    given([])
        .when(define(vec![]))
        .refused(calendar_refusal!(Refusal::NoWorkingTime))
        .naming(["at least one"]);
}

#[test]
fn an_interval_lies_within_a_day_and_starts_before_it_ends() {
    for (start, end) in [(540, 540), (600, 540), (-1, 60), (1380, 1441), (i32::MIN, i32::MAX)] {
        given([])
            .when(define(vec![interval(Weekday::Tue, start, end)]))
            .refused(calendar_refusal!(Refusal::NoInterval { .. }))
            .naming(["Tue", "0 to 1440"]);
    }
}

#[test]
fn intervals_of_a_day_are_disjoint() {
    let meeting = |day| vec![interval(day, 540, 720), interval(Weekday::Mon, 700, 800)];
    given([])
        .when(define(meeting(Weekday::Mon)))
        .refused(calendar_refusal!(Refusal::IntervalsMeet { .. }))
        .naming(["Mon", "700–800", "540–720"]);
    let apart = vec![interval(Weekday::Mon, 700, 800), interval(Weekday::Tue, 540, 720)];
    given([]).when(define(meeting(Weekday::Tue))).then([defined(Tbilisi, apart)]);
    let touching = vec![interval(Weekday::Mon, 540, 700), interval(Weekday::Mon, 700, 800)];
    given([]).when(define(touching.clone())).then([defined(Tbilisi, touching)]);
}

#[test]
fn a_date_is_one_holiday() {
    let add = |name: &str| Command::AddHoliday { date: date("2024-05-26"), name: name.to_owned() };
    let independence = || holiday("2024-05-26", "Independence");
    given(log([defined(Tbilisi, week())])).when(add("Independence")).then([independence()]);
    let log = log([defined(Tbilisi, week()), independence()]);
    given(log.clone()).when(add("Independence")).then_it_is_already_so();
    given(log)
        .when(add("Another"))
        .refused(calendar_refusal!(Refusal::HolidayTwice { .. }))
        .naming(["2024-05-26", r#""Independence""#]);
}

#[test]
fn a_calendar_that_nobody_defined_has_no_holidays() {
    given([])
        .when(Command::AddHoliday { date: date("2024-05-26"), name: "Independence".to_owned() })
        .refused(calendar_refusal!(Refusal::NoSuchCalendar))
        .naming(["DefineWorkCalendar"]);
}

#[track_caller]
fn works(hours: &Hours, at: &str, expected: bool) {
    assert_eq!(hours.is_working(at.parse().expect("an RFC 3339 time")), expected, "{at}");
}

#[test]
fn working_time_is_half_open_and_stops_at_holidays() {
    let hours = hours(Tbilisi, week(), &["2024-07-04"]);
    for (at, expected) in [
        ("2024-07-03T04:59:59.999Z", false),
        ("2024-07-03T05:00:00Z", true),
        ("2024-07-03T08:59:59Z", true),
        ("2024-07-03T09:00:00Z", false),
        ("2024-07-03T10:00:00Z", true),
        ("2024-07-03T14:00:00Z", false),
        ("2024-07-04T06:00:00Z", false),
        ("2024-07-06T06:00:00Z", false),
    ] {
        works(&hours, at, expected);
    }
}

#[test]
fn working_time_follows_the_wall_clock_when_clocks_change() {
    let hours = hours(Berlin, week(), &[]);
    for (at, expected) in [
        // Friday before and Monday after the clocks go forward, 31 March 2024.
        ("2024-03-29T07:59:00Z", false),
        ("2024-03-29T08:00:00Z", true),
        ("2024-04-01T06:59:00Z", false),
        ("2024-04-01T07:00:00Z", true),
        // Monday after they go back, 27 October 2024.
        ("2024-10-28T07:59:00Z", false),
        ("2024-10-28T08:00:00Z", true),
        ("2024-10-28T16:59:59Z", true),
        ("2024-10-28T17:00:00Z", false),
    ] {
        works(&hours, at, expected);
    }
}

#[test]
fn an_hour_that_comes_twice_works_twice_and_one_that_is_skipped_never() {
    let hours = hours(Berlin, vec![interval(Weekday::Sun, 120, 180)], &[]);
    // Two o'clock comes at 0:00 and again at 1:00 UTC.
    for (at, expected) in [
        ("2024-10-26T23:59:59Z", false),
        ("2024-10-27T00:30:00Z", true),
        ("2024-10-27T01:30:00Z", true),
        ("2024-10-27T02:00:00Z", false),
        ("2024-03-31T00:59:59Z", false),
        ("2024-03-31T01:00:00Z", false),
    ] {
        works(&hours, at, expected);
    }
}

#[test]
fn nobody_works_at_the_ends_of_time() {
    let always =
        DAYS.iter().chain(&[Weekday::Sat, Weekday::Sun]).map(|day| interval(*day, 0, 1440)).collect();
    let hours = hours(Tbilisi, always, &[]);
    works(&hours, "2024-07-06T23:00:00Z", true);
    assert!(!hours.is_working(chrono::DateTime::<chrono::Utc>::MAX_UTC));
    assert_eq!(hours.add_business_days(NaiveDate::MAX, 1), None);
    let all = hours.business_days_between(NaiveDate::MIN, NaiveDate::MAX);
    assert_eq!(all, (NaiveDate::MAX - NaiveDate::MIN).num_days());
}

#[test]
fn business_days_leave_out_weekends_and_holidays() {
    let hours = hours(Tbilisi, week(), &["2024-07-04", "2024-07-06"]);
    for (from, count, to) in [
        ("2024-07-03", 0, "2024-07-03"),
        ("2024-07-06", 0, "2024-07-06"),
        ("2024-07-03", 1, "2024-07-05"),
        ("2024-07-03", 2, "2024-07-08"),
        ("2024-07-06", 1, "2024-07-08"),
        ("2024-07-03", 7, "2024-07-15"),
    ] {
        assert_eq!(hours.add_business_days(date(from), count), Some(date(to)), "{from} + {count}");
    }
}

#[test]
fn counting_days_undoes_adding_them() {
    let hours = hours(Berlin, week(), &["2024-03-29", "2024-04-01", "2024-05-01", "2024-05-04"]);
    for start in date("2024-03-20").iter_days().take(30) {
        for count in 1..60 {
            let end = hours.add_business_days(start, count).expect("far from the end of time");
            assert_eq!(hours.business_days_between(start, end), i64::from(count), "{start} to {end}");
            assert_eq!(hours.business_days_between(end, start), -i64::from(count), "{end} to {start}");
        }
        assert_eq!(hours.business_days_between(start, start), 0);
    }
}
