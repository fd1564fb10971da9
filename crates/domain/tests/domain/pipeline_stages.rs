//! What a pipeline's configuration says of its stages beside their names and order, and how stages and pipelines end.

use crate::configuring::*;
use crate::given::{Happened, given};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::fields::{Entity, FieldType, REQUIRED_CLAIM};
use kvali_domain::pipeline::{
    Archived, Class, Clock, Command, Config, Event, Forecast, ForecastCategory, LONGEST_HINT, Limits,
    Pipeline, Policy, RecyclePipelineLinked, Refusal, Requirement, STAGE_DEALS_CLAIM, StageForecastSet,
    StageHintSet, StageLimitsSet, StageRequirementsSet, StageRetired, StageTaskTemplatesSet,
    reads_as_waiting,
};
use kvali_domain::{
    Claim, Decider, Event as AnyEvent, FieldId, PipelineId, Refusal as AnyRefusal, StageId, TaskTemplateId,
    deal,
};

macro_rules! pipeline_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Pipeline($pattern))
    };
}

fn set_forecast(stage: StageId, probability: i32, category: ForecastCategory) -> Command {
    Command::SetForecast { stage, probability, category }
}

fn require(stage: StageId, entry: &[Requirement], exit: &[Requirement]) -> Command {
    Command::SetRequirements { stage, entry: entry.to_vec(), exit: exit.to_vec() }
}

fn required(stage: StageId, entry: &[Requirement], newly: &[FieldId], no_longer: &[FieldId]) -> Event {
    Event::StageRequirementsSet(StageRequirementsSet {
        stage,
        entry: entry.to_vec(),
        exit: vec![],
        newly_required: newly.to_vec(),
        no_longer_required: no_longer.to_vec(),
    })
}

fn limit(max_days: Option<i32>, idle_days: Option<i32>) -> Command {
    Command::SetLimits { stage: TALK, max_days, idle_days, clock: Clock::Business }
}

fn hint(words: &str) -> Command {
    Command::SetHint { stage: TALK, hint: words.to_owned() }
}

fn retire(stage: StageId) -> Command {
    Command::RetireStage { stage, to: None, deals: vec![] }
}

fn retired(stage: StageId) -> Event {
    Event::StageRetired(StageRetired { stage, to: None, no_longer_required: vec![] })
}

fn every_stage() -> Vec<StageId> {
    stages().iter().map(|stage| stage.id).collect()
}

fn archived() -> Event {
    Event::Archived(Archived { pipeline: SALES, stages: every_stage(), no_longer_required: vec![] })
}

fn recycling(archived: Option<Event>) -> Vec<Happened> {
    let created = Happened { stream: RECYCLING.stream(), ..sales() };
    let archived = archived.map(|event| Happened { stream: RECYCLING.stream(), ..sales_event(event) });
    std::iter::once(created).chain(archived).collect()
}

fn config_after(events: impl IntoIterator<Item = Event>) -> Config {
    let mut pipeline = Pipeline::default();
    let log = std::iter::once(sales()).chain(events.into_iter().map(sales_event));
    for (version, happened) in (1..).zip(log) {
        let kvali_domain::Event::Pipeline(event) = happened.event else {
            unreachable!("pipeline events only")
        };
        pipeline.evolve(&event, version, &happened.occurred);
    }
    pipeline.config().expect("it was created").clone()
}

#[test]
fn a_stages_forecast_is_set_once() {
    for (stage, probability, category) in [
        (TALK, 0, ForecastCategory::Omitted),
        (TALK, 40, ForecastCategory::BestCase),
        (TALK, 100, ForecastCategory::Commit),
        (WON, 100, ForecastCategory::Closed),
        (LOST, 0, ForecastCategory::Omitted),
    ] {
        let event = Event::StageForecastSet(StageForecastSet { stage, probability, category });
        given([sales()]).when(set_forecast(stage, probability, category)).then([event.clone()]);
        given([sales(), sales_event(event.clone())])
            .when(set_forecast(stage, probability, category))
            .then_it_is_already_so();
        let terms = config_after([event]).terms(stage).cloned().expect("they were set");
        assert_eq!(terms.forecast, Some(Forecast { probability, category }));
    }
}

