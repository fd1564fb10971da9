//! Reading the reference files whole, where they are at hand.

use std::path::PathBuf;

use super::*;

/// `KVALI_REFERENCE_DATA`, or `shared/data` beside the checkout. Says aloud when a file is not there.
fn reference(name: &str) -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into();
    let file = std::env::var_os("KVALI_REFERENCE_DATA").map_or_else(beside, PathBuf::from).join(name);
    if file.is_file() {
        return Some(file);
    }
    eprintln!(
        "NOT TESTED: {} is not there; set KVALI_REFERENCE_DATA to the directory of the reference data",
        file.display()
    );
    None
}

fn maven_map() -> DealsMap {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/maps/maven_crm_sales.toml"));
    DealsMap::load(&file).unwrap()
}

#[test]
fn every_reference_log_is_read_whole_and_in_order() {
    for (name, events, stages) in [
        ("running-example", 42, 8),
        ("receipt", 8_577, 27),
        ("helpdesk", 21_348, 14),
        ("bpic2020_RequestForPayment", 36_072, 16),
    ] {
        let Some(file) = reference(&format!("eventlogs/{name}.csv")) else { continue };
        let map = HistoryMap::default();
        let survey = survey_history(&file, &map).unwrap();
        assert_eq!((survey.rows, survey.bad_rows, survey.sorted), (events, 0, true), "{name}");
        assert_eq!(survey.unused_columns, Vec::<String>::new());
        assert_eq!(survey.stages.len(), stages, "{name}");
        let rows: Vec<_> =
            history_rows(&file, &map, &survey).unwrap().map(|row| row.unwrap().unwrap()).collect();
        let lines: Vec<_> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, (2..=events + 1).collect::<Vec<_>>(), "{name}");
        assert!(rows.is_sorted_by_key(|row| row.when.at()), "{name}");
        assert_eq!((rows[0].when.at(), rows.last().unwrap().when.at()), (survey.first, survey.last));
        assert!(rows.iter().all(|row| row.actor.is_some()), "{name}");
    }
}

#[test]
fn the_maven_table_gives_its_8800_deals() {
    let map = maven_map();
    let Some(file) = reference("maven_crm_sales/sales_pipeline.csv") else { return };
    let survey = survey_deals(&file, &map).unwrap();
    assert_eq!((survey.rows, survey.bad_rows, survey.undated), (8_800, 0, 500));
    assert_eq!(survey.unused_columns, ["product"]);

    let deals: Vec<_> = deal_rows(&file, &map).unwrap().map(|row| row.unwrap().unwrap()).collect();
    let count = |stage: &str| deals.iter().filter(|deal| deal.stage == stage).count();
    assert_eq!(["Prospecting", "Engaging", "Won", "Lost"].map(count), [500, 1_589, 4_238, 2_473]);
    let won = deals.iter().filter(|deal| deal.stage == "Won");
    assert_eq!(won.filter_map(|deal| deal.value).sum::<rust_decimal::Decimal>(), 10_005_534.into());
    assert_eq!(deals.iter().filter(|deal| deal.account.is_none()).count(), 1_425);
    assert!(deals.iter().all(|deal| deal.entries.len() == 1 && deal.owner.is_some()));
    let undated = deals.iter().filter(|deal| !deal.entries[0].when.is_known());
    assert!(undated.clone().all(|deal| deal.stage == "Prospecting" && deal.close.is_none()));
    assert_eq!(undated.count(), 500);
    assert_eq!(deals.last().unwrap().line, 8_801);
}

#[test]
fn the_maven_map_reads_a_won_row_as_opened_in_engaging_and_won_with_its_value() {
    let map = maven_map();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sales_pipeline.csv");
    let header =
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\r\n";
    let won = "1C1I7A6R,Moses Frase,GTX Plus Basic,Cancity,Won,2016-10-20,2017-03-01,1054\r\n";
    std::fs::write(&file, [header, won].concat()).unwrap();

    let deal = deal_rows(&file, &map).unwrap().next().unwrap().unwrap().unwrap();
    let day = |text| map.dates.read(text).unwrap();
    assert_eq!(deal.entries, [deals::Entry { stage: "Engaging".to_owned(), when: day("2016-10-20") }]);
    assert_eq!(deal.close, Some(deals::Close { when: day("2017-03-01"), outcome: deals::Outcome::Won }));
    assert_eq!((deal.value, deal.account.as_deref()), (Some(1054.into()), Some("Cancity")));
}
