//! The reference files, imported whole where they are at hand.

use crate::support::{Kvali, counts};
use std::path::PathBuf;

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

#[test]
fn every_reference_log_is_imported_whole_and_only_once() {
    let kvali = Kvali::new("reference-logs");
    // Rows of the file, entries once consecutive equal stages have collapsed, deals: as counted independently.
    for (name, rows, entries, deals) in [
        ("running-example", 42, 42, 6),
        ("receipt", 8_577, 8_571, 1_434),
        ("helpdesk", 21_348, 20_404, 4_580),
        ("bpic2020_RequestForPayment", 36_072, 36_072, 6_760),
    ] {
        let Some(file) = reference(&format!("eventlogs/{name}.csv")) else { continue };
        let file = file.to_str().unwrap();
        let report = kvali.json(0, &["import", "history", file, "--pipeline", name]);
        let [accepted, known, so, refused, found, _] = counts(&report);
        assert_eq!((accepted, so, known, refused, found), (entries, rows - entries, 0, 0, deals), "{name}");
        let again = kvali.json(0, &["import", "history", file, "--pipeline", name]);
        assert_eq!(counts(&again), [0, rows, 0, 0, deals, 0], "{name}");
    }
}

#[test]
fn the_maven_table_is_imported_whole_and_only_once() {
    let kvali = Kvali::new("reference-maven");
    let Some(file) = reference("maven_crm_sales/sales_pipeline.csv") else { return };
    let map = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/maps/maven_crm_sales.toml"));
    let report = kvali.import_deals(0, &file, &map, &[]);
    assert_eq!(counts(&report)[..5], [8_800, 0, 0, 0, 8_800]);
    assert_eq!(report["unused_columns"], serde_json::json!(["product"]));
    let won = kvali.log_types().iter().filter(|event| *event == "deal.won").count();
    assert_eq!(won, 4_238);
    assert_eq!(counts(&kvali.import_deals(0, &file, &map, &[])), [0, 8_800, 0, 0, 8_800, 0]);
}
