//! The people, pipelines and deals that the tests are about.

use crate::given::{Asks, Happened, Tells, on};
use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use kvali_domain::absence::Kind;
use kvali_domain::pipeline::{self, Class, Policy, Stage};
use kvali_domain::{
    ActorId, CalendarId, CallId, CompanyId, ContactId, ConversationId, DealId, Event, FunnelId, HandoverId,
    LeadId, LossReasonId, MeetingId, Money, NoteId, Occurred, Order, Personal, PipelineId, StageId, StreamId,
    SubjectId, Target, TaskId, TeamId, UserId, Version, access, activity_types, calendar, call, company,
    contact, conversation, deal, duplicate, exchange_rates, fields, funnel, handover, lead, loss_reasons,
    match_rule, meeting, note, sources, subject, tags, task, task_templates, team, user,
};
use uuid::Uuid;

pub(crate) const fn id(number: u128) -> Uuid {
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
pub(crate) const TASK: TaskId = TaskId(id(74));
pub(crate) const MEETING: MeetingId = MeetingId(id(73));
pub(crate) const TAMAR: UserId = UserId(id(8));
pub(crate) const TEAM: TeamId = TeamId(id(30));
pub(crate) const REGION: TeamId = TeamId(id(31));
pub(crate) const COMPANY: TeamId = TeamId(id(32));
pub(crate) const CALENDAR: CalendarId = CalendarId(id(40));
pub(crate) const HANDOVER: HandoverId = HandoverId(id(41));
pub(crate) const FUNNEL: FunnelId = FunnelId(id(42));
pub(crate) const ACME: deal::Party = deal::Party::Company(CompanyId(id(6)));

pub(crate) const ANNA: ContactId = ContactId(id(60));
pub(crate) const ACME_LTD: CompanyId = CompanyId(id(6));
pub(crate) const CALL: CallId = CallId(id(70));
pub(crate) const CHAT: ConversationId = ConversationId(id(71));
pub(crate) const LEAD: LeadId = LeadId(Uuid::from_u128(0x1ead));
pub(crate) const NOTE: NoteId = NoteId(id(72));

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
    next_task_required: false,
    grace_days: None,
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

pub(crate) fn at_start(stream: StreamId, event: impl Tells) -> Happened {
    Happened { stream, event: event.event(), occurred: instant("2024-06-01T08:00:00Z") }
}

pub(crate) fn deal_event(event: deal::Event) -> Happened {
    at_start(DEAL.stream(), event)
}

pub(crate) fn task_event(event: task::Event) -> Happened {
    at_start(TASK.stream(), event)
}

pub(crate) fn meeting_event(event: meeting::Event) -> Happened {
    at_start(MEETING.stream(), event)
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
    at_start(user.stream(), user::Event::Deactivated(user::Deactivated { user: Some(user) }))
}

/// A lead of whom nothing is known but the name.
pub(crate) fn lead_captured(lead: LeadId, owner: Option<UserId>) -> Happened {
    let captured = lead::Captured {
        lead,
        named: true,
        of_company: false,
        source: None,
        provider_event: None,
        external: None,
        owner,
        given: Personal::default(),
        family: Personal::default(),
        full: Personal::new("Dato"),
        company_name: Personal::default(),
        message: Personal::default(),
    };
    at_start(lead.stream(), lead::Event::Captured(captured))
}

pub(crate) fn contact_known(contact: ContactId) -> Happened {
    let created = contact::Created {
        contact,
        named: true,
        source: None,
        external: None,
        owner: None,
        given: Personal::default(),
        family: Personal::default(),
        full: Personal::new("Mari"),
    };
    at_start(contact.stream(), contact::Event::Created(created))
}

/// Planned as absence 1, for days around `NOW`.
pub(crate) fn away(user: UserId, from: &str, to: &str, substitute: Option<UserId>) -> Happened {
    let planned = user::AbsencePlanned {
        absence: 1,
        kind: Kind::Vacation,
        from: date(from),
        to: date(to),
        zone: chrono_tz::Asia::Tbilisi,
        substitute,
    };
    at_start(user.stream(), user::Event::AbsencePlanned(planned))
}

/// The body of an assignment that nobody had to force.
pub(crate) fn assigned(from: Option<UserId>, to: UserId) -> deal::Assigned {
    deal::Assigned { from, to, forced: false, subject: None, reason: Personal::default() }
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
        origin: None,
    }
}

