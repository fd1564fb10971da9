//! Random commands over all aggregates, at random times: stories for whoever wants to know what holds in all of them.

use crate::configuring::{self, a_configuring_order};
use crate::given::{Sender, on};
use crate::party::GLOBEX;
use crate::sales::{
    self, ACME, ACME_LTD, ANNA, BREAKAGE, DEAL, GIORGI, LOST, NEW, NINO, NOW, NOWHERE, OFFER, PRICE, SALES,
    SERVICE, SPAM, TALK, TIMING, WON,
};
use crate::{dealing, joining, leading, staffing, talking, working};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use kvali_domain::deal::{self, External};
use kvali_domain::fields::{Classification, Entity, FieldType};
use kvali_domain::loss_reasons::{self};
use kvali_domain::pipeline::{self, Class, Policy, Stage};
use kvali_domain::{
    ActorId, ContactId, DealId, Due, FieldId, LossReasonId, Money, Occurred, Order, Personal, PipelineId,
    StageId, SubjectId, UserId, activity_types, fields, lead, sources, subject, tags, task, task_templates,
    user,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;
use uuid::Uuid;

/// Stands in every personal text and nowhere else.
pub(crate) const SECRET: &str = "საიდუმლო";

pub(crate) const DEALS: [DealId; 3] =
    [DEAL, DealId(Uuid::from_u128(0xdea2)), DealId(Uuid::from_u128(0xdea3))];

/// One command, and the circumstances that it is given in.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) order: Order,
    pub(crate) minutes_later: i64,
    pub(crate) when: When,
    pub(crate) reason_code: Option<&'static str>,
    pub(crate) actor: ActorId,
}

impl Step {
    pub(crate) fn at_once(order: Order) -> Self {
        Self { order, minutes_later: 0, when: When::Now, reason_code: None, actor: sales::ACTOR }
    }

    pub(crate) fn sender<'a>(&self, now: DateTime<Utc>, occurred: Option<&'a Occurred>) -> Sender<'a> {
        Sender { actor: self.actor, now, occurred, reason_code: self.reason_code }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Now,
    MinutesAgo(i64),
    DaysAgo(i64, Tz),
    Unknown,
}

impl When {
    pub(crate) fn occurred(self, now: DateTime<Utc>) -> Option<Occurred> {
        match self {
            Self::Now => None,
            Self::MinutesAgo(minutes) => Some(Occurred::Instant { at: now - TimeDelta::minutes(minutes) }),
            Self::DaysAgo(days, zone) => {
                let day = (now - TimeDelta::days(days)).with_timezone(&zone).date_naive();
                let at = zone.from_local_datetime(&day.and_hms_opt(0, 0, 0)?).earliest()?;
                Some(Occurred::Day { at: at.with_timezone(&Utc), zone })
            }
            Self::Unknown => Some(Occurred::Unknown),
        }
    }
}

pub(crate) fn a_step() -> impl Strategy<Value = Step> {
    a_step_of(anything())
}

pub(crate) fn a_step_of(orders: BoxedStrategy<Order>) -> impl Strategy<Value = Step> {
    let zone =
        select(vec![chrono_tz::Asia::Tbilisi, chrono_tz::Europe::Berlin, chrono_tz::Pacific::Honolulu]);
    let when = prop_oneof![
        4 => Just(When::Now),
        2 => (-30_i64..3000).prop_map(When::MinutesAgo),
        2 => (-1_i64..3, zone).prop_map(|(days, zone)| When::DaysAgo(days, zone)),
        1 => Just(When::Unknown),
    ];
    let actor = select(vec![sales::ACTOR, sales::ACTOR, NINO.into()]);
    let code = select(vec![None, None, Some("typo"), Some(" ")]);
    (orders, prop_oneof![0_i64..30, 0_i64..1000], when, code, actor).prop_map(
        |(order, minutes_later, when, reason_code, actor)| Step {
            order,
            minutes_later,
            when,
            reason_code,
            actor,
        },
    )
}

/// Any command to any stream; now and then to one of another aggregate.
pub(crate) fn anything() -> BoxedStrategy<Order> {
    Union::new_weighted(areas()).boxed()
}

