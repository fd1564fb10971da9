use crate::given::{Happened, given, on};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::pipeline::{
    Class, Command, Created, EntryStagesSet, Event, MovementPolicySet, NAME_CLAIM, Policy, Refusal, Renamed,
    Stage, StageAdded, StageRenamed, StagesReordered,
};
use kvali_domain::{Claim, Refusal as AnyRefusal, StageId};

macro_rules! pipeline_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Pipeline($pattern))
    };
}

fn create(stages: Vec<Stage>) -> Command {
    Command::Create { name: "Sales".to_owned(), stages, entry_stages: vec![], policy: STRICT }
}

fn created(stages: Vec<Stage>, entry_stages: Vec<StageId>) -> Event {
    Event::Created(Created { name: "Sales".to_owned(), stages, entry_stages, policy: STRICT })
}

#[test]
fn deals_start_in_the_first_process_stage_unless_said_otherwise() {
    let mut stages = stages();
    stages.rotate_right(1);
    given([]).when(create(stages.clone())).then([created(stages.clone(), vec![NEW])]);
    let elsewhere = Command::Create {
        name: "Sales".to_owned(),
        stages: stages.clone(),
        entry_stages: vec![TALK, NEW],
        policy: STRICT,
    };
    given([]).when(elsewhere).then([created(stages, vec![TALK, NEW])]);
}

#[test]
fn creating_the_same_pipeline_again_is_already_so() {
    given([sales()]).when(create(stages())).then_it_is_already_so();
}

#[test]
fn a_pipeline_is_not_created_over_another_or_over_a_changed_one() {
    let mut others = stages();
    others.remove(1);
    given([sales()])
        .when(create(others))
        .refused(pipeline_refusal!(Refusal::AlreadyExists))
        .naming(["its own commands"]);
    given([sales(), policy_set(Policy::PERMISSIVE), policy_set(STRICT)])
        .when(create(stages()))
        .refused(pipeline_refusal!(Refusal::AlreadyExists))
        .naming(["its own commands"]);
}

#[test]
fn a_pipeline_needs_process_success_and_failure_stages() {
    let only = |ids: &[StageId]| stages().into_iter().filter(|stage| ids.contains(&stage.id)).collect();
    let two_wins = stages().into_iter().chain([stage(NOWHERE, "Won too", Class::Success)]).collect();
    for (stages, counts) in [
        (only(&[WON, LOST]), "this has 0, 1 and 1"),
        (only(&[NEW, LOST]), "this has 1, 0 and 1"),
        (only(&[NEW, WON]), "this has 1, 1 and 0"),
        (two_wins, "this has 3, 2 and 2"),
    ] {
        given([])
            .when(create(stages))
            .refused(pipeline_refusal!(Refusal::Incomplete { .. }))
            .naming(["one process stage, exactly one success and at least one failure stage", counts]);
    }
}

#[test]
fn every_stage_has_its_own_id_and_its_own_name() {
    for twin in [stage(NEW, "Other", Class::Process), stage(NOWHERE, " tALK ", Class::Failure)] {
        let stages = stages().into_iter().chain([twin.clone()]).collect();
        given([])
            .when(create(stages))
            .refused(pipeline_refusal!(Refusal::StageTwice { .. }))
            .naming([&*twin.name, "each stage needs its own"]);
        given([sales()])
            .when(Command::AddStage { stage: twin.clone(), before: None })
            .refused(pipeline_refusal!(Refusal::StageTwice { .. }))
            .naming([&*twin.name, "each stage needs its own"]);
    }
}

#[test]
fn names_are_not_blank() {
    let nameless =
        Command::Create { name: " ".to_owned(), stages: stages(), entry_stages: vec![], policy: STRICT };
    let nameless_stage = create(stages().into_iter().chain([stage(NOWHERE, "", Class::Process)]).collect());
    for command in [nameless, nameless_stage] {
        given([])
            .when(command)
            .refused(pipeline_refusal!(Refusal::Blank { .. }))
            .naming(["visible character"]);
    }
    for command in [
        Command::Rename { name: "\t".to_owned() },
        Command::RenameStage { stage: NEW, name: String::new() },
        Command::AddStage { stage: stage(NOWHERE, " ", Class::Process), before: None },
    ] {
        given([sales()])
            .when(command)
            .refused(pipeline_refusal!(Refusal::Blank { .. }))
            .naming(["name is empty", "visible character"]);
    }
}

