//! Overdue tasks: in the right local day for each zone, across changes of the clocks, and why.

use chrono_tz::Tz;
use kvali_domain::deal;
use kvali_domain::pipeline::Clock;
use kvali_domain::task::{self, Create};
use kvali_domain::user;
use kvali_domain::{CalendarId, Due, Personal, StageId, Target, TaskId, calendar, merge, pipeline, subject};
use kvali_eventstore::project::{AsOf, Projection};
use kvali_projections::overdue_tasks::{Answer, Asked, Cause, OverdueTasks, Section};
use kvali_tests::desk::{Desk, at, date, due};
use kvali_tests::samples::{INTAKE, LEAD, OFFER, transfer};
use kvali_tests::{new_id, now};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Before every due of these tests.
const LONG_AGO: &str = "2010-01-01T00:00:00Z";

fn names(answer: &Answer) -> (Vec<String>, Vec<String>) {
    let overdue = answer.overdue.iter().flat_map(|list| &list.rows).map(|row| &row.task.subject);
    let today = answer.due_today.iter().flat_map(|list| &list.rows).map(|row| &row.subject);
    (overdue.flatten().cloned().collect(), today.flatten().cloned().collect())
}

/// An open task with that due, looked at at that instant: is it overdue, and is it due today?
type Row = (&'static str, &'static str, bool, bool);