/// Commands by what they are about, and how often they come. Boxed, because a tree of all of them outgrows a test's
/// stack.
pub(crate) fn areas() -> Vec<(u32, BoxedStrategy<Order>)> {
    let stray = (a_deal_command(), select(vec![SALES.stream(), NINO.stream(), loss_reasons::STREAM]));
    vec![
        (
            16,
            (select(DEALS.to_vec()), a_deal_command())
                .prop_map(|(id, command)| on(id.stream(), command))
                .boxed(),
        ),
        (5, a_pipeline_order()),
        (6, a_user_order()),
        (9, a_configuring_order().boxed()),
        (7, crate::party::a_contact_order().boxed()),
        (5, crate::party::a_company_order().boxed()),
        (12, working::an_order()),
        (16, talking::an_order()),
        (10, staffing::an_order()),
        (12, leading::an_order()),
        (14, dealing::an_order()),
        (8, joining::an_order()),
        (1, stray.prop_map(|(command, stream)| on(stream, command)).boxed()),
    ]
}

fn a_pipeline_order() -> BoxedStrategy<Order> {
    prop_oneof![
        3 => (a_pipeline(), a_pipeline_command()).prop_map(|(id, command)| on(id.stream(), command)),
        2 => a_reason_command().prop_map(|command| on(loss_reasons::STREAM, command)),
    ]
    .boxed()
}

fn a_user_order() -> BoxedStrategy<Order> {
    prop_oneof![
        2 => (a_user(), a_personal()).prop_flat_map(|(user, name)| select(vec![
            on(user.stream(), user::Command::Register { user, name }),
            on(user.stream(), user::Command::Activate {}),
            on(user.stream(), user::Command::Deactivate {}),
        ])),
        1 => (a_personal(), staffing::a_mail()).prop_map(|(name, mail)| {
            on(sales::TAMAR.stream(), user::Command::Invite { user: sales::TAMAR, name, mail })
        }),
        4 => (select(vec![sales::TAMAR, sales::TAMAR, NINO]), staffing::an_absence_command())
            .prop_map(|(user, command)| on(user.stream(), command)),
        2 => (a_user(), any::<bool>(), a_personal()).prop_map(|(owner, force, reason)| {
            on(dealing::BEGUN.stream(), deal::Command::Assign { owner, force, reason })
        }),
        1 => a_user().prop_map(|user| {
            let subject = SubjectId::from(user);
            on(subject.stream(), subject::Command::Erase { subject })
        }),
    ]
    .boxed()
}

pub(crate) fn a_pipeline() -> impl Strategy<Value = PipelineId> {
    select(vec![SALES, SERVICE])
}

pub(crate) fn a_user() -> impl Strategy<Value = UserId> {
    select(vec![NINO, GIORGI])
}

/// Somewhere to go.
fn a_place() -> impl Strategy<Value = (PipelineId, StageId)> {
    prop_oneof![
        4 => (a_pipeline(), a_stage_id()),
        1 => Just((configuring::RECYCLING, configuring::CALLED_AGAIN)),
    ]
}

fn a_reason() -> impl Strategy<Value = LossReasonId> {
    select(vec![PRICE, TIMING, BREAKAGE])
}

pub(crate) fn a_stage_id() -> impl Strategy<Value = StageId> {
    prop_oneof![
        6 => select(vec![NEW, TALK, OFFER]),
        1 => select(vec![WON, LOST, SPAM, NOWHERE]),
    ]
}

pub(crate) fn a_name() -> impl Strategy<Value = String> {
    select(vec!["New", " new", "Demo", "შეთავაზება", "გაყიდვები", "Won", " ", ""]).prop_map(str::to_owned)
}

pub(crate) fn a_personal() -> impl Strategy<Value = Personal> {
    prop_oneof![
        "[a-zა-ჰ\"\\\\]{0,4}".prop_map(|rest| Personal::new(format!("{SECRET}{rest}"))),
        select(vec![None, Some(""), Some(" \t")]).prop_map(|text| Personal(text.map(str::to_owned))),
    ]
}

pub(crate) fn a_value() -> impl Strategy<Value = Money> {
    let amount = select(vec!["0", "0.00", "-0", "-0.01", "1054.00", "1054", "79228162514264337593543950335"]);
    (amount, select(vec!["USD", "GEL"])).prop_map(|(amount, currency)| Money {
        amount: amount.parse().expect("a decimal"),
        currency: kvali_domain::money::Currency::parse(currency).expect("three capitals"),
    })
}

pub(crate) fn a_policy() -> impl Strategy<Value = Policy> {
    let answers = prop::array::uniform6(any::<bool>());
    (answers, prop::option::of(any::<u16>())).prop_map(|(answers, grace_days)| {
        let [allow_backward, allow_skip, allow_reopen, party_required, value_required, next_task_required] =
            answers;
        Policy {
            allow_backward,
            allow_skip,
            allow_reopen,
            party_required,
            value_required,
            next_task_required,
            grace_days,
        }
    })
}