#[test]
fn a_probability_is_a_percentage_and_that_of_an_outcome_is_certain() {
    for (stage, probability, accepted) in [
        (TALK, -1, "a process stage has 0 to 100"),
        (TALK, 101, "a process stage has 0 to 100"),
        (WON, 99, "a success stage has 100"),
        (LOST, 1, "a failure stage has 0"),
    ] {
        given([sales()])
            .when(set_forecast(stage, probability, ForecastCategory::Commit))
            .refused(pipeline_refusal!(Refusal::Probability { .. }))
            .naming([&*probability.to_string(), accepted]);
    }
}

#[test]
fn a_forecast_category_does_not_contradict_the_class() {
    for (stage, probability, category, accepted) in [
        (TALK, 50, ForecastCategory::Closed, "`best_case`"),
        (WON, 100, ForecastCategory::Commit, "`closed`"),
        (LOST, 0, ForecastCategory::Pipeline, "`omitted`"),
    ] {
        given([sales()])
            .when(set_forecast(stage, probability, category))
            .refused(pipeline_refusal!(Refusal::Category { .. }))
            .naming([accepted]);
    }
}

#[test]
fn requirements_are_set_once_in_whatever_order_they_are_named() {
    let set = Event::StageRequirementsSet(StageRequirementsSet {
        stage: OFFER,
        entry: vec![Requirement::Value, Requirement::Party],
        exit: vec![Requirement::NextStep],
        newly_required: vec![],
        no_longer_required: vec![],
    });
    let (value, party) = (Requirement::Value, Requirement::Party);
    given([sales()])
        .when(require(OFFER, &[party, value, party], &[Requirement::NextStep]))
        .then([set.clone()]);
    given([sales(), sales_event(set)])
        .when(require(OFFER, &[value, party], &[Requirement::NextStep]))
        .then_it_is_already_so();
}

