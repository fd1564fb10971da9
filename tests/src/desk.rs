//! Tasks, absences and deals at chosen instants, and what the read model of overdue tasks says of them.

use crate::samples::{OFFER, Sales, move_to};
use crate::{Database, accepted, envelope, new_id, order, tenant};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use kvali_domain::absence;
use kvali_domain::deal::{self, Open};
use kvali_domain::note::{self, Visibility};
use kvali_domain::pipeline::{self, Clock, Policy};
use kvali_domain::task::{self, Create};
use kvali_domain::user::{self, Period, WorkKind};
use kvali_domain::{
    ActivityTypeId, ActorId, Command, DealId, Due, NoteId, Occurred, Personal, StageId, StreamId, Target,
    TaskId, TenantId, UserId, activity_types,
};
use kvali_eventstore::project::AsOf;
use kvali_eventstore::{Outcome, Store};
use kvali_projections::overdue_tasks::{Answer, Asked, overdue};

pub struct Desk {
    pub database: Database,
    pub store: Store,
    pub sales: Sales,
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn date(text: &str) -> NaiveDate {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `2024-02-29 Asia/Tbilisi`, or an instant.
pub fn due(text: &str) -> Due {
    match text.split_once(' ') {
        Some((day, zone)) => Due::Day { date: date(day), zone: zone.parse().expect("an IANA zone") },
        None => Due::At(at(text)),
    }
}

impl Desk {
    pub async fn set_up() -> Self {
        let database = Database::create().await;
        let store = database.connect().await;
        let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
        Self { database, store, sales }
    }

    pub fn tenant(&self) -> TenantId {
        self.sales.tenant
    }

    /// Sends a command as if it came, and happened, at `when`.
    pub async fn send(
        &self,
        actor: UserId,
        when: DateTime<Utc>,
        stream: StreamId,
        command: impl Into<Command>,
    ) -> Result<Outcome, kvali_eventstore::Error> {
        let mut envelope = envelope(self.tenant()).occurred(Occurred::Instant { at: when });
        envelope.now = when;
        envelope.actor = ActorId::from(actor);
        self.store.handle(order(stream, command), envelope).await
    }

    /// The same, where it must be accepted; by whom is of no interest.
    pub async fn tell(&self, when: &str, stream: StreamId, command: impl Into<Command>) {
        accepted(self.send(UserId(uuid::Uuid::nil()), at(when), stream, command).await);
    }

    pub async fn user(&self, name: &str) -> UserId {
        let user = UserId(new_id());
        let register = user::Command::Register { user, name: Personal::new(name) };
        self.tell("2001-01-01T00:00:00Z", user.stream(), register).await;
        user
    }

    pub async fn task(&self, when: &str, name: &str, due: Due, assignee: UserId) -> TaskId {
        self.create(when, Create::new(Personal::new(name), due, assignee)).await
    }

    pub async fn task_about(&self, when: &str, name: &str, due: Due, whose: UserId, deal: DealId) -> TaskId {
        let create = Create::new(Personal::new(name), due, whose);
        self.create(when, Create { targets: vec![Target::Deal(deal)], ..create }).await
    }

    pub async fn create(&self, when: &str, create: Create) -> TaskId {
        let task = TaskId(new_id());
        self.tell(when, task.stream(), task::Command::Create(create)).await;
        task
    }

    pub async fn deal(&self, when: &str, owner: UserId) -> DealId {
        let deal = DealId(new_id());
        let open = Open { owner: Some(owner), ..Open::new(self.sales.pipeline) };
        self.tell(when, deal.stream(), deal::Command::Open(open)).await;
        deal
    }

    pub async fn advance(&self, when: &str, deal: DealId) {
        self.tell(when, deal.stream(), move_to(OFFER)).await;
    }

    pub async fn note(&self, when: &str, by: UserId, deal: DealId) {
        let note = NoteId(new_id());
        let (about, text) = (Target::Deal(deal), Personal::new("They asked for time"));
        let add = note::Command::Add { about, text, visibility: Visibility::All };
        accepted(self.send(by, at(when), note.stream(), add).await);
    }

    pub async fn limits(&self, stage: StageId, max_days: Option<i32>, idle_days: Option<i32>, clock: Clock) {
        let limits = pipeline::Command::SetLimits { stage, max_days, idle_days, clock };
        self.tell("2001-01-01T00:00:00Z", self.sales.pipeline.stream(), limits).await;
    }

    pub async fn capacity(&self, when: &str, user: UserId, count: i32) {
        let (work, period) = (WorkKind::Tasks, Period::Day);
        self.tell(when, user.stream(), user::Command::SetCapacity { work, period, count }).await;
    }

    pub async fn absence(&self, when: &str, user: UserId, from: &str, to: &str, zone: Tz) {
        let (kind, from, to) = (absence::Kind::Vacation, date(from), date(to));
        let plan = user::Command::PlanAbsence { kind, from, to, zone, substitute: None };
        self.tell(when, user.stream(), plan).await;
    }

    pub async fn activity_type(&self, minimum_lead_minutes: i32) -> ActivityTypeId {
        let activity_type = ActivityTypeId(new_id());
        let define = activity_types::Command::Define {
            activity_type,
            code: format!("type {activity_type}"),
            label: "Preparation".into(),
            kind: activity_types::Kind::Task,
            result_required: false,
            minimum_lead_minutes,
        };
        self.tell("2001-01-01T00:00:00Z", activity_types::STREAM, define).await;
        activity_type
    }

    /// What the live read model says at T.
    pub async fn at(&self, when: &str, asked: Asked) -> Answer {
        self.as_of(AsOf::NOW, at(when), asked).await
    }

    pub async fn as_of(&self, as_of: AsOf, now: DateTime<Utc>, asked: Asked) -> Answer {
        let quiet = |_: i64, _: i64| {};
        overdue(&self.store, self.tenant(), as_of, now, &quiet, asked).await.expect("it answers").answer
    }
}
