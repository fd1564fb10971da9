//! The people, pipelines and deals that the tests are about.

use crate::given::{Asks, Happened, Tells, on};
use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use kvali_domain::pipeline::{self, Class, Policy, Stage};
use kvali_domain::{
    ActorId, CompanyId, DealId, Event, LossReasonId, Money, Occurred, Order, Personal, PipelineId, StageId,
    StreamId, SubjectId, UserId, Version, deal, loss_reasons, subject, user,
};
use uuid::Uuid;

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_d9c6_0000_7000_8000_0000_0000_0000 + number)
}

pub(crate) const NOW: DateTime<Utc> =
    DateTime::from_timestamp(1_720_000_000, 0).expect("3 July 2024, 09:46:40");

/// Who sends commands unless a test says otherwise.
pub(crate) const ACTOR: ActorId = ActorId(id(7));
pub(crate) const DEAL: DealId = DealId(id(1));
pub(crate) const SALES: PipelineId = PipelineId(id(2));
pub(crate) const SERVICE: PipelineId = PipelineId(id(3));
pub(crate) const NINO: UserId = UserId(id(4));
pub(crate) const GIORGI: UserId = UserId(id(5));
pub(crate) const ACME: deal::Party = deal::Party::Company(CompanyId(id(6)));

pub(crate) const NEW: StageId = StageId(id(10));
pub(crate) const TALK: StageId = StageId(id(11));
pub(crate) const OFFER: StageId = StageId(id(12));
pub(crate) const WON: StageId = StageId(id(13));
pub(crate) const LOST: StageId = StageId(id(14));
pub(crate) const SPAM: StageId = StageId(id(15));
pub(crate) const NOWHERE: StageId = StageId(id(19));

pub(crate) const PRICE: LossReasonId = LossReasonId(id(20));
pub(crate) const TIMING: LossReasonId = LossReasonId(id(21));
pub(crate) const BREAKAGE: LossReasonId = LossReasonId(id(22));

pub(crate) const STRICT: Policy = Policy {
    allow_backward: false,
    allow_skip: false,
    allow_reopen: false,
    party_required: false,
    value_required: false,
};

pub(crate) fn stage(id: StageId, name: &str, class: Class) -> Stage {
    Stage { id, name: name.to_owned(), class }
}

/// Three process stages, one success stage, two failure stages.
pub(crate) fn stages() -> Vec<Stage> {
    vec![
        stage(NEW, "New", Class::Process),
        stage(TALK, "Talk", Class::Process),
        stage(OFFER, "Offer", Class::Process),
        stage(WON, "Won", Class::Success),
        stage(LOST, "Lost", Class::Failure),
        stage(SPAM, "Spam", Class::Failure),
    ]
}

fn at_start(stream: StreamId, event: impl Tells) -> Happened {
    Happened { stream, event: event.event(), occurred: instant("2024-06-01T08:00:00Z") }
}

pub(crate) fn deal_event(event: deal::Event) -> Happened {
    at_start(DEAL.stream(), event)
}

pub(crate) fn sales_event(event: pipeline::Event) -> Happened {
    at_start(SALES.stream(), event)
}

pub(crate) fn reasons_event(event: loss_reasons::Event) -> Happened {
    at_start(loss_reasons::STREAM, event)
}

pub(crate) fn nino_event(event: user::Event) -> Happened {
    at_start(NINO.stream(), event)
}

/// The sales pipeline, version 1.
pub(crate) fn sales_with(policy: Policy) -> Happened {
    let entry_stages = vec![NEW];
    sales_event(pipeline::Event::Created(pipeline::Created {
        name: "Sales".to_owned(),
        stages: stages(),
        entry_stages,
        policy,
    }))
}

pub(crate) fn sales() -> Happened {
    sales_with(STRICT)
}

pub(crate) fn policy_set(policy: Policy) -> Happened {
    sales_event(pipeline::Event::MovementPolicySet(pipeline::MovementPolicySet { policy }))
}

pub(crate) fn sales_renamed() -> Happened {
    let (from, to) = ("Sales".to_owned(), "გაყიდვები".to_owned());
    sales_event(pipeline::Event::Renamed(pipeline::Renamed { from, to }))
}

pub(crate) fn reason(id: LossReasonId, code: &str, pipelines: &[PipelineId]) -> Happened {
    reasons_event(loss_reasons::Event::Defined(loss_reasons::Defined {
        reason: id,
        code: code.to_owned(),
        label: format!("Lost: {code}"),
        pipelines: pipelines.to_vec(),
    }))
}

pub(crate) fn reason_retired(reason: LossReasonId) -> Happened {
    reasons_event(loss_reasons::Event::Retired(loss_reasons::Retired { reason }))
}

