use crate::support::{Kvali, counts, rows};
use serde_json::json;

const MAP: &str = "\
source = \"crm\"
[columns]
actor = \"\"
account = \"account\"
[only]
pipeline = [\"sales\"]
[stages.table]
file = \"stages.csv\"
stage = \"id\"
name = \"label\"
order = \"place\"
closed = \"closed\"
won = \"won\"
[stages.table.only]
pipeline = [\"sales\"]
";

const STAGES: &str = "\
id,label,place,closed,won,pipeline
12,Offer,2,false,false,sales
11,Lead,1,FALSE,FALSE,sales
13,Won,3,true,true,sales
14,Lost,4,true,false,sales
21,Ticket,1,false,false,service
";

const ROWS: &str = "\
deal,stage,occurred_at,account,pipeline
A,11,2024-01-01,7,sales
A,12,2024-01-02,7,sales
A,13,2024-01-03,7,sales
B,14,2024-01-04,9,sales
C,21,2024-01-05,,service
";

#[test]
fn a_table_of_stages_names_orders_and_ends_them() {
    let kvali = Kvali::new("stage-table");
    kvali.file("stages.csv", STAGES);
    kvali.import_records(
        0,
        "companies",
        &kvali.file("companies.csv", "id,name\n7,Vake Clinic\n"),
        &["--source", "crm"],
    );
    let company = kvali.log()[0]["stream"].clone();
    let (file, map) = (kvali.file("rows.csv", ROWS), kvali.file("map.toml", MAP));
    let map = map.to_str().unwrap();
    let report = kvali.import(0, &file, &["--map", map]);
    assert_eq!(counts(&report)[..5], [4, 0, 0, 0, 2], "{report}");
    let log = kvali.log();
    let created = log.iter().find(|event| event["type"] == "pipeline.created").unwrap();
    let stages: Vec<_> =
        created["data"]["stages"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(stages, ["Lead", "Offer", "Won", "Lost"]);
    assert_eq!(kvali.story("A"), ["opened in Lead", "moved from Lead to Offer", "won from Offer"]);
    // The deal's account is the company of the same source.
    let opened = log.iter().find(|event| event["type"] == "deal.opened").unwrap();
    assert_eq!(opened["data"]["party"], json!({"company": company}));
    // A deal whose first row closes it was open before.
    assert_eq!(kvali.story("B"), ["opened in Lead with 9", "lost from Lead (Lost): Not recorded"]);
    assert_eq!(counts(&kvali.import(0, &file, &["--map", map])), [0, 4, 0, 0, 2, 0]);
}

#[test]
fn a_table_of_stages_that_cannot_be_used_says_why() {
    let kvali = Kvali::new("stage-table-bad");
    let (file, map) = (kvali.file("rows.csv", ROWS), kvali.file("map.toml", MAP));
    let args =
        ["import", "history", file.to_str().unwrap(), "--pipeline", "Sales", "--map", map.to_str().unwrap()];
    assert!(kvali.fails(1, &args).contains("stages.csv"));
    for (from, to, told) in [
        ("place", "nr", "has no column \"place\""),
        ("FALSE,FALSE", "no,no", "is neither true nor false"),
        ("Lead,1", "Lead,first", "is not a plain number"),
    ] {
        kvali.file("stages.csv", &STAGES.replacen(from, to, 1));
        let said = kvali.fails(1, &args);
        assert!(said.contains(told), "{told:?} is not said in {said}");
    }
    kvali.file(
        "stages.csv",
        &STAGES.replace("false,false", "true,false").replace("FALSE,FALSE", "true,false"),
    );
    assert!(kvali.fails(1, &args).contains("no stage in which a deal is open"));
}

#[test]
fn rows_that_only_keeps_out_count_nowhere() {
    let kvali = Kvali::new("only");
    let map =
        "source = \"crm\"\n[columns]\nid = \"id\"\nname = \"name\"\n[only]\nkind = [\"clinic\", \"lab\"]\n";
    let file = kvali.file("all.csv", "id,name,kind\n1,Vake,clinic\n2,Bank,bank\n3,Lab,lab\n4,Short\n");
    let map = kvali.file("only.toml", map);
    let report = kvali.import_records(3, "companies", &file, &["--map", map.to_str().unwrap()]);
    assert_eq!((rows(&report), &report["rows"]), ([2, 0, 0, 1], &json!(3)));
}
