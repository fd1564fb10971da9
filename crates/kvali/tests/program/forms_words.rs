use crate::forms::{LUCA, NINO, company, id, types};
use serde_json::json;

const ANNA: &str = "0190d9c6-4a00-7000-8000-000000000023";
const DEAL: [&str; 8] = ["deal", "open", "--pipeline", "Sales", "--external", "shop:4711", "--owner", NINO];

#[test]
fn users_are_found_by_name_before_they_have_work_and_namesakes_are_told() {
    let kvali = company("forms-names");
    let deal = ["deal", "assign", "4711"];
    kvali.json(0, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4711"]);
    kvali.json(0, &["do", "RegisterUser", "--json", &json!({ "user": ANNA, "name": "Anna" }).to_string()]);
    assert_eq!(types(&kvali.json(0, &[&deal[..], &["anna"]].concat())), ["deal.assigned"]);
    kvali.json(0, &["user", "invite", "Nino", "nino@kvali.ge"]);
    let words = kvali.fails(1, &[&deal[..], &["Nino"]].concat());
    for told in ["several users", NINO, "(nino@kvali.ge)"] {
        assert!(words.contains(told), "{told} is not said in {words}");
    }
}

#[test]
fn an_id_names_a_record_of_its_kind_or_none() {
    let kvali = company("forms-kinds");
    let lead = id(&kvali.json(0, &["lead", "capture", "--email", "a@acme.ge", "--owner", NINO]));
    kvali.json(0, &["lead", "qualify", "a@acme.ge"]);
    let words = kvali.fails(1, &["lead", "convert", "a@acme.ge", "--company", ANNA]);
    assert!(words.contains("there is no company"), "{words}");
    let words = kvali.fails(1, &["lead", "convert", "a@acme.ge", "--company", &lead]);
    assert!(words.contains("is no company but a lead"), "{words}");
    let words = kvali.fails(1, &["deal", "won", &lead]);
    assert!(words.contains("is no deal but a lead"), "{words}");
}

#[test]
fn a_deals_story_is_told_in_words() {
    let kvali = company("forms-story");
    let deal = id(&kvali.json(0, &DEAL));
    let acme = id(&kvali.json(0, &["company", "add", "Acme"]));
    let elena = id(&kvali.json(0, &["contact", "add", "--name", "Elena", "--email", "elena@acme.ge"]));
    let field = json!({ "field": ANNA, "entity": "deal", "key": "beds", "label": "Beds", "type": "number",
        "class": "none" });
    kvali.json(0, &["do", "DefineField", "--json", &field.to_string()]);
    let line =
        json!({ "product": NINO, "quantity": "2", "unit_price": { "amount": "10.00", "currency": "GEL" } });
    for (command, body) in [
        ("SetDealCompany", json!({ "company": acme })),
        ("AddDealContact", json!({ "contact": elena, "role": "decision_maker" })),
        ("AddDealLine", json!({ "line": line })),
        ("SetDealFields", json!({ "fields": [{ "field": ANNA, "value": { "number": "3" } }] })),
    ] {
        kvali.json(0, &["do", command, "--id", &deal, "--json", &body.to_string()]);
    }
    kvali.json(0, &["deal", "tag", "4711", "hot"]);
    let other = id(&kvali.json(0, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4712"]));
    kvali.json(0, &["merge", "deals", "4712", "4711"]);
    assert_eq!(
        kvali.story("4711")[1..],
        [
            "company set: Acme".to_owned(),
            "contact added: Elena (decision maker)".to_owned(),
            format!("line 1 added: 2 of {NINO} at 10.00 GEL"),
            "value set to 20.00 GEL".to_owned(),
            "Beds: 3".to_owned(),
            "tagged Hot".to_owned(),
            format!("merged into deal {other}"),
        ]
    );
    let story = kvali.story("4712");
    let merged = story.last().unwrap();
    assert!(merged.starts_with(&format!("merged with {deal}; changed: ")), "{merged}");
    assert!(merged.contains("Beds") && merged.contains("tags"), "{merged}");
    assert_eq!(kvali.json(0, &["deal", "show", "4711"])["merged_into"], json!(other));
}

#[test]
fn open_work_is_listed_and_handed_over_whole() {
    let kvali = company("forms-work");
    let deal = id(&kvali.json(0, &DEAL));
    kvali.json(0, &["deal", "open", "--pipeline", "Sales", "--external", "shop:1", "--owner", NINO]);
    kvali.json(0, &["deal", "won", "shop:1"]);
    let lead = id(&kvali.json(0, &["lead", "capture", "--name", "Elena", "--owner", LUCA]));
    kvali.json(0, &["lead", "assign", &lead, NINO]);
    let task = id(&kvali.json(0, &["task", "add", "Call", "--due", "2046-07-03", "--for", NINO]));
    let work = |user| kvali.json(0, &["user", "work", user]);
    assert_eq!(
        work("Nino"),
        json!([
            { "kind": "deal", "id": deal, "called": "shop:4711" },
            { "kind": "lead", "id": lead, "called": "Elena" },
            { "kind": "task", "id": task, "called": "Call" },
        ])
    );
    let handed = kvali.json(0, &["user", "hand-over", "Nino", "--to", "Luca Rossi", "--all"]);
    let happened = ["handover.work_handed_over", "deal.assigned", "lead.assigned", "task.reassigned"];
    assert_eq!(types(&handed), happened);
    assert_eq!((work("Nino"), work(LUCA).as_array().map(Vec::len)), (json!([]), Some(3)));
}
