use crate::support::Kvali;
use serde_json::{Value, json};

pub(crate) const NINO: &str = "0190d9c6-4a00-7000-8000-000000000021";
pub(crate) const LUCA: &str = "0190d9c6-4a00-7000-8000-000000000022";

/// A pipeline, two users, a source, a tag and a loss reason, as an admin sets them up.
pub(crate) fn company(tenant: &str) -> Kvali {
    let kvali = Kvali::new(tenant);
    let stage = |at: u32, name: &str, class: &str| json!({ "id": format!("0190d9c6-4a00-7000-8000-0000000000{at}"), "name": name, "class": class });
    let stages = [
        stage(11, "Lead", "process"),
        stage(12, "Offer", "process"),
        stage(13, "Won", "success"),
        stage(14, "Lost", "failure"),
    ];
    let dictionary = "0190d9c6-4a00-7000-8000-000000000031";
    for (command, body) in [
        ("CreatePipeline", json!({ "name": "Sales", "stages": stages })),
        ("RegisterUser", json!({ "user": NINO, "name": "Nino" })),
        ("InviteUser", json!({ "user": LUCA, "name": "Luca Rossi", "mail": "Luca@kvali.ge" })),
        (
            "DefineSource",
            json!({ "source": dictionary, "code": "site", "label": "Site", "channel": "web_form" }),
        ),
        ("DefineTag", json!({ "tag": dictionary, "name": "Hot" })),
        ("DefineLossReason", json!({ "reason": dictionary, "code": "price", "label": "Too dear" })),
    ] {
        kvali.json(0, &["do", command, "--json", &body.to_string()]);
    }
    kvali.json(0, &["do", "ActivateUser", "--id", LUCA]);
    kvali
}

/// What a form answers with.
fn done(kvali: &Kvali, words: &[&str]) -> Value {
    kvali.json(0, words)
}