#[test]
fn entry_stages_are_process_stages() {
    let entry = |id| Command::Create {
        name: "Sales".to_owned(),
        stages: stages(),
        entry_stages: vec![id],
        policy: STRICT,
    };
    for (id, class) in [(WON, "success"), (LOST, "failure")] {
        given([])
            .when(entry(id))
            .refused(pipeline_refusal!(Refusal::NotAnEntry { .. }))
            .naming([class, "start in a process stage"]);
        given([sales()])
            .when(Command::SetEntryStages { stages: vec![NEW, id] })
            .refused(pipeline_refusal!(Refusal::NotAnEntry { .. }))
            .naming([class, "start in a process stage"]);
    }
    given([])
        .when(entry(NOWHERE))
        .refused(pipeline_refusal!(Refusal::UnknownStage { .. }))
        .naming(["New", "Talk", "Offer"]);
}

#[test]
fn there_is_always_an_entry_stage() {
    given([sales()])
        .when(Command::SetEntryStages { stages: vec![] })
        .refused(pipeline_refusal!(Refusal::NoEntryStage { .. }))
        .naming([r#""New", "Talk", "Offer""#])
        .not_naming(["Won"]);
}

#[test]
fn entry_stages_change_once() {
    let set = || Command::SetEntryStages { stages: vec![TALK] };
    let event = Event::EntryStagesSet(EntryStagesSet { stages: vec![TALK] });
    given([sales()]).when(set()).then([event.clone()]);
    given([sales(), sales_event(event)]).when(set()).then_it_is_already_so();
}

#[test]
fn a_pipeline_is_renamed_once() {
    let rename = || Command::Rename { name: "გაყიდვები".to_owned() };
    let event =
        Event::Renamed(Renamed { from: "Sales".to_owned(), to: "გაყიდვები".to_owned() });
    given([sales()]).when(rename()).then([event]);
    given([sales(), sales_renamed()]).when(rename()).then_it_is_already_so();
}

#[test]
fn a_name_is_claimed_whatever_its_case_and_let_go_of_by_a_rename() {
    let renamed = |from: &str, to: &str| Event::Renamed(Renamed { from: from.to_owned(), to: to.to_owned() });
    assert_eq!(created(stages(), vec![NEW]).claims(), [Claim::take(NAME_CLAIM, "sales")]);
    assert_eq!(
        renamed("Sales", " Service").claims(),
        [Claim::release(NAME_CLAIM, "sales"), Claim::take(NAME_CLAIM, "service")]
    );
    assert_eq!(renamed("Sales", "SALES").claims(), []);
}

#[test]
fn a_stage_is_added_last_of_its_class_or_before_another() {
    for (class, before, expected) in [
        (Class::Process, None, [NEW, TALK, OFFER, NOWHERE, WON, LOST, SPAM]),
        (Class::Process, Some(NEW), [NOWHERE, NEW, TALK, OFFER, WON, LOST, SPAM]),
        (Class::Process, Some(OFFER), [NEW, TALK, NOWHERE, OFFER, WON, LOST, SPAM]),
        (Class::Failure, None, [NEW, TALK, OFFER, WON, LOST, SPAM, NOWHERE]),
        (Class::Failure, Some(SPAM), [NEW, TALK, OFFER, WON, LOST, NOWHERE, SPAM]),
    ] {
        let stage = stage(NOWHERE, "Demo", class);
        let event = Event::StageAdded(StageAdded { stage: stage.clone(), before });
        given([sales()]).when(Command::AddStage { stage: stage.clone(), before }).then([event.clone()]);
        assert_eq!(order_after([sales(), sales_event(event.clone())]), expected);
        given([sales(), sales_event(event)])
            .when(Command::AddStage { stage, before })
            .then_it_is_already_so();
    }
}

fn order_after(log: impl IntoIterator<Item = Happened>) -> Vec<StageId> {
    use kvali_domain::{Decider, pipeline::Pipeline};
    let mut pipeline = Pipeline::default();
    for (version, happened) in (1..).zip(log) {
        let kvali_domain::Event::Pipeline(event) = happened.event else {
            unreachable!("pipeline events only")
        };
        pipeline.evolve(&event, version, &happened.occurred);
    }
    pipeline.config().expect("it was created").stages.iter().map(|stage| stage.id).collect()
}

#[test]
fn a_stage_stands_before_one_of_its_own_class() {
    given([sales()])
        .when(Command::AddStage { stage: stage(NOWHERE, "Duplicate", Class::Failure), before: Some(TALK) })
        .refused(pipeline_refusal!(Refusal::OtherClass { .. }))
        .naming([r#""Talk" is a process stage"#, r#"before "Lost", "Spam""#]);
    given([sales()])
        .when(Command::AddStage {
            stage: stage(NOWHERE, "Demo", Class::Process),
            before: Some(StageId(DEAL.0)),
        })
        .refused(pipeline_refusal!(Refusal::UnknownStage { .. }))
        .naming(["New", "Talk", "Offer"]);
}

#[test]
fn a_pipeline_has_one_success_stage() {
    given([sales()])
        .when(Command::AddStage { stage: stage(NOWHERE, "Paid", Class::Success), before: None })
        .refused(pipeline_refusal!(Refusal::SecondSuccess { .. }))
        .naming([r#""Won" already"#, "rename it"]);
}

#[test]
fn a_stage_is_renamed_and_keeps_its_place() {
    let rename = |name: &str| Command::RenameStage { stage: TALK, name: name.to_owned() };
    let renamed = |from: &str, to: &str| {
        Event::StageRenamed(StageRenamed { stage: TALK, from: from.to_owned(), to: to.to_owned() })
    };
    let event = renamed("Talk", "საუბარი");
    given([sales()]).when(rename("საუბარი")).then([event.clone()]);
    given([sales(), sales_event(event.clone())]).when(rename("საუბარი")).then_it_is_already_so();
    given([sales()]).when(rename("TALK")).then([renamed("Talk", "TALK")]);
    assert_eq!(order_after([sales(), sales_event(event)]), [NEW, TALK, OFFER, WON, LOST, SPAM]);
}

#[test]
fn a_stage_is_not_renamed_to_anothers_name() {
    given([sales()])
        .when(Command::RenameStage { stage: TALK, name: "OFFER".to_owned() })
        .refused(pipeline_refusal!(Refusal::StageTwice { .. }))
        .naming(["OFFER", "each stage needs its own"]);
}

#[test]
fn an_unknown_stage_is_answered_with_the_stages_there_are() {
    given([sales()])
        .when(Command::RenameStage { stage: NOWHERE, name: "Demo".to_owned() })
        .refused(pipeline_refusal!(Refusal::UnknownStage { .. }))
        .naming([&*NOWHERE.to_string(), r#""New", "Talk", "Offer", "Won", "Lost", "Spam""#]);
}

#[test]
fn an_order_names_every_process_stage_once() {
    for order in [
        vec![],
        vec![NEW, TALK],
        vec![NEW, TALK, TALK],
        vec![NEW, TALK, OFFER, WON],
        vec![NEW, TALK, NOWHERE],
    ] {
        given([sales()])
            .when(Command::Reorder { order })
            .refused(pipeline_refusal!(Refusal::NotAPermutation { .. }))
            .naming([r#"every process stage once: "New", "Talk", "Offer""#])
            .not_naming(["Won"]);
    }
}

#[test]
fn an_order_holds_for_process_stages_and_is_set_once() {
    let order = vec![OFFER, NEW, TALK];
    let event = Event::StagesReordered(StagesReordered { order: order.clone() });
    given([sales()]).when(Command::Reorder { order: order.clone() }).then([event.clone()]);
    assert_eq!(order_after([sales(), sales_event(event.clone())]), [OFFER, NEW, TALK, WON, LOST, SPAM]);
    given([sales(), sales_event(event)]).when(Command::Reorder { order }).then_it_is_already_so();
}

#[test]
fn a_policy_is_set_once() {
    let policy = Policy::PERMISSIVE;
    given([sales()])
        .when(Command::SetPolicy { policy })
        .then([Event::MovementPolicySet(MovementPolicySet { policy })]);
    given([sales(), policy_set(policy)]).when(Command::SetPolicy { policy }).then_it_is_already_so();
}

#[test]
fn the_default_policy_is_the_strict_one() {
    assert_eq!(Policy::default(), STRICT);
}

#[test]
fn a_pipeline_that_was_never_created_refuses_everything_else() {
    for command in [
        Command::Rename { name: "Service".to_owned() },
        Command::AddStage { stage: stage(NOWHERE, "Demo", Class::Process), before: None },
        Command::RenameStage { stage: NEW, name: "Demo".to_owned() },
        Command::Reorder { order: vec![] },
        Command::SetEntryStages { stages: vec![NEW] },
        Command::SetPolicy { policy: STRICT },
    ] {
        given([])
            .when(command)
            .refused(pipeline_refusal!(Refusal::NoSuchPipeline))
            .naming(["create it first"]);
    }
}

#[test]
fn a_stream_of_another_aggregate_refuses_a_pipelines_commands() {
    given([registered(NINO)])
        .when(on(NINO.stream(), create(stages())))
        .refused(|refusal| refusal.code() == "other_aggregate")
        .naming(["belongs to a user", "use another id"]);
}
