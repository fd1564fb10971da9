use crate::support::Kvali;
use serde_json::{Value, json};

/// A deal that was moved, and a contact that was renamed.
fn office(tenant: &str) -> Kvali {
    let kvali = Kvali::new(tenant);
    let moves = "deal,stage,actor,occurred_at\n1,Lead,Tamar,2024-01-01\n1,Offer,Tamar,2024-01-05\n";
    kvali.import(0, &kvali.file("moves.csv", moves), &[]);
    let added = kvali.json(0, &["contact", "add", "--name", "=Nino", "--email", "nino@acme.ge"]);
    let id = added["id"].as_str().unwrap();
    kvali.json(0, &["do", "RenameContact", "--id", id, "--json", r#"{"given": "Nina"}"#, "--reason", "typo"]);
    kvali.json(0, &["note", "add", "wants a discount", "--deal", "1"]);
    kvali
}

#[track_caller]
fn entries(kvali: &Kvali, args: &[&str]) -> Vec<Value> {
    let told = kvali.json(0, &[&["audit"], args].concat());
    told["entries"].as_array().unwrap_or_else(|| panic!("{told}")).clone()
}

fn types(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect()
}

#[test]
fn what_happened_to_a_deal_and_what_somebody_did_is_one_call_each() {
    let kvali = office("audit_calls");
    let deal = entries(&kvali, &["--deal", "1"]);
    assert_eq!(types(&deal), ["note.added", "deal.stage_changed", "deal.opened"]);
    assert_eq!(deal[1]["channel"], "import");
    let tamar = entries(&kvali, &["--actor", "Tamar"]);
    assert_eq!(types(&tamar), ["deal.stage_changed", "deal.opened"]);
    let renamed = entries(&kvali, &["--contact", "nino@acme.ge", "--type", "contact.renamed"]);
    assert_eq!(renamed[0]["reason_code"], "typo");
    let changes = renamed[0]["changes"].as_array().unwrap();
    assert!(changes.contains(&json!({ "field": "given", "before": null, "after": "Nina" })), "{changes:?}");
    assert!(changes.contains(&json!({ "field": "full", "before": "=Nino", "after": null })), "{changes:?}");
    assert_eq!(types(&entries(&kvali, &["--category", "configuration"])), ["pipeline.created"]);
    let first = kvali.json(0, &["audit", "--deal", "1", "--limit", "1"]);
    let rest = entries(&kvali, &["--deal", "1", "--cursor", first["cursor"].as_str().unwrap()]);
    assert_eq!(rest, deal[1..]);

    let said = kvali.fails(3, &["do", "CloseWon", "--id", deal[0]["stream"].as_str().unwrap()]);
    assert!(!said.is_empty());
    let refused = entries(&kvali, &["--kind", "refused"]);
    assert_eq!(refused[0]["what"], "CloseWon");
}

#[test]
fn it_is_told_in_words_and_as_csv() {
    let kvali = office("audit_words");
    let table = kvali.run(&["audit", "--deal", "1", "--field", "stage"]);
    table.ended_with(0);
    for word in ["Lead", "Offer", "Tamar", "stage"] {
        assert!(table.stdout().contains(word), "{word} in {}", table.stdout());
    }
    let csv =
        kvali.run(&["--format", "csv", "audit", "--contact", "nino@acme.ge", "--type", "contact.created"]);
    csv.ended_with(0);
    assert!(csv.stdout().starts_with("kind,recorded_at,occurred_at,position,"), "{}", csv.stdout());
    assert!(csv.stdout().contains(",full,,'=Nino,"), "{}", csv.stdout());
    for (args, said) in [
        (&["--deal", "1", "--contact", "nino@acme.ge"][..], "say one thing"),
        (&["--actor", "Nobody"], "Nobody"),
        (&["--type", "deal.wonn"], "deal.won"),
        (&["--channel", "fax"], "timer"),
        (&["--from", "yesterday"], "--from"),
    ] {
        let told = kvali.fails(1, &[&["audit"], args].concat());
        assert!(told.contains(said), "{told}");
    }
    assert!(kvali.fails(2, &["audit", "--kind", "seen"]).contains("refused"));
}

#[test]
fn a_digest_that_was_noted_proves_that_nothing_was_altered_since() {
    let kvali = office("audit_digest");
    let noted = kvali.json(0, &["audit", "digest"]);
    let (position, digest) = (noted["position"].to_string(), noted["digest"].as_str().unwrap().to_owned());
    kvali.json(0, &["note", "add", "one more", "--deal", "1"]);
    kvali.json(0, &["audit", "digest", "--to", &position, "--expect", &digest]);
    let sound = kvali.json(0, &["audit", "verify", "--to", &position]);
    assert_eq!(sound, json!({ "position": noted["position"], "digest": digest, "faults": [] }));
    let wrong = digest.replace(['0', '1', '2', '3'], "f");
    let said = kvali.fails(1, &["audit", "digest", "--to", &position, "--expect", &wrong]);
    assert!(said.contains("was altered") && said.contains(&digest), "{said}");
    assert!(kvali.fails(2, &["audit", "digest", "--expect", &digest]).contains("--to"));
    assert!(kvali.fails(2, &["audit", "digest", "--to", "1", "--expect", "5b0c"]).contains("64 hexadecimal"));
    assert!(kvali.fails(1, &["audit", "digest", "--to", "9999"]).contains("position 9999"));
}
