//! Seeds for the fuzzers in `tests/fuzz`: `seeds DIR` writes a folder of sound inputs for each, made of what the project
//! has anyway: examples of commands and events, the described routes, the maps that are shipped.

use kvali_api::Cursor;
use kvali_domain::{TenantId, command_types};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn main() -> io::Result<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or_else(|| io::Error::other("say seeds DIR"))?);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the workspace");
    write(&dir.join("cursor"), cursors())?;
    write(&dir.join("envelope"), commands().into_iter().chain(events(root)?))?;
    write(&dir.join("filter"), questions(root)?)?;
    write(&dir.join("import"), files(root)?)
}

fn write(dir: &Path, seeds: impl IntoIterator<Item = String>) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (at, seed) in seeds.into_iter().enumerate() {
        fs::write(dir.join(format!("seed-{at:04}")), seed)?;
    }
    Ok(())
}

/// Of the feed, and a place of the audit trail.
fn cursors() -> Vec<String> {
    let tenant = TenantId(Uuid::from_u128(0xabc));
    let cursor = |(epoch, position)| Cursor { tenant, epoch, position }.to_string();
    let mut seeds: Vec<String> = [(1, 0), (2, 17), (i32::MAX, i64::MAX)].map(cursor).into();
    seeds.push("0".repeat(65));
    seeds
}

/// Each alone, and in a batch.
fn commands() -> Vec<String> {
    let mut seeds = Vec::new();
    for known in command_types() {
        seeds.push(format!("command {}\n{}", known.name, known.example));
        let path = known.name.chars().enumerate().fold(String::new(), |path, (at, letter)| {
            let dash = if letter.is_ascii_uppercase() && at > 0 { "-" } else { "" };
            format!("{path}{dash}{}", letter.to_ascii_lowercase())
        });
        let item = json!({ "aggregate": known.aggregate, "id": "-", "command": path, "body": known.example });
        seeds.push(format!("batch\n{}", json!([item])));
    }
    seeds
}

/// Of every shape: files such as `deal.won.v1.example.json`.
fn events(root: &Path) -> io::Result<Vec<String>> {
    let mut seeds = Vec::new();
    for file in fs::read_dir(root.join("schemas/events"))? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((event_type, version)) =
            name.strip_suffix(".example.json").and_then(|name| name.rsplit_once(".v"))
        else {
            continue;
        };
        seeds.push(format!("event {event_type} {version}\n{}", fs::read_to_string(&path)?));
    }
    Ok(seeds)
}

/// Every route that is asked by a query string, with all that it may be asked.
fn questions(root: &Path) -> io::Result<Vec<String>> {
    let described: Value = serde_json::from_slice(&fs::read(root.join("schemas/openapi.json"))?)?;
    let paths = described["paths"].as_object().expect("it has paths");
    let mut seeds = Vec::new();
    for (path, operations) in paths {
        let parameters = operations["get"]["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let asked = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let pairs: Vec<String> = asked
            .map(|parameter| {
                format!("{}={}", parameter["name"].as_str().unwrap_or_default(), said(parameter))
            })
            .collect();
        let route = path.rsplit('/').next().unwrap_or_default();
        seeds.extend(pairs.iter().map(|pair| format!("{route}\n{pair}")));
        seeds.push(format!("{route}\n{}", pairs.join("&")));
    }
    Ok(seeds)
}

/// A plausible value of a parameter.
fn said(parameter: &Value) -> &'static str {
    match parameter["name"].as_str().unwrap_or_default() {
        "limit" | "before" | "after" => "17",
        "as_of" | "from" | "to" => "2026-03-31T18:00:00Z",
        "clock" => "known",
        "types" => "deal.won,task.*",
        "stream" | "owner" | "actor" | "object" | "after_deal" => "0190d9c6-4a00-7000-8000-000000000001",
        "zone" => "Asia/Tbilisi",
        "rule" => "ordered",
        "window" | "wait" => "30d",
        "archived" | "decided" => "true",
        "rare" => "0.05",
        _ => "deal",
    }
}

/// The shipped maps with a table that has their columns, and tables without a map.
fn files(root: &Path) -> io::Result<Vec<String>> {
    let plain = [
        "history\n---\ndeal,stage,actor,occurred_at\n1,Lead,Nino,2024-01-01\n1,Offer,Nino,2024-01-02T10:00:00+04:00\n",
        "companies\n---\nid,name,domain,country,tax_id,created_at\n1,Acme,https://acme.ge/,GE,123456789,2024-01-01\n",
        "contacts\n---\nid,given,family,email,phone,country\n1,Nino,Abashidze,nino@acme.ge,+995 599 12 34 56,GE\n",
        "leads\n---\nid,name,email,phone,source\n1,Nino,nino@acme.ge,+995599123456,site\n",
        "tasks\n---\nid,subject,due,owner\n1,Call back,2026-11-30,Nino\n",
        "users\n---\nid,name,email\n1,Nino,nino@kvali.ge\n",
    ];
    let mut seeds: Vec<String> = plain.map(str::to_owned).into();
    for file in fs::read_dir(root.join("docs/maps"))? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let map = fs::read_to_string(&path)?;
        let columns = quoted(&map);
        let table = format!("{}\n{}\n", columns.join(","), vec!["2024-01-01"; columns.len()].join(","));
        let kinds = ["history", "deals", "companies", "contacts", "leads", "tasks", "users", "deal-contacts"];
        seeds.extend(kinds.map(|kind| format!("{kind}\n{map}\n---\n{table}")));
    }
    Ok(seeds)
}

/// Every text in quotes once, so that whatever the map names is a column.
fn quoted(map: &str) -> Vec<&str> {
    let mut texts: Vec<&str> = Vec::new();
    for text in map.split('"').skip(1).step_by(2) {
        if !texts.contains(&text) && !text.contains([',', '\n']) {
            texts.push(text);
        }
    }
    texts
}
