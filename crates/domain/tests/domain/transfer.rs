//! A deal that changes its pipeline.

use crate::deal_more::{INTAKE, REPAIR, after, service_with, told, world_with};
use crate::given::{Happened, given, on};
use crate::merging::{TWIN, UNMERGE_DEAL, claims_of, deal_of, deals, merge_deals};
use crate::sales::*;
use kvali_domain::claim::Condition;
use kvali_domain::deal::{self, Command, Event, PipelineChanged, Refusal, Visit};
use kvali_domain::pipeline::{self, Policy, Requirement};
use kvali_domain::{DealId, Personal, PipelineId, Refusal as AnyRefusal, StageId, Version};

macro_rules! deal_refusal {
    ($pattern:pat $(if $guard:expr)?) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Deal($pattern) $(if $guard)?)
    };
}

fn transfer(pipeline: PipelineId, to: StageId) -> Command {
    Command::Transfer { pipeline, to, pipeline_version: None }
}

fn to_service() -> Command {
    transfer(SERVICE, REPAIR)
}

fn transferred(from: StageId, visit: i32) -> PipelineChanged {
    PipelineChanged {
        from_pipeline: SALES,
        to_pipeline: SERVICE,
        from,
        to: REPAIR,
        pipeline_version: 1,
        visit,
        with_task_of: vec![],
    }
}

fn of_service(event: pipeline::Event) -> Happened {
    at_start(SERVICE.stream(), event)
}

fn service_policy(policy: Policy) -> Happened {
    of_service(pipeline::Event::MovementPolicySet(pipeline::MovementPolicySet { policy }))
}

#[test]
fn a_deal_goes_to_a_stage_of_another_pipeline_and_its_visits_are_numbered_on() {
    given(told([])).when(to_service()).then([Event::PipelineChanged(transferred(NEW, 2))]);
    given(told([move_to(TALK)])).when(to_service()).then([Event::PipelineChanged(transferred(TALK, 3))]);
    let deal = deal_of(&told([move_to(TALK), to_service()]), DEAL);
    assert_eq!((deal.pipeline, deal.stage), (SERVICE, REPAIR));
    let visits = [(SALES, NEW), (SALES, TALK), (SERVICE, REPAIR)];
    assert_eq!(deal.visits, visits.map(|(pipeline, stage)| Visit { pipeline, stage }));
}

#[test]
fn a_deal_that_is_transferred_back_goes_on_with_a_further_visit() {
    let back = PipelineChanged {
        from_pipeline: SERVICE,
        to_pipeline: SALES,
        from: REPAIR,
        to: OFFER,
        pipeline_version: 2,
        ..transferred(NEW, 3)
    };
    given(told([to_service()])).when(transfer(SALES, OFFER)).then([Event::PipelineChanged(back)]);
}

