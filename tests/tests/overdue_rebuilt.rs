//! The read model of overdue tasks is the same however it came about.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::note::{self, Visibility};
use kvali_domain::pipeline::{self, Clock};
use kvali_domain::task::{self, Create};
use kvali_domain::user::{self, Period, WorkKind};
use kvali_domain::{
    ActorId, CalendarId, Command, DealId, Due, LossReasonId, NoteId, Occurred, Personal, PipelineId, StageId,
    StreamId, SubjectId, Target, TaskId, TeamId, UserId, absence, calendar, deal, merge, subject, team,
};
use kvali_eventstore::project::AsOf;
use kvali_eventstore::{Options, Outcome, Store};
use kvali_projections::overdue_tasks::{Answer, Asked, OverdueTasks};
use kvali_tests::desk::Desk;
use kvali_tests::random::Dice;
use kvali_tests::samples::{CONTRACT, INTAKE, LEAD, LOST, OFFER, REPAIR, WON, move_to, transfer};
use kvali_tests::{envelope, new_id, order};
use std::collections::BTreeSet;
use std::sync::Arc;

/// People who do whatever they please, at times that run on.
struct Office {
    dice: Dice,
    clock: DateTime<Utc>,
    pipeline: PipelineId,
    service: PipelineId,
    reason: LossReasonId,
    users: Vec<UserId>,
    deals: Vec<DealId>,
    tasks: Vec<TaskId>,
    calendar: CalendarId,
    team: TeamId,
}

impl Office {
    async fn open(desk: &Desk, seed: u64) -> Self {
        let mut users = Vec::new();
        for name in ["Nino", "Giorgi", "Anna"] {
            users.push(desk.user(name).await);
        }
        let mut deals = Vec::new();
        for owner in [0, 1, 2, 0, 1] {
            deals.push(desk.deal("2024-01-01T08:00:00Z", users[owner]).await);
        }
        Self {
            dice: Dice::new(seed),
            clock: "2024-01-02T08:00:00Z".parse().unwrap(),
            pipeline: desk.sales.pipeline,
            service: desk.sales.service(&desk.store, "Service").await,
            reason: desk.sales.reason,
            users,
            deals,
            tasks: (0..24).map(|_| TaskId(new_id())).collect(),
            calendar: CalendarId(new_id()),
            team: TeamId(new_id()),
        }
    }

    fn roll(&mut self, sides: u64) -> i64 {
        i64::try_from(self.dice.roll(sides)).expect("small")
    }

    fn later(&mut self) -> DateTime<Utc> {
        self.clock + TimeDelta::hours(self.roll(200))
    }

    fn due(&mut self) -> Due {
        let at = self.later();
        match self.roll(3) {
            0 => Due::At(at),
            1 => Due::Day { date: at.date_naive(), zone: chrono_tz::Asia::Tbilisi },
            _ => Due::Day { date: at.date_naive(), zone: chrono_tz::America::New_York },
        }
    }

    fn click(&mut self) -> (StreamId, Command) {
        match self.roll(20) {
            0..=8 => self.at_a_task(),
            9..=12 => self.at_a_deal(),
            13..=15 => self.at_a_user(),
            16 => {
                let note = NoteId(new_id());
                let about = Target::Deal(*self.dice.pick(&self.deals));
                let add =
                    note::Command::Add { about, text: Personal::new("said"), visibility: Visibility::All };
                (note.stream(), add.into())
            }
            17 => self.at_the_calendar(),
            18 => self.at_the_team(),
            _ => {
                let days = [None, Some(1), Some(3)];
                let (pipeline, stage) = self.stage();
                let limits = pipeline::Command::SetLimits {
                    stage,
                    max_days: *self.dice.pick(&days),
                    idle_days: *self.dice.pick(&days),
                    clock: *self.dice.pick(&[Clock::Calendar, Clock::Business]),
                };
                (pipeline.stream(), limits.into())
            }
        }
    }

    /// A stage of either pipeline; limits of those in which deals end are kept, too.
    fn stage(&mut self) -> (PipelineId, StageId) {
        let (sales, service) = (self.pipeline, self.service);
        let all = [
            (sales, LEAD),
            (sales, OFFER),
            (sales, CONTRACT),
            (sales, WON),
            (sales, LOST),
            (service, INTAKE),
            (service, REPAIR),
        ];
        *self.dice.pick(&all)
    }

