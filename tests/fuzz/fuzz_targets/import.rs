//! Files as people send them: a map in TOML and a table in CSV, up to the rows of a history and of deals, and up to the
//! commands of other records. A line says what the file is of; a line `---` ends the map.

#![no_main]

use kvali::import::{
    DealsMap, HistoryMap, Kind, RecordRows, RecordsMap, deal_rows, history_rows, survey_deals, survey_history,
};
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// In memory, where the machine has such a place.
static TABLE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    dir.join(format!("kvali-fuzz-{}.csv", std::process::id()))
});

fuzz_target!(|bytes: &[u8]| {
    let Some((head, table)) = split(bytes, b"\n---\n") else { return };
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (kind, map) = head.split_once('\n').unwrap_or((head, ""));
    std::fs::write(&*TABLE, table).expect("there is room");
    match kind {
        "history" => history(map),
        "deals" => deals(map),
        "companies" => records(Kind::Companies, map),
        "contacts" => records(Kind::Contacts, map),
        "leads" => records(Kind::Leads, map),
        "tasks" => records(Kind::Tasks, map),
        "users" => records(Kind::Users, map),
        "deal-contacts" => records(Kind::DealContacts, map),
        _ => {}
    }
});

fn split<'b>(bytes: &'b [u8], at: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}

/// The survey, and the rows by time: as many as it has counted.
fn history(map: &str) {
    let map = if map.is_empty() { Ok(HistoryMap::default()) } else { HistoryMap::parse(map, &TABLE) };
    let Ok(map) = map else { return };
    let Ok(survey) = survey_history(&TABLE, &map) else { return };
    let rows = history_rows(&TABLE, &map, &survey).expect("it was surveyed a moment ago");
    let mut before = None;
    for row in rows.map(|row| row.expect("it was read whole a moment ago")).flatten() {
        assert!(before <= row.when.at(), "rows come by time");
        before = row.when.at();
    }
}

fn deals(map: &str) {
    let Ok(map) = DealsMap::parse(map, &TABLE) else { return };
    let Ok(survey) = survey_deals(&TABLE, &map) else { return };
    let rows = deal_rows(&TABLE, &map).expect("it was surveyed a moment ago");
    let read = rows.map(|row| row.expect("it was read whole a moment ago")).count();
    assert_eq!(u64::try_from(read), Ok(survey.rows));
}

fn records(kind: Kind, map: &str) {
    let map = if map.is_empty() { Ok(RecordsMap::default()) } else { RecordsMap::parse(map, kind, &TABLE) };
    let Ok(map) = map else { return };
    if RecordRows::survey(&TABLE, kind, &map).is_ok() {
        kvali::fuzz::drafts(kind, &map, &TABLE);
    }
}
