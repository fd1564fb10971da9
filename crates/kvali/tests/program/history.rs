use crate::data::{HISTORY, HISTORY_MAP};
use crate::support::{Kvali, counts};
use serde_json::json;

#[test]
fn the_same_file_again_adds_nothing() {
    let kvali = Kvali::new("same-twice");
    let file = kvali.file("moves.csv", HISTORY);
    let first = kvali.import(0, &file, &[]);
    assert_eq!(counts(&first), [5, 0, 0, 0, 2, 8]);
    assert_eq!((&first["first_position"], &first["last_position"]), (&json!(1), &json!(8)));
    let before = kvali.log();

    let again = kvali.import(0, &file, &[]);
    assert_eq!(counts(&again), [0, 5, 0, 0, 2, 0]);
    assert_eq!((&again["first_position"], &again["last_position"]), (&json!(null), &json!(null)));
    assert_eq!(kvali.log(), before);
}

#[test]
fn a_file_adds_nothing_of_where_a_deal_was_before_it_was_transferred() {
    let kvali = Kvali::new("transferred");
    let file = kvali.file("moves.csv", HISTORY);
    kvali.import(0, &file, &[]);
    let id = |at: u32| format!("0190d9c6-4a00-7000-8000-0000000000{at}");
    let classes = [(41, "Intake", "process"), (42, "Done", "success"), (43, "Gone", "failure")];
    let stages = classes.map(|(at, name, class)| json!({ "id": id(at), "name": name, "class": class }));
    let service = json!({ "name": "Service", "stages": stages });
    kvali.json(0, &["do", "CreatePipeline", "--json", &service.to_string()]);
    kvali.json(0, &["deal", "transfer", "A", "Service", "Intake"]);
    let before = kvali.log();
    // Its rows again, and the same stages at other times.
    let of_a = HISTORY.lines().filter(|line| !line.starts_with('B')).collect::<Vec<_>>().join("\n");
    let later = kvali.file("later.csv", &of_a.replace("T09:00", "T10:00"));
    for (file, expected) in [(&file, [0, 5, 0, 0]), (&later, [0, 0, 3, 0])] {
        let again = kvali.import(0, file, &[]);
        assert_eq!(counts(&again)[..4], expected, "{again}");
        assert_eq!(kvali.log(), before);
    }
}

#[test]
fn a_grown_file_adds_only_what_is_new_and_its_new_stages() {
    let kvali = Kvali::new("grown");
    let file = kvali.file("moves.csv", HISTORY);
    kvali.import(0, &file, &[]);
    let before = kvali.log();

    let grown =
        [HISTORY, "B,Signed,Nino,2024-01-06T09:00:00Z\nC,Signed,Nino,2024-01-07T09:00:00Z\n"].concat();
    let report = kvali.import(0, &kvali.file("grown.csv", &grown), &[]);
    assert_eq!(counts(&report), [2, 5, 0, 0, 3, 4]);
    let log = kvali.log();
    assert_eq!(log[..before.len()], before);
    let new: Vec<_> = log[before.len()..].iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = ["pipeline.stage_added", "pipeline.entry_stages_set", "deal.stage_changed", "deal.opened"];
    assert_eq!(new, expected);
    assert_eq!(kvali.story("C"), ["opened in Signed"]);
}

#[test]
fn a_known_row_with_another_actor_is_refused_alone() {
    let kvali = Kvali::new("other-actor");
    kvali.import(0, &kvali.file("moves.csv", HISTORY), &[]);
    let changed = HISTORY.replace("B,Offer,Luca", "B,Offer,Nino") + "B,Contract,Luca,2024-01-06T09:00:00Z\n";
    let changed = kvali.file("changed.csv", &changed);
    let dry = kvali.import(3, &changed, &["--dry-run"]);
    let report = kvali.import(3, &changed, &[]);
    assert_eq!((counts(&dry), counts(&report)), (counts(&report), [1, 4, 0, 1, 2, 1]));
    assert_eq!(dry["refusals"], report["refusals"]);
    let refusal = &report["refusals"][0];
    assert_eq!(
        (&refusal["line"], &refusal["column"], &refusal["value"]),
        (&json!(5), &json!("actor"), &json!("Nino"))
    );
    assert!(refusal["reason"].as_str().unwrap().contains("write the name that stood there"), "{refusal}");
}

#[test]
fn a_dry_run_writes_nothing_and_foretells_the_real_run() {
    let kvali = Kvali::new("dry-run");
    let file = kvali.file("moves.csv", &[HISTORY, "A,Lead,Nino,2024-13-01\n"].concat());
    let dry = kvali.import(3, &file, &["--dry-run"]);
    assert_eq!(kvali.log(), Vec::<serde_json::Value>::new());

    let real = kvali.import(3, &file, &[]);
    assert_eq!(counts(&dry), counts(&real));
    assert_eq!(dry["refusals"], real["refusals"]);

    let after = kvali.log();
    let dry = kvali.import(3, &file, &["--dry-run"]);
    assert_eq!(counts(&dry), [0, 5, 0, 1, 2, 0]);
    assert_eq!(kvali.log(), after);
}

