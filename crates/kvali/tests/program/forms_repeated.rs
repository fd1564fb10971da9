use crate::forms::{LUCA, company, id, types};
use serde_json::{Value, json};
use uuid::Uuid;

const COMMAND: &str = "0190d9c6-4a00-7000-8000-0000000000e1";
const AGAIN: [&str; 2] = ["--command-id", COMMAND];

fn outcomes(answer: &Value) -> Vec<&str> {
    let commands = answer["commands"].as_array().unwrap();
    commands.iter().map(|command| command["outcome"].as_str().unwrap()).collect()
}

#[test]
fn a_form_repeated_with_its_command_id_is_carried_out_once() {
    let kvali = company("forms-repeated");
    let log = ["call", "log", "+995555123456", "--minutes", "7", "--as", LUCA];
    let log = [&log[..], &AGAIN].concat();
    let first = kvali.json(0, &log);
    assert_eq!(outcomes(&first), ["accepted"; 3]);
    let before = kvali.log();
    let again = kvali.json(0, &log);
    assert_eq!((outcomes(&again), id(&again)), (vec!["known"; 3], id(&first)));
    assert_eq!(types(&again), types(&first));
    assert_eq!(kvali.log(), before);
    let other = kvali.fails(1, &[&["call", "log", "+995555123457", "--as", LUCA][..], &AGAIN].concat());
    assert!(other.contains(COMMAND), "{other}");
}

#[test]
fn what_a_form_left_undone_is_done_by_its_repetition() {
    let kvali = company("forms-rest");
    // As far as an interrupted form may have come.
    let call = Uuid::new_v5(&COMMAND.parse().unwrap(), b"call").to_string();
    let number = "+995555123456";
    let body = json!({ "provider": "hand", "provider_id": call, "direction": "outbound", "to": number });
    let register = ["do", "RegisterCall", "--id", &call, "--json", &body.to_string(), "--as", LUCA];
    kvali.json(0, &[&register[..], &AGAIN].concat());
    let whole = kvali.json(0, &[&["call", "log", number, "--as", LUCA][..], &AGAIN].concat());
    assert_eq!((outcomes(&whole), id(&whole)), (vec!["known", "accepted", "accepted"], call));
    assert_eq!(types(&whole), ["call.started", "call.answered", "call.ended"]);
}

#[test]
fn the_same_options_are_understood_wherever_a_command_is_sent() {
    let kvali = company("forms-options");
    let open = ["deal", "open", "--pipeline", "Sales", "--external", "shop:1"];
    let at = ["--occurred-at", "2026-03-01T09:30:00Z", "--actor", "luca@kvali.ge", "--reason-code", "fair"];
    let deal = id(&kvali.json(0, &[&open[..], &at].concat()));
    let by = ["--occurred", "2026-03-02T09:30", "--as", "Luca Rossi", "--reason", "fair"];
    kvali.json(0, &[&["do", "CloseWon", "--id", &deal][..], &by].concat());
    for event in kvali.log().iter().filter(|event| event["stream"] == deal.as_str()) {
        assert_eq!((&event["actor"], &event["reason_code"]), (&json!(LUCA), &json!("fair")));
        assert_ne!(event["occurred"]["at"], event["recorded_at"]);
    }
}
