use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::*;

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn map(text: &str) -> HistoryMap {
    HistoryMap::parse(&format!("source = \"test\"\n{text}"), Path::new("MAP.toml")).unwrap()
}

/// Good rows in their order, and what was said about the others.
fn read(text: &str, map: &HistoryMap) -> (Vec<HistoryRow>, Vec<String>) {
    let file = file(text);
    let survey = survey_history(file.path(), map).unwrap();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for row in history_rows(file.path(), map, &survey).unwrap() {
        match row.unwrap() {
            Ok(row) => good.push(row),
            Err(problem) => bad.push(problem.to_string()),
        }
    }
    assert_eq!((survey.rows, survey.bad_rows), ((good.len() + bad.len()) as u64, bad.len() as u64));
    (good, bad)
}

fn survey(text: &str) -> Survey {
    survey_history(file(text).path(), &HistoryMap::default()).unwrap()
}

fn refused(text: &str, map: &HistoryMap) -> String {
    survey_history(file(text).path(), map).unwrap_err().to_string()
}

const HEADER: &str = "deal,stage,actor,occurred_at\n";

#[test]
fn a_row_is_one_stage_entry() {
    let (rows, bad) = read(&format!("{HEADER}7,Offer, Nino ,2017-03-01T09:30:00Z\n"), &HistoryMap::default());
    assert_eq!(bad, Vec::<String>::new());
    let row = &rows[0];
    assert_eq!((row.line, row.deal.as_str(), row.stage.as_str(), row.nth), (2, "7", "Offer", 0));
    assert_eq!((row.actor.as_deref(), row.when.to_string().as_str()), (Some("Nino"), "2017-03-01T09:30:00Z"));
}

