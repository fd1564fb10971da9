use crate::data::{COMPANIES, CONTACTS, DEALS, DEALS_MAP, LEADS, TASKS};
use crate::support::{Kvali, rows};
use serde_json::{Value, json};

fn figures(report: &Value) -> [u64; 5] {
    ["reverted", "already_reverted", "left", "set_up_stays", "changed_before_stays"]
        .map(|figure| report[figure].as_u64().unwrap_or_else(|| panic!("no {figure} in {report}")))
}

fn import_of(report: &Value) -> String {
    report["import"].as_str().unwrap().to_owned()
}

#[test]
fn what_nobody_touched_is_undone_and_a_second_revert_adds_nothing() {
    let kvali = Kvali::new("revert");
    let contacts = CONTACTS.replace(",7,", ",,");
    for (kind, text, undone) in [
        ("companies", COMPANIES, [2, 0, 0, 2, 0]),
        ("contacts", &contacts, [2, 0, 0, 0, 0]),
        ("leads", LEADS, [2, 0, 0, 0, 0]),
    ] {
        let report = kvali.import_records(0, kind, &kvali.file(&format!("{kind}.csv"), text), &[]);
        let import = import_of(&report);
        let log = kvali.log();
        let dry = kvali.json(0, &["import", "revert", &import, "--dry-run"]);
        assert_eq!((figures(&dry), kvali.log()), (undone, log.clone()));
        assert_eq!(figures(&kvali.json(0, &["import", "revert", &import])), undone, "{kind}");
        let after = kvali.log();
        assert_eq!(after.len(), log.len() + 2);
        assert!(
            after[log.len()..].iter().all(|event| event["type"].as_str().unwrap().ends_with(".archived"))
        );
        let again = kvali.json(0, &["import", "revert", &import]);
        assert_eq!(figures(&again), [0, 2, 0, undone[3], 0]);
        assert_eq!(kvali.log(), after);
        let imported = kvali.import_records(0, kind, &kvali.path(&format!("{kind}.csv")), &[]);
        assert_eq!(rows(&imported), [0, 2, 0, 0], "what was undone stays undone");
    }
}

#[test]
fn what_somebody_touched_is_left_and_listed_with_who_and_what() {
    let kvali = Kvali::new("revert-touched");
    let report = kvali.import_records(
        0,
        "contacts",
        &kvali.file("contacts.csv", CONTACTS.replace(",7,", ",,").as_str()),
        &[],
    );
    let import = import_of(&report);
    let touched = kvali.log()[0]["stream"].as_str().unwrap().to_owned();
    kvali.json(0, &["do", "RenameContact", "--id", &touched, "--json", "{\"given\": \"Keti\"}"]);
    let reverted = kvali.json(3, &["import", "revert", &import]);
    assert_eq!(figures(&reverted), [1, 0, 1, 0, 0]);
    let left = &reverted["records_left"][0];
    assert_eq!((&left["id"], &left["kind"]), (&json!(touched), &json!("contact")));
    let why = left["why"].as_str().unwrap();
    assert!(why.starts_with("touched by cli on ") && why.ends_with(": contact.renamed"), "{why}");
    let before = kvali.log().len();
    assert_eq!(figures(&kvali.json(3, &["import", "revert", &import])), [0, 1, 1, 0, 0]);
    assert_eq!(kvali.log().len(), before);
}

#[test]
fn what_others_refer_to_is_left_until_they_are_reverted_too() {
    let kvali = Kvali::new("revert-referred");
    let import = |kind: &str, text: &str| {
        import_of(&kvali.import_records(0, kind, &kvali.file(&format!("{kind}.csv"), text), &[]))
    };
    let companies = import("companies", COMPANIES);
    let contacts = import("contacts", CONTACTS);
    let reverted = kvali.json(3, &["import", "revert", &companies]);
    assert_eq!(figures(&reverted)[..3], [1, 0, 1]);
    let why = reverted["records_left"][0]["why"].as_str().unwrap();
    assert!(
        why.starts_with("referred to by import on ") && why.ends_with("contact.affiliation_started"),
        "{why}"
    );
    let dry = kvali.json(3, &["import", "revert", &companies, "--dry-run"]);
    assert_eq!(figures(&dry)[..3], [0, 1, 1]);

    let log = kvali.log();
    let keti =
        log.iter().find(|event| event["type"] == "contact.created").unwrap()["stream"].as_str().unwrap();
    let note = format!(
        "{{\"about\": {{\"contact\": \"{keti}\"}}, \"text\": \"a friend\", \"visibility\": \"all\"}}"
    );
    kvali.json(0, &["do", "AddNote", "--json", &note]);
    let reverted = kvali.json(3, &["import", "revert", &contacts]);
    assert_eq!(figures(&reverted)[..3], [1, 0, 1], "{reverted}");
}

#[test]
fn an_import_that_only_changed_what_was_there_undoes_nothing_and_says_so() {
    let kvali = Kvali::new("revert-changed");
    kvali.import_records(0, "companies", &kvali.file("old.csv", COMPANIES), &[]);
    let newer = COMPANIES.replace("Vake Clinic", "Vake Hospital");
    let report = kvali.import_records(0, "companies", &kvali.file("new.csv", &newer), &[]);
    let reverted = kvali.json(0, &["import", "revert", &import_of(&report)]);
    assert_eq!(figures(&reverted), [0, 0, 0, 0, 1]);
    let nothing = "0190d9c6-0000-7000-8000-000000000001";
    assert!(kvali.fails(1, &["import", "revert", nothing]).contains("has no import"));
}

#[test]
fn closed_deals_are_archived_and_open_ones_and_done_tasks_are_left() {
    let kvali = Kvali::new("revert-deals");
    let (file, map) = (kvali.file("deals.csv", DEALS), kvali.file("deals.toml", DEALS_MAP));
    let report = kvali.import_deals(0, &file, &map, &[]);
    let reverted = kvali.json(3, &["import", "revert", &import_of(&report)]);
    assert_eq!(figures(&reverted)[..3], [2, 0, 2], "{reverted}");
    assert!(reverted["records_left"][0]["why"].as_str().unwrap().contains("would count as a loss"));
    let tasks = TASKS.replace(",1,7", ",,").replace(",2,", ",,");
    let report = kvali.import_records(0, "tasks", &kvali.file("tasks.csv", &tasks), &[]);
    let reverted = kvali.json(3, &["import", "revert", &import_of(&report)]);
    assert_eq!(figures(&reverted)[..3], [1, 0, 1], "{reverted}");
    assert!(reverted["records_left"][0]["why"].as_str().unwrap().contains("done"), "{reverted}");
}
