//! What people look at: the board, a customer's timeline, completeness, search.

use crate::support::Kvali;
use serde_json::Value;

/// A tenant with a pipeline, a deal of Nino's with Acme, a task, a note.
fn office(tenant: &str) -> Kvali {
    let kvali = Kvali::new(tenant);
    let moves = "deal,stage,actor,occurred_at\n\
                 1,Lead,Tamar,2024-01-01\n1,Offer,Tamar,2024-01-05\n2,Lead,Levan,2024-01-02\n3,Lead,Tamar,2024-01-03\n";
    let file = kvali.file("moves.csv", moves);
    kvali.import(0, &file, &[]);
    kvali.json(0, &["contact", "add", "--name", "Nino Beridze", "--email", "nino@acme.ge"]);
    kvali.json(0, &["note", "add", "prefers mornings", "--contact", "nino@acme.ge"]);
    kvali
}

#[track_caller]
fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("{key} in {value}"))
}

#[test]
fn the_board_counts_stages_and_shows_cards() {
    let kvali = office("seeing_board");
    let board = kvali.json(0, &["board", "--pipeline", "sales"]);
    let columns: Vec<_> = list(&board, "columns")
        .iter()
        .map(|column| (column["stage"].clone(), column["deals"].clone()))
        .collect();
    assert_eq!(columns[..2], [("Lead".into(), 2.into()), ("Offer".into(), 1.into())]);
    let one = kvali.json(0, &["board", "--pipeline", "Sales", "--stage", "Offer", "--limit", "1"]);
    assert_eq!(list(&one, "cards").len(), 1);
    let then =
        kvali.json(0, &["board", "--pipeline", "Sales", "--as-of", "2024-01-04", "--clock", "happened"]);
    assert_eq!(list(&then, "columns")[0]["deals"], 3);
    let csv = kvali.run(&["--format", "csv", "board", "--pipeline", "Sales"]);
    csv.ended_with(0);
    assert!(csv.stdout().starts_with("stage,deals,worth\nLead,2,"), "{}", csv.stdout());
    assert!(kvali.run(&["board", "--pipeline", "Sales"]).stdout().contains("Sales: open deals"));
    for (args, said) in [
        (["--pipeline", "Service", "--stage", "Lead"], "no pipeline \"Service\"; there are \"Sales\""),
        (["--pipeline", "Sales", "--stage", "Ofer"], "no stage \"Ofer\""),
        (["--pipeline", "Sales", "--owner", "Nobody"], "no owner \"Nobody\""),
        (["--pipeline", "Sales", "--as-of", "9999"], "position 9999 is not in the log"),
    ] {
        let told = kvali.fails(1, &[&["board"], &args[..]].concat());
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_timeline_tells_a_customer_in_words_newest_first() {
    let kvali = office("seeing_timeline");
    let page = kvali.json(0, &["timeline", "--contact", "nino@acme.ge"]);
    let what: Vec<&str> =
        list(&page, "entries").iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["added: prefers mornings", "point added: nino@acme.ge", "created: Nino Beridze"]);
    let notes = kvali.json(0, &["timeline", "--contact", "nino@acme.ge", "--kind", "note"]);
    assert_eq!(list(&notes, "entries").len(), 1);
    let before = notes["entries"][0]["position"].to_string();
    let earlier = kvali.json(0, &["timeline", "--contact", "nino@acme.ge", "--before", &before]);
    assert_eq!(list(&earlier, "entries").len(), 2);
    let deal = kvali.json(0, &["timeline", "--deal", "1"]);
    assert_eq!(deal["entries"][0]["what"], "moved from Lead to Offer");
    assert!(kvali.fails(1, &["timeline"]).contains("say whose timeline"));
    assert!(kvali.fails(1, &["timeline", "--contact", "x@y.ge"]).contains("no contact \"x@y.ge\""));
    assert!(kvali.fails(2, &["timeline", "--deal", "1", "--kind", "visit"]).contains("none of contact"));
    assert!(kvali.fails(1, &["timeline", "--deal", "1", "--as-of", "9999"]).contains("position 9999"));
}

#[test]
fn search_finds_by_name_address_and_number() {
    let kvali = office("seeing_search");
    for text in ["ნინო", "nino berid", "berize", "nino@ac"] {
        let found = kvali.json(0, &["search", text]);
        assert_eq!(list(&found, "found")[0]["name"], "Nino Beridze", "{text}");
    }
    let csv = kvali.run(&["--format", "csv", "search", "beridze"]);
    assert!(csv.stdout().starts_with("kind,id,name,matched,archived,score\ncontact,"), "{}", csv.stdout());
    assert!(list(&kvali.json(0, &["search", "nino", "--as-of", "1"]), "found").is_empty());
    assert!(kvali.fails(1, &["search", "–"]).contains("no letter and no digit"));
    assert!(kvali.fails(1, &["search", "nino", "--as-of", "9999"]).contains("position 9999"));
}

#[test]
fn completeness_names_what_nobody_fills() {
    let kvali = office("seeing_completeness");
    let all = kvali.json(0, &["completeness", "--of", "contact"]);
    let fields = list(&all["entities"][0], "fields");
    let standing = |name: &str| {
        let field = fields.iter().find(|field| field["field"] == name).unwrap();
        field["standing"].clone()
    };
    assert_eq!((standing("email"), standing("phone")), ("filled".into(), "never".into()));
    let unfilled = kvali.json(0, &["completeness", "--of", "contact", "--unfilled"]);
    assert!(list(&unfilled["entities"][0], "fields").iter().all(|field| field["standing"] != "filled"));
    assert!(kvali.run(&["completeness"]).stdout().contains("Completeness per owner"));
    assert!(kvali.fails(1, &["completeness", "--owner", "Nobody"]).contains("Nobody"));
    let nobody = "0190d9c6-4a00-7000-8000-0000000000e1";
    let told = kvali.fails(1, &["completeness", "--owner", nobody]);
    assert!(told.contains(&format!("no owner {nobody:?}")), "{told}");
    assert!(kvali.fails(2, &["completeness", "--rare", "200"]).contains("0 to 100"));
    assert!(kvali.fails(1, &["completeness", "--as-of", "9999"]).contains("position 9999"));
}