#[test]
fn stages_stand_in_the_order_given_then_as_they_appear_with_an_unused_won_and_lost() {
    let kvali = Kvali::new("stage-order");
    let file = kvali.file("moves.csv", &HISTORY.replace("Contract", "Won"));
    kvali.import(0, &file, &["--stage", "Seen, once", "--stage", "Offer"]);
    let created = &kvali.log()[0]["data"];
    let stages: Vec<_> = created["stages"].as_array().unwrap().iter().collect();
    let names: Vec<_> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Seen, once", "Offer", "Lead", "Won", "Won (closed)", "Lost"]);
    let classes: Vec<_> = stages.iter().map(|stage| stage["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["process", "process", "process", "process", "success", "failure"]);
    assert_eq!(created["entry_stages"].as_array().unwrap().len(), 4);
}

#[test]
fn a_map_closes_deals_reopens_them_and_sets_what_they_are_worth() {
    let kvali = Kvali::new("mapped");
    let map = kvali.file("moves.toml", HISTORY_MAP);
    let file = kvali.file(
        "moves.csv",
        "deal,stage,actor,occurred_at,owner,amount,why\n\
         A,Lead,Nino,2024-01-01T09:00:00Z,Nino,100,\n\
         A,Offer,Nino,2024-01-02T09:00:00Z,Nino,150.50,\n\
         A,Won,Nino,2024-01-03T09:00:00Z,Luca,200,\n\
         A,Won,Nino,2024-01-03T10:00:00Z,Luca,200,\n\
         A,Lead,Luca,2024-01-04T09:00:00Z,Luca,90,\n\
         A,Lead,Luca,2024-01-05T09:00:00Z,Luca,90,\n\
         A,Lost,Luca,2024-01-06T09:00:00Z,Luca,90,Too dear\n\
         B,Lead,Luca,2024-01-06T10:00:00Z,,,\n\
         B,Lost,Luca,2024-01-06T11:00:00Z,,,\n",
    );
    let map = map.to_str().unwrap();
    let report = kvali.import(0, &file, &["--map", map]);
    assert_eq!(counts(&report)[..4], [7, 0, 2, 0]);
    assert_eq!(
        kvali.story("A"),
        [
            "opened in Lead, owned by Nino, worth 100 EUR",
            "value changed from 100 EUR to 150.50 EUR",
            "moved from Lead to Offer",
            "assigned to Luca",
            "value changed from 150.50 EUR to 200 EUR",
            "won from Offer, worth 200 EUR",
            "reopened in Lead",
            "value changed from 200 EUR to 90 EUR",
            "lost from Lead (Lost): Price",
        ]
    );
    assert_eq!(kvali.story("B"), ["opened in Lead", "lost from Lead (Lost): Not recorded"]);
    let deal = kvali.json(0, &["deal", "show", "A"]);
    assert_eq!(
        (&deal["state"], &deal["owner"], &deal["stage"]),
        (&json!("lost"), &json!("Luca"), &json!("Lost"))
    );
    assert_eq!(counts(&kvali.import(0, &file, &["--map", map])), [0, 9, 0, 0, 2, 0]);
}

#[test]
fn repeated_stages_collapse() {
    let kvali = Kvali::new("collapse");
    let file = kvali.file(
        "moves.csv",
        "deal,stage,actor,occurred_at\nA,Lead,Nino,2024-01-01\nA,Lead,Nino,2024-01-02\nA,lead ,Nino,2024-01-02\n",
    );
    assert_eq!(counts(&kvali.import(0, &file, &[]))[..4], [1, 0, 2, 0]);
    assert_eq!(kvali.story("A"), ["opened in Lead"]);
}

#[test]
fn an_unsorted_file_is_imported_in_the_order_of_time() {
    let kvali = Kvali::new("unsorted");
    let mut lines: Vec<_> = HISTORY.lines().collect();
    lines[1..].reverse();
    let file = kvali.file("moves.csv", &lines.join("\n"));
    assert_eq!(counts(&kvali.import(0, &file, &[]))[..4], [5, 0, 0, 0]);
    assert_eq!(
        kvali.story("A"),
        ["opened in Lead", "moved from Lead to Offer", "moved from Offer to Contract"]
    );
}

#[test]
fn every_refused_row_is_listed_with_line_column_value_and_reason() {
    let kvali = Kvali::new("refused-rows");
    let file = kvali.file(
        "moves.csv",
        "deal,stage,actor,occurred_at\nA,Lead,Nino,2024-01-05\nA,Offer,Nino,yesterday\n,Offer,Nino,2024-01-06\nA,Offer\n",
    );
    let report = kvali.import(3, &file, &[]);
    let cells = |at: usize| {
        let refusal = &report["refusals"][at];
        let text = |key: &str| refusal[key].as_str().unwrap_or_default().to_owned();
        (refusal["line"].as_u64().unwrap(), text("column"), text("value"), text("reason"))
    };
    let (line, column, value, reason) = cells(0);
    assert_eq!((line, column.as_str(), value.as_str()), (3, "occurred_at", "yesterday"));
    assert!(reason.contains("2017-03-01"), "{reason}");
    assert_eq!(cells(1), (4, "deal".into(), String::new(), "is empty".into()));
    assert_eq!(cells(2).0, 5);
    assert_eq!(counts(&report)[..4], [1, 0, 0, 3]);

    let earlier = kvali.file("more.csv", "deal,stage,actor,occurred_at\nA,Offer,Nino,2024-01-01\n");
    let list = kvali.path("refused.csv");
    let report = kvali.import(3, &earlier, &["--refusals", list.to_str().unwrap()]);
    let refusal = &report["refusals"][0];
    assert_eq!((&refusal["line"], &refusal["column"]), (&json!(2), &json!("occurred_at")));
    assert_eq!((&refusal["value"], &refusal["code"]), (&json!("2024-01-01"), &json!("runs_backwards")));
    let list = std::fs::read_to_string(list).unwrap();
    assert!(list.starts_with("line,column,value,reason,code\n2,occurred_at,2024-01-01,"), "{list}");
}

#[test]
fn a_table_shows_twenty_refused_rows_and_counts_the_rest() {
    let kvali = Kvali::new("many-refused");
    let rows: String = (0..25).map(|_| "A,Lead,Nino,never\n").collect();
    let file =
        kvali.file("moves.csv", &["deal,stage,actor,occurred_at\nA,Lead,Nino,2024-01-01\n", &rows].concat());
    let ran = kvali.run(&["import", "history", file.to_str().unwrap(), "--pipeline", "Sales"]);
    ran.ended_with(3);
    assert_eq!(ran.stdout().matches("never").count(), 20);
    assert!(ran.stdout().contains("5 more were refused; --refusals FILE lists them all."), "{ran}");
}

#[test]
fn deals_of_another_pipeline_are_refused_with_the_way_out() {
    let kvali = Kvali::new("other-pipeline");
    let file = kvali.file("moves.csv", HISTORY);
    kvali.import(0, &file, &[]);
    let file = file.to_str().unwrap();
    let ran = kvali.run(&["import", "history", file, "--pipeline", "Service"]);
    ran.ended_with(3);
    assert!(ran.stdout().contains("--source NAME"), "{ran}");
    let other = kvali.json(0, &["import", "history", file, "--pipeline", "Service", "--source", "desk"]);
    assert_eq!(counts(&other)[..4], [5, 0, 0, 0]);
    kvali.run(&["deal", "show", "A"]).failed_saying(1, &["name one as csv:A, desk:A"]);
    let deal = kvali.json(0, &["deal", "show", "A", "--source", "desk"]);
    assert_eq!(deal, kvali.json(0, &["deal", "show", "desk:A"]));
    assert_eq!(
        (&deal["pipeline"], &deal["visits"]),
        (&json!("Service"), &json!(["Lead", "Offer", "Contract"]))
    );
}

#[test]
fn columns_that_are_not_read_are_said_aloud() {
    let kvali = Kvali::new("unused-columns");
    let file = kvali.file("moves.csv", "deal,stage,actor,occurred_at,mood\nA,Lead,Nino,2024-01-01,good\n");
    assert_eq!(kvali.import(0, &file, &[])["unused_columns"], json!(["mood"]));
}

#[test]
fn an_actors_name_stands_in_no_event_in_clear_and_is_shown_to_whoever_may() {
    let kvali = Kvali::new("sealed-actor");
    let file = kvali.file("moves.csv", "deal,stage,actor,occurred_at\nA,Lead,Ketevan Tsereteli,2024-01-01\n");
    let ran = kvali.run(&["import", "history", file.to_str().unwrap(), "--pipeline", "Sales"]);
    ran.ended_with(0);
    assert!(!kvali.log().iter().any(|event| event.to_string().contains("Ketevan")));
    let history = kvali.json(0, &["deal", "history", "A"]);
    assert_eq!(history[0]["actor"], "Ketevan Tsereteli");
    assert_eq!((&history[0]["channel"], &history[0]["reason"]), (&json!("import"), &json!("imported")));
    assert_eq!(
        (&history[0]["occurred"], &history[0]["precision"]),
        (&json!("2024-01-01 (UTC)"), &json!("day"))
    );
}
