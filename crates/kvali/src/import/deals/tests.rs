use tempfile::NamedTempFile;

use super::*;

const MAP: &str = r#"
    source = "test"
    columns = { owner = "owner", account = "account", value = "value", loss_reason = "why" }
    stages = { order = ["New", "Talks", "Offer"], success = ["Won"], failure = ["Lost"] }
    outcomes = { "Closed Won" = "Won" }
    entered = { New = "created", Offer = "offered" }
    closed = { column = "closed" }
    loss.codes = { "Too dear" = "price" }
    value.currency = "EUR"
"#;
const HEADER: &str = "deal,stage,owner,account,value,created,offered,closed,why\n";

fn map(more: &str) -> DealsMap {
    DealsMap::parse(
        &MAP.replace("column = \"closed\"", &format!("column = \"closed\"{more}")),
        Path::new("MAP.toml"),
    )
    .unwrap()
}

fn read(rows: &str, map: &DealsMap) -> Vec<Result<DealRow, RowProblem>> {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{HEADER}{rows}")).unwrap();
    let read: Vec<_> = deal_rows(file.path(), map).unwrap().map(Result::unwrap).collect();
    let survey = survey_deals(file.path(), map).unwrap();
    let bad = read.iter().filter(|row| row.is_err()).count();
    assert_eq!((survey.rows, survey.bad_rows), (read.len() as u64, bad as u64));
    read
}

fn deal(row: &str) -> DealRow {
    read(row, &map("")).remove(0).unwrap()
}

#[track_caller]
fn refused(row: &str, parts: &[&str]) {
    let said = read(row, &map("")).pop().unwrap().unwrap_err().to_string();
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

fn way(deal: &DealRow) -> Vec<(&str, String)> {
    deal.entries.iter().map(|entry| (entry.stage.as_str(), entry.when.to_string())).collect()
}

const UNKNOWN: &str = "an unknown time";

#[test]
fn a_won_deal_keeps_its_way_its_close_and_its_value() {
    let deal = deal("7,Closed Won,Nino,Acme,1054.00,2017-03-01,2017-03-05,2017-03-09,\n");
    assert_eq!((deal.line, deal.deal.as_str(), deal.stage.as_str()), (2, "7", "Won"));
    assert_eq!((deal.owner.as_deref(), deal.account.as_deref()), (Some("Nino"), Some("Acme")));
    assert_eq!(deal.value, Some(Decimal::new(105_400, 2)));
    assert_eq!(way(&deal), [("New", "2017-03-01".to_owned()), ("Offer", "2017-03-05".to_owned())]);
    let close = deal.close.unwrap();
    assert_eq!((close.when.to_string().as_str(), close.outcome), ("2017-03-09", Outcome::Won));
}

#[test]
fn a_lost_deal_has_a_reason_code() {
    let reason = |row: &str| match deal(row).close.unwrap().outcome {
        Outcome::Lost { reason } => reason,
        Outcome::Won => panic!("it is lost"),
    };
    assert_eq!(reason("7,Lost,,,0,2017-03-01,,2017-03-09,Too dear\n"), "price");
    assert_eq!(reason("7,Lost,,,0,2017-03-01,,2017-03-09,\n"), "not_recorded");
}

#[test]
fn an_open_deal_ends_its_way_where_it_stands() {
    assert_eq!(way(&deal("7,Offer,,,,2017-03-01,2017-03-05,,\n"))[1], ("Offer", "2017-03-05".to_owned()));
    assert_eq!(
        way(&deal("7,Talks,,,,2017-03-01,,,\n")),
        [("New", "2017-03-01".to_owned()), ("Talks", UNKNOWN.to_owned())]
    );
    let moved_back = deal("7,New,,,,2017-03-01,2017-03-05,,\n");
    assert_eq!(way(&moved_back)[2], ("New", UNKNOWN.to_owned()));
    let skipped_back = deal("7,New,,,,2017-03-05,2017-03-01,,\n");
    assert_eq!(way(&skipped_back), [("Offer", "2017-03-01".to_owned()), ("New", "2017-03-05".to_owned())]);
    assert_eq!(way(&deal("7,Talks,,,,,,,\n")), [("Talks", UNKNOWN.to_owned())]);
}

#[test]
fn a_closed_deal_without_entry_dates_was_opened_at_an_unknown_time() {
    assert_eq!(way(&deal("7,Won,,,,,,2017-03-09,\n")), [("New", UNKNOWN.to_owned())]);
}

#[test]
fn a_close_on_the_day_of_the_entry_stands() {
    assert!(deal("7,Won,,,,2017-03-09T15:00:00Z,,2017-03-09,\n").close.is_some());
}

#[test]
fn a_bad_row_is_told_with_its_column() {
    refused(",New,,,,,,,\n", &["line 2, deal: is empty"]);
    refused("7,,,,,,,,\n", &["line 2, stage: is empty"]);
    refused("7,Limbo,,,,,,,\n", &["stage \"Limbo\"", "New, Talks, Offer, Won, Lost"]);
    refused("7,New,,,1.000.00,,,,\n", &["value \"1.000.00\"", "plain number"]);
    refused("7,New,,,,01/03/2017,,,\n", &["created \"01/03/2017\"", "[dates] formats"]);
    refused("7,Won,,,1,2017-03-01,,,\n", &["closed: is empty", "Won", "needs its date"]);
    refused(
        "7,Won,,,1,2017-03-01,2017-03-12,2017-03-09,\n",
        &["closed \"2017-03-09\"", "Offer on 2017-03-12"],
    );
    refused(
        "7,New,,,1,2017-03-01,,2017-03-09,\n",
        &["closed \"2017-03-09\"", "open in New", "expected_close"],
    );
    refused("7,Lost,,,1,2017-03-01,,2017-03-09,Too late!\n", &["why \"Too late!\"", "[loss.codes]"]);
    refused("7,New,,,,,,,\n8,New,,,,,,,\n7,New,,,,,,,\n", &["line 4, deal \"7\"", "line 2"]);
    refused("7,New\n", &["2 cells, the header has 9"]);
}

#[test]
fn the_close_date_of_an_open_deal_may_be_its_expected_close() {
    let deal = read("7,New,,,1,2017-03-01,,2017-03-09,\n", &map(", of_open_deals = \"expected_close\""))
        .remove(0)
        .unwrap();
    assert_eq!((deal.expected_close.unwrap().to_string().as_str(), deal.close), ("2017-03-09", None));
}

#[test]
fn a_missing_date_column_is_told_by_the_key_that_names_it() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), HEADER.replace("offered", "proposed")).unwrap();
    let said = deal_rows(file.path(), &map("")).err().unwrap().to_string();
    assert!(said.contains("no column \"offered\"") && said.contains("[entered] \"Offer\""), "{said}");
}

#[test]
fn a_survey_counts_undated_deals_and_looks_past_them() {
    let file = NamedTempFile::new().unwrap();
    let rows = "1,New,,,,2017-03-02,,,\n2,Talks,,,,,,,\n3,Won,,,,2017-03-01,,2017-03-09,\n";
    std::fs::write(file.path(), format!("{HEADER}{rows}")).unwrap();
    let survey = survey_deals(file.path(), &map("")).unwrap();
    assert_eq!((survey.rows, survey.undated, survey.sorted), (3, 1, false));
    assert_eq!(survey.stages, ["New", "Talks", "Won"]);
    assert_eq!(survey.first.unwrap().to_rfc3339(), "2017-03-01T00:00:00+00:00");
    assert_eq!(survey.last.unwrap().to_rfc3339(), "2017-03-09T00:00:00+00:00");
}