pub(crate) fn registered(user: UserId) -> Happened {
    let name = Personal::new("ნინო ბერიძე");
    at_start(user.stream(), user::Event::Registered(user::Registered { user, name }))
}

pub(crate) fn deactivated(user: UserId) -> Happened {
    at_start(user.stream(), user::Event::Deactivated(user::Deactivated {}))
}

/// The body of an opening with nothing but its pipeline.
pub(crate) fn opening() -> deal::Opened {
    deal::Opened {
        pipeline: SALES,
        pipeline_version: 1,
        stage: NEW,
        party: None,
        party_name: Personal::default(),
        owner: None,
        value: None,
        expected_close: None,
        external: None,
    }
}

pub(crate) fn opened() -> Happened {
    deal_event(deal::Event::Opened(opening()))
}

pub(crate) fn moved(from: StageId, to: StageId, visit: i32) -> deal::Event {
    moved_under(1, from, to, visit)
}

pub(crate) fn moved_under(pipeline_version: Version, from: StageId, to: StageId, visit: i32) -> deal::Event {
    deal::Event::StageChanged(deal::StageChanged { from, to, pipeline_version, visit })
}

pub(crate) fn won(from: StageId, visit: i32, value: Option<Money>) -> deal::Event {
    deal::Event::Won(deal::Won { from, stage: WON, pipeline_version: 1, visit, value })
}

pub(crate) fn lost(from: StageId, visit: i32) -> deal::Event {
    deal::Event::Lost(deal::Lost {
        from,
        stage: LOST,
        pipeline_version: 1,
        visit,
        reason: PRICE,
        subject: None,
        comment: Personal::default(),
    })
}

pub(crate) fn corrected(visit: i32, from: StageId, to: StageId, reason: Personal) -> deal::Event {
    let subject = SubjectId::from(DEAL);
    deal::Event::StageCorrected(deal::StageCorrected {
        visit,
        from,
        to,
        pipeline_version: 1,
        subject,
        reason,
    })
}

pub(crate) fn reopened(from: StageId, to: StageId, visit: i32, reason: Personal) -> deal::Event {
    let subject = (!reason.is_blank()).then_some(DEAL.into());
    deal::Event::Reopened(deal::Reopened { from, to, pipeline_version: 1, visit, subject, reason })
}

pub(crate) fn open() -> deal::Open {
    deal::Open::new(SALES)
}

pub(crate) fn move_to(to: StageId) -> deal::Command {
    deal::Command::Move { to, pipeline_version: None }
}

pub(crate) const CLOSE_WON: deal::Command = deal::Command::CloseWon { pipeline_version: None };

pub(crate) fn close_lost(reason: Option<LossReasonId>) -> deal::Command {
    deal::Command::CloseLost { reason, stage: None, comment: Personal::default(), pipeline_version: None }
}

pub(crate) fn reopen(to: StageId, reason: &str) -> deal::Command {
    deal::Command::Reopen { to, reason: Personal::new(reason) }
}

pub(crate) fn correct(visit: i32, to: StageId, reason: &str) -> deal::Command {
    deal::Command::CorrectStage { visit, to, reason: Personal::new(reason) }
}

pub(crate) fn usd(amount: &str) -> Money {
    Money {
        amount: amount.parse().expect("a decimal"),
        currency: kvali_domain::money::Currency::parse("USD").expect("three capitals"),
    }
}

pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

pub(crate) fn instant(text: &str) -> Occurred {
    Occurred::Instant { at: text.parse().expect("an RFC 3339 time") }
}

/// A local day, known no more precisely.
pub(crate) fn day(text: &str, zone: Tz) -> Occurred {
    let midnight = date(text).and_hms_opt(0, 0, 0).expect("midnight");
    let at = zone.from_local_datetime(&midnight).earliest().expect("the day has a midnight");
    Occurred::Day { at: at.with_timezone(&Utc), zone }
}

/// What each aggregate's commands and events are in this world.
macro_rules! aggregates {
    ($($module:ident: $variant:ident, $stream:expr;)+) => {$(
        impl Asks for $module::Command {
            fn order(self) -> Order {
                on($stream, self)
            }
        }

        impl Tells for $module::Event {
            fn event(self) -> Event {
                Event::$variant(self)
            }
        }
    )+};
}

aggregates! {
    deal: Deal, DEAL.stream();
    pipeline: Pipeline, SALES.stream();
    loss_reasons: LossReasons, loss_reasons::STREAM;
    user: User, NINO.stream();
    subject: Subject, SubjectId::from(NINO).stream();
}
