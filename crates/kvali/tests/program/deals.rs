use crate::data::{DEALS, DEALS_MAP};
use crate::support::{Kvali, counts};
use serde_json::json;

#[test]
fn a_row_becomes_what_its_dates_tell() {
    let kvali = Kvali::new("deals");
    let (file, map) = (kvali.file("deals.csv", DEALS), kvali.file("deals.toml", DEALS_MAP));
    let dry = kvali.import_deals(0, &file, &map, &["--dry-run"]);
    assert!(kvali.log().is_empty());
    let report = kvali.import_deals(0, &file, &map, &[]);
    assert_eq!(counts(&dry), counts(&report));
    assert_eq!(counts(&report)[..5], [4, 0, 0, 0, 4]);
    assert_eq!(
        kvali.story("1"),
        [
            "opened in Lead with Vake Clinic, owned by Nino",
            "moved from Lead to Offer",
            "value set to 1054 EUR",
            "won from Offer, worth 1054 EUR",
        ]
    );
    assert_eq!(kvali.story("2"), ["opened in Lead, owned by Luca", "lost from Lead (Lost): Not recorded"]);
    let third = kvali.json(0, &["deal", "show", "3"]);
    assert_eq!((&third["expected_close"], &third["stage"]), (&json!("2024-12-31"), &json!("Offer")));
    let fourth = kvali.json(0, &["deal", "history", "4"]);
    assert_eq!((&fourth[0]["occurred"], &fourth[0]["precision"]), (&json!("unknown"), &json!("unknown")));
    assert_eq!(counts(&kvali.import_deals(0, &file, &map, &[])), [0, 4, 0, 0, 4, 0]);
}

#[test]
fn a_deal_that_came_back_in_a_newer_export_comes_back_each_time() {
    let kvali = Kvali::new("deals-back");
    let map = kvali.file("deals.toml", DEALS_MAP);
    let header = "deal,stage,owner,account,value,created,offered,closed\n";
    let won = "5,Won,,,,2024-01-01,2024-01-10,2024-02-01\n";
    let lead = "5,Lead,,,,2024-01-01,2024-01-10,\n";
    let offer = "5,Offer,,,,2024-01-01,2024-01-10,\n";
    let export = |row: &str| {
        let file = kvali.file("export.csv", &[header, row].concat());
        let dry = kvali.import_deals(0, &file, &map, &["--dry-run"]);
        let report = kvali.import_deals(0, &file, &map, &[]);
        assert_eq!((counts(&dry), counts(&report)[0]), (counts(&report), 1), "{row}");
        let again = kvali.import_deals(0, &file, &map, &[]);
        assert_eq!(counts(&again), [0, 1, 0, 0, 1, 0], "{row}");
    };
    for row in [offer, won, lead, offer, lead, offer, won] {
        export(row);
    }
    assert_eq!(
        kvali.story("5"),
        [
            "opened in Lead",
            "moved from Lead to Offer",
            "won from Offer",
            "reopened in Lead",
            "moved from Lead to Offer",
            "moved from Offer to Lead",
            "moved from Lead to Offer",
            "won from Offer",
        ]
    );
    let file = kvali.path("export.csv");
    let log = kvali.log();
    let opened = log.iter().find(|event| event["type"] == "deal.opened").unwrap();
    let back = format!("{{\"to\": {}, \"reason\": \"a mistake\"}}", opened["data"]["stage"]);
    kvali.json(0, &["do", "ReopenDeal", "--id", opened["stream"].as_str().unwrap(), "--json", &back]);
    assert_eq!(counts(&kvali.import_deals(0, &file, &map, &[])), [0, 1, 0, 0, 1, 0]);
}

#[test]
fn a_newer_export_adds_what_has_changed() {
    let kvali = Kvali::new("deals-newer");
    let (file, map) = (kvali.file("deals.csv", DEALS), kvali.file("deals.toml", DEALS_MAP));
    kvali.import_deals(0, &file, &map, &[]);
    let newer = DEALS
        .replace(
            "3,Offer,Nino,Vake Clinic,500,2024-01-03,2024-01-12,2024-12-31",
            "3,Won,Luca,Vake Clinic,600,2024-01-03,2024-01-13,2024-03-01",
        )
        .replace("4,Lead,Luca,,,,,", "4,Offer,Luca,,,2024-03-01,2024-03-02,");
    let report = kvali.import_deals(0, &kvali.file("newer.csv", &newer), &map, &[]);
    assert_eq!(counts(&report)[..4], [2, 2, 0, 0]);
    assert_eq!(
        kvali.story("3")[4..],
        ["assigned to Luca", "value changed from 500 EUR to 600 EUR", "won from Offer, worth 600 EUR"]
    );
    assert_eq!(kvali.story("4"), ["opened in Lead, owned by Luca", "moved from Lead to Offer"]);
}
