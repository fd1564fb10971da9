use crate::data::{DEALS, DEALS_MAP, HISTORY};
use crate::support::Kvali;

#[track_caller]
fn refuses_file(tenant: &str, text: &str, words: &[&str]) {
    let kvali = Kvali::new(tenant);
    let file = kvali.file("moves.csv", text);
    let ran = kvali.run(&["import", "history", file.to_str().unwrap(), "--pipeline", "Sales"]);
    ran.failed_saying(1, &[&["error: "], words].concat());
    assert!(kvali.log().is_empty(), "something was written");
}

#[test]
fn refused_rows_are_never_written_over_what_is_read() {
    let kvali = Kvali::new("refusals-over");
    let (file, map) = (kvali.file("moves.csv", HISTORY), kvali.file("moves.toml", "source = \"crm\"\n"));
    let link = kvali.path("link.csv");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let (file, map, link) = (file.to_str().unwrap(), map.to_str().unwrap(), link.to_str().unwrap());
    for (list, what) in [(file, "the file to import"), (link, "the file to import"), (map, "the map")] {
        let args =
            ["import", "history", file, "--pipeline", "Sales", "--map", map, "--dry-run", "--refusals", list];
        let told = kvali.fails(1, &args);
        assert!(told.contains(&format!("--refusals {list} is {what}; name another file")), "{told}");
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), HISTORY);
    assert_eq!(std::fs::read_to_string(map).unwrap(), "source = \"crm\"\n");
}

#[test]
fn a_quote_that_is_never_closed_stops_the_import_before_anything_is_written() {
    refuses_file(
        "open-quote",
        &[HISTORY, "A,\"Lead,Nino,2024-02-01\n"].concat(),
        &["line 7", "never closed"],
    );
}

#[test]
fn a_missing_column_names_those_there_are_and_the_way_out() {
    let text = HISTORY.replace("occurred_at", "when");
    refuses_file("missing-column", &text, &["no column \"occurred_at\"", "when", "[columns] occurred_at"]);
}

#[test]
fn a_file_that_is_not_there_is_said_with_the_cause() {
    let kvali = Kvali::new("no-file");
    let ran = kvali.run(&["import", "history", "/nowhere/moves.csv", "--pipeline", "Sales"]);
    ran.failed_saying(1, &["cannot open /nowhere/moves.csv", "because: No such file"]);
}

#[test]
fn an_unreachable_database_is_said_with_the_cause_and_the_way_out() {
    let kvali = Kvali::new("unreachable");
    let file = kvali.file("moves.csv", HISTORY);
    let url = "postgres://nobody:secret@127.0.0.1:1/none";
    let ran = kvali.run(&[
        "--database-url",
        url,
        "import",
        "history",
        file.to_str().unwrap(),
        "--pipeline",
        "Sales",
    ]);
    ran.failed_saying(1, &["connecting to Postgres failed", "refused", "DATABASE_URL"]);
    assert!(!ran.stderr().contains("secret"), "{ran}");
}

#[test]
fn a_map_that_is_not_understood_is_said_with_its_line() {
    let kvali = Kvali::new("bad-map");
    let file = kvali.file("deals.csv", DEALS);
    let map = kvali.file("deals.toml", &DEALS_MAP.replace("[entered]", "[entred]"));
    let (file, map) = (file.to_str().unwrap(), map.to_str().unwrap());
    let ran = kvali.run(&["import", "deals", file, "--pipeline", "Sales", "--map", map]);
    ran.failed_saying(1, &["is not understood", "entred"]);
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2() {
    let kvali = Kvali::new("usage");
    kvali.run(&["import", "history", "moves.csv"]).failed_saying(2, &["--pipeline"]);
}

#[test]
fn a_deal_that_nobody_knows_is_an_error() {
    let kvali = Kvali::new("unknown-deal");
    kvali.run(&["deal", "show", "no-such"]).failed_saying(1, &["there is no deal \"no-such\""]);
}

#[test]
fn rows_that_a_strict_pipeline_forbids_are_refused_one_by_one() {
    let kvali = Kvali::new("strict");
    kvali.run(&["demo", "--deals", "1"]).ended_with(0);
    let file = kvali.file(
        "moves.csv",
        "deal,stage,actor,occurred_at\nX,Lead,Nino,2024-01-01\nX,Offer sent,Nino,2024-01-02\nX,Qualified,Nino,2024-01-03\nX,Haggling,Nino,2024-01-04\n",
    );
    let report = kvali.import(3, &file, &[]);
    let refused = report["refusals"].as_array().unwrap().iter();
    let refused: Vec<_> =
        refused.map(|row| (row["line"].as_u64().unwrap(), row["code"].as_str().unwrap())).collect();
    assert_eq!(refused, [(3, "skips"), (5, "unknown_stage")]);
    assert_eq!(kvali.story("X"), ["opened in Lead", "moved from Lead to Qualified"]);
    assert!(!kvali.log_types().contains(&"pipeline.stage_added".to_owned()));
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let kvali = Kvali::new("help");
    let help = kvali.run(&["--help"]).stdout();
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    assert!(kvali.run(&["import", "history", "--help"]).stdout().contains("--dry-run"));
}