fn a_stage() -> impl Strategy<Value = Stage> {
    let class = select(vec![Class::Process, Class::Process, Class::Success, Class::Failure]);
    (select(vec![NOWHERE, NOWHERE, OFFER]), a_name(), class).prop_map(|(id, name, class)| Stage {
        id,
        name,
        class,
    })
}

fn a_pipeline_command() -> BoxedStrategy<pipeline::Command> {
    use pipeline::Command;
    let stage_ids = || prop::collection::vec(a_stage_id(), 0..3);
    prop_oneof![
        (a_name(), stage_ids(), a_policy()).prop_map(|(name, entry_stages, policy)| Command::Create {
            name,
            stages: sales::stages(),
            entry_stages,
            policy,
        }),
        a_name().prop_map(|name| Command::Rename { name }),
        (a_stage(), prop::option::of(a_stage_id()))
            .prop_map(|(stage, before)| Command::AddStage { stage, before }),
        (a_stage_id(), a_name()).prop_map(|(stage, name)| Command::RenameStage { stage, name }),
        Just(vec![NEW, TALK, OFFER]).prop_shuffle().prop_map(|order| Command::Reorder { order }),
        stage_ids().prop_map(|order| Command::Reorder { order }),
        stage_ids().prop_map(|stages| Command::SetEntryStages { stages }),
        a_policy().prop_map(|policy| Command::SetPolicy { policy }),
    ]
    .boxed()
}

fn a_reason_command() -> BoxedStrategy<loss_reasons::Command> {
    use loss_reasons::Command;
    let pipelines = prop::collection::vec(a_pipeline(), 0..2);
    prop_oneof![
        3 => (a_reason(), select(vec!["price", "PRICE ", "ფასი", "timing", ""]), a_name(), pipelines).prop_map(
            |(reason, code, label, pipelines)| Command::Define { reason, code: code.to_owned(), label, pipelines }
        ),
        1 => a_reason().prop_map(|reason| Command::Retire { reason }),
    ]
    .boxed()
}

pub(crate) fn a_deal_command() -> BoxedStrategy<deal::Command> {
    use deal::Command;
    let date = || (0_u64..90).prop_map(|days| NOW.date_naive() + chrono::Days::new(days));
    let version = || prop_oneof![4 => Just(None), 1 => (-1_i32..6).prop_map(Some)];
    let external = select(vec![None, Some("17"), Some("სარ-1042")])
        .prop_map(|id| id.map(|id| External { source: "amo".to_owned(), id: id.to_owned() }));
    let opening = (
        a_pipeline(),
        prop::option::weighted(0.2, a_stage_id()),
        (select(vec![Some(ACME), None]), a_personal()),
        prop::option::of(a_user()),
        prop::option::of(a_value()),
        prop::option::of(date()),
        external,
        version(),
    )
        .prop_map(
            |(
                pipeline,
                stage,
                (party, party_name),
                owner,
                value,
                expected_close,
                external,
                pipeline_version,
            )| {
                deal::Open {
                    pipeline,
                    stage,
                    party,
                    party_name,
                    owner,
                    value,
                    expected_close,
                    external,
                    origin: None,
                    pipeline_version,
                }
            },
        );
    let visit = prop_oneof![9 => 0_i32..5, 1 => any::<i32>()];
    prop_oneof![
        3 => opening.prop_map(Command::Open),
        8 => (a_stage_id(), version()).prop_map(|(to, pipeline_version)| Command::Move { to, pipeline_version }),
        2 => (a_place(), version()).prop_map(|((pipeline, to), pipeline_version)| Command::Transfer {
            pipeline,
            to,
            pipeline_version,
        }),
        3 => (visit, a_stage_id(), a_personal())
            .prop_map(|(visit, to, reason)| Command::CorrectStage { visit, to, reason }),
        2 => (a_user(), any::<bool>(), a_personal())
            .prop_map(|(owner, force, reason)| Command::Assign { owner, force, reason }),
        1 => a_value().prop_map(|value| Command::SetValue { value }),
        1 => date().prop_map(|date| Command::SetExpectedClose { date }),
        1 => version().prop_map(|pipeline_version| Command::CloseWon { pipeline_version }),
        2 => (
            prop::option::weighted(0.9, a_reason()),
            prop::option::weighted(0.2, select(vec![LOST, SPAM, WON, NOWHERE])),
            a_personal(),
            version()
        )
            .prop_map(|(reason, stage, comment, pipeline_version)| Command::CloseLost {
                reason,
                stage,
                comment,
                pipeline_version,
            }),
        2 => (a_stage_id(), prop::option::of(a_user()), any::<bool>(), a_personal())
            .prop_map(|(to, owner, force, reason)| Command::Reopen { to, owner, force, reason }),
    ]
    .boxed()
}

