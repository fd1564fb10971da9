//! Whole exports of other systems, by the maps that ship with Kvali. The data is not part of the project: where it is
//! absent the tests say so. Its values are masked, so that addresses, stages and the like are no longer what they were.

use crate::reference::reference;
use crate::support::{Kvali, refusal, rows};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn shipped(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/maps")).join(name)
}

/// A shipped map with something changed, as whoever uses it would.
#[track_caller]
fn changed(kvali: &Kvali, name: &str, from: &str, to: &str) -> PathBuf {
    let text = std::fs::read_to_string(shipped(name)).unwrap();
    assert!(text.contains(from), "{from:?} is not in {name}");
    kvali.file(name, &text.replace(from, to))
}

#[track_caller]
fn import(kvali: &Kvali, exit_code: i32, kind: &str, file: &Path, map: &Path) -> Value {
    let mut more = vec!["--map", map.to_str().unwrap()];
    if matches!(kind, "deals" | "history") {
        more.extend(["--pipeline", map.file_stem().unwrap().to_str().unwrap()]);
    }
    let report = kvali.import_records(exit_code, kind, file, &more);
    let log = kvali.log().len();
    let again = kvali.import_records(exit_code, kind, file, &more);
    assert_eq!((rows(&again)[0], kvali.log().len()), (0, log), "again, {kind} add nothing: {again}");
    report
}

fn count(kvali: &Kvali, event_type: &str) -> usize {
    kvali.log_types().iter().filter(|name| *name == event_type).count()
}

#[test]
fn a_hubspot_export_comes_in() {
    let Some(owners) = reference("dbt_hubspot_seeds/owner_data.csv") else { return };
    let kvali = Kvali::new("hubspot");
    let file = |table: &str| owners.with_file_name(format!("{table}_data.csv"));
    let report = import(&kvali, 0, "users", &owners, &shipped("hubspot_owners.toml"));
    assert_eq!(rows(&report), [100, 0, 0, 0]);
    let report = import(&kvali, 0, "companies", &file("company"), &shipped("hubspot_companies.toml"));
    assert_eq!((rows(&report), count(&kvali, "company.created")), ([24, 0, 0, 0], 24));
    // Every address is masked and left out; one contact names a company.
    let report = import(&kvali, 0, "contacts", &file("contact"), &shipped("hubspot_contacts.toml"));
    assert_eq!((rows(&report), report["left_out"]["property_email"].clone()), ([22, 0, 0, 0], 22.into()));
    assert_eq!((count(&kvali, "contact.created"), count(&kvali, "contact.affiliation_started")), (22, 1));

    let report = import(&kvali, 0, "history", &file("deal_stage"), &shipped("hubspot_deal_stages.toml"));
    assert_eq!((rows(&report), &report["deals"]), ([14, 0, 0, 0], &14.into()));
    let stage = "09a969da1d61b38bd3746f0f49c1475a";
    assert_eq!(kvali.story("3954780486"), [format!("opened in {stage}")]);
    let opened = kvali.json(0, &["deal", "history", "3954780486"]);
    assert_eq!(opened[0]["occurred"], "2021-01-07T08:00:46Z");
    // The table of deals has lost all stages.
    let report = import(&kvali, 3, "deals", &file("deal"), &shipped("hubspot_deals.toml"));
    assert_eq!(rows(&report), [0, 0, 0, 44]);
    assert_eq!(refusal(&report, 0), ("deal_pipeline_stage_id".into(), String::new(), "is empty".into()));
}

#[test]
fn hubspot_stages_and_properties_come_with_their_history() {
    let Some(history) = reference("dbt_hubspot_seeds/deal_property_history_data.csv") else { return };
    let kvali = Kvali::new("hubspot-history");
    let file = |table: &str| history.with_file_name(format!("{table}_data.csv"));
    let masked = "wh+Wm18D0z1D4E+PE252gg==";
    let map = changed(&kvali, "hubspot_pipeline.toml", "\"default\"", &format!("\"{masked}\""));
    assert_eq!(rows(&import(&kvali, 0, "history", &file("deal_stage"), &map)), [14, 0, 0, 0]);
    let created = kvali.log()[0]["data"].clone();
    let stages: Vec<_> = created["stages"].as_array().unwrap().iter().collect();
    assert_eq!(stages[0]["name"], "P0WrVl2tQ/YP8Dte+luubw==");
    // The eight of the table in their order, those of the masked history, and a Lost that the table lacks.
    assert_eq!(
        (stages[6]["name"].clone(), stages[6]["class"].clone()),
        ("HloNyGJEOLMWtXLjmapLQw==".into(), "success".into())
    );
    let by_class = |class: &str| stages.iter().filter(|stage| stage["class"] == class).count();
    assert_eq!(["process", "success", "failure"].map(by_class), [10, 1, 1]);

    let property = "\"ky4p2Nx3U/ctHYnc+rKWvg==\"";
    let map = changed(&kvali, "hubspot_deal_properties.toml", "\"dealstage\"", property);
    let report = import(&kvali, 0, "history", &history, &map);
    assert_eq!((&report["rows"], rows(&report)[3]), (&60.into(), 0), "{report}");

    let field = "{\"field\": \"0190d9c6-0000-7000-8000-000000000001\", \"entity\": \"company\", \
                 \"key\": \"industry\", \"label\": \"Industry\", \"type\": \"text\"}";
    kvali.json(0, &["do", "DefineField", "--json", field]);
    import(&kvali, 0, "companies", &file("company"), &shipped("hubspot_companies.toml"));
    let map = changed(
        &kvali,
        "hubspot_company_properties.toml",
        "name = [\"industry\"]",
        "name = [\"WRM+4i8iHBcBoIeVxhFUbA==\"]",
    );
    let unsorted = std::fs::read_to_string(file("company_property_history")).unwrap();
    let (header, versions) = unsorted.split_once('\n').unwrap();
    let mut versions: Vec<_> = versions.lines().collect();
    versions.sort_by_key(|line| line.split(',').nth(1));
    let sorted = kvali.file("sorted.csv", &[header, &versions.join("\n")].join("\n"));
    let report = import(&kvali, 3, "companies", &sorted, &map);
    assert_eq!((rows(&report), count(&kvali, "company.fields_changed")), ([45, 0, 0, 55], 45));
    assert!(
        refusal(&report, 0).2.contains("is none of the companies that this source has brought"),
        "{report}"
    );
}

