//! The fields and dictionaries of these tests, and random commands that configure them and the stages.

use crate::given::{Happened, World, on};
use crate::measuring::a_measuring_order;
use crate::sales::{
    LOST, NEW, NOW, NOWHERE, OFFER, SALES, SERVICE, SPAM, TALK, WON, at_start, date, sales, stage,
};
use kvali_domain::activity_types::{self, Kind};
use kvali_domain::exchange_rates::{self, Set};
use kvali_domain::fields::{self, Classification, Entity, FieldOption, FieldType, FieldValue};
use kvali_domain::money::Currency;
use kvali_domain::pipeline::{self, Class, Clock, Config, ForecastCategory, Requirement};
use kvali_domain::sources::{self, ChannelType};
use kvali_domain::tags::Tags;
use kvali_domain::{
    ActivityTypeId, Condition, DealId, FieldId, Money, Order, PipelineId, SourceId, StageId, TagId,
    TaskTemplateId, tags, task_templates,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::collections::BTreeSet;
use uuid::Uuid;

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_d9c6_0000_7000_8000_c0f1_0000_0000 + number)
}

pub(crate) const RECYCLING: PipelineId = PipelineId(id(1));
pub(crate) const CALLED_AGAIN: StageId = StageId(id(2));
pub(crate) const SIZE: FieldId = FieldId(id(10));
pub(crate) const COLOURS: FieldId = FieldId(id(11));
pub(crate) const BIRTHDAY: FieldId = FieldId(id(12));
pub(crate) const VISIT: ActivityTypeId = ActivityTypeId(id(20));
pub(crate) const RING: ActivityTypeId = ActivityTypeId(id(21));
pub(crate) const CALL_BACK: TaskTemplateId = TaskTemplateId(id(30));
pub(crate) const SEND_OFFER: TaskTemplateId = TaskTemplateId(id(31));
pub(crate) const FAIR: SourceId = SourceId(id(40));
pub(crate) const SITE: SourceId = SourceId(id(41));
pub(crate) const VIP: TagId = TagId(id(50));
pub(crate) const BIG: TagId = TagId(id(51));
pub(crate) const LOYAL: TagId = TagId(id(52));

pub(crate) fn options(keys: &[&str]) -> Vec<FieldOption> {
    keys.iter().map(|key| FieldOption { key: (*key).to_owned(), label: format!("Label of {key}") }).collect()
}

/// A field of deals without options or default.
pub(crate) fn field(field: FieldId, key: &str, kind: FieldType) -> fields::Defined {
    fields::Defined {
        field,
        entity: Entity::Deal,
        key: key.to_owned(),
        label: format!("Label of {key}"),
        kind,
        options: vec![],
        default: None,
        class: Classification::None,
    }
}

pub(crate) fn define_field(body: fields::Defined) -> fields::Command {
    let fields::Defined { field, entity, key, label, kind, options, default, class } = body;
    fields::Command::Define { field, entity, key, label, kind, options, default, class }
}

/// A choice of one among three.
pub(crate) fn size() -> fields::Defined {
    fields::Defined { options: options(&["s", "m", "l"]), ..field(SIZE, "size", FieldType::Choice) }
}

pub(crate) fn field_event(event: fields::Event) -> Happened {
    at_start(fields::STREAM, event)
}

pub(crate) fn field_defined(body: fields::Defined) -> Happened {
    field_event(fields::Event::Defined(body))
}

pub(crate) fn field_retired(field: FieldId) -> Happened {
    field_event(fields::Event::Retired(fields::Retired { field }))
}

pub(crate) fn activity_type(activity_type: ActivityTypeId, code: &str) -> activity_types::Defined {
    activity_types::Defined {
        activity_type,
        code: code.to_owned(),
        label: format!("Label of {code}"),
        kind: Kind::Call,
        result_required: true,
        minimum_lead_minutes: 30,
    }
}

pub(crate) fn activity_type_defined(id: ActivityTypeId, code: &str) -> Happened {
    at_start(activity_types::STREAM, activity_types::Event::Defined(activity_type(id, code)))
}

pub(crate) fn template(template: TaskTemplateId, subject: &str) -> task_templates::Defined {
    task_templates::Defined {
        template,
        version: 1,
        subject: subject.to_owned(),
        activity_type: RING,
        offset_days: 2,
        clock: Clock::Business,
    }
}

pub(crate) fn template_defined(body: task_templates::Defined) -> Happened {
    at_start(task_templates::STREAM, task_templates::Event::Defined(body))
}

