use crate::forms::{LUCA, NINO, company, id, types};
use crate::support::Kvali;
use serde_json::json;

const DEAL: [&str; 8] = ["deal", "open", "--pipeline", "Sales", "--external", "shop:4711", "--owner", NINO];

fn done(kvali: &Kvali, words: &[&str]) -> Vec<String> {
    types(&kvali.json(0, words)).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_user_is_invited_and_works_from_then_on_by_mail_and_name() {
    let kvali = company("forms-user");
    assert_eq!(done(&kvali, &["user", "invite", "Anna Schmidt", "anna@kvali.ge"]), ["user.invited"]);
    assert_eq!(done(&kvali, &["user", "activate", "Anna@kvali.ge"]), ["user.activated"]);
    kvali.json(0, &DEAL);
    assert_eq!(done(&kvali, &["deal", "assign", "4711", "anna schmidt"]), ["deal.assigned"]);
    let words = kvali.fails(3, &["user", "deactivate", "anna@kvali.ge"]);
    assert!(words.contains("DeactivateUser is refused"), "{words}");
    let words = kvali.fails(3, &["user", "invite", "Anna", "anna@kvali.ge"]);
    assert!(words.contains("InviteUser is refused"), "{words}");
    let words = kvali.fails(1, &["user", "activate", "nobody@kvali.ge"]);
    assert!(words.contains("Anna Schmidt"), "{words}");
}

#[test]
fn work_is_handed_over_for_an_absence_and_given_back() {
    let kvali = company("forms-absence");
    kvali.json(0, &DEAL);
    let plan =
        ["absence", "plan", NINO, "--from", "2046-07-01", "--to", "2046-07-14", "--deputy", "luca@kvali.ge"];
    assert_eq!(done(&kvali, &[&plan[..], &["--zone", "Asia/Tbilisi"]].concat()), ["user.absence_planned"]);
    let hand_over =
        ["user", "hand-over", NINO, "--to", "Luca Rossi", "--deal", "4711", "--return-after", "--all"];
    let task =
        id(&kvali.json(0, &["task", "add", "Call", "--due", "2046-07-03", "--for", NINO, "--deal", "4711"]));
    let words = kvali.fails(3, &hand_over);
    assert!(words.contains("HandOverWork is refused"), "{words}");
    let answer = kvali.json(0, &[&hand_over[..], &["--task", &task]].concat());
    assert_eq!(types(&answer), ["handover.work_handed_over", "deal.assigned", "task.reassigned"]);
    assert_eq!(done(&kvali, &["absence", "start", NINO]), ["user.absence_started"]);
    let words = kvali.fails(3, &["deal", "assign", "4711", NINO]);
    assert!(words.contains("absent"), "{words}");
    assert_eq!(done(&kvali, &["absence", "end", NINO]), ["user.absence_ended"]);
    let back = ["user", "hand-back", &id(&answer), "--deal", "4711"];
    assert_eq!(done(&kvali, &back), ["handover.work_returned", "deal.assigned"]);
    let words = kvali.fails(3, &["absence", "cancel", NINO]);
    assert!(words.contains("CancelAbsence is refused"), "{words}");
    let words = kvali.fails(2, &["user", "hand-over", NINO, "--to", LUCA]);
    assert!(words.contains("--deal"), "{words}");
}

#[test]
fn a_note_is_about_one_thing() {
    let kvali = company("forms-note");
    kvali.json(0, &DEAL);
    let add = ["note", "add", "Wants delivery to Batumi", "--deal", "4711", "--visibility", "all"];
    assert_eq!(done(&kvali, &[&add[..], &["--as", NINO]].concat()), ["note.added"]);
    let words = kvali.fails(1, &["note", "add", "About nothing"]);
    assert!(words.contains("--deal"), "{words}");
    assert!(kvali.fails(3, &["note", "add", " ", "--deal", "4711"]).contains("AddNote is refused"));
}

const INTERESTED: &str = r#"{"activity_type": "0190d9c6-4a00-7000-8000-0000000000c1", "code": "interested",
    "label": "Interested", "kind": "call", "result_required": false, "minimum_lead_minutes": 0}"#;

#[test]
fn two_contacts_become_one_and_two_again() {
    let kvali = company("forms-merge");
    let add = ["contact", "add", "--name", "Elena Kapanadze", "--email", "elena@acme.ge", "--owner", NINO];
    assert_eq!(done(&kvali, &add)[0], "contact.created");
    assert_eq!(
        done(&kvali, &["contact", "add", "--name", "E. Kapanadze", "--phone", "+995 555 12 34 56"])[0],
        "contact.created"
    );
    let both = ["elena@acme.ge", "+995555123456"];
    let preview = kvali.json(0, &[&["merge", "preview", "contacts"][..], &both].concat());
    let text = preview.to_string();
    assert!(text.contains("Elena Kapanadze") && text.contains("E. Kapanadze"), "{text}");
    let words = kvali.fails(3, &[&["merge", "contacts"][..], &both].concat());
    assert!(words.contains("not decided whose value stays: name"), "{words}");
    let take = ["--take", "name=+995555123456", "--keep"];
    let merged = done(&kvali, &[&["merge", "contacts"][..], &both, &take].concat());
    assert_eq!(merged, ["contact.merged", "contact.merged_into"]);
    assert_eq!(
        done(&kvali, &["merge", "undo", "contacts", "elena@acme.ge"]),
        ["contact.unmerged", "contact.separated"]
    );
    assert!(
        kvali.fails(1, &["merge", "contacts", "elena@acme.ge", "nobody@acme.ge"]).contains("nobody@acme.ge")
    );
}

#[test]
fn a_call_is_logged_whole_or_not_at_all() {
    let kvali = company("forms-call");
    kvali.json(0, &DEAL);
    kvali.json(0, &["contact", "add", "--name", "Elena", "--phone", "+995 555 12 34 56"]);
    let phone = "+995555123456";
    kvali.json(0, &["do", "DefineActivityType", "--json", INTERESTED]);
    let of = ["--contact", phone, "--deal", "4711"];
    let log = [&["call", "log", phone, "--minutes", "7", "--disposition", "interested"][..], &of].concat();
    let happened = ["call.started", "call.answered", "call.ended", "call.matched", "call.disposition_set"];
    assert_eq!(done(&kvali, &[&log[..], &["--as", "luca@kvali.ge"]].concat()), happened);
    let missed =
        [&["call", "missed", phone, "--line", "+995322000000", "--for", NINO, "--due", "2h"][..], &of]
            .concat();
    let happened = done(&kvali, &missed);
    assert_eq!(happened, ["call.started", "call.matched", "call.missed", "task.created"]);
    let before = kvali.log().len();
    let words = kvali.fails(3, &[&log[..], &["--by", "0190d9c6-4a00-7000-8000-0000000000ff"]].concat());
    assert!(words.contains("AnswerCall is refused"), "{words}");
    assert!(kvali.fails(3, &["call", "missed", phone, "--for", NINO]).contains("RegisterCall is refused"));
    kvali.json(0, &["deal", "won", "4711"]);
    assert_eq!(kvali.log().len(), before + 1);
    assert_eq!(kvali.log().last().unwrap()["type"], json!("deal.won"));
}