    fn at_a_task(&mut self) -> (StreamId, Command) {
        let (task, user) = (*self.dice.pick(&self.tasks), *self.dice.pick(&self.users));
        let target = Target::Deal(*self.dice.pick(&self.deals));
        let reason = || Personal::new("so it is");
        let command = match self.roll(14) {
            0..=3 => {
                let targets = vec![target];
                task::Command::Create(Create {
                    targets,
                    ..Create::new(Personal::new("call"), self.due(), user)
                })
            }
            4 | 5 => task::Command::Complete { result: reason() },
            6 => task::Command::Cancel { reason: reason() },
            7 => task::Command::Reopen { assignee: Some(user), force: true, reason: reason() },
            8 => task::Command::Reassign { assignee: user, force: true, reason: reason() },
            9 => task::Command::Reschedule { due: self.due(), reason: reason() },
            10 => task::Command::Defer { until: self.later() },
            11 => task::Command::SetReminder { at: self.later() },
            12 => task::Command::Snooze { until: self.later() },
            _ if self.roll(2) == 0 => task::Command::Link { target },
            _ => task::Command::Unlink { target },
        };
        (task.stream(), command.into())
    }

    fn at_a_deal(&mut self) -> (StreamId, Command) {
        let (deal, other) = (*self.dice.pick(&self.deals), *self.dice.pick(&self.deals));
        let (pipeline, to) = self.stage();
        let command = match self.roll(16) {
            0..=3 => move_to(to),
            4 => deal::Command::CloseWon { pipeline_version: None },
            5 | 6 => deal::Command::Reopen {
                to,
                owner: None,
                force: true,
                reason: Personal::new("they came back"),
            },
            7 => deal::Command::PutOnHold { until: self.later().date_naive(), reason: Personal::default() },
            8 => deal::Command::Rename { name: Personal::new("Big one") },
            9 | 10 => {
                // What the two differ in, perhaps.
                let conflicts = [&[][..], &["owner"], &["name"], &["owner", "name"]];
                let from = |field: &&str| merge::Choice { field: (*field).to_owned(), from: deal };
                let choices = self.dice.pick(&conflicts).iter().map(from).collect();
                deal::Command::Merge(merge::Merge { losers: vec![other], seen: vec![], choices })
            }
            11 | 12 => transfer(pipeline, to),
            13 => deal::Command::CloseLost {
                reason: Some(self.reason),
                stage: None,
                comment: Personal::default(),
                pipeline_version: None,
            },
            _ => deal::Command::Unmerge(merge::Unmerge { merge: 1, chain: true }),
        };
        (deal.stream(), command.into())
    }

    fn at_a_user(&mut self) -> (StreamId, Command) {
        let user = *self.dice.pick(&self.users);
        let absence = i32::try_from(self.roll(4)).expect("small");
        let from = self.later().date_naive();
        let command = match self.roll(6) {
            0 | 1 => user::Command::PlanAbsence {
                kind: absence::Kind::Vacation,
                from,
                to: from + chrono::Days::new(3),
                zone: chrono_tz::Europe::Berlin,
                substitute: None,
            },
            2 => user::Command::StartAbsence { absence },
            3 => user::Command::EndAbsence { absence },
            4 => user::Command::CancelAbsence { absence },
            _ => user::Command::SetCapacity { work: WorkKind::Tasks, period: Period::Day, count: absence },
        };
        (user.stream(), command.into())
    }

    fn at_the_calendar(&mut self) -> (StreamId, Command) {
        let command = if self.roll(2) == 0 {
            let day = *self.dice.pick(&[chrono::Weekday::Mon, chrono::Weekday::Thu]);
            let week = vec![calendar::Interval { day, start: 540, end: 1_080 }];
            calendar::Command::Define { name: "Office".into(), zone: chrono_tz::Asia::Tbilisi, week }
        } else {
            calendar::Command::AddHoliday { date: self.later().date_naive(), name: "A feast".into() }
        };
        (self.calendar.stream(), command.into())
    }

    fn at_the_team(&mut self) -> (StreamId, Command) {
        let member = *self.dice.pick(&self.users);
        let command = match self.roll(3) {
            0 => team::Command::Create { name: "Sales".into(), parent: None },
            1 => team::Command::AddMember { member },
            _ => team::Command::RemoveMember { member },
        };
        (self.team.stream(), command.into())
    }
}

/// Sends so many commands; the types of those that changed something.
async fn busy(desk: &Desk, office: &mut Office, clicks: usize) -> BTreeSet<&'static str> {
    let mut done = BTreeSet::new();
    for n in 0..clicks {
        let minutes = office.roll(300);
        office.clock += TimeDelta::minutes(minutes);
        let (stream, mut command) = office.click();
        if let Command::Deal(deal::Command::Merge(merge)) = &mut command {
            see(desk, stream, merge).await;
        }
        let name = command.command_type();
        let mut envelope = envelope(desk.tenant()).occurred(match n % 17 {
            0 => Occurred::Unknown,
            _ => Occurred::Instant { at: office.clock },
        });
        envelope.now = office.clock;
        envelope.actor = ActorId::from(*office.dice.pick(&office.users));
        let outcome = desk.store.handle(order(stream, command), envelope).await.unwrap();
        if matches!(outcome, Outcome::Accepted(answer) if answer.event_count > 0) {
            done.insert(name);
        }
        if n % 5 == 0 {
            desk.store.catch_up(Arc::new(OverdueTasks), desk.tenant(), &|_, _| {}).await.unwrap();
        }
    }
    done
}