#[test]
fn a_required_custom_field_is_a_deals_and_in_force() {
    let requires = |field| require(OFFER, &[], &[Requirement::Field(field)]);
    let of_a_lead = kvali_domain::fields::Defined {
        entity: Entity::Lead,
        ..field(BIRTHDAY, "birthday", FieldType::Date)
    };
    let log = [
        sales(),
        field_defined(size()),
        field_defined(field(COLOURS, "colours", FieldType::Text)),
        field_defined(of_a_lead),
        field_retired(COLOURS),
    ];
    given(log.clone())
        .when(requires(BIRTHDAY))
        .refused(|refusal| refusal.code() == "unknown_field")
        .naming(["a deal has no field", r#"it has "size""#]);
    given(log.clone())
        .when(requires(COLOURS))
        .refused(|refusal| refusal.code() == "field_retired")
        .naming([r#""colours" is retired"#, r#"accepted: "size""#]);
    given([sales()])
        .when(requires(SIZE))
        .refused(|refusal| refusal.code() == "unknown_field")
        .naming(["it has none"]);
    let event = Event::StageRequirementsSet(StageRequirementsSet {
        stage: OFFER,
        entry: vec![],
        exit: vec![Requirement::Field(SIZE)],
        newly_required: vec![SIZE],
        no_longer_required: vec![],
    });
    given(log).when(requires(SIZE)).then([event]);
}

#[test]
fn a_pipeline_holds_a_required_field_until_its_last_stage_lets_go() {
    let size_field = [Requirement::Field(SIZE)];
    let first = required(TALK, &size_field, &[SIZE], &[]);
    let second = required(OFFER, &size_field, &[], &[]);
    let log =
        || vec![sales(), field_defined(size()), sales_event(first.clone()), sales_event(second.clone())];
    given(log()[..3].to_vec()).when(require(OFFER, &size_field, &[])).then([second.clone()]);
    given(log()).when(require(TALK, &[], &[])).then([required(TALK, &[], &[], &[])]);
    let one_left = log().into_iter().chain([sales_event(required(TALK, &[], &[], &[]))]);
    given(one_left).when(require(OFFER, &[], &[])).then([required(OFFER, &[], &[], &[SIZE])]);

    let key = SIZE.to_string();
    assert_eq!(first.claims(), [Claim::count(REQUIRED_CLAIM, key.clone())]);
    assert_eq!(second.claims(), []);
    assert_eq!(required(OFFER, &[], &[], &[SIZE]).claims(), [Claim::uncount(REQUIRED_CLAIM, key)]);
}

#[test]
fn a_field_that_a_stage_goes_on_requiring_may_be_retired_no_sooner_than_it_lets_go() {
    let both = [Requirement::Field(SIZE), Requirement::Value];
    let log = [sales(), field_defined(size()), sales_event(required(TALK, &both[..1], &[SIZE], &[]))];
    let wanted = [Requirement::Value, Requirement::Field(SIZE)];
    given(log).when(require(TALK, &both, &[])).then([required(TALK, &wanted, &[], &[])]);
}

#[test]
fn limits_are_set_once_and_left_out_to_have_none() {
    let event = |max_days, idle_days| {
        let clock = Clock::Business;
        Event::StageLimitsSet(StageLimitsSet { stage: TALK, max_days, idle_days, clock })
    };
    given([sales()]).when(limit(Some(14), Some(3))).then([event(Some(14), Some(3))]);
    let log = [sales(), sales_event(event(Some(14), Some(3)))];
    given(log.clone()).when(limit(Some(14), Some(3))).then_it_is_already_so();
    given(log).when(limit(None, Some(3))).then([event(None, Some(3))]);
    let limits = config_after([event(Some(14), None)]).terms(TALK).expect("they were set").limits;
    assert_eq!(limits, Limits { max_days: Some(14), idle_days: None, clock: Clock::Business });
}

#[test]
fn a_limit_is_a_day_or_more() {
    for (max_days, idle_days, field) in
        [(Some(0), None, "max_days is 0"), (Some(1), Some(-3), "idle_days is -3")]
    {
        given([sales()])
            .when(limit(max_days, idle_days))
            .refused(pipeline_refusal!(Refusal::DaysNotPositive { .. }))
            .naming([field, "one day or more", "leave it out"]);
    }
}

#[test]
fn a_hint_is_set_once_and_emptied() {
    let event =
        |hint: Option<&str>| Event::StageHintSet(StageHintSet { stage: TALK, hint: hint.map(str::to_owned) });
    given([sales()]).when(hint(" დარეკე ")).then([event(Some("დარეკე"))]);
    given([sales()]).when(hint(" ")).then_it_is_already_so();
    let log = [sales(), sales_event(event(Some("დარეკე")))];
    given(log.clone()).when(hint("დარეკე")).then_it_is_already_so();
    given(log).when(hint("")).then([event(None)]);
    let longest = "ა".repeat(LONGEST_HINT);
    given([sales()]).when(hint(&longest)).then([event(Some(&longest))]);
    given([sales()])
        .when(hint(&"ა".repeat(LONGEST_HINT + 1)))
        .refused(pipeline_refusal!(Refusal::HintTooLong { .. }))
        .naming(["4001 characters", "up to 4000"]);
}

#[test]
fn a_stages_task_templates_exist_and_are_named_once() {
    let set = |templates: &[TaskTemplateId]| Command::SetTaskTemplates {
        stage: OFFER,
        templates: templates.to_vec(),
    };
    let event = |templates: &[TaskTemplateId]| {
        let templates = templates.to_vec();
        Event::StageTaskTemplatesSet(StageTaskTemplatesSet { stage: OFFER, templates })
    };
    let log = || vec![sales(), template_defined(template(CALL_BACK, "დავურეკოთ"))];
    given(log()).when(set(&[CALL_BACK])).then([event(&[CALL_BACK])]);
    let with_it = || log().into_iter().chain([sales_event(event(&[CALL_BACK]))]);
    given(with_it()).when(set(&[CALL_BACK])).then_it_is_already_so();
    given(with_it()).when(set(&[])).then([event(&[])]);
    given(log())
        .when(set(&[CALL_BACK, SEND_OFFER]))
        .refused(pipeline_refusal!(Refusal::NoSuchTaskTemplate { .. }))
        .naming([&*SEND_OFFER.to_string(), r#"there are "დავურეკოთ""#]);
    given(log())
        .when(set(&[CALL_BACK, CALL_BACK]))
        .refused(pipeline_refusal!(Refusal::TaskTemplateTwice { .. }))
        .naming(["name each once"]);
}

#[test]
fn a_stage_is_retired_once_and_history_still_names_it() {
    given([sales()]).when(retire(TALK)).then([retired(TALK)]);
    given([sales(), sales_event(retired(TALK))]).when(retire(TALK)).then_it_is_already_so();
    let config = config_after([retired(TALK)]);
    assert!(config.is_retired(TALK));
    assert_eq!(config.stage(TALK).map(|stage| stage.name.as_str()), Some("Talk"));
    let process: Vec<StageId> = config.of_class(Class::Process).map(|stage| stage.id).collect();
    assert_eq!(process, [NEW, OFFER]);
}

#[test]
fn a_stage_is_retired_only_when_no_open_deal_stays_in_it() {
    assert_eq!(retired(TALK).claims(), [Claim::none(STAGE_DEALS_CLAIM, TALK.to_string())]);
}

#[test]
fn the_last_stage_of_a_class_is_not_retired() {
    given([sales()])
        .when(retire(WON))
        .refused(pipeline_refusal!(Refusal::LastOfClass { .. }))
        .naming([r#""Won" is the last success stage"#, "RenameStage"]);
    given([sales(), sales_event(retired(SPAM))])
        .when(retire(LOST))
        .refused(pipeline_refusal!(Refusal::LastOfClass { .. }))
        .naming([r#""Lost" is the last failure stage"#, "AddStage"]);
    given([sales(), sales_event(retired(TALK)), sales_event(retired(OFFER))])
        .when(retire(NEW))
        .refused(pipeline_refusal!(Refusal::LastOfClass { .. }))
        .naming([r#""New" is the last process stage"#, "AddStage"]);
}

#[test]
fn the_only_entry_stage_is_not_retired_and_one_of_several_is_an_entry_no_more() {
    given([sales()])
        .when(retire(NEW))
        .refused(pipeline_refusal!(Refusal::OnlyEntryStage { .. }))
        .naming(["SetEntryStages first", r#""Talk", "Offer""#]);
    let both = Event::EntryStagesSet(kvali_domain::pipeline::EntryStagesSet { stages: vec![NEW, TALK] });
    given([sales(), sales_event(both.clone())]).when(retire(NEW)).then([retired(NEW)]);
    assert_eq!(config_after([both, retired(NEW)]).entry_stages, [TALK]);
}

#[test]
fn the_deals_of_a_retired_stage_go_to_another_stage_of_its_class() {
    let to = |to| Command::RetireStage { stage: TALK, to, deals: vec![DEAL] };
    let event = StageRetired { stage: TALK, to: Some(OFFER), no_longer_required: vec![] };
    let left = deal::StageChanged {
        from: TALK,
        to: OFFER,
        pipeline_version: 2,
        visit: 3,
        with_task_of: vec![],
        retired: true,
    };
    let events =
        [AnyEvent::Pipeline(Event::StageRetired(event)), AnyEvent::Deal(deal::Event::StageChanged(left))];
    given([sales(), opened(), deal_event(moved(NEW, TALK, 2))]).when(to(Some(OFFER))).then(events);
    for (wrong, name) in [(TALK, "Talk"), (WON, "Won"), (LOST, "Lost")] {
        given([sales()])
            .when(to(Some(wrong)))
            .refused(pipeline_refusal!(Refusal::NotASuccessor { .. }))
            .naming([&*format!("cannot go to {name:?}"), r#"one of "New", "Offer""#]);
    }
    given([sales()])
        .when(to(None))
        .refused(pipeline_refusal!(Refusal::SuccessorMissing { .. }))
        .naming([r#"one of "New", "Offer""#]);
    given([sales(), sales_event(retired(OFFER))])
        .when(to(Some(OFFER)))
        .refused(pipeline_refusal!(Refusal::StageRetired { .. }))
        .naming([r#""Offer" is retired"#, r#""New", "Talk""#]);
    given([sales()])
        .when(to(Some(NOWHERE)))
        .refused(pipeline_refusal!(Refusal::UnknownStage { .. }))
        .naming(["New", "Offer"]);
}

#[test]
fn a_stage_is_not_retired_if_one_of_its_deals_cannot_follow() {
    let command = || Command::RetireStage { stage: TALK, to: Some(OFFER), deals: vec![DEAL] };
    given([sales()])
        .when(command())
        .refused(|refusal| refusal.code() == "no_such_deal")
        .naming(["open it first"]);
    given([sales(), opened(), deal_event(moved(NEW, TALK, 2)), deal_event(lost(TALK, 3))])
        .when(command())
        .refused(|refusal| matches!(refusal, AnyRefusal::Deal(_)));
}

#[test]
fn a_retired_stage_lets_go_of_the_fields_that_it_alone_required() {
    let log = [
        sales(),
        field_defined(size()),
        sales_event(required(TALK, &[Requirement::Field(SIZE)], &[SIZE], &[])),
    ];
    let event = StageRetired { stage: TALK, to: None, no_longer_required: vec![SIZE] };
    given(log).when(retire(TALK)).then([Event::StageRetired(event.clone())]);
    let uncounted = Claim::uncount(REQUIRED_CLAIM, SIZE.to_string());
    assert!(Event::StageRetired(event).claims().contains(&uncounted));
}

#[test]
fn a_retired_stage_takes_no_changes_and_no_place() {
    let log = || [sales(), sales_event(retired(TALK))];
    for command in [
        Command::RenameStage { stage: TALK, name: "Call".to_owned() },
        Command::SetEntryStages { stages: vec![NEW, TALK] },
        Command::AddStage { stage: stage(NOWHERE, "Demo", Class::Process), before: Some(TALK) },
        set_forecast(TALK, 10, ForecastCategory::Pipeline),
        require(TALK, &[Requirement::Value], &[]),
        limit(Some(1), None),
        hint("Call"),
        Command::SetTaskTemplates { stage: TALK, templates: vec![] },
    ] {
        given(log())
            .when(command)
            .refused(pipeline_refusal!(Refusal::StageRetired { .. }))
            .naming([r#""Talk" is retired"#, r#"in force are "New", "Offer""#]);
    }
    given(log())
        .when(Command::Reorder { order: vec![NEW, TALK, OFFER] })
        .refused(pipeline_refusal!(Refusal::NotAPermutation { .. }))
        .naming([r#""New", "Offer""#])
        .not_naming(["Talk"]);
    given(log())
        .when(Command::AddStage { stage: stage(TALK, "Talk", Class::Process), before: None })
        .refused(pipeline_refusal!(Refusal::StageTwice { .. }))
        .naming(["Talk"]);
}

#[test]
fn an_order_puts_retired_stages_last() {
    let order = vec![OFFER, NEW];
    let reordered = Event::StagesReordered(kvali_domain::pipeline::StagesReordered { order });
    let config = config_after([retired(TALK), reordered]);
    let order: Vec<StageId> = config.stages.iter().map(|stage| stage.id).collect();
    assert_eq!(order, [OFFER, NEW, TALK, WON, LOST, SPAM]);
}

#[test]
fn a_pipeline_is_archived_once_and_only_when_no_open_deal_is_in_it() {
    given([sales()]).when(Command::Archive {}).then([archived()]);
    given([sales(), sales_event(archived())]).when(Command::Archive {}).then_it_is_already_so();
    let free: Vec<_> =
        every_stage().iter().map(|stage| Claim::none(STAGE_DEALS_CLAIM, stage.to_string())).collect();
    assert_eq!(archived().claims(), free);
    let log = [
        sales(),
        field_defined(size()),
        sales_event(required(TALK, &[Requirement::Field(SIZE)], &[SIZE], &[])),
    ];
    let event =
        Event::Archived(Archived { pipeline: SALES, stages: every_stage(), no_longer_required: vec![SIZE] });
    given(log).when(Command::Archive {}).then([event.clone()]);
    assert!(event.claims().contains(&Claim::uncount(REQUIRED_CLAIM, SIZE.to_string())));
}

#[test]
fn an_archived_pipeline_takes_no_changes() {
    for command in [
        Command::Rename { name: "Service".to_owned() },
        Command::AddStage { stage: stage(NOWHERE, "Demo", Class::Process), before: None },
        Command::SetPolicy { policy: Policy::PERMISSIVE },
        set_forecast(TALK, 10, ForecastCategory::Pipeline),
        retire(TALK),
        Command::LinkRecycle { to: RECYCLING },
    ] {
        given([sales(), sales_event(archived())])
            .when(command)
            .refused(pipeline_refusal!(Refusal::PipelineArchived))
            .naming(["CreatePipeline"]);
    }
}

#[test]
fn a_pipeline_recycles_into_another_that_is_in_force() {
    let link = |to: PipelineId| Command::LinkRecycle { to };
    let linked = |from| Event::RecyclePipelineLinked(RecyclePipelineLinked { from, to: RECYCLING });
    let log = || recycling(None).into_iter().chain([sales()]);
    given(log()).when(link(RECYCLING)).then([linked(None)]);
    given(log().chain([sales_event(linked(None))])).when(link(RECYCLING)).then_it_is_already_so();
    given(log())
        .when(link(SALES))
        .refused(pipeline_refusal!(Refusal::RecyclesIntoItself))
        .naming(["name another one"]);
    let gone = recycling(Some(archived())).into_iter().chain([sales()]);
    for (log, to) in [(gone.collect::<Vec<_>>(), RECYCLING), (vec![sales()], SERVICE)] {
        given(log)
            .when(link(to))
            .refused(pipeline_refusal!(Refusal::NoSuchRecyclePipeline { .. }))
            .naming([&*to.to_string(), "one that is in force"]);
    }
}

#[test]
fn rules_change_with_what_deals_depend_on_and_with_nothing_else() {
    for event in [required(TALK, &[Requirement::Value], &[], &[]), retired(TALK), archived()] {
        assert_eq!(config_after([event.clone()]).rules_version, 2, "{event:?}");
    }
    let forecast = StageForecastSet { stage: TALK, probability: 10, category: ForecastCategory::Pipeline };
    let limits = StageLimitsSet { stage: TALK, max_days: Some(1), idle_days: None, clock: Clock::Calendar };
    for event in [
        Event::StageForecastSet(forecast),
        Event::StageLimitsSet(limits),
        Event::StageHintSet(StageHintSet { stage: TALK, hint: Some("Call".to_owned()) }),
        Event::StageTaskTemplatesSet(StageTaskTemplatesSet { stage: TALK, templates: vec![CALL_BACK] }),
        Event::RecyclePipelineLinked(RecyclePipelineLinked { from: None, to: RECYCLING }),
    ] {
        let config = config_after([event.clone()]);
        assert_eq!((config.version, config.rules_version), (2, 1), "{event:?}");
    }
}

#[test]
fn a_policy_written_before_next_tasks_and_grace_days_is_read_and_written_as_it_was() {
    let old = r#"{"allow_backward":false,"allow_skip":true,"allow_reopen":true,"party_required":false,"value_required":true}"#;
    let policy: Policy = serde_json::from_str(old).expect("it is read");
    assert_eq!((policy.next_task_required, policy.grace_days), (false, None));
    assert_eq!(serde_json::to_string(&policy).expect("a policy is JSON"), old);
    let new = Policy { next_task_required: true, grace_days: Some(30), ..policy };
    let json = serde_json::to_string(&new).expect("a policy is JSON");
    assert!(json.ends_with(r#""next_task_required":true,"grace_days":30}"#), "{json}");
    assert_eq!(serde_json::from_str::<Policy>(&json).expect("it is read back"), new);
}

#[test]
fn a_stage_whose_name_waits_is_warned_of_and_not_refused() {
    let waiting = stage(NOWHERE, "Waiting for reply", Class::Process);
    assert!(reads_as_waiting(&waiting.name).is_some_and(|advice| advice.contains("Offer sent")));
    let event = kvali_domain::pipeline::StageAdded { stage: waiting.clone(), before: None };
    given([sales()])
        .when(Command::AddStage { stage: waiting, before: None })
        .then([Event::StageAdded(event)]);
}

#[test]
fn a_pipeline_that_was_never_created_has_no_stages_to_configure() {
    for command in [
        set_forecast(TALK, 10, ForecastCategory::Pipeline),
        require(TALK, &[], &[]),
        limit(None, None),
        hint("Call"),
        Command::SetTaskTemplates { stage: TALK, templates: vec![] },
        retire(TALK),
        Command::Archive {},
        Command::LinkRecycle { to: RECYCLING },
    ] {
        given([])
            .when(command)
            .refused(pipeline_refusal!(Refusal::NoSuchPipeline))
            .naming(["create it first"]);
    }
}

macro_rules! deal_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Deal($pattern))
    };
}

#[test]
fn no_deal_enters_a_retired_stage() {
    let talk_retired = || [sales(), opened(), sales_event(retired(TALK))];
    for command in [move_to(TALK), correct(1, TALK, "typo")] {
        given(talk_retired())
            .when(command)
            .refused(deal_refusal!(deal::Refusal::StageRetired { .. }))
            .naming([r#""Talk" is retired"#, r#"accepted: "New", "Offer""#]);
    }
    given([sales(), sales_event(retired(TALK))])
        .when(deal::Command::Open(deal::Open { stage: Some(TALK), ..open() }))
        .refused(deal_refusal!(deal::Refusal::StageRetired { .. }))
        .naming([r#"accepted: "New""#])
        .not_naming(["Offer"]);
    let may_reopen = sales_with(Policy { allow_reopen: true, ..STRICT });
    given([may_reopen, opened(), deal_event(lost(NEW, 2)), sales_event(retired(TALK))])
        .when(reopen(TALK, "came back"))
        .refused(deal_refusal!(deal::Refusal::StageRetired { .. }))
        .naming([r#"accepted: "New", "Offer""#]);
    let spam = deal::Command::CloseLost {
        reason: Some(PRICE),
        stage: Some(SPAM),
        comment: kvali_domain::Personal::default(),
        pipeline_version: None,
    };
    given([sales(), opened(), reason(PRICE, "price", &[]), sales_event(retired(SPAM))])
        .when(spam)
        .refused(deal_refusal!(deal::Refusal::StageRetired { .. }))
        .naming([r#"accepted: "Lost""#]);
}

#[test]
fn a_retired_stage_is_not_skipped_and_is_left_for_any_other() {
    let log = [sales(), opened(), sales_event(retired(TALK))];
    given(log).when(move_to(OFFER)).then([moved_under(2, NEW, OFFER, 2)]);
    let stands_in_it = || [sales(), opened(), deal_event(moved(NEW, TALK, 2)), sales_event(retired(TALK))];
    for to in [NEW, OFFER] {
        given(stands_in_it()).when(move_to(to)).then([moved_under(2, TALK, to, 3)]);
    }
}

#[test]
fn an_archived_pipeline_takes_no_deals_and_lets_go_of_those_it_has() {
    given([sales(), sales_event(archived())])
        .when(deal::Command::Open(open()))
        .refused(deal_refusal!(deal::Refusal::PipelineArchived { .. }))
        .naming([r#""Sales" is archived"#, "a pipeline that is in force"]);
    let log = || [sales(), opened(), sales_event(archived())];
    given(log())
        .when(move_to(TALK))
        .refused(deal_refusal!(deal::Refusal::PipelineArchived { .. }))
        .naming(["CloseWon and CloseLost are accepted"]);
    let won =
        deal::Won { from: NEW, stage: WON, pipeline_version: 2, visit: 2, holds: holds_in(NEW), value: None };
    given(log()).when(CLOSE_WON).then([deal::Event::Won(won)]);
    let may_reopen = sales_with(Policy { allow_reopen: true, ..STRICT });
    given([may_reopen, opened(), deal_event(lost(NEW, 2)), sales_event(archived())])
        .when(reopen(NEW, "came back"))
        .refused(deal_refusal!(deal::Refusal::PipelineArchived { .. }))
        .naming(["open a new deal"]);
}