#[test]
fn a_salesforce_export_comes_in() {
    let Some(users) = reference("dbt_salesforce_seeds/sf_user_data.csv") else { return };
    let kvali = Kvali::new("salesforce");
    let file = |table: &str| users.with_file_name(format!("sf_{table}_data.csv"));
    let report = import(&kvali, 0, "users", &users, &shipped("salesforce_users.toml"));
    assert_eq!(rows(&report), [10, 0, 0, 0]);
    let report =
        import(&kvali, 0, "companies", &file("account_history"), &shipped("salesforce_account_history.toml"));
    assert_eq!((rows(&report), count(&kvali, "company.created")), ([10, 0, 0, 0], 10));
    let report = import(&kvali, 3, "contacts", &file("contact"), &shipped("salesforce_contacts.toml"));
    assert_eq!((rows(&report), count(&kvali, "contact.point_added")), ([3, 0, 0, 1], 1));
    assert!(refusal(&report, 0).2.contains("nothing tells who this is"), "{report}");
    // The one lead is converted.
    let report = import(&kvali, 0, "leads", &file("lead"), &shipped("salesforce_leads.toml"));
    assert_eq!(report["rows"], 0);
    let report = import(&kvali, 0, "tasks", &file("task"), &shipped("salesforce_tasks.toml"));
    assert_eq!((rows(&report), count(&kvali, "task.completed")), ([10, 0, 0, 0], 10));

    let stages = "[outcomes]\n\"GavUFuuf4DrnQAoiRGlWpQ==\" = \"Closed Won\"\n\
                  \"tXi3M8u3iPxq0ggxTSxMKw==\" = \"Closed Lost\"\n\n[value]";
    let map = changed(&kvali, "salesforce_opportunity_history.toml", "[value]", stages);
    let report = import(&kvali, 0, "history", &file("opportunity_history"), &map);
    assert_eq!((rows(&report), &report["deals"]), ([10, 0, 0, 0], &10.into()));
    let account = "TK5MTSsiOYoDQoJiSbkugA==";
    let owner = "QEaGoY7B8nGfro2vhOCMvA==";
    let opened = format!("opened in Prospecting with {account}, owned by {owner}, worth 200000 USD");
    let lost = "lost from Prospecting (Closed Lost): Not recorded".to_owned();
    assert_eq!(kvali.story("006q000000HK8jdAAD"), [opened, lost]);
    assert_eq!([count(&kvali, "deal.won"), count(&kvali, "deal.lost")], [5, 4]);
}

#[test]
fn salesforce_opportunities_come_in_as_they_stand() {
    let Some(opportunities) = reference("dbt_salesforce_seeds/sf_opportunity_data.csv") else { return };
    let kvali = Kvali::new("salesforce-opportunities");
    let stages = "[outcomes]\n\"GavUFuuf4DrnQAoiRGlWpQ==\" = \"Closed Won\"\n\
                  \"tXi3M8u3iPxq0ggxTSxMKw==\" = \"Closed Lost\"\n\n[value]";
    let map = changed(&kvali, "salesforce_opportunities.toml", "[value]", stages);
    let report = import(&kvali, 3, "deals", &opportunities, &map);
    assert_eq!(rows(&report), [8, 0, 0, 2], "{report}");
    let (column, value, reason) = refusal(&report, 0);
    assert_eq!((column.as_str(), value.as_str()), ("close_date", "2018-12-07 00:00:00"));
    assert!(reason.contains("lies before the entry into Prospecting"), "{reason}");
    assert_eq!(refusal(&report, 1).0, "stage_name");
    assert_eq!([count(&kvali, "deal.won"), count(&kvali, "deal.lost")], [4, 4]);
    let history = kvali.json(0, &["deal", "history", "006q000000HddohAAB"]);
    let when: Vec<_> = history.as_array().unwrap().iter().map(|event| event["occurred"].clone()).collect();
    assert_eq!((&when[0], when.last()), (&"2018-12-19T19:51:13Z".into(), Some(&"2018-12-19 (UTC)".into())));
}