#[test]
fn a_map_names_every_column() {
    let map = map(r#"
        columns = { deal = "id", stage = "to", actor = "", occurred_at = "at", owner = "who", value = "sum", account = "firm", loss_reason = "why" }
        stages = { success = ["Won"], failure = ["Lost"] }
        outcomes = { "Closed Lost" = "Lost" }
        loss.codes = { "Too dear" = "price" }
        value.currency = "USD"
    "#);
    let text = "id,to,at,who,sum,firm,why\n\
        1,New,2017-03-01,Nino,10.50,Acme,Too dear\n\
        1,Closed Lost,2017-03-02,Nino,,,Too dear\n\
        2,Lost,2017-03-03,,,,\n\
        3,Won,2017-03-04,,,,Too dear\n";
    let (rows, bad) = read(text, &map);
    assert_eq!(bad, Vec::<String>::new());
    assert_eq!((rows[0].owner.as_deref(), rows[0].account.as_deref()), (Some("Nino"), Some("Acme")));
    assert_eq!((rows[0].value, rows[1].value), (Some(Decimal::new(1050, 2)), None));
    let reasons: Vec<_> = rows.iter().map(|row| row.loss_reason.as_deref()).collect();
    assert_eq!(reasons, [None, Some("price"), Some("not_recorded"), None]);
    assert_eq!(rows[1].stage, "Lost");
}

#[test]
fn every_bad_row_is_told_and_stops_nothing() {
    let map = map(
        "columns.value = \"value\"\nvalue.currency = \"USD\"\ncolumns.loss_reason = \"why\"\nstages.failure = [\"Lost\"]",
    );
    let text = "deal,stage,actor,occurred_at,value,why\r\n\
        ,Offer,Nino,2017-03-01,1,\r\n\
        1,  ,Nino,2017-03-01,1,\r\n\
        1,Offer,Nino,01.03.2017,1,\r\n\
        1,Offer,Nino,,1,\r\n\
        1,Offer,Nino,2017-03-01,\"1,000\",\r\n\
        1,Offer,Nino,2017-03-01\r\n\
        1,Of\0fer,Nino,2017-03-01,1,\r\n\
        1,Lost,Nino,2017-03-01,1,Too dear\r\n\
        1,Offer,Nino,2017-03-01,1_000,\r\n\
        1,Offer,,2017-03-01,1,\r\n";
    let (good, bad) = read(text, &map);
    assert_eq!((good.len(), good[0].line), (1, 11));
    for (said, parts) in bad.iter().zip([
        ["line 2, deal: is empty", ""],
        ["line 3, stage: is empty", ""],
        ["line 4, occurred_at \"01.03.2017\"", "[dates] formats"],
        ["line 5, occurred_at: is empty", "order"],
        ["line 6, value \"1,000\"", "plain number"],
        ["line 7 ", "4 cells, the header has 6"],
        ["line 8, stage", "NUL"],
        ["line 9, why \"Too dear\"", "[loss.codes]"],
        ["line 10, value \"1_000\"", "plain number"],
    ]) {
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    assert_eq!(bad.len(), 9);
}

#[test]
fn a_long_value_is_cut_where_it_is_shown() {
    let (_, bad) = read(&format!("{HEADER}1,a,x,{}\n", "ö".repeat(500)), &HistoryMap::default());
    assert!(bad[0].contains(&format!("\"{}…\"", "ö".repeat(RowProblem::SHOWN))));
}

#[test]
fn a_missing_column_is_named_with_what_the_file_has() {
    let default = HistoryMap::default();
    let said = refused("deal,stage,actor,date\n", &default);
    for part in ["no column \"occurred_at\"", "it has: deal, stage, actor, date", "[columns] occurred_at"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(refused("Deal,stage,actor,occurred_at\n", &default).contains("[columns] deal = \"Deal\""));
    assert!(refused("deal;stage;actor;occurred_at\n", &default).contains("delimiter = \";\""));
    assert!(refused("deal,stage,stage,actor,occurred_at\n", &default).contains("several columns \"stage\""));
}

#[test]
fn a_survey_tells_what_the_file_holds() {
    let text = "deal,stage,actor,occurred_at,note,\n\
        2,Offer,,2017-03-02,,\n\
        2,New,,2017-03-03,,\n\
        1,New,,2017-03-01,,\n\
        1,Ghost,,never,,\n";
    let survey = survey(text);
    assert_eq!((survey.rows, survey.bad_rows, survey.sorted), (4, 1, false));
    assert_eq!(survey.stages, ["New", "Offer"]);
    assert_eq!(survey.bytes, text.len() as u64);
    assert_eq!(survey.unused_columns, ["note", "number 6"]);
    assert_eq!(survey.first.unwrap().to_rfc3339(), "2017-03-01T00:00:00+00:00");
    assert_eq!(survey.last.unwrap().to_rfc3339(), "2017-03-03T00:00:00+00:00");
}

#[test]
fn a_header_alone_is_a_file_without_rows() {
    let survey = survey(HEADER);
    assert_eq!((survey.rows, survey.sorted, survey.first), (0, true, None));
    assert_eq!(read(HEADER, &HistoryMap::default()), (Vec::new(), Vec::new()));
}

#[test]
fn repeated_entries_are_numbered_within_their_time() {
    let text = format!(
        "{HEADER}1,a,,2017-03-01\n2,a,,2017-03-01\n1,a,,2017-03-01T00:00:00Z\n1,b,,2017-03-01\n1,a,,2017-03-01\n1,a,,2017-03-02\n"
    );
    let (rows, _) = read(&text, &HistoryMap::default());
    assert_eq!(rows.iter().map(|row| row.nth).collect::<Vec<_>>(), [0, 0, 1, 0, 2, 0]);
}

#[test]
fn the_numbers_of_an_unsorted_file_are_those_of_the_sorted_one() {
    let (rows, bad) = read(
        &format!(
            "{HEADER}1,a,late,2017-03-02\n1,a,first,2017-03-01\n1,a,second,2017-03-01\n1,a,,?\n1,a,later,2017-03-02\n"
        ),
        &HistoryMap::default(),
    );
    let told: Vec<_> = rows.iter().map(|row| (row.actor.as_deref().unwrap(), row.nth)).collect();
    assert_eq!(told, [("first", 0), ("second", 1), ("late", 0), ("later", 1)]);
    assert_eq!(bad.len(), 1);
}

#[test]
fn a_file_that_grew_unsorted_while_it_was_read_is_told() {
    let file = file(&format!("{HEADER}1,a,,2017-03-02\n"));
    let map = HistoryMap::default();
    let survey = survey_history(file.path(), &map).unwrap();
    std::fs::write(file.path(), format!("{HEADER}1,a,,2017-03-02\n1,a,,2017-03-01\n1,a,,2017-03-03\n"))
        .unwrap();
    let mut rows = history_rows(file.path(), &map, &survey).unwrap();
    assert!(rows.next().unwrap().is_ok());
    assert!(rows.next().unwrap().unwrap_err().to_string().contains("line 3"));
    assert!(rows.next().is_none(), "nothing follows a failure");
}

fn csv_of(rows: &[(u8, u8, u8, bool)]) -> String {
    let row = |(deal, stage, time, is_day): &(u8, u8, u8, bool)| match is_day {
        true => format!("{deal},{stage},who,2017-03-{:02}\n", 1 + time / 8),
        false => format!("{deal},{stage},,2017-03-{:02}T0{}:00:00\n", 1 + time / 8, time % 8),
    };
    rows.iter().fold(HEADER.to_owned(), |text, each| text + &row(each))
}

proptest! {
    #[test]
    fn rows_come_as_a_stable_sort_by_time_would_order_them(
        rows in prop::collection::vec((0..3_u8, 0..3_u8, 0..24_u8, any::<bool>()), 0..60),
        run_rows in 1..12_usize,
        runs in 2..5_usize,
    ) {
        let map = map("dates.zone = \"Asia/Tbilisi\"");
        let file = file(&csv_of(&rows));
        let (mut table, reader) = open(file.path(), &map).unwrap();
        let mut expected = Vec::new();
        while let Some(row) = table.next().unwrap() {
            expected.push(HistoryRow::from(reader.read(&row).unwrap()));
        }
        expected.sort_by_key(|row| row.when.at());
        for index in 0..expected.len() {
            let same = |row: &&HistoryRow| {
                let row = (&row.deal, &row.stage, row.when.at());
                row == (&expected[index].deal, &expected[index].stage, expected[index].when.at())
            };
            expected[index].nth = u32::try_from(expected[..index].iter().filter(same).count()).unwrap();
        }

        let survey = survey_history(file.path(), &map).unwrap();
        let limits = Limits { run_rows, runs, ..Limits::default() };
        let sorted = rows_within(limits, file.path(), &map, &survey).unwrap();
        prop_assert_eq!(sorted.map(|row| row.unwrap().unwrap()).collect::<Vec<_>>(), expected);
    }
}