#[test]
fn a_transfer_within_a_pipeline_is_refused_with_the_moves_that_are_accepted() {
    given(told([]))
        .when(transfer(SALES, TALK))
        .refused(deal_refusal!(Refusal::SamePipeline { .. }))
        .naming([r#""Sales" already"#, "MoveDeal", r#"accepted: "Talk", CloseWon or CloseLost"#]);
}

#[test]
fn the_stage_is_a_process_stage_in_force_of_the_other_pipeline() {
    let retired = pipeline::StageRetired { stage: REPAIR, to: None, no_longer_required: vec![] };
    let mut without_repair = told([]);
    without_repair.push(of_service(pipeline::Event::StageRetired(retired)));
    given(without_repair)
        .when(to_service())
        .refused(deal_refusal!(Refusal::StageRetired { .. }))
        .naming([r#"accepted: "Intake""#]);
    given(told([]))
        .when(transfer(SERVICE, TALK))
        .refused(deal_refusal!(Refusal::UnknownStage { stage: TALK, .. }))
        .naming(["Service", r#"accepted: "Intake", "Repair""#]);
    given(told([]))
        .when(transfer(SERVICE, StageId(id(112))))
        .refused(deal_refusal!(Refusal::WrongClass { .. }))
        .naming(["Done", "CloseWon"]);
    given(told([]))
        .when(transfer(PipelineId(id(99)), NEW))
        .refused(deal_refusal!(Refusal::NoSuchPipeline { .. }))
        .naming(["create it first"]);
    let archived = after(told([]), [on(SERVICE.stream(), pipeline::Command::Archive {})]);
    given(archived)
        .when(to_service())
        .refused(deal_refusal!(Refusal::PipelineArchived { .. }))
        .naming(["Service", "in force"]);
}

#[test]
fn what_the_other_pipeline_wants_of_its_deals_is_asked_and_what_is_left_holds_nothing_up() {
    let wants = |policy: Policy| {
        let mut log = told([]);
        log.push(service_policy(policy));
        log
    };
    given(wants(Policy { party_required: true, ..STRICT }))
        .when(to_service())
        .refused(deal_refusal!(Refusal::PartyRequiredThere { .. }))
        .naming(["Service", "add one before"]);
    let with_task = PipelineChanged { with_task_of: vec![DEAL], pipeline_version: 2, ..transferred(NEW, 2) };
    given(wants(Policy { next_task_required: true, ..STRICT }))
        .when(to_service())
        .then([Event::PipelineChanged(with_task)]);
    let required = |stage, entry: &[Requirement], exit: &[Requirement]| {
        pipeline::Event::StageRequirementsSet(pipeline::StageRequirementsSet {
            stage,
            entry: entry.to_vec(),
            exit: exit.to_vec(),
            newly_required: vec![],
            no_longer_required: vec![],
        })
    };
    let mut on_entry = told([]);
    on_entry.push(of_service(required(REPAIR, &[Requirement::Owner], &[])));
    given(on_entry)
        .when(to_service())
        .refused(deal_refusal!(Refusal::Requirements { .. }))
        .naming(["Repair", "an owner"]);
    let mut on_exit = told([]);
    on_exit.push(sales_event(required(NEW, &[], &[Requirement::Value])));
    given(on_exit).when(to_service()).then([Event::PipelineChanged(transferred(NEW, 2))]);
}

#[test]
fn a_transferred_deal_moves_and_closes_by_the_rules_that_are_there() {
    given(told([transfer(SERVICE, INTAKE)])).when(move_to(REPAIR)).then([moved(INTAKE, REPAIR, 3)]);
    given(told([to_service()]))
        .when(move_to(INTAKE))
        .refused(deal_refusal!(Refusal::Backward { .. }))
        .naming(["Intake"]);
    given(told([to_service()]))
        .when(move_to(TALK))
        .refused(deal_refusal!(Refusal::UnknownStage { stage: TALK, .. }))
        .naming(["Service"]);
    let (done, holds) = (StageId(id(112)), holds_in(REPAIR));
    given(told([to_service()])).when(CLOSE_WON).then([Event::Won(deal::Won {
        from: REPAIR,
        stage: done,
        pipeline_version: 1,
        visit: 3,
        holds,
        value: None,
    })]);
}

#[test]
fn a_deal_that_is_closed_archived_or_not_there_is_not_transferred() {
    given(told([CLOSE_WON]))
        .when(to_service())
        .refused(deal_refusal!(Refusal::Closed { .. }))
        .naming(["won"]);
    given(told([CLOSE_WON, Command::Archive {}]))
        .when(to_service())
        .refused(deal_refusal!(Refusal::Archived))
        .naming(["RestoreDeal"]);
    given(world_with(STRICT))
        .when(to_service())
        .refused(deal_refusal!(Refusal::NoSuchDeal))
        .naming(["open it first"]);
}

#[test]
fn a_hold_outlasts_a_transfer() {
    let hold = Command::PutOnHold { until: date("2024-08-01"), reason: Personal::default() };
    given(told([hold, to_service()])).when(Command::Resume {}).then([Event::Resumed(deal::Resumed {})]);
}

#[test]
fn a_transfer_does_not_run_backwards_in_time() {
    given(told([]))
        .back_dated(instant("2024-07-01T09:00:00Z"))
        .when(to_service())
        .refused(deal_refusal!(Refusal::RunsBackwards { .. }))
        .naming(["never run backwards"]);
}

#[test]
fn a_named_version_is_one_of_the_other_pipeline_and_conflicts_if_its_rules_changed_since() {
    let naming = |version: Version| Command::Transfer {
        pipeline: SERVICE,
        to: REPAIR,
        pipeline_version: Some(version),
    };
    let mut log = told([]);
    log.push(service_policy(Policy { allow_skip: true, ..STRICT }));
    given(log.clone())
        .when(naming(1))
        .refused(deal_refusal!(Refusal::RulesChanged { named: 1, changed_in: 2, current: 2 }))
        .naming(["name version 2"]);
    given(log.clone())
        .when(naming(3))
        .refused(deal_refusal!(Refusal::NoSuchVersion { named: 3, current: 2 }))
        .naming(["current one is 2"]);
    let changed = PipelineChanged { pipeline_version: 2, ..transferred(NEW, 2) };
    given(log).when(naming(2)).then([Event::PipelineChanged(changed)]);
}

#[test]
fn a_visit_is_corrected_to_a_stage_of_the_pipeline_that_it_was_in() {
    let Event::StageCorrected(first) = corrected_before(1, NEW, TALK, Personal::new("wrong")) else {
        panic!("a correction")
    };
    let in_sales = Event::StageCorrected(deal::StageCorrected { pipeline_version: 2, ..first.clone() });
    given(told([to_service()])).when(correct(1, TALK, "wrong")).then([in_sales]);
    let last = deal::StageCorrected { visit: 2, from: REPAIR, to: INTAKE, current: true, ..first };
    given(told([to_service()])).when(correct(2, INTAKE, "wrong")).then([Event::StageCorrected(last)]);
    given(told([to_service()]))
        .when(correct(1, INTAKE, "wrong"))
        .refused(deal_refusal!(Refusal::UnknownStage { stage: INTAKE, .. }))
        .naming(["Sales"]);
}

#[test]
fn a_transferred_deal_is_counted_in_its_new_stage_and_holds_the_old_one_no_more() {
    let log = told([]);
    let claims = claims_of(&log, &on(DEAL.stream(), to_service()));
    assert_eq!(claims, [(Condition::Uncount, NEW.to_string()), (Condition::Count, REPAIR.to_string())]);
    let gone = after(log, [on(DEAL.stream(), to_service())]);
    let claims = claims_of(&gone, &on(DEAL.stream(), CLOSE_WON));
    assert_eq!(claims, [(Condition::Uncount, REPAIR.to_string())]);
}

/// With one deal merged into the other, which is transferred then.
fn merged_and_transferred() -> Vec<Happened> {
    let mut log = deals();
    log.push(service_with(STRICT));
    let order = merge_deals(&log, DEAL, TWIN);
    // Sent to the one that is gone, it reaches the survivor.
    after(log, [order, on(TWIN.stream(), to_service())])
}

#[test]
fn the_survivor_of_a_merge_stays_in_its_new_pipeline_and_the_other_comes_back_where_it_was() {
    let log = merged_and_transferred();
    assert_eq!(deal_of(&log, DEAL).pipeline, SERVICE);
    let log = after(log, [on(DEAL.stream(), UNMERGE_DEAL)]);
    let place = |deal: DealId| {
        let deal = deal_of(&log, deal);
        (deal.pipeline, deal.stage)
    };
    assert_eq!((place(DEAL), place(TWIN)), ((SERVICE, REPAIR), (SALES, NEW)));
    given(log.clone())
        .when(merge_deals(&log, DEAL, TWIN))
        .refused(deal_refusal!(Refusal::OtherPipeline { deal: TWIN }))
        .naming(["one pipeline"]);
}

#[test]
fn a_deal_whose_stage_was_retired_does_not_come_back_into_another_pipelines_stage() {
    let entries = on(SALES.stream(), pipeline::Command::SetEntryStages { stages: vec![TALK] });
    let retire = pipeline::Command::RetireStage { stage: NEW, to: None, deals: vec![] };
    let orders = [entries, on(SALES.stream(), retire), on(DEAL.stream(), UNMERGE_DEAL)];
    let back = deal_of(&after(merged_and_transferred(), orders), TWIN);
    assert_eq!((back.pipeline, back.stage), (SALES, TALK));
}

#[test]
fn a_revived_deal_that_was_transferred_back_to_sales_is_not_handed_back_as_well() {
    let recycled = DealId(id(101));
    let revive = Command::Revive { recycled, owner: None };
    let orders = [transfer(SALES, OFFER), CLOSE_WON].map(|command| on(recycled.stream(), command));
    given(after(told([close_lost(Some(PRICE)), revive]), orders))
        .when(on(recycled.stream(), Command::HandBack { deal: DealId(id(102)), owner: None }))
        .refused(deal_refusal!(Refusal::BackInSales))
        .naming(["nowhere to hand it back to"]);
}
