//! What the clock alone brings about: told once each, whoever works, however late.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::pipeline::Clock;
use kvali_domain::task::{self, Cause};
use kvali_domain::{DealId, Due, Event, Personal, TaskId, UserId, deal};
use kvali_eventstore::project::{AsOf, TIMER, Workers, Workload};
use kvali_eventstore::{Opened, Store};
use kvali_projections::overdue_tasks::{Asked, OverdueTasks};
use kvali_tests::backlog::caught_up;
use kvali_tests::desk::Desk;
use kvali_tests::samples::LEAD;
use kvali_tests::{new_id, now};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the timers may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);

fn working(store: &Store) -> Workers {
    let models = vec![Arc::new(OverdueTasks) as _];
    Workers::start(store, &Workload { models, at_once: 2, worker: new_id() })
}

/// Every event of the log that a timer caused, by type.
async fn told(desk: &Desk) -> BTreeMap<String, Vec<Opened>> {
    let events = desk.store.read(desk.tenant(), 0, 100_000).await.unwrap();
    let mut told: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for opened in desk.store.open(desk.tenant(), events).await.unwrap() {
        if opened.recorded.actor == TIMER {
            told.entry(opened.recorded.event_type.clone()).or_default().push(opened);
        }
    }
    told
}

/// Waits until as many events are told; then whether the workers rest, with nothing more to tell.
async fn told_in_all(desk: &Desk, count: usize) -> BTreeMap<String, Vec<Opened>> {
    let start = Instant::now();
    loop {
        let all = told(desk).await;
        let seen: usize = all.values().map(Vec::len).sum();
        if seen >= count {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{seen} of {count} were told: {:?}", counts(&all));
        tokio::task::yield_now().await;
    }
    // Whoever looks at what was told last has nothing left to tell; one more event makes both look.
    caught_up(&desk.store, &OverdueTasks).await;
    desk.user("Passer-by").await;
    caught_up(&desk.store, &OverdueTasks).await;
    told(desk).await
}

fn counts(told: &BTreeMap<String, Vec<Opened>>) -> BTreeMap<&str, usize> {
    told.iter().map(|(event_type, events)| (event_type.as_str(), events.len())).collect()
}

fn occurred(opened: &Opened) -> DateTime<Utc> {
    opened.recorded.occurred.at().expect("timers know when")
}

/// Everything that a timer tells of, due at `instant` or about then.
struct Agenda {
    tasks: Vec<TaskId>,
    forgotten: DealId,
    done: DealId,
    done_at: DateTime<Utc>,
}

impl Agenda {
    /// Made some days before.
    async fn of(desk: &Desk, nino: UserId, instant: DateTime<Utc>) -> Self {
        let before = instant - TimeDelta::days(9);
        desk.limits(LEAD, Some(6), Some(5), Clock::Calendar).await;
        let long_ago = (instant - TimeDelta::days(6)).to_rfc3339();
        let forgotten = desk.deal(&long_ago, nino).await;
        let lately = (instant - TimeDelta::days(1)).to_rfc3339();
        let done = desk.deal(&lately, nino).await;
        let mut tasks = Vec::new();
        for n in 0..12 {
            let due = Due::At(instant + TimeDelta::milliseconds(n));
            tasks.push(desk.task(&before.to_rfc3339(), "call", due, nino).await);
        }
        let remind = task::Command::SetReminder { at: instant - TimeDelta::milliseconds(1) };
        desk.tell(&before.to_rfc3339(), tasks[0].stream(), remind).await;
        let last =
            desk.task_about(&lately, "offer", Due::At(instant + TimeDelta::days(30)), nino, done).await;
        let done_at = instant - TimeDelta::hours(2);
        let complete = task::Command::Complete { result: Personal::default() };
        desk.tell(&done_at.to_rfc3339(), last.stream(), complete).await;
        Self { tasks, forgotten, done, done_at }
    }

    /// 12 overdue, 12 causes, a reminder, a limit, an idle deal, a deal without task.
    const TOLD: usize = 28;

    fn check(&self, told: &BTreeMap<String, Vec<Opened>>, instant: DateTime<Utc>) {
        let expected = [
            ("deal.left_without_task", 1),
            ("deal.stage_limit_exceeded", 1),
            ("deal.went_idle", 1),
            ("task.became_overdue", 12),
            ("task.overdue_cause_determined", 12),
            ("task.reminder_fired", 1),
        ];
        assert_eq!(counts(told), BTreeMap::from(expected), "once each");
        for (n, task) in (0..).zip(&self.tasks) {
            for event_type in ["task.became_overdue", "task.overdue_cause_determined"] {
                let mut of = told[event_type].iter().filter(|opened| opened.recorded.stream == task.stream());
                let opened = of.next().expect("each task is told of");
                assert_eq!(occurred(opened), instant + TimeDelta::milliseconds(n), "at its due instant");
                assert!(of.next().is_none(), "and once");
            }
        }
        let [idle] = &told["deal.went_idle"][..] else { unreachable!("counted above") };
        let [limit] = &told["deal.stage_limit_exceeded"][..] else { unreachable!("counted above") };
        let [left] = &told["deal.left_without_task"][..] else { unreachable!("counted above") };
        assert_eq!(
            (idle.recorded.stream, limit.recorded.stream),
            (self.forgotten.stream(), self.forgotten.stream())
        );
        assert_eq!(occurred(idle), instant - TimeDelta::days(1), "five days after it was opened");
        assert_eq!(occurred(limit), instant, "six days after it was opened");
        assert_eq!((left.recorded.stream, occurred(left)), (self.done.stream(), self.done_at));
        let Event::Task(task::Event::CauseDetermined(event)) =
            &told["task.overdue_cause_determined"][0].event
        else {
            unreachable!("it is of that type")
        };
        assert_eq!(event.cause, Cause::Unknown);
    }
}

/// To whole microseconds, as the log keeps them.
fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).expect("it is a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_that_race_tell_of_everything_once() {
    let desk = Desk::set_up().await;
    let nino = desk.user("Nino").await;
    let others = [desk.database.connect().await, desk.database.connect().await];
    let racing = others.each_ref().map(working);
    // The workers follow already when it becomes due.
    let instant = micros(now()) + TimeDelta::seconds(4);
    let agenda = Agenda::of(&desk, nino, instant).await;
    agenda.check(&told_in_all(&desk, Agenda::TOLD).await, instant);
    for working in racing {
        working.stop().await;
    }
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_due_while_nobody_worked_is_told_once_and_as_of_then() {
    let desk = Desk::set_up().await;
    let nino = desk.user("Nino").await;
    let instant = micros(now()) - TimeDelta::days(1);
    let agenda = Agenda::of(&desk, nino, instant).await;
    let others = [desk.database.connect().await, desk.database.connect().await];
    let racing = others.each_ref().map(working);
    agenda.check(&told_in_all(&desk, Agenda::TOLD).await, instant);
    for working in racing {
        working.stop().await;
    }
    // A rebuild, and workers after it, tell of nothing again.
    desk.store.rebuild(Arc::new(OverdueTasks), &|_, _| {}).await.unwrap();
    let again = working(&desk.store);
    agenda.check(&told_in_all(&desk, Agenda::TOLD).await, instant);
    again.stop().await;
    let answer = desk.as_of(AsOf::NOW, now(), Asked::default()).await;
    let overdue = answer.overdue.unwrap();
    assert_eq!(overdue.total, 12);
    assert!(overdue.rows.iter().all(|row| row.is_determined), "the log holds the causes");
    desk.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_told_even_if_whoever_asked_or_rebuilt_left_the_workers_no_event_to_fold() {
    for rebuilds in [false, true] {
        let desk = Desk::set_up().await;
        let nino = desk.user("Nino").await;
        let instant = micros(now()) - TimeDelta::days(1);
        let agenda = Agenda::of(&desk, nino, instant).await;
        desk.as_of(AsOf::NOW, now(), Asked::default()).await;
        if rebuilds {
            desk.store.rebuild(Arc::new(OverdueTasks), &|_, _| {}).await.unwrap();
        }
        let working = working(&desk.store);
        agenda.check(&told_in_all(&desk, Agenda::TOLD).await, instant);
        working.stop().await;
        desk.database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_due_another_visit_and_another_last_task_are_told_of_again() {
    let desk = Desk::set_up().await;
    let nino = desk.user("Nino").await;
    let instant = micros(now()) - TimeDelta::days(3);
    let agenda = Agenda::of(&desk, nino, instant).await;
    let working = working(&desk.store);
    agenda.check(&told_in_all(&desk, Agenda::TOLD).await, instant);
    let day = |n: i64| instant + TimeDelta::days(n);
    let (task, reason) = (agenda.tasks[3], Personal::new("they are on holiday"));
    let reschedule = task::Command::Reschedule { due: Due::At(day(1)), reason };
    desk.tell(&(day(0) + TimeDelta::hours(1)).to_rfc3339(), task.stream(), reschedule).await;
    let another = desk.task_about(&day(1).to_rfc3339(), "again", Due::At(day(30)), nino, agenda.done).await;
    let complete = task::Command::Complete { result: Personal::default() };
    desk.tell(&day(2).to_rfc3339(), another.stream(), complete).await;
    let told = told_in_all(&desk, Agenda::TOLD + 3).await;
    working.stop().await;
    let of = |event_type: &str| told[event_type].len();
    assert_eq!((of("task.became_overdue"), of("task.overdue_cause_determined")), (13, 13));
    assert_eq!(of("deal.left_without_task"), 2);
    assert_eq!((of("deal.stage_limit_exceeded"), of("deal.went_idle")), (1, 1));
    let [.., Opened { event: Event::Deal(deal::Event::LeftWithoutTask(left)), .. }] =
        &told["deal.left_without_task"][..]
    else {
        unreachable!("it is of that type")
    };
    assert_eq!(left.since, Some(day(2)));
    desk.database.drop().await;
}