pub(crate) fn id(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

pub(crate) fn types(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn a_lead_goes_from_capture_to_a_deal_without_json_or_ids() {
    let kvali = company("forms-lead");
    let captured = done(
        &kvali,
        &[
            "lead",
            "capture",
            "--name",
            "Nino Abashidze",
            "--email",
            "Nino@acme.ge",
            "--phone",
            "+995 555 12 34 56",
            "--source",
            "site",
            "--company",
            "Acme",
        ],
    );
    assert_eq!(types(&captured), ["lead.captured", "lead.point_added", "lead.point_added"]);
    let lead = "nino@acme.ge";
    assert_eq!(types(&done(&kvali, &["lead", "assign", lead, "luca@kvali.ge"])), ["lead.assigned"]);
    assert_eq!(types(&done(&kvali, &["lead", "tag", "+995555123456", "hot"])), ["lead.tagged"]);
    assert_eq!(types(&done(&kvali, &["lead", "qualify", lead, "--as", "Luca Rossi"])), ["lead.qualified"]);
    let convert = [
        "lead",
        "convert",
        lead,
        "--company",
        "Acme",
        "--deal",
        "--pipeline",
        "sales",
        "--value",
        "1200",
        "GEL",
    ];
    let converted = done(&kvali, &convert);
    let happened = types(&converted);
    for event in [
        "lead.converted",
        "contact.created",
        "contact.point_added",
        "company.created",
        "deal.opened",
        "deal.company_set",
    ] {
        assert!(happened.contains(&event), "no {event} in {happened:?}");
    }
    assert_eq!(converted["commands"].as_array().unwrap().len(), 1);
    let opened =
        converted["events"].as_array().unwrap().iter().find(|event| event["type"] == "deal.opened").unwrap();
    assert_eq!(
        opened["what"],
        json!("opened in Lead with Nino Abashidze, owned by Luca Rossi, worth 1200 GEL")
    );
    // The contact is known by the lead's address.
    assert_eq!(types(&done(&kvali, &["contact", "tag", lead, "Hot"])), ["contact.tagged"]);
    assert_eq!(kvali.log().last().unwrap()["actor"], kvali.log()[0]["actor"]);
    kvali.fails(3, &convert);
}

#[test]
fn a_lead_is_given_up_for_a_reason_and_taken_up_again() {
    let kvali = company("forms-lead-lost");
    done(
        &kvali,
        &["lead", "capture", "--company", "Acme", "--email", "a@acme.ge", "--owner", "luca@kvali.ge"],
    );
    let words = kvali.fails(3, &["lead", "disqualify", "a@acme.ge"]);
    assert!(words.contains("price"), "{words}");
    let disqualified =
        done(&kvali, &["lead", "disqualify", "a@acme.ge", "--reason", "PRICE", "--comment", "no money"]);
    assert_eq!(types(&disqualified), ["lead.disqualified"]);
    assert_eq!(types(&done(&kvali, &["lead", "recycle", "a@acme.ge"])), ["lead.recycled"]);
}

#[test]
fn people_and_companies_are_added_and_then_known_by_address_and_domain() {
    let kvali = company("forms-contact");
    let add = [
        "contact",
        "add",
        "--name",
        "Anna Schmidt",
        "--email",
        "anna@acme.ge",
        "--phone",
        "555 12 34 56",
        "--country",
        "GE",
    ];
    assert_eq!(types(&done(&kvali, &add)), ["contact.created", "contact.point_added", "contact.point_added"]);
    let words = kvali.fails(3, &add);
    assert!(words.contains("CreateContact is refused"), "{words}");
    let twice = [&add[..], &["--duplicate", "--reason", "shared"]].concat();
    done(&kvali, &twice);
    let words = kvali.fails(1, &["deal", "open", "--pipeline", "Sales", "--contact", "anna@acme.ge"]);
    assert!(words.contains("more than one contact"), "{words}");
    let made = done(&kvali, &["company", "add", "Acme", "--domain", "acme.ge", "--owner", NINO]);
    assert_eq!(types(&made), ["company.created", "company.domains_set"]);
    let opened = done(&kvali, &["deal", "open", "--pipeline", "Sales", "--company", "Acme.ge"]);
    assert_eq!(types(&opened), ["deal.opened"]);
}

#[test]
fn a_deal_is_worked_on_by_its_number_and_the_names_of_stages() {
    let kvali = company("forms-deal");
    done(&kvali, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4711", "--owner", NINO]);
    done(&kvali, &["deal", "value", "4711", "1200.50", "GEL"]);
    done(&kvali, &["deal", "assign", "shop:4711", "luca@kvali.ge"]);
    done(&kvali, &["deal", "next-step", "4711", "Send the offer"]);
    done(&kvali, &["deal", "tag", "4711", "hot"]);
    let moved = done(&kvali, &["deal", "move", "4711", "offer"]);
    assert_eq!(moved["events"][0]["what"], json!("moved from Lead to Offer"));
    assert_eq!(
        done(&kvali, &["deal", "move", "4711", "Offer"])["commands"][0]["outcome"],
        json!("already_so")
    );
    let won = done(&kvali, &["deal", "won", "4711", "--as", "luca@kvali.ge"]);
    assert_eq!(won["events"][0]["what"], json!("won from Offer, worth 1200.50 GEL"));
    let last = kvali.log().pop().unwrap();
    assert_eq!((&last["actor"], &last["channel"]), (&json!(LUCA), &json!("cli")));
    let words = kvali.fails(3, &["deal", "value", "4711", "5", "GEL"]);
    assert!(words.contains("SetDealValue is refused"), "{words}");
    assert_eq!(kvali.story("4711").len(), 7);
}

#[test]
fn a_deal_goes_to_another_pipeline_by_the_names_of_pipeline_and_stage() {
    let kvali = company("forms-transfer");
    let stage = |at: u32, name: &str, class: &str| json!({ "id": format!("0190d9c6-4a00-7000-8000-0000000000{at}"), "name": name, "class": class });
    let stages = [stage(41, "Intake", "process"), stage(43, "Done", "success"), stage(44, "Gone", "failure")];
    let service = json!({ "name": "Service", "stages": stages });
    kvali.json(0, &["do", "CreatePipeline", "--json", &service.to_string()]);
    done(&kvali, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4711"]);
    done(&kvali, &["deal", "move", "4711", "Offer"]);
    let words = kvali.fails(3, &["deal", "transfer", "4711", "Sales", "Lead"]);
    assert!(words.contains("\"Sales\" already"), "{words}");
    let there = done(&kvali, &["deal", "transfer", "4711", "service", "intake"]);
    assert_eq!(there["events"][0]["what"], json!("transferred from Offer in Sales to Intake in Service"));
    done(&kvali, &["deal", "won", "4711"]);
    let shown = kvali.json(0, &["deal", "show", "4711"]);
    assert_eq!((&shown["pipeline"], &shown["stage"]), (&json!("Service"), &json!("Done")));
    assert_eq!(shown["visits"], json!(["Lead in Sales", "Offer in Sales", "Intake", "Done"]));
    let told = [
        "opened in Lead",
        "moved from Lead to Offer",
        "transferred from Offer in Sales to Intake in Service",
        "won from Intake",
    ];
    assert_eq!(kvali.story("4711"), told);
}

#[test]
fn a_deal_is_lost_for_a_reason_at_a_past_time() {
    let kvali = company("forms-lost");
    let deal =
        ["deal", "open", "--pipeline", "Sales", "--external", "shop:1", "--occurred", "2026-03-01T09:30"];
    done(&kvali, &deal);
    let words = kvali.fails(3, &["deal", "lost", "1"]);
    assert!(words.contains("a loss needs a reason") && words.contains("price"), "{words}");
    let lost = [
        "deal",
        "lost",
        "1",
        "--reason",
        "price",
        "--occurred",
        "2026-03-02T09:30",
        "--zone",
        "Asia/Tbilisi",
    ];
    assert_eq!(done(&kvali, &lost)["events"][0]["what"], json!("lost from Lead (Lost): Too dear"));
    assert_eq!(kvali.log().pop().unwrap()["occurred"]["at"], json!("2026-03-02T05:30:00Z"));
}

#[test]
fn a_task_is_added_put_off_and_done() {
    let kvali = company("forms-task");
    done(&kvali, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4711"]);
    let add = ["task", "add", "Call back", "--due", "2046-11-30", "--for", "luca@kvali.ge", "--deal", "4711"];
    let added = done(&kvali, &[&add[..], &["--kind", "call", "--zone", "Asia/Tbilisi"]].concat());
    let task = id(&added);
    let shown = kvali.json(0, &["task", "show", &task]);
    assert_eq!((&shown["subject"], &shown["assignee"]), (&json!("Call back"), &json!("Luca Rossi")));
    assert_eq!((&shown["state"], &shown["due"]), (&json!("open"), &json!("2046-11-30 in Asia/Tbilisi")));
    done(&kvali, &["task", "snooze", &task, "2h"]);
    done(&kvali, &["task", "reschedule", &task, "--due", "2046-12-02T10:00", "--comment", "away"]);
    done(&kvali, &["task", "assign", &task, NINO, "--comment", "hers"]);
    let words = kvali.fails(3, &["task", "cancel", &task]);
    assert!(words.contains("reason"), "{words}");
    done(&kvali, &["task", "done", &task, "--result", "Reached"]);
    assert_eq!(kvali.json(0, &["task", "show", &task])["state"], json!("done"));
    let mine =
        done(&kvali, &["task", "add", "Tidy up", "--due", "2046-12-01T18:00", "--as", "luca@kvali.ge"]);
    done(&kvali, &["task", "cancel", &id(&mine), "--reason", "obsolete"]);
}

#[test]
fn an_unknown_name_is_told_with_the_known_ones() {
    let kvali = company("forms-unknown");
    done(&kvali, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4711", "--owner", NINO]);
    for (words, told) in [
        (
            &["deal", "move", "4711", "Ofer"] as &[&str],
            &["stage \"Ofer\"", "Lead, Offer, Won, Lost"] as &[&str],
        ),
        (&["deal", "assign", "4711", "Ana"], &["user \"Ana\"", "Luca Rossi", "Nino"]),
        (&["deal", "lost", "4711", "--reason", "prize"], &["loss reason \"prize\"", "price"]),
        (&["deal", "open", "--pipeline", "Sails"], &["pipeline \"Sails\"", "Sales"]),
        (&["deal", "won", "4712"], &["deal \"4712\""]),
        (
            &["deal", "open", "--pipeline", "Sales", "--company", "Acme"],
            &["company \"Acme\"", "domain or id"],
        ),
        (&["lead", "qualify", "a@acme.ge"], &["lead \"a@acme.ge\"", "e-mail, phone or id"]),
        (&["deal", "tag", "4711", "cold"], &["tag \"cold\"", "Hot"]),
        (&["lead", "capture", "--name", "A", "--source", "sight"], &["source \"sight\"", "site"]),
        (&["task", "done", "7"], &["\"7\" is no id of a task"]),
        (&["task", "add", "A", "--for", "Luca Rossi", "--due", "soon"], &["\"soon\" is no time"]),
    ] {
        let said = kvali.fails(1, words);
        for told in told {
            assert!(said.contains(told), "{words:?} does not say {told}: {said}");
        }
    }
    let said = kvali.fails(2, &["deal", "won", "4711", "--reason", "two words"]);
    assert!(said.contains("no spaces"), "{said}");
    let said = kvali.fails(2, &["task", "add", "A", "--for", NINO, "--due", "2046-01-01", "--kind", "dance"]);
    assert!(said.contains("to_do"), "{said}");
}