/// Pipelines, users, reasons, fields, a lead, a deal and whom they are with to begin with, so that most commands have something to meet.
pub(crate) fn beginnings(policies: [Policy; 2]) -> Vec<Order> {
    let create = |name: &str, policy| pipeline::Command::Create {
        name: name.to_owned(),
        stages: sales::stages(),
        entry_stages: vec![],
        policy,
    };
    let register = |user: UserId| {
        on(user.stream(), user::Command::Register { user, name: Personal::new(format!("{SECRET} Nino")) })
    };
    let define = |reason, code: &str, pipelines| {
        let label = code.to_owned();
        let command = loss_reasons::Command::Define { reason, code: code.to_owned(), label, pipelines };
        on(loss_reasons::STREAM, command)
    };
    let due = Due::At(NOW + TimeDelta::days(10));
    let stranger = |number| on(ContactId(Uuid::from_u128(number)).stream(), crate::party::named());
    let field = |field: FieldId, entity, kind| {
        let key = format!("begun_{entity:?}").to_lowercase();
        let defined = fields::Defined { entity, ..configuring::field(field, &key, kind) };
        on(fields::STREAM, configuring::define_field(defined))
    };
    let private = |field: FieldId, entity| {
        let (key, class) = (format!("private_{entity:?}").to_lowercase(), Classification::Sensitive);
        let defined = fields::Defined { entity, class, ..configuring::field(field, &key, FieldType::Text) };
        on(fields::STREAM, configuring::define_field(defined))
    };
    let limits = |stage| pipeline::Command::SetLimits {
        stage,
        max_days: Some(1),
        idle_days: Some(1),
        clock: pipeline::Clock::Calendar,
    };
    let lead = lead::Capture {
        full: Personal::new(SECRET),
        company_name: Personal::new(SECRET),
        owner: Some(NINO),
        ..lead::Capture::default()
    };
    let deal = deal::Open {
        party: Some(ACME),
        owner: Some(NINO),
        value: Some(sales::usd("1054.00")),
        ..deal::Open::new(SALES)
    };
    vec![
        on(SALES.stream(), create("Sales", policies[0])),
        on(SERVICE.stream(), create("Service", policies[1])),
        on(SALES.stream(), pipeline::Command::LinkRecycle { to: SERVICE }),
        on(SALES.stream(), limits(NEW)),
        register(NINO),
        register(GIORGI),
        field(crate::party::SIZE, Entity::Contact, FieldType::Number),
        field(crate::party::COLOUR, Entity::Company, FieldType::Number),
        field(leading::INTEREST, Entity::Lead, FieldType::Text),
        field(dealing::PURPOSE, Entity::Deal, FieldType::Text),
        private(crate::party::BIRTHDAY, Entity::Contact),
        private(crate::party::OWNER_ID, Entity::Company),
        private(leading::ILLNESS, Entity::Lead),
        private(dealing::ALLERGY, Entity::Deal),
        on(tags::STREAM, tags::Command::Define { tag: crate::party::VIP, name: "VIP".to_owned() }),
        on(sources::STREAM, crate::party::define_fair()),
        on(activity_types::STREAM, working::define_ring()),
        on(task_templates::STREAM, working::define_call_back()),
        define(PRICE, "price", vec![]),
        define(BREAKAGE, "breakage", vec![SERVICE]),
        on(ANNA.stream(), crate::party::named()),
        on(ACME_LTD.stream(), crate::party::company_named()),
        on(GLOBEX.stream(), crate::party::company_named()),
        stranger(0xc0),
        stranger(0xc1),
        stranger(0xc2),
        on(sales::LEAD.stream(), lead::Command::Capture(lead.clone())),
        on(leading::SECOND.stream(), lead::Command::Capture(lead)),
        on(dealing::BEGUN.stream(), deal::Command::Open(deal.clone())),
        on(DEALS[1].stream(), deal::Command::Open(deal)),
        on(sales::TASK.stream(), task::Command::Create(task::Create::new(Personal::new(SECRET), due, NINO))),
    ]
}
