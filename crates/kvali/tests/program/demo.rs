use crate::support::Kvali;
use std::collections::BTreeSet;

/// As the README has it started: three thousand deals meet what a few never do.
#[test]
fn the_demo_is_told_to_its_end() {
    let kvali = Kvali::new("demo-whole");
    kvali.run(&["demo"]).ended_with(0);
}

#[test]
fn the_demo_has_every_outcome_and_adds_nothing_when_run_again() {
    let kvali = Kvali::new("demo-test");
    kvali.run(&["demo", "--deals", "120"]).ended_with(0);
    let log = kvali.log();
    let types = kvali.log_types();
    for event_type in [
        "deal.opened",
        "deal.stage_changed",
        "deal.pipeline_changed",
        "deal.stage_corrected",
        "deal.assigned",
        "deal.value_changed",
        "deal.expected_close_changed",
        "deal.won",
        "deal.lost",
        "deal.contact_added",
        "deal.line_added",
        "deal.put_on_hold",
        "deal.approval_granted",
        "deal.approval_refused",
        "deal.tagged",
        "deal.stage_limit_exceeded",
        "deal.revived",
        "deal.handed_back",
        "pipeline.recycle_pipeline_linked",
        "pipeline.stage_hint_set",
        "pipeline.stage_forecast_set",
        "pipeline.stage_limits_set",
        "pipeline.stage_requirements_set",
        "pipeline.stage_task_templates_set",
        "lead.converted",
        "lead.disqualified",
        "lead.recycled",
        "contact.point_added",
        "contact.affiliation_started",
        "company.parent_set",
        "task.snoozed",
        "task.rescheduled",
        "task.became_overdue",
        "task.overdue_cause_determined",
        "meeting.held",
        "call.missed",
        "call.missed_returned",
        "conversation.linked",
        "conversation.message_read",
        "user.absence_ended",
        "handover.work_handed_over",
        "handover.work_returned",
    ] {
        assert!(types.iter().any(|found| found == event_type), "the demo has no {event_type}");
    }
    let late =
        |event: &&serde_json::Value| event["type"] == "task.completed" && event["data"]["late"] == true;
    assert!(log.iter().any(|event| late(&event)), "no task was done late");
    let reasons: BTreeSet<_> = log
        .iter()
        .filter(|event| event["type"] == "deal.lost")
        .map(|event| event["data"]["reason"].to_string())
        .collect();
    assert!(reasons.len() > 3);
    kvali.run(&["demo", "--deals", "120"]).ended_with(0);
    assert_eq!(kvali.log(), log);
}

#[test]
fn a_longer_demo_begins_like_a_shorter_one() {
    let (short, long) = (Kvali::new("demo-short"), Kvali::new("demo-long"));
    short.run(&["demo", "--deals", "5"]).ended_with(0);
    long.run(&["demo", "--deals", "9"]).ended_with(0);
    for deal in ["D-00001", "D-00003", "D-00005"] {
        assert_eq!(short.story(deal), long.story(deal));
    }
}

#[test]
fn the_demo_holds_each_aggregate_and_counts_it() {
    let kvali = Kvali::new("demo-aggregates");
    kvali.run(&["demo", "--deals", "60"]).ended_with(0);
    let commands = kvali.json(0, &["do", "--list"]);
    let known: BTreeSet<_> =
        commands.as_array().unwrap().iter().map(|row| row["aggregate"].as_str().unwrap()).collect();
    let types = kvali.log_types();
    let held: BTreeSet<_> = types.iter().filter_map(|of| of.split('.').next()).collect();
    assert_eq!(held, known);
    let answer = kvali.run(&["--format", "csv", "demo", "--deals", "60"]).stdout();
    for aggregate in known {
        let of = |event: &&String| event.split('.').next() == Some(aggregate);
        let events = types.iter().filter(of);
        let (kinds, count) = (events.clone().collect::<BTreeSet<_>>().len(), events.count());
        let row = answer.lines().find(|line| line.starts_with(&format!("{aggregate},"))).unwrap();
        assert!(row.ends_with(&format!(",{kinds},{count}")), "{row} is not {kinds} kinds, {count} events");
    }
}

#[test]
fn a_deal_of_the_demo_comes_of_a_lead_and_takes_forms() {
    let kvali = Kvali::new("demo-forms");
    kvali.run(&["demo", "--deals", "4"]).ended_with(0);
    let opened = &kvali.json(0, &["deal", "history", "D-00004"])[0];
    let converted = |event: &&serde_json::Value| event["type"] == "lead.converted";
    let convert = kvali.log().iter().find(converted).unwrap()["command_id"].clone();
    let at = usize::try_from(opened["position"].as_u64().unwrap()).unwrap() - 1;
    assert_eq!(kvali.log()[at]["command_id"], convert);
    let capture =
        ["lead", "capture", "--name", "Nino Abashidze", "--email", "nino@acme.ge", "--source", "site"];
    kvali.run(&capture).ended_with(0);
    kvali.run(&["lead", "assign", "nino@acme.ge", "Giorgi Kapanadze"]).ended_with(0);
}