pub(crate) fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("three capitals")
}

/// What its events joined and let go of is what its stages in force require.
pub(crate) fn holds_the_fields_it_requires(config: &Config, log: &[Happened]) -> Result<(), TestCaseError> {
    let mut held = BTreeSet::new();
    let claims = log.iter().flat_map(|happened| happened.event.claims());
    for claim in claims.filter(|claim| claim.kind == fields::REQUIRED_CLAIM) {
        let changes = match claim.condition {
            Condition::Count => held.insert(claim.key.clone()),
            _ => held.remove(&claim.key),
        };
        prop_assert!(changes, "{:?} changes nothing", claim);
    }
    let in_force = config.terms.values().filter(|terms| !terms.retired && !config.archived);
    let required: BTreeSet<String> = in_force
        .flat_map(|terms| terms.entry.iter().chain(&terms.exit))
        .filter_map(|requirement| match requirement {
            Requirement::Field(field) => Some(field.to_string()),
            _ => None,
        })
        .collect();
    prop_assert_eq!(held, required);
    Ok(())
}

pub(crate) fn aliases_lead_to_tags_in_use(tags: &Tags) -> Result<(), TestCaseError> {
    for tag in [VIP, BIG, LOYAL].into_iter().filter_map(|tag| tags.get(tag)) {
        let target = tags.resolve(tag.id).expect("it is there");
        prop_assert_eq!(tags.resolve(target.id), Some(target));
        prop_assert_eq!(tags.named(&tag.name).is_some(), true);
    }
    let names: BTreeSet<String> = tags.names().iter().map(|name| name.to_lowercase()).collect();
    prop_assert_eq!(names.len(), tags.names().len(), "no two tags in use share a name");
    Ok(())
}

/// Any command to the fields and dictionaries, and those to a pipeline that set what its stages are beside their order.
/// Of its own, so that the pipeline can be archived while deals stand in the others.
fn recycling_stages() -> Vec<pipeline::Stage> {
    vec![
        stage(CALLED_AGAIN, "Called again", Class::Process),
        stage(StageId(id(3)), "Handed back", Class::Success),
        stage(StageId(id(4)), "Given up", Class::Failure),
    ]
}

pub(crate) fn a_configuring_order() -> impl Strategy<Value = Order> {
    prop_oneof![
        3 => a_field_command().prop_map(|command| on(fields::STREAM, command)),
        1 => a_source_command().prop_map(|command| on(sources::STREAM, command)),
        2 => a_tag_command().prop_map(|command| on(tags::STREAM, command)),
        1 => an_activity_type_command().prop_map(|command| on(activity_types::STREAM, command)),
        1 => a_template_command().prop_map(|command| on(task_templates::STREAM, command)),
        1 => a_rate_command().prop_map(|command| on(exchange_rates::STREAM, command)),
        3 => a_measuring_order(),
        4 => (select(vec![SALES, SERVICE]), a_stage_command())
            .prop_map(|(pipeline, command)| on(pipeline.stream(), command)),
        2 => select(vec![
            pipeline::Command::Create {
                name: "Recycling".to_owned(),
                stages: recycling_stages(),
                entry_stages: vec![],
                policy: pipeline::Policy::default(),
            },
            pipeline::Command::Archive {},
            pipeline::Command::Rename { name: "Recycled".to_owned() },
        ]).prop_map(|command| on(RECYCLING.stream(), command)),
    ]
}

fn a_text() -> impl Strategy<Value = String> {
    select(vec!["size", " SIZE", "ფერი", "цвет", "day  of birth", "day of birth", "VIP", " \t"])
        .prop_map(str::to_owned)
}

fn a_field() -> impl Strategy<Value = FieldId> {
    select(vec![SIZE, COLOURS, BIRTHDAY])
}

fn a_decimal() -> impl Strategy<Value = rust_decimal::Decimal> {
    select(vec!["0", "-0.01", "2.70", "2.7", "0.0000001", "79228162514264337593543950335"])
        .prop_map(|text| text.parse().expect("a decimal"))
}

fn a_currency() -> impl Strategy<Value = Currency> {
    select(vec!["GEL", "USD", "EUR", "XXX"]).prop_map(currency)
}