/// A merge names the versions that its sender has seen.
async fn see(desk: &Desk, survivor: StreamId, merge: &mut merge::Merge<DealId>) {
    for id in [DealId(survivor.0), merge.losers[0]] {
        let events = desk.store.stream(desk.tenant(), id.stream()).await.unwrap();
        let version = events.last().map_or(0, |event| event.version);
        merge.seen.push(merge::Seen { id, version });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn live_and_rebuilt_by_pages_of_any_size_it_has_the_same_rows() {
    let mut done = BTreeSet::new();
    for seed in [5, 6, 7] {
        let desk = Desk::set_up().await;
        let mut office = Office::open(&desk, seed).await;
        done.extend(busy(&desk, &mut office, 500).await);
        for erased in [SubjectId::from(office.users[1]), office.tasks[0].into(), office.deals[2].into()] {
            desk.tell("2025-01-01T00:00:00Z", erased.stream(), subject::Command::Erase { subject: erased })
                .await;
        }
        let (live, _) = desk.store.catch_up(Arc::new(OverdueTasks), desk.tenant(), &|_, _| {}).await.unwrap();
        let rows = desk.database.rows(&live.schema_name).await;
        assert!(rows.len() > 60, "there is something to compare");
        assert!(!rows.iter().any(|row| row.contains("Giorgi")), "whoever was erased has no name left");
        for page in [1, 7, 10_000] {
            let store = Store::connect(Options { page, ..desk.database.options() }).await.unwrap();
            let rebuilt = store.rebuild(Arc::new(OverdueTasks), &|_, _| {}).await.unwrap();
            let again = desk.database.rows(&rebuilt.schema_name).await;
            let differs = rows.iter().zip(&again).find(|(live, again)| live != again);
            assert_eq!(differs, None, "seed {seed}, pages of {page}");
            assert_eq!(rows.len(), again.len(), "seed {seed}, pages of {page}");
            store.close().await;
        }
        desk.database.drop().await;
    }
    for expected in [
        "AddHoliday",
        "CloseLost",
        "CloseWon",
        "CompleteTask",
        "CreateTask",
        "DeferTask",
        "LinkTask",
        "MergeDeals",
        "ReassignTask",
        "ReopenDeal",
        "ReopenTask",
        "RescheduleTask",
        "SetStageLimits",
        "SnoozeTask",
        "StartAbsence",
        "TransferPipeline",
        "UnlinkTask",
        "UnmergeDeals",
    ] {
        assert!(done.contains(expected), "{expected} is among {done:?}");
    }
}

/// What is said of moved tasks, apart from T.
fn slips(answer: &Answer) -> Vec<(TaskId, i32, i32)> {
    let rows = answer.slipped.iter().flat_map(|list| &list.rows);
    rows.map(|row| (row.task.task, row.slips, row.slip_days)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_position_answers_as_the_live_model_did_then() {
    let desk = Desk::set_up().await;
    let mut office = Office::open(&desk, 11).await;
    let mut then = Vec::new();
    for _ in 0..6 {
        busy(&desk, &mut office, 60).await;
        let position = desk.store.head(desk.tenant()).await.unwrap();
        then.push((position, office.clock, desk.as_of(AsOf::NOW, office.clock, Asked::default()).await));
    }
    assert!(then.iter().any(|(.., answer)| answer.overdue.as_ref().is_some_and(|list| list.total > 1)));
    for (position, clock, expected) in then {
        // A generation of the past stands at the instant of its last event; T is compared with what T it had.
        let recorded = desk.store.recorded_at(desk.tenant(), position).await.unwrap().unwrap();
        let answer = desk.as_of(AsOf::position(position), clock, Asked::default()).await;
        assert_eq!(slips(&answer), slips(&expected), "as of {recorded}");
        assert_eq!(answer.deals_without_task, expected.deals_without_task);
        let live_total = answer.workload.unwrap().rows.iter().map(|row| row.open).sum::<i64>();
        let then_total = expected.workload.unwrap().rows.iter().map(|row| row.open).sum::<i64>();
        assert_eq!(live_total, then_total, "open tasks as of {recorded}");
    }
    desk.database.drop().await;
}
