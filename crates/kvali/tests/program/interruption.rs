use crate::support::{Kvali, counts, rows};
use std::fmt::Write;
use std::process::{Command, Stdio};

/// Long enough that the interruption comes in its middle.
const ROWS: u64 = 30_000;

#[test]
fn an_interrupted_import_is_completed_by_the_same_command() {
    let kvali = Kvali::new("interrupted");
    let file = kvali.file("moves.csv", &moves());
    let args = ["import", "history", file.to_str().unwrap(), "--pipeline", "Sales"].map(AsRef::as_ref);
    let mut import = kvali.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while kvali.json(0, &["log", "tail", "--limit", "1"]).as_array().unwrap().is_empty() {
        assert!(import.try_wait().unwrap().is_none(), "the import ended before it wrote anything");
    }
    let interrupt = Command::new("kill").args(["-INT", &import.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(import.wait().unwrap().code(), Some(130));

    let report = kvali.import(0, &file, &[]);
    let [accepted, known, so, refused, ..] = counts(&report);
    assert_eq!((accepted + known, so, refused), (ROWS, 0, 0));
    assert!(accepted > 0, "nothing was left to do after the interruption");
    // The pipeline, one user, and one event for each row: nothing is missing, nothing is there twice.
    let last = kvali.json(0, &["log", "tail", "--limit", "1"]);
    assert_eq!(last[0]["position"].as_u64(), Some(ROWS + 2));
}

/// Ten thousand deals that pass three stages each.
fn moves() -> String {
    let mut csv = "deal,stage,actor,occurred_at\n".to_owned();
    for (day, stage) in (1..).zip(["Lead", "Offer", "Contract"]) {
        for deal in 0..ROWS / 3 {
            writeln!(csv, "D{deal},{stage},Nino,2024-01-0{day}").unwrap();
        }
    }
    csv
}

#[test]
fn a_killed_import_of_contacts_is_completed_and_is_one_import() {
    const CONTACTS: u64 = 6_000;
    let kvali = Kvali::new("killed");
    let mut csv = "id,first_name,last_name,email,country\n".to_owned();
    for contact in 0..CONTACTS {
        writeln!(csv, "{contact},Keti,K{contact},k{contact}@vake.ge,GE").unwrap();
    }
    let file = kvali.file("contacts.csv", &csv);
    let args = ["import", "contacts", file.to_str().unwrap()].map(AsRef::as_ref);
    let mut import = kvali.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while kvali.json(0, &["log", "tail", "--limit", "1"]).as_array().unwrap().is_empty() {
        assert!(import.try_wait().unwrap().is_none(), "the import ended before it wrote anything");
    }
    import.kill().unwrap();
    import.wait().unwrap();

    let report = kvali.import_records(0, "contacts", &file, &[]);
    let [accepted, known, so, refused] = rows(&report);
    // A row whose creation had come in before its address adds the address alone.
    assert_eq!((accepted + known, so, refused), (CONTACTS, 0, 0));
    assert!(accepted > 0, "nothing was left to do after the kill");
    // For each row its creation, its address and its contact point: nothing is missing, nothing is there twice.
    let last = kvali.json(0, &["log", "tail", "--limit", "1"]);
    assert_eq!(last[0]["position"].as_u64(), Some(3 * CONTACTS));
    let import = report["import"].as_str().unwrap();
    let reverted = kvali.json(0, &["import", "revert", import]);
    assert_eq!(reverted["reverted"].as_u64(), Some(CONTACTS));
}