fn a_value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        a_text().prop_map(FieldValue::Text),
        a_decimal().prop_map(FieldValue::Number),
        (a_decimal(), a_currency())
            .prop_map(|(amount, currency)| FieldValue::Money(Money { amount, currency })),
        Just(FieldValue::Date(date("2024-06-30"))),
        any::<bool>().prop_map(FieldValue::Bool),
        select(vec!["s", "m", "xl"]).prop_map(|key| FieldValue::Choice(key.to_owned())),
        select(vec![vec!["s", "m"], vec!["s", "s"], vec![]])
            .prop_map(|keys| FieldValue::MultiChoice(keys.into_iter().map(str::to_owned).collect())),
    ]
}

fn a_field_command() -> impl Strategy<Value = fields::Command> {
    use fields::Command;
    let entity = select(vec![Entity::Lead, Entity::Contact, Entity::Company, Entity::Deal, Entity::Deal]);
    let kind = select(vec![
        FieldType::Text,
        FieldType::Number,
        FieldType::Money,
        FieldType::Date,
        FieldType::Bool,
        FieldType::Choice,
        FieldType::Choice,
        FieldType::MultiChoice,
    ]);
    let choices = || {
        select(vec![vec![], vec!["s", "m", "l"], vec!["s", "m", "l"], vec!["m", "xl"], vec!["s", "S"]])
            .prop_map(|keys| options(&keys))
    };
    let class = || select(vec![Classification::None, Classification::Personal, Classification::Sensitive]);
    prop_oneof![
        2 => select(vec![size(), fields::Defined { default: Some(FieldValue::Choice("s".to_owned())), ..size() }])
            .prop_map(define_field),
        4 => ((a_field(), entity, a_text(), a_text()), (kind, choices(), prop::option::of(a_value()), class()))
            .prop_map(|((field, entity, key, label), (kind, options, default, class))| Command::Define {
                field, entity, key, label, kind, options, default, class
            }),
        2 => (a_field(), choices()).prop_map(|(field, options)| Command::ChangeOptions { field, options }),
        1 => (a_field(), a_text()).prop_map(|(field, label)| Command::Rename { field, label }),
        1 => (a_field(), class()).prop_map(|(field, class)| Command::Classify { field, class }),
        1 => a_field().prop_map(|field| Command::Retire { field }),
    ]
}

fn a_source_command() -> impl Strategy<Value = sources::Command> {
    (select(vec![FAIR, SITE]), a_text(), a_text(), select(vec![ChannelType::Event, ChannelType::WebForm]))
        .prop_map(|(source, code, label, channel)| sources::Command::Define { source, code, label, channel })
}

fn a_tag_command() -> impl Strategy<Value = tags::Command> {
    use tags::Command;
    let tag = || select(vec![VIP, BIG, LOYAL]);
    prop_oneof![
        3 => (tag(), a_text()).prop_map(|(tag, name)| Command::Define { tag, name }),
        1 => (tag(), a_text()).prop_map(|(tag, name)| Command::Rename { tag, name }),
        1 => (tag(), tag()).prop_map(|(tag, into)| Command::Merge { tag, into }),
    ]
}

fn an_activity_type_command() -> impl Strategy<Value = activity_types::Command> {
    let kind = select(vec![Kind::Task, Kind::Meeting, Kind::Call]);
    let minutes = select(vec![-1, 0, 30, i32::MAX]);
    (select(vec![VISIT, RING]), a_text(), a_text(), kind, any::<bool>(), minutes).prop_map(
        |(activity_type, code, label, kind, result_required, minimum_lead_minutes)| {
            activity_types::Command::Define {
                activity_type,
                code,
                label,
                kind,
                result_required,
                minimum_lead_minutes,
            }
        },
    )
}

fn a_clock() -> impl Strategy<Value = Clock> {
    select(vec![Clock::Calendar, Clock::Business])
}

fn a_template() -> impl Strategy<Value = TaskTemplateId> {
    select(vec![CALL_BACK, SEND_OFFER])
}

fn a_template_command() -> impl Strategy<Value = task_templates::Command> {
    let days = select(vec![-1, 0, 2, i32::MAX]);
    (a_template(), a_text(), select(vec![VISIT, RING]), days, a_clock()).prop_map(
        |(template, subject, activity_type, offset_days, clock)| task_templates::Command::Define {
            template,
            subject,
            activity_type,
            offset_days,
            clock,
        },
    )
}