/// What a deal with nothing but its pipeline holds in a stage.
#[expect(clippy::unnecessary_wraps, reason = "events hold it so")]
pub(crate) fn holds_in(stage: StageId) -> Option<deal::Holds> {
    Some(deal::Holds { stage, owner: None, company: None, sole_contact: None })
}

pub(crate) fn opened() -> Happened {
    deal_event(deal::Event::Opened(opening()))
}

pub(crate) fn moved(from: StageId, to: StageId, visit: i32) -> deal::Event {
    moved_under(1, from, to, visit)
}

pub(crate) fn moved_under(pipeline_version: Version, from: StageId, to: StageId, visit: i32) -> deal::Event {
    deal::Event::StageChanged(deal::StageChanged {
        from,
        to,
        pipeline_version,
        visit,
        with_task_of: vec![],
        retired: false,
    })
}

pub(crate) fn won(from: StageId, visit: i32, value: Option<Money>) -> deal::Event {
    deal::Event::Won(deal::Won { from, stage: WON, pipeline_version: 1, visit, holds: holds_in(from), value })
}

pub(crate) fn lost(from: StageId, visit: i32) -> deal::Event {
    deal::Event::Lost(deal::Lost {
        from,
        stage: LOST,
        pipeline_version: 1,
        visit,
        holds: holds_in(from),
        reason: PRICE,
        subject: None,
        comment: Personal::default(),
    })
}

/// Of a visit that is over.
pub(crate) fn corrected_before(visit: i32, from: StageId, to: StageId, reason: Personal) -> deal::Event {
    match corrected(visit, from, to, reason) {
        deal::Event::StageCorrected(event) => {
            deal::Event::StageCorrected(deal::StageCorrected { current: false, ..event })
        }
        other => other,
    }
}

pub(crate) fn corrected(visit: i32, from: StageId, to: StageId, reason: Personal) -> deal::Event {
    let subject = SubjectId::from(DEAL);
    deal::Event::StageCorrected(deal::StageCorrected {
        visit,
        from,
        to,
        pipeline_version: 1,
        current: true,
        subject,
        reason,
    })
}

pub(crate) fn reopened(from: StageId, to: StageId, visit: i32, reason: Personal) -> deal::Event {
    let subject = (!reason.is_blank()).then_some(DEAL.into());
    deal::Event::Reopened(deal::Reopened {
        from,
        to,
        pipeline_version: 1,
        visit,
        holds: holds_in(to),
        subject,
        reason,
    })
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
    deal::Command::Reopen { to, owner: None, force: false, reason: Personal::new(reason) }
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
    contact: Contact, ANNA.stream();
    company: Company, ACME_LTD.stream();
    deal: Deal, DEAL.stream();
    lead: Lead, LEAD.stream();
    duplicate: Duplicate, duplicate::pair(Target::Contact(ANNA), Target::Lead(LEAD));
    pipeline: Pipeline, SALES.stream();
    loss_reasons: LossReasons, loss_reasons::STREAM;
    user: User, NINO.stream();
    task: Task, TASK.stream();
    call: Call, CALL.stream();
    conversation: Conversation, CHAT.stream();
    note: Note, NOTE.stream();
    meeting: Meeting, MEETING.stream();
    team: Team, TEAM.stream();
    calendar: Calendar, CALENDAR.stream();
    handover: Handover, HANDOVER.stream();
    subject: Subject, SubjectId::from(NINO).stream();
    fields: Fields, fields::STREAM;
    sources: Sources, sources::STREAM;
    tags: Tags, tags::STREAM;
    activity_types: ActivityTypes, activity_types::STREAM;
    task_templates: TaskTemplates, task_templates::STREAM;
    exchange_rates: ExchangeRates, exchange_rates::STREAM;
    match_rule: MatchRule, match_rule::STREAM;
    funnel: Funnel, FUNNEL.stream();
    access: Access, access::STREAM;
}
