use crate::support::Kvali;
use serde_json::{Value, json};

const LEAD: &str = "0190d9c6-4a00-7000-8000-000000000011";
const OFFER: &str = "0190d9c6-4a00-7000-8000-000000000012";

fn done(kvali: &Kvali, words: &[&str]) -> Value {
    kvali.json(0, &[&["do"], words].concat())
}

/// Creates a pipeline and opens a deal in it; answers with the deal's id.
fn deal(kvali: &Kvali) -> String {
    let stage = |id: &str, name: &str, class: &str| json!({ "id": id, "name": name, "class": class });
    let body = json!({ "name": "Sales", "stages": [
        stage(LEAD, "Lead", "process"),
        stage(OFFER, "Offer", "process"),
        stage("0190d9c6-4a00-7000-8000-000000000013", "Won", "success"),
        stage("0190d9c6-4a00-7000-8000-000000000014", "Lost", "failure"),
    ]});
    let made = done(kvali, &["CreatePipeline", "--json", &body.to_string()]);
    assert_eq!(
        (&made["outcome"], &made["events"][0]["type"]),
        (&json!("accepted"), &json!("pipeline.created"))
    );
    let open = json!({ "pipeline": made["id"] }).to_string();
    done(kvali, &["OpenDeal", "--json", &open])["id"].as_str().unwrap().to_owned()
}

#[test]
fn any_command_is_carried_out_by_its_word() {
    let kvali = Kvali::new("do");
    let deal = deal(&kvali);
    let to = json!({ "to": OFFER }).to_string();
    let moved = done(&kvali, &["MoveDeal", "--id", &deal, "--json", &to]);
    assert_eq!(moved["events"][0]["data"]["to"], json!(OFFER));
    assert_eq!(done(&kvali, &["MoveDeal", "--id", &deal, "--json", &to])["outcome"], json!("already_so"));
    let id = "0190d9c6-4a00-7000-8000-0000000000aa";
    let value = json!({ "value": { "amount": "12.50", "currency": "GEL" } }).to_string();
    let set = ["SetDealValue", "--id", &deal, "--json", &value, "--command-id", id];
    assert_eq!(done(&kvali, &set)["outcome"], json!("accepted"));
    let known = done(&kvali, &set);
    assert_eq!((&known["outcome"], known["events"].as_array().unwrap().len()), (&json!("known"), 1));
}

#[test]
fn a_refused_command_says_what_would_be_accepted_and_ends_with_3() {
    let kvali = Kvali::new("do-refused");
    let deal = deal(&kvali);
    let words = kvali.fails(3, &["do", "CloseLost", "--id", &deal]);
    assert!(words.contains("a loss needs a reason"), "{words}");
    let words = kvali.fails(3, &["do", "CloseWon", "--id", &deal, "--expect", "7"]);
    assert!(words.contains("version 7") && words.contains("at 1"), "{words}");
}

#[test]
fn what_is_no_command_is_told_what_is() {
    let kvali = Kvali::new("do-wrong");
    for (words, told) in [
        (&["movedeal"] as &[&str], "MoveDeal"),
        (&["MoveDeal", "--json", "{\"to\": 7}"], "`to`"),
        (&["MoveDeal", "--json", "{\"to\""], "no JSON"),
        (&["MoveDeal", "--json", "@/nowhere/at/all"], "/nowhere/at/all"),
        (&["MoveDeal", "--json", "{\"to\": \"0190d9c6-4a00-7000-8000-000000000012\"}"], "--id"),
    ] {
        let said = kvali.fails(1, &[&["do"], words].concat());
        assert!(said.contains(told), "{words:?}: {said}");
    }
}

#[test]
fn every_command_is_listed_and_has_a_schema() {
    let kvali = Kvali::new("do-list");
    let all = kvali.json(0, &["do", "--list"]);
    assert!(all.as_array().unwrap().iter().any(|row| row["command"] == json!("MoveDeal")));
    let schema = kvali.json(0, &["do", "MoveDeal", "--schema"]);
    assert_eq!(schema["schema"]["required"], json!(["to"]));
}
