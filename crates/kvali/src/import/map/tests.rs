use chrono_tz::Tz;

use super::*;

fn history(text: &str) -> Result<HistoryMap, MapError> {
    HistoryMap::parse(text, Path::new("MAP.toml"))
}

fn deals(text: &str) -> Result<DealsMap, MapError> {
    DealsMap::parse(text, Path::new("MAP.toml"))
}

/// The error and its causes, as a reader sees them.
fn said<T>(map: Result<T, MapError>) -> String {
    let Err(error) = map else { panic!("the map is usable") };
    let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
    format!("{error}{cause}")
}

#[track_caller]
fn history_refused(text: &str, parts: &[&str]) {
    let said = said(history(&format!("source = \"x\"\n{text}")));
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

#[track_caller]
fn deals_refused(text: &str, parts: &[&str]) {
    let said = said(deals(&format!("source = \"x\"\n{text}")));
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

#[test]
fn a_source_alone_is_a_history_map() {
    let map = history("source = \"helpdesk\"").unwrap();
    assert_eq!((map.source.as_str(), map.delimiter), ("helpdesk", b','));
    assert_eq!(map.columns, HistoryColumns::default());
    assert_eq!(map.loss.reason, "not_recorded");
    assert_eq!(map.stages.class("Won"), StageClass::Process);
}

#[test]
fn the_documented_history_is_a_map() {
    let readme = include_str!("../../../../../docs/maps/README.md");
    let example = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let map = history(example).unwrap();
    assert_eq!(map.delimiter, b';');
    assert_eq!(map.columns.actor, None);
    assert_eq!(map.stages.order(), ["New", "In progress", "Solved", "Rejected"]);
    assert_eq!(map.stages.named("Closed (solved)"), "Solved");
    assert_eq!(map.stages.class("Rejected"), StageClass::Failure);
    assert_eq!(map.dates.zone(), Tz::Europe__Berlin);
}

#[test]
fn every_documented_key_is_read() {
    let all = r#"
        source = "x"
        delimiter = "\t"
        columns = { deal = "a", stage = "b", actor = "c", occurred_at = "d", owner = "e", value = "f", account = "g", loss_reason = "h" }
        dates = { formats = ["%d.%m.%Y"], zone = "Asia/Tbilisi" }
        stages = { order = ["New"], success = ["Won"], failure = ["Lost"] }
        outcomes = { "Closed Won" = "Won" }
        loss = { reason = "unknown", codes = { "Too expensive" = "price" } }
        value = { currency = "GEL" }
    "#;
    let map = history(all).unwrap();
    assert_eq!(map.currency, Currency::parse("GEL"));
    assert_eq!(map.loss.code("Too expensive"), Some("price"));
    assert_eq!(map.loss.code("price"), Some("price"));
    assert_eq!(map.loss.code("Cheaper elsewhere"), None);
}

#[test]
fn entries_stand_in_the_order_of_the_stages() {
    let map = deals(
        "source = \"x\"\nstages.order = [\"New\", \"Deep\"]\nstages.success = [\"Won\"]\nentered = { Deep = \"d\", New = \"n\" }",
    );
    let stages: Vec<_> = map.unwrap().entered.into_iter().map(|entered| entered.stage).collect();
    assert_eq!(stages, ["New", "Deep"]);
}

#[test]
fn an_unknown_key_is_named_with_the_known_ones() {
    history_refused("[columns]\nstagee = \"s\"", &["MAP.toml", "stagee", "`stage`", "line 3"]);
    history_refused("[entered]\nNew = \"created\"", &["entered"]);
    assert!(said(history("delimiter = \",\"")).contains("source"));
}

#[test]
fn a_value_that_cannot_be_used_is_refused_with_a_way_out() {
    history_refused("delimiter = \"ab\"", &["MAP.toml", "delimiter = \"ab\"", "\";\""]);
    history_refused("[dates]\nzone = \"Berlin\"", &["[dates] zone = \"Berlin\"", "Europe/Berlin"]);
    history_refused("[dates]\nformats = [\"%Y\"]", &["[dates] formats = \"%Y\"", "whole day"]);
    history_refused("[stages]\norder = [\"A\", \"A\"]", &["[stages] order = \"A\"", "twice"]);
    history_refused(
        "[stages]\nsuccess = [\"A\"]\nfailure = [\"A\"]",
        &["[stages] success = \"A\"", "failure"],
    );
    history_refused("[outcomes]\nClosed = \"Won\"", &["[outcomes] \"Closed\" = \"Won\"", "[stages] success"]);
    history_refused(
        "[outcomes]\nLost = \"Won\"\n[stages]\nsuccess = [\"Won\"]\nfailure = [\"Lost\"]",
        &["itself a stage"],
    );
    history_refused("[loss]\nreason = \"Not recorded\"", &["[loss] reason", "not_recorded"]);
    history_refused("[loss.codes]\n\"Too dear\" = \"Price!\"", &["[loss.codes] \"Too dear\" = \"Price!\""]);
    history_refused("[value]\ncurrency = \"usd\"", &["[value] currency = \"usd\"", "USD"]);
    history_refused("[columns]\nvalue = \"amount\"", &["[columns] value = \"amount\"", "[value] currency"]);
    history_refused("[columns]\ndeal = \" id\"", &["[columns] deal = \" id\"", "write \"id\""]);
    history_refused("[columns]\nowner = \"\"", &["[columns] owner", "is empty"]);
}

#[test]
fn a_deals_map_needs_its_stages() {
    deals_refused("", &["missing field `stages`"]);
    deals_refused("[stages]\nsuccess = [\"Won\"]", &["[stages] order", "open"]);
    deals_refused(
        "[entered]\nOld = \"d\"\n[stages]\norder = [\"New\"]",
        &["[entered] \"Old\"", "[stages] order"],
    );
    let won = "[entered]\nWon = \"d\"\n[stages]\norder = [\"New\"]\nsuccess = [\"Won\"]";
    deals_refused(won, &["[entered] \"Won\"", "[closed] column"]);
    deals_refused(
        "[closed]\ncolumn = \"d\"\nof_open_deals = \"kept\"\n[stages]\norder = [\"New\"]",
        &["expected_close"],
    );
}

#[test]
fn a_map_that_is_not_there_is_named() {
    assert!(said(HistoryMap::load(Path::new("/nowhere/MAP.toml"))).contains("/nowhere/MAP.toml"));
}

#[test]
fn every_map_that_ships_is_understood() {
    use super::records::RecordsMap;
    use crate::import::Kind;
    let maps = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/maps"));
    let mut seen = 0;
    for entry in std::fs::read_dir(maps).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = file.file_stem().unwrap().to_str().unwrap().split_once('_').unwrap().1;
        let records = |kind| RecordsMap::load(&file, kind).map(drop);
        let understood = match name {
            "owners" | "users" => records(Kind::Users),
            "companies" | "accounts" | "account_history" | "company_properties" => records(Kind::Companies),
            "contacts" => records(Kind::Contacts),
            "deal_contacts" => records(Kind::DealContacts),
            "leads" => records(Kind::Leads),
            "tasks" => records(Kind::Tasks),
            "deals" | "opportunities" | "crm_sales" => DealsMap::load(&file).map(drop),
            _ => HistoryMap::load(&file).map(drop),
        };
        understood.unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
        seen += 1;
    }
    assert!(seen >= 18, "{seen}");
}