fn a_rate_command() -> impl Strategy<Value = exchange_rates::Command> {
    let day = select(vec!["2024-01-01", "2024-06-30"]).prop_map(date);
    (a_currency(), a_currency(), a_decimal(), day)
        .prop_map(|(from, to, rate, effective)| Set { from, to, rate, effective })
        .prop_map(|Set { from, to, rate, effective }| exchange_rates::Command::Set {
            from,
            to,
            rate,
            effective,
        })
}

fn a_requirement() -> impl Strategy<Value = Requirement> {
    prop_oneof![
        select(vec![
            Requirement::Value,
            Requirement::ExpectedClose,
            Requirement::Party,
            Requirement::Owner,
            Requirement::NextStep,
        ]),
        a_field().prop_map(Requirement::Field),
    ]
}

fn a_stage() -> impl Strategy<Value = StageId> {
    select(vec![NEW, TALK, OFFER, WON, LOST, SPAM, NOWHERE])
}

fn a_stage_command() -> impl Strategy<Value = pipeline::Command> {
    use pipeline::Command;
    let category = select(vec![
        ForecastCategory::Pipeline,
        ForecastCategory::BestCase,
        ForecastCategory::MostLikely,
        ForecastCategory::Commit,
        ForecastCategory::Closed,
        ForecastCategory::Omitted,
    ]);
    let requirements = || prop::collection::vec(a_requirement(), 0..3);
    let days = || prop::option::of(select(vec![-1, 0, 1, 30, i32::MAX]));
    // Retired stages do not come back, so not all of them are retired, and not often.
    let retire = (
        select(vec![OFFER, SPAM, NOWHERE, WON]),
        prop::option::of(a_stage()),
        prop::collection::vec(Just(DealId(id(99))), 0..2),
    );
    prop_oneof![
        2 => (a_stage(), select(vec![-1, 0, 40, 100, 101]), category).prop_map(
            |(stage, probability, category)| Command::SetForecast { stage, probability, category }
        ),
        4 => (a_stage(), requirements(), requirements())
            .prop_map(|(stage, entry, exit)| Command::SetRequirements { stage, entry, exit }),
        2 => (a_stage(), days(), days(), a_clock()).prop_map(|(stage, max_days, idle_days, clock)| {
            Command::SetLimits { stage, max_days, idle_days, clock }
        }),
        2 => (a_stage(), a_text()).prop_map(|(stage, hint)| Command::SetHint { stage, hint }),
        2 => (a_stage(), prop::collection::vec(a_template(), 0..3))
            .prop_map(|(stage, templates)| Command::SetTaskTemplates { stage, templates }),
        1 => retire.prop_map(|(stage, to, deals)| Command::RetireStage { stage, to, deals }),
        1 => select(vec![SALES, SERVICE, RECYCLING]).prop_map(|to| Command::LinkRecycle { to }),
    ]
}

/// Properties that are never put to the test hold trivially; so this counts what random configuration reaches.
#[test]
fn random_configuration_meets_its_refusals() {
    let mut runner = TestRunner::deterministic();
    let mut refusals = BTreeSet::new();
    let orders = prop::collection::vec(a_configuring_order(), 300);
    for _ in 0..40 {
        let mut world = World::default();
        world.apply(&sales());
        world.apply(&Happened { stream: SERVICE.stream(), ..sales() });
        for order in orders.new_tree(&mut runner).expect("nothing is filtered out").current() {
            match world.decide(&order, NOW, None, None) {
                Ok(events) => {
                    for event in events {
                        world.apply(&Happened { stream: order.stream, event, ..sales() });
                    }
                }
                Err(refusal) => {
                    refusals.insert(refusal.code());
                }
            }
        }
    }
    for code in [
        "activity_type_unknown",
        "category",
        "days_not_positive",
        "default_option",
        "field_retired",
        "id_taken",
        "key_taken",
        "last_of_class",
        "lead_time",
        "merged_tag",
        "name_taken",
        "no_such_field",
        "no_such_recycle_pipeline",
        "no_such_tag",
        "no_such_task_template",
        "not_a_successor",
        "offset",
        "option_twice",
        "options_missing",
        "options_unasked",
        "pipeline_archived",
        "probability",
        "rate_not_positive",
        "recycles_into_itself",
        "retired_field",
        "same_currency",
        "same_tag",
        "stage_retired",
        "successor_missing",
        "task_template_twice",
        "unknown_currency",
        "unknown_field",
        "unknown_option",
        "wrong_type",
    ] {
        assert!(refusals.contains(code), "no random command met {code}; met were {refusals:?}");
    }
}
