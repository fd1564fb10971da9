use crate::support::Kvali;

#[test]
fn the_demo_has_every_outcome_and_adds_nothing_when_run_again() {
    let kvali = Kvali::new("demo-test");
    kvali.run(&["demo", "--deals", "120"]).ended_with(0);
    let log = kvali.log();
    let types = kvali.log_types();
    for event_type in [
        "deal.opened",
        "deal.stage_changed",
        "deal.stage_corrected",
        "deal.assigned",
        "deal.value_changed",
        "deal.expected_close_changed",
        "deal.won",
        "deal.lost",
    ] {
        assert!(types.iter().any(|found| found == event_type), "the demo has no {event_type}");
    }
    let reasons: std::collections::HashSet<_> = log
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