const CASES: &[Row] = &[
    // Midnight in Tbilisi is 20:00 in UTC, all year.
    ("2024-03-05 Asia/Tbilisi", "2024-03-04T19:59:59.999999Z", false, false),
    ("2024-03-05 Asia/Tbilisi", "2024-03-04T20:00:00Z", false, true),
    ("2024-03-05 Asia/Tbilisi", "2024-03-05T19:59:59.999999Z", false, true),
    ("2024-03-05 Asia/Tbilisi", "2024-03-05T20:00:00Z", true, false),
    // The same day elsewhere is another time.
    ("2024-03-05 Pacific/Apia", "2024-03-05T10:59:59.999999Z", false, true),
    ("2024-03-05 Pacific/Apia", "2024-03-05T11:00:00Z", true, false),
    ("2024-03-05 America/New_York", "2024-03-06T04:59:59.999999Z", false, true),
    ("2024-03-05 America/New_York", "2024-03-06T05:00:00Z", true, false),
    ("2024-03-05 UTC", "2024-03-05T23:59:59.999999Z", false, true),
    ("2024-03-05 UTC", "2024-03-06T00:00:00Z", true, false),
    // The day on which the clocks go forward has 23 hours, and that on which they go back has 25.
    ("2024-03-10 America/New_York", "2024-03-10T05:00:00Z", false, true),
    ("2024-03-10 America/New_York", "2024-03-11T03:59:59.999999Z", false, true),
    ("2024-03-10 America/New_York", "2024-03-11T04:00:00Z", true, false),
    ("2024-11-03 America/New_York", "2024-11-03T04:00:00Z", false, true),
    ("2024-11-03 America/New_York", "2024-11-04T04:59:59.999999Z", false, true),
    ("2024-11-03 America/New_York", "2024-11-04T05:00:00Z", true, false),
    ("2024-03-31 Europe/Berlin", "2024-03-30T22:59:59.999999Z", false, false),
    ("2024-03-31 Europe/Berlin", "2024-03-30T23:00:00Z", false, true),
    ("2024-03-31 Europe/Berlin", "2024-03-31T21:59:59.999999Z", false, true),
    ("2024-03-31 Europe/Berlin", "2024-03-31T22:00:00Z", true, false),
    ("2024-10-27 Europe/Berlin", "2024-10-26T22:00:00Z", false, true),
    ("2024-10-27 Europe/Berlin", "2024-10-27T22:59:59.999999Z", false, true),
    ("2024-10-27 Europe/Berlin", "2024-10-27T23:00:00Z", true, false),
    // The days beside them are ordinary ones.
    ("2024-10-26 Europe/Berlin", "2024-10-26T21:59:59.999999Z", false, true),
    ("2024-10-26 Europe/Berlin", "2024-10-26T22:00:00Z", true, false),
    ("2024-10-28 Europe/Berlin", "2024-10-28T22:59:59.999999Z", false, true),
    ("2024-10-28 Europe/Berlin", "2024-10-28T23:00:00Z", true, false),
    // In Cairo the clocks jump over midnight, and go back from it to the evening before.
    ("2023-04-27 Africa/Cairo", "2023-04-27T21:59:59.999999Z", false, true),
    ("2023-04-27 Africa/Cairo", "2023-04-27T22:00:00Z", true, false),
    ("2023-04-28 Africa/Cairo", "2023-04-28T20:59:59.999999Z", false, true),
    ("2023-04-28 Africa/Cairo", "2023-04-28T21:00:00Z", true, false),
    ("2023-10-26 Africa/Cairo", "2023-10-26T21:30:00Z", false, true),
    ("2023-10-26 Africa/Cairo", "2023-10-26T21:59:59.999999Z", false, true),
    ("2023-10-26 Africa/Cairo", "2023-10-26T22:00:00Z", true, false),
    // In Apia there was no 30 December 2011: the day before ends when it would have begun.
    ("2011-12-29 Pacific/Apia", "2011-12-30T09:59:59.999999Z", false, true),
    ("2011-12-29 Pacific/Apia", "2011-12-30T10:00:00Z", true, false),
    ("2011-12-31 Pacific/Apia", "2011-12-30T10:00:00Z", false, true),
    ("2011-12-31 Pacific/Apia", "2011-12-31T10:00:00Z", true, false),
    // Leap days, and the end of a year.
    ("2024-02-29 Europe/Berlin", "2024-02-29T22:59:59.999999Z", false, true),
    ("2024-02-29 Europe/Berlin", "2024-02-29T23:00:00Z", true, false),
    ("2023-02-28 Asia/Tbilisi", "2023-02-28T20:00:00Z", true, false),
    ("2024-02-28 Asia/Tbilisi", "2024-02-29T19:59:59Z", true, false),
    ("2023-12-31 Asia/Tbilisi", "2023-12-31T20:00:00Z", true, false),
    ("2023-12-31 America/New_York", "2024-01-01T04:59:59.999999Z", false, true),
    // Half and quarter hours.
    ("2024-06-01 Asia/Kathmandu", "2024-06-01T18:14:59.999999Z", false, true),
    ("2024-06-01 Asia/Kathmandu", "2024-06-01T18:15:00Z", true, false),
    // An instant is itself in time. Its day is that of the question, here Berlin, since nothing names a zone for Anna.
    ("2024-05-01T00:00:00Z", "2024-04-30T23:59:59.999999Z", false, true),
    ("2024-05-01T00:00:00Z", "2024-05-01T00:00:00Z", false, true),
    ("2024-05-01T00:00:00Z", "2024-05-01T00:00:00.000001Z", true, true),
    ("2024-05-01T21:59:00Z", "2024-05-01T21:59:00.000001Z", true, true),
    ("2024-05-01T21:59:00Z", "2024-05-01T22:00:00Z", true, false),
    ("2024-05-01T22:30:00Z", "2024-05-01T21:59:59Z", false, false),
    ("2024-05-01T22:30:00Z", "2024-05-02T21:59:59Z", true, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_overdue_from_the_end_of_its_own_local_day_on() {
    let desk = Desk::set_up().await;
    let (nino, anna) = (desk.user("Nino").await, desk.user("Anna").await);
    let mut made = BTreeMap::new();
    for (text, ..) in CASES {
        if !made.contains_key(text) {
            let due = due(text);
            let whose = if matches!(due, Due::Day { .. }) { nino } else { anna };
            made.insert(*text, desk.task(LONG_AGO, text, due, whose).await);
        }
    }
    assert!(made.len() >= 20, "dues of many kinds");
    for (text, when, is_overdue, is_today) in CASES {
        let sections = vec![Section::Overdue, Section::DueToday];
        let asked = Asked { sections, zone: Tz::Europe__Berlin, ..Asked::default() };
        let answer = desk.at(when, asked.clone()).await;
        let (overdue, today) = names(&answer);
        assert_eq!(overdue.iter().any(|name| name == text), *is_overdue, "{text} at {when}: overdue");
        assert_eq!(today.iter().any(|name| name == text), *is_today, "{text} at {when}: due today");
        let listed = answer.overdue.unwrap();
        assert_eq!(listed.total, overdue.len());
        assert!(listed.rows.is_sorted_by_key(|row| row.since), "the oldest first");
    }
    // The same by a generation of the past.
    for (text, when, is_overdue, is_today) in CASES.iter().step_by(9) {
        let asked = Asked { zone: Tz::Europe__Berlin, ..Asked::default() };
        let answer = desk.as_of(AsOf::happened(at(when)), now(), asked).await;
        let (overdue, today) = names(&answer);
        assert_eq!(overdue.iter().any(|name| name == text), *is_overdue, "as of {when}: {text} overdue");
        assert_eq!(today.iter().any(|name| name == text), *is_today, "as of {when}: {text} due today");
    }
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_cancelled_deferred_or_moved_is_not_overdue_and_lateness_stays_told() {
    let desk = Desk::set_up().await;
    let nino = desk.user("Nino").await;
    let day = || due("2024-05-10 Asia/Tbilisi");
    let task = async |name: &str| desk.task("2024-05-01T08:00:00Z", name, day(), nino).await;
    let (late, done, off, later, moved) =
        (task("late").await, task("done").await, task("off").await, task("later").await, task("moved").await);
    task("left").await;
    let result = || Personal::default();
    let reason = || Personal::new("they asked for time");
    let tell = async |when: &str, task: TaskId, command: task::Command| {
        desk.tell(when, task.stream(), command).await;
    };
    tell("2024-05-10T19:59:59Z", done, task::Command::Complete { result: result() }).await;
    tell("2024-05-10T21:30:00Z", late, task::Command::Complete { result: result() }).await;
    tell("2024-05-09T10:00:00Z", off, task::Command::Cancel { reason: reason() }).await;
    let until = at("2024-05-15T08:00:00Z");
    tell("2024-05-09T10:00:00Z", later, task::Command::Defer { until }).await;
    for (when, to) in [("2024-05-09T10:00:00Z", "2024-05-12"), ("2024-05-11T10:00:00Z", "2024-05-14")] {
        let due = due(&format!("{to} Asia/Tbilisi"));
        tell(when, moved, task::Command::Reschedule { due, reason: reason() }).await;
    }
    let overdue = async |when: &str| names(&desk.at(when, Asked::default()).await).0;
    assert_eq!(overdue("2024-05-10T19:59:59Z").await, [""; 0]);
    assert_eq!(overdue("2024-05-10T20:00:00Z").await, ["left"]);
    assert_eq!(overdue("2024-05-14T20:00:00Z").await, ["left", "moved"]);
    assert_eq!(overdue("2024-05-15T07:59:59.999999Z").await, ["left", "moved"]);
    assert_eq!(overdue("2024-05-15T08:00:00Z").await, ["left", "moved", "later"]);
    let asked = Asked {
        from: Some(at("2024-05-10T20:00:00Z")),
        to: Some(at("2024-05-11T20:00:00Z")),
        ..Asked::default()
    };
    let answer = desk.at("2024-06-01T00:00:00Z", asked).await;
    let late = answer.done_late.unwrap();
    assert_eq!((late.total, late.rows[0].late_by_seconds), (1, 5_400));
    assert_eq!(late.rows[0].task.subject.as_deref(), Some("late"));
    let slipped = answer.slipped.unwrap();
    assert_eq!((slipped.total, slipped.rows[0].slips, slipped.rows[0].slip_days), (1, 2, 4));
    assert_eq!(slipped.rows[0].original_due.day, date("2024-05-10"));
    let asked = Asked { from: Some(at("2024-05-11T20:00:00Z")), ..Asked::default() };
    assert_eq!(desk.at("2024-06-01T00:00:00Z", asked).await.done_late.unwrap().total, 0);
    // As of an instant before it was done, what was done late was overdue, and what was moved was not moved yet.
    let then = desk.as_of(AsOf::happened(at("2024-05-10T21:00:00Z")), now(), Asked::default()).await;
    assert_eq!(names(&then).0, ["late", "left"]);
    assert_eq!(then.slipped.unwrap().rows[0].slips, 1);
    desk.database.drop().await;
}

/// Everybody's task is due on 10 May in Tbilisi, that is by 20:00 in UTC, and was made on the first, about a deal at
/// which its assignee has worked since, unless the case says otherwise.
const CAUSES: &[(&str, Cause)] = &[
    ("works as ever", Cause::Unknown),
    ("has leave that day", Cause::Absent),
    ("has leave to that day", Cause::Absent),
    ("has leave from the next day on", Cause::Unknown),
    ("has leave to the day before", Cause::Unknown),
    ("has cancelled the leave", Cause::Unknown),
    ("came back at noon", Cause::Unknown),
    ("came back the day after", Cause::Absent),
    ("fell ill at noon", Cause::Absent),
    ("fell ill the day after", Cause::Unknown),
    ("has leave by Samoan days", Cause::Unknown),
    ("has three tasks and takes two", Cause::Overloaded),
    ("has two tasks and takes two", Cause::Unknown),
    ("has three tasks and nobody knows what is too many", Cause::Unknown),
    ("has done one of three tasks before", Cause::Unknown),
    ("does one of three tasks the day after", Cause::Overloaded),
    ("has moved one of three tasks before", Cause::Unknown),
    ("moves one of three tasks the day after", Cause::Overloaded),
    ("has given one of three tasks away before", Cause::Unknown),
    ("took three before and takes two since", Cause::Overloaded),
    ("takes two from the day after on", Cause::Unknown),
    ("has a third task due the day after", Cause::Unknown),
    ("has a third task at an instant of that day", Cause::Overloaded),
    ("was given an hour for what takes a day", Cause::TooShort),
    ("was given ten days for what takes a day", Cause::Unknown),
    ("has not worked at the deal", Cause::Neglected),
    ("has worked at the deal before", Cause::Neglected),
    ("works at the deal the day after", Cause::Neglected),
    ("lets others work at the deal", Cause::Neglected),
    ("has a task about no deal", Cause::Unknown),
    ("has leave, too much to do, an hour, and has not worked", Cause::Absent),
    ("has too much to do, an hour, and has not worked", Cause::Overloaded),
    ("has an hour and has not worked", Cause::TooShort),
];

#[expect(clippy::too_many_lines, reason = "a table of cases, each in a few words")]
#[tokio::test(flavor = "multi_thread")]
async fn the_cause_is_judged_by_what_stood_at_the_due_instant() {
    let desk = Desk::set_up().await;
    let boss = desk.user("Boss").await;
    let prepared = desk.activity_type(1_440).await;
    let day = || due("2024-05-10 Asia/Tbilisi");
    for (name, _) in CAUSES {
        let who = desk.user(name).await;
        let says = |words: &str| name.contains(words);
        let deal = desk.deal("2024-04-01T08:00:00Z", boss).await;
        let made = if says("hour") { "2024-05-10T19:00:00Z" } else { "2024-05-01T08:00:00Z" };
        let own = Create {
            targets: if says("about no deal") { vec![] } else { vec![Target::Deal(deal)] },
            activity_type: (says("hour") || says("ten days")).then_some(prepared),
            ..Create::new(Personal::new(*name), day(), who)
        };
        desk.create(made, own).await;
        let leave = match *name {
            _ if says("leave that day") || says("leave, too much") => Some(("2024-05-10", "2024-05-10")),
            _ if says("leave to that day") => Some(("2024-05-01", "2024-05-10")),
            _ if says("from the next day") => Some(("2024-05-11", "2024-05-20")),
            _ if says("to the day before") => Some(("2024-05-01", "2024-05-09")),
            _ if says("cancelled") || says("came back") => Some(("2024-05-08", "2024-05-12")),
            // It is the eleventh there from 11:00 in UTC on.
            _ if says("Samoan") => Some(("2024-05-09", "2024-05-10")),
            _ => None,
        };
        if let Some((from, to)) = leave {
            let zone = if says("Samoan") { Tz::Pacific__Apia } else { Tz::Asia__Tbilisi };
            desk.absence("2024-04-20T08:00:00Z", who, from, to, zone).await;
        }
        let absence = 1;
        let user = async |when: &str, command: user::Command| desk.tell(when, who.stream(), command).await;
        if says("cancelled") {
            user("2024-05-02T08:00:00Z", user::Command::CancelAbsence { absence }).await;
        }
        for (words, when) in [("at noon", "2024-05-10T08:00:00Z"), ("the day after", "2024-05-11T08:00:00Z")]
        {
            if says("came back") && says(words) {
                user("2024-05-08T08:00:00Z", user::Command::StartAbsence { absence }).await;
                user(when, user::Command::EndAbsence { absence }).await;
            }
            if says("fell ill") && says(words) {
                // Planned for later, begun at once.
                desk.absence(when, who, "2024-06-01", "2024-06-02", Tz::Asia__Tbilisi).await;
                user(when, user::Command::StartAbsence { absence }).await;
            }
        }
        let three = ["three tasks", "took three", "too much", "takes two from"];
        let others = if three.into_iter().any(says) {
            vec![day(), day()]
        } else if says("two tasks") {
            vec![day()]
        } else if says("third task due the day after") {
            vec![day(), due("2024-05-11 Asia/Tbilisi")]
        } else if says("third task at an instant") {
            vec![day(), due("2024-05-10T19:30:00Z")]
        } else {
            vec![]
        };
        let mut beside = Vec::new();
        for due in others {
            beside.push(desk.task("2024-05-01T08:00:00Z", "another", due, who).await);
        }
        let when = if says("before") { "2024-05-09T08:00:00Z" } else { "2024-05-11T08:00:00Z" };
        if says("one of three") {
            let reason = || Personal::new("as agreed");
            let command = match *name {
                _ if says("done one") || says("does one") => task::Command::Complete { result: reason() },
                _ if says("moved one") || says("moves one") => {
                    task::Command::Reschedule { due: due("2024-05-20 Asia/Tbilisi"), reason: reason() }
                }
                _ => task::Command::Reassign { assignee: boss, force: false, reason: reason() },
            };
            desk.tell(when, beside[0].stream(), command).await;
        }
        if says("took three") {
            desk.capacity("2024-04-01T08:00:00Z", who, 3).await;
            desk.capacity("2024-05-05T08:00:00Z", who, 2).await;
        } else if says("takes two from") {
            desk.capacity("2024-05-11T08:00:00Z", who, 2).await;
        } else if !says("nobody knows") {
            desk.capacity("2024-04-01T08:00:00Z", who, 2).await;
        }
        let worked = match *name {
            _ if says("worked at the deal before") => Some(("2024-04-30T08:00:00Z", who)),
            _ if says("works at the deal the day after") => Some(("2024-05-11T08:00:00Z", who)),
            _ if says("others work") => Some(("2024-05-05T08:00:00Z", boss)),
            _ if says("not worked") => None,
            _ => Some(("2024-05-10T19:30:00Z", who)),
        };
        if let Some((when, by)) = worked {
            desk.note(when, by, deal).await;
        }
    }
    let answer = desk.at("2024-05-12T00:00:00Z", Asked::default()).await;
    let rows = answer.overdue.unwrap().rows;
    for (name, cause) in CAUSES {
        let row = rows.iter().find(|row| row.task.subject.as_deref() == Some(*name));
        let row = row.unwrap_or_else(|| panic!("whoever {name} has an overdue task"));
        assert_eq!(row.cause, *cause, "whoever {name}: {:?}", row.evidence);
        assert!(!row.is_determined);
    }
    let asked = Asked { cause: Some(Cause::Neglected), limit: 2, ..Asked::default() };
    let neglected = desk.at("2024-05-12T00:00:00Z", asked).await.overdue.unwrap();
    let all = CAUSES.iter().filter(|(_, cause)| *cause == Cause::Neglected).count();
    assert_eq!((neglected.total, neglected.rows.len()), (all, 2));
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deals_stand_over_the_limit_of_their_visit_and_go_idle_by_two_clocks() {
    let desk = Desk::set_up().await;
    let nino = desk.user("Nino").await;
    desk.limits(LEAD, Some(3), Some(5), Clock::Calendar).await;
    let first = desk.deal("2024-05-01T10:00:00Z", nino).await;
    // Who is there already goes by the limit that held when the visit began.
    desk.limits(LEAD, Some(10), Some(5), Clock::Calendar).await;
    let second = desk.deal("2024-05-01T10:00:00Z", nino).await;
    desk.limits(OFFER, Some(2), None, Clock::Business).await;
    let third = desk.deal("2024-05-01T10:00:00Z", nino).await;
    // Friday at two in Tbilisi; Monday is free.
    desk.advance("2024-05-03T10:00:00Z", third).await;
    let calendar = CalendarId(new_id());
    let hours = |day| calendar::Interval { day, start: 9 * 60, end: 18 * 60 };
    let week = ["Mon", "Tue", "Wed", "Thu", "Fri"].map(|day| hours(day.parse().unwrap())).to_vec();
    let (name, zone) = ("Tbilisi".to_owned(), Tz::Asia__Tbilisi);
    desk.tell(LONG_AGO, calendar.stream(), calendar::Command::Define { name, zone, week }).await;
    let over = async |when: &str| {
        let answer = desk.at(when, Asked::default()).await;
        let over: Vec<_> = answer.over_stage_limit.unwrap().rows.iter().map(|row| row.deal.id).collect();
        (over, answer.idle_deals.unwrap().rows.iter().map(|row| row.deal.id).collect::<Vec<_>>())
    };
    assert_eq!(over("2024-05-04T09:59:59.999999Z").await, (vec![], vec![]));
    assert_eq!(over("2024-05-04T10:00:00Z").await.0, [first]);
    // Two business days after Friday is Tuesday.
    assert_eq!(over("2024-05-07T09:59:59.999999Z").await.0, [first]);
    assert_eq!(over("2024-05-07T10:00:00Z").await.0, [first, third]);
    let holiday =
        calendar::Command::AddHoliday { date: date("2024-05-06"), name: "Easter Monday".to_owned() };
    desk.tell("2024-05-01T00:00:00Z", calendar.stream(), holiday).await;
    assert_eq!(over("2024-05-07T10:00:00Z").await.0, [first]);
    assert_eq!(over("2024-05-08T10:00:00Z").await.0, [first, third]);
    assert_eq!(over("2024-05-11T10:00:00Z").await.0, [first, third, second]);
    // Idle since the first of May, unless somebody does something about it.
    assert_eq!(over("2024-05-06T10:00:00Z").await.1, [first, second]);
    desk.note("2024-05-04T12:00:00Z", nino, first).await;
    assert_eq!(over("2024-05-06T10:00:00Z").await.1, [second]);
    assert_eq!(over("2024-05-09T12:00:00Z").await.1, [second, first]);
    let lost = deal::Command::CloseLost {
        reason: Some(desk.sales.reason),
        stage: None,
        comment: Personal::default(),
        pipeline_version: None,
    };
    desk.tell("2024-05-12T10:00:00Z", first.stream(), lost).await;
    assert_eq!(over("2024-05-13T10:00:00Z").await, (vec![third, second], vec![second]));
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_changes_its_pipeline_begins_a_visit_under_the_limits_that_hold_there() {
    let desk = Desk::set_up().await;
    let nino = desk.user("Nino").await;
    let service = desk.sales.service(&desk.store, "Service").await;
    let limit = async |stage: StageId, max_days: i32| {
        let (max_days, idle_days) = (Some(max_days), None);
        let limits = pipeline::Command::SetLimits { stage, max_days, idle_days, clock: Clock::Calendar };
        desk.tell(LONG_AGO, service.stream(), limits).await;
    };
    desk.limits(LEAD, Some(3), None, Clock::Calendar).await;
    limit(INTAKE, 2).await;
    let deal = desk.deal("2024-05-01T10:00:00Z", nino).await;
    let over = async |when: &str| {
        let rows = desk.at(when, Asked::default()).await.over_stage_limit.unwrap().rows;
        rows.into_iter().map(|row| (row.visit, row.max_days, row.deal.stage)).collect::<Vec<_>>()
    };
    assert_eq!(over("2024-05-05T10:00:00Z").await, [(1, 3, "Lead".to_owned())]);
    desk.tell("2024-05-05T12:00:00Z", deal.stream(), transfer(service, INTAKE)).await;
    // Who is there already goes by the limit that held when the visit began.
    limit(INTAKE, 9).await;
    assert_eq!(over("2024-05-07T11:59:59.999999Z").await, []);
    assert_eq!(over("2024-05-07T12:00:00Z").await, [(2, 2, "Intake".to_owned())]);
    let (back, forth) = (desk.sales.pipeline, service);
    desk.tell("2024-05-08T12:00:00Z", deal.stream(), transfer(back, OFFER)).await;
    assert_eq!(over("2024-06-01T00:00:00Z").await, [], "no limit there");
    desk.tell("2024-05-09T12:00:00Z", deal.stream(), transfer(forth, INTAKE)).await;
    assert_eq!(over("2024-05-18T11:59:59.999999Z").await, []);
    assert_eq!(over("2024-05-18T12:00:00Z").await, [(4, 9, "Intake".to_owned())]);
    let model: Arc<dyn Projection> = Arc::new(OverdueTasks);
    let live = desk.store.live(&*model).await.unwrap();
    let rows = desk.database.rows(&live.schema_name).await;
    let rebuilt = desk.store.rebuild(model, &|_, _| {}).await.unwrap();
    assert_eq!(desk.database.rows(&rebuilt.schema_name).await, rows);
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_without_task_is_one_whose_merged_deals_have_none_either() {
    let desk = Desk::set_up().await;
    let nino = desk.user("Nino").await;
    let (kept, gone) = (desk.deal(LONG_AGO, nino).await, desk.deal(LONG_AGO, nino).await);
    let task = desk.task_about("2024-05-01T08:00:00Z", "call", due("2024-05-10 UTC"), nino, gone).await;
    let without = async || {
        let answer = desk.at("2024-06-01T00:00:00Z", Asked::default()).await;
        let rows = answer.deals_without_task.unwrap().rows;
        rows.iter().map(|row| (row.deal.id, row.since)).collect::<Vec<_>>()
    };
    assert_eq!(without().await, [(kept, None)]);
    let seen = [(kept, 1), (gone, 1)].map(|(id, version)| merge::Seen { id, version });
    let merge = merge::Merge { losers: vec![gone], seen: seen.to_vec(), choices: vec![] };
    desk.tell("2024-05-02T08:00:00Z", kept.stream(), deal::Command::Merge(merge)).await;
    assert_eq!(without().await, []);
    let answer = desk.at("2024-06-01T00:00:00Z", Asked::default()).await;
    assert_eq!(answer.overdue.unwrap().rows[0].task.deals, [kept], "the task is about what the deal is now");
    let complete = task::Command::Complete { result: Personal::default() };
    desk.tell("2024-05-03T08:00:00Z", task.stream(), complete).await;
    assert_eq!(without().await, [(kept, Some(at("2024-05-03T08:00:00Z")))]);
    let unmerge = deal::Command::Unmerge(merge::Unmerge { merge: 1, chain: false });
    desk.tell("2024-05-04T08:00:00Z", kept.stream(), unmerge).await;
    let apart: BTreeMap<_, _> = without().await.into_iter().collect();
    assert_eq!(apart.len(), 2);
    assert_eq!(apart[&gone], Some(at("2024-05-03T08:00:00Z")));
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_has_so_much_to_do_and_takes_on_so_much() {
    let desk = Desk::set_up().await;
    let (nino, giorgi) = (desk.user("Nino").await, desk.user("Giorgi").await);
    desk.capacity(LONG_AGO, nino, 4).await;
    desk.absence(LONG_AGO, giorgi, "2024-05-06", "2024-05-17", Tz::Asia__Tbilisi).await;
    for day in ["2024-05-03", "2024-05-06", "2024-05-08", "2024-05-12", "2024-05-13"] {
        desk.task("2024-05-01T08:00:00Z", day, due(&format!("{day} Asia/Tbilisi")), nino).await;
    }
    // Wednesday; in Tbilisi, too.
    let answer = desk.at("2024-05-08T10:00:00Z", Asked::default()).await;
    let rows = answer.workload.unwrap().rows;
    let nino = rows.iter().find(|row| row.person.name.as_deref() == Some("Nino")).unwrap();
    assert_eq!((nino.open, nino.overdue, nino.due_today, nino.due_this_week), (5, 2, 1, 3));
    assert_eq!((nino.capacity_per_day, nino.capacity_per_week, nino.is_absent), (Some(4), None, false));
    let row = rows.iter().find(|row| row.person.name.as_deref() == Some("Giorgi")).unwrap();
    assert_eq!((row.open, row.is_absent, row.absent_until), (0, true, Some(date("2024-05-17"))));
    let asked = Asked { of: Some("giorgi".to_owned()), ..Asked::default() };
    let of = desk.at("2024-05-08T10:00:00Z", asked).await;
    assert_eq!((of.overdue.unwrap().total, of.workload.unwrap().total), (0, 1));
    let erase = subject::Command::Erase { subject: giorgi.into() };
    desk.tell("2024-05-08T10:00:00Z", kvali_domain::SubjectId::from(giorgi).stream(), erase).await;
    let rows = desk.at("2024-05-08T10:00:00Z", Asked::default()).await.workload.unwrap().rows;
    let names: Vec<_> = rows.iter().map(|row| row.person.name.as_deref()).collect();
    assert_eq!(names, [Some("Nino"), None]);
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_team_or_position_is_named_with_what_there_is() {
    let desk = Desk::set_up().await;
    desk.user("Nino").await;
    let ask = async |asked: Asked, as_of: AsOf| {
        let quiet = |_: i64, _: i64| {};
        let told = kvali_projections::overdue_tasks::overdue(
            &desk.store,
            desk.tenant(),
            as_of,
            now(),
            &quiet,
            asked,
        );
        told.await.unwrap_err().to_string()
    };
    let of = Asked { of: Some("Nobody".to_owned()), ..Asked::default() };
    assert_eq!(ask(of, AsOf::NOW).await, "there is no user \"Nobody\"; there are \"Nino\"");
    let team = Asked { team: Some("North".to_owned()), ..Asked::default() };
    assert_eq!(ask(team, AsOf::NOW).await, "there is no team \"North\"; there are none");
    let told = ask(Asked::default(), AsOf::position(99)).await;
    assert_eq!(told, "position 99 is not in the log, which reaches from 0 to 3");
    desk.user("nino").await;
    let told = ask(Asked { of: Some("NINO".to_owned()), ..Asked::default() }, AsOf::NOW).await;
    assert!(told.starts_with("several users are called \"NINO\"; name one by id: "), "{told}");
    desk.database.drop().await;
}
