//! `schemas/events` and `schemas/commands` say what the code does: generated files are up to date, every
//! shape ever released has an example that is still read, and nothing else lies about there.
//!
//! `KVALI_BLESS=1 cargo test -p kvali-domain` rewrites the generated files.

use crate::checker::check;
use crate::stories::anything;
use kvali_domain::{Command, Event, command_types, event_types, history, refusal_types};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn file_names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("the folder was read").file_name().into_string().expect("our names are UTF-8")
    };
    entries.map(name).collect()
}

/// Compares a generated file with what the code generates now, or rewrites it.
#[track_caller]
fn generated(path: &Path, schema: &Value) {
    up_to_date(path, serde_json::to_string_pretty(&sorted(schema)).expect("a JSON value") + "\n");
}

#[track_caller]
fn up_to_date(path: &Path, now: String) {
    if std::env::var_os("KVALI_BLESS").is_some() {
        let folder = path.parent().expect("a file in a folder");
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, now));
        return written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let was = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        was == now,
        "{} differs from the code. If the change is meant and no released shape is broken by it, run\n    \
         KVALI_BLESS=1 cargo test -p kvali-domain\nand commit the file. The code now says:\n{now}",
        path.display()
    );
}

/// The same value with sorted keys, also where another crate of the build makes maps keep their order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, Value> =
                object.iter().map(|(key, value)| (key, sorted(value))).collect();
            sorted.into_iter().map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[test]
fn every_event_type_has_its_present_schema() {
    for (event_type, schema) in event_types() {
        let version = history::current(event_type);
        let path = folder("events").join(format!("{event_type}.v{version}.schema.json"));
        generated(&path, schema.as_value());
    }
}

#[test]
fn every_event_type_has_a_row_of_history_and_every_row_a_type() {
    let types: BTreeSet<&str> = event_types().into_iter().map(|(event_type, _)| event_type).collect();
    let rows: BTreeSet<&str> = history::SHAPES.iter().map(|shape| shape.event_type).collect();
    assert_eq!(types, rows);
    assert_eq!(types.len(), event_types().len(), "a wire name is used once");
}

#[test]
fn every_released_shape_has_an_example_that_is_still_read() {
    for shape in history::SHAPES {
        let (event_type, version) = (shape.event_type, shape.version);
        let path = |kind: &str| folder("events").join(format!("{event_type}.v{version}.{kind}.json"));
        let example = read(&path("example"));
        let data =
            example.strip_suffix('\n').expect("files end with a line feed, which is not part of `data`");
        let event = Event::decode(event_type, version, data).unwrap_or_else(|error| {
            panic!("{event_type} v{version}: {error}: {:?}", std::error::Error::source(&error))
        });
        assert_eq!(event.event_type(), event_type);
        if version == history::current(event_type) {
            assert_eq!(event.data(), data, "{event_type} v{version} is not written as its example says");
        }
        if std::env::var_os("KVALI_BLESS").is_none() {
            let schema = serde_json::from_str(&read(&path("schema"))).expect("a schema is JSON");
            let value = serde_json::from_str(data).expect("it was decoded");
            check(&schema, &value).unwrap_or_else(|wrong| panic!("{event_type} v{version}: {wrong}"));
        }
    }
}

/// Whoever appends seals what the event tells, and nothing else of it is kept: a text that is not told would be lost.
#[test]
fn every_event_tells_all_that_its_schema_calls_personal() {
    for (event_type, schema) in event_types() {
        let version = history::current(event_type);
        let path = folder("events").join(format!("{event_type}.v{version}.example.json"));
        let mut data: Value = serde_json::from_str(&read(&path)).expect("an example is JSON");
        let schema = schema.as_value();
        if event_type.ends_with(".fields_changed") {
            continue; // what is sealed there is told by its field
        }
        // Where nobody gave a text, there is nobody whose key seals it.
        if schema["properties"]["subject"].is_object() && data["subject"].is_null() {
            data["subject"] = json!("0190d9c6-4a00-7000-8000-000000000001");
        }
        let mut event =
            Event::decode(event_type, version, &data.to_string()).expect("an example with a subject is read");
        let told: BTreeSet<&str> = event.personal().into_iter().map(|found| found.field).collect();
        let named = schema["x-personal"].as_array().into_iter().flatten().filter_map(Value::as_str);
        assert_eq!(told, named.collect(), "{event_type}");
        assert_eq!(event.schema_version(), version, "{event_type}");
    }
}

#[test]
fn nothing_else_lies_among_the_events() {
    let expected: BTreeSet<String> = history::SHAPES
        .iter()
        .flat_map(|shape| {
            ["schema", "example"].map(|kind| format!("{}.v{}.{kind}.json", shape.event_type, shape.version))
        })
        .collect();
    if std::env::var_os("KVALI_BLESS").is_none() {
        assert_eq!(file_names(&folder("events")), expected);
    }
}

fn command_schemas() -> &'static BTreeMap<&'static str, Value> {
    static SCHEMAS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
        let schemas: BTreeMap<_, _> =
            command_types().into_iter().map(|known| (known.name, known.schema)).collect();
        assert_eq!(schemas.len(), command_types().len(), "a command's word is used once");
        schemas
    });
    &SCHEMAS
}

#[test]
fn every_command_type_has_its_present_schema() {
    for (name, schema) in command_schemas() {
        generated(&folder("commands").join(format!("{name}.schema.json")), schema);
    }
}

#[test]
fn nothing_else_lies_among_the_commands() {
    let expected: BTreeSet<String> =
        command_schemas().keys().map(|name| format!("{name}.schema.json")).collect();
    if std::env::var_os("KVALI_BLESS").is_none() {
        assert_eq!(file_names(&folder("commands")), expected);
    }
}

proptest! {
    #[test]
    fn every_command_fits_its_schema_and_is_read_back(order in anything()) {
        let name = order.command.command_type();
        let written = serde_json::to_value(&order.command).expect("commands are JSON");
        let body = &written[name];
        prop_assert_eq!(check(&command_schemas()[name], body), Ok(()));
        prop_assert_eq!(Command::decode(name, body).ok(), Some(order.command));
    }
}

#[track_caller]
fn unreadable(name: &str, body: &Value) -> String {
    Command::decode(name, body).expect_err("it cannot be read").to_string()
}

#[test]
fn a_command_with_a_field_that_nobody_knows_is_not_read() {
    let typo = json!({ "to": "0190d9c6-4a00-7000-8000-000000000211", "form": null });
    let words = unreadable("MoveDeal", &typo);
    assert!(words.contains("`form`") && words.contains("`pipeline_version`"), "{words}");
    assert!(check(&command_schemas()["MoveDeal"], &typo).is_err());
}

#[test]
fn a_malformed_command_is_told_the_field_and_the_way_out() {
    let words = unreadable("MoveDeal", &json!({ "to": "somewhere" }));
    assert!(words.starts_with("MoveDeal: `to`: "), "{words}");
    let words = unreadable("SetDealValue", &json!({ "value": { "amount": "12", "currency": "lari" } }));
    assert!(words.contains("`value.currency`"), "{words}");
    let words = unreadable("AttachCallRecording", &json!({ "hash": "cafe", "consent": { "given": {} } }));
    assert!(words.contains("`hash`") && words.contains("64 hexadecimal digits"), "{words}");
    let words = unreadable("MoveDeal", &json!({}));
    assert!(words.contains("missing field `to`"), "{words}");
    let words = unreadable("movedeal", &json!({}));
    assert!(words.contains("MoveDeal") && words.contains("--list"), "{words}");
}

#[test]
fn every_commands_example_is_a_command() {
    for known in command_types() {
        check(&known.schema, &known.example).unwrap_or_else(|wrong| panic!("{}: {wrong}", known.name));
        let command = Command::decode(known.name, &known.example);
        assert_eq!(command.expect("an example is read").command_type(), known.name);
    }
}

/// `docs/commands.md`: command, rules, events, example, all of it from the code.
#[test]
fn the_table_of_commands_says_what_the_code_does() {
    let mut page = String::from(COMMANDS_PAGE);
    let types = command_types();
    for aggregate in types.chunk_by(|one, next| one.aggregate == next.aggregate) {
        let name = aggregate[0].aggregate;
        page.extend(["\n## ", name, "\n\n| command | rules | events | example |\n|---|---|---|---|\n"]);
        for known in aggregate {
            let events: Vec<_> = known.events.iter().map(|event| format!("`{event}`")).collect();
            let (name, rules) = (known.name, known.rules.replace('|', "\\|"));
            let (events, example) = (events.join(", "), known.example.to_string());
            page.extend(["| ", name, " | ", &*rules, " | ", &*events, " | `", &*example, "` |\n"]);
        }
    }
    up_to_date(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md"), page);
}

const COMMANDS_PAGE: &str = "# Commands\n\nGenerated from the code (`KVALI_BLESS=1 cargo test -p kvali-domain`). \
Every rule holds on every path. A command that has taken\neffect already is accepted without events. The example \
shows the required fields, as `kvali do COMMAND --json` takes them;\n`kvali do COMMAND --schema` has them all.\n";

/// `docs/refusals.md`: code, what it is about, what it tells, all of it from the code.
#[test]
fn the_table_of_refusals_says_what_the_code_does() {
    let mut page = String::from(REFUSALS_PAGE);
    let types = refusal_types();
    for of in types.chunk_by(|one, next| one.aggregate == next.aggregate) {
        let name = of[0].aggregate.unwrap_or("any command");
        page.extend(["\n## ", name, "\n\n| code | about | tells |\n|---|---|---|\n"]);
        for known in of {
            let list =
                |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let tells: Vec<&str> = known.tells.iter().map(String::as_str).collect();
            page.extend(["| `", &*known.code, "` | ", &*list(known.members), " | ", &*list(&tells), " |\n"]);
        }
    }
    up_to_date(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/refusals.md"), page);
}

const REFUSALS_PAGE: &str = "# Refusals\n\nGenerated from the code (`KVALI_BLESS=1 cargo test -p kvali-domain`). \
The codes are stable. `about`: the members of commands that it can mean;\na problem's `field` is the first of them \
that the command has, and `id`, the record itself, where there is none or none is listed.\nWhere a refusal tells `field` \
or `threshold`, it is that one. `tells`: what stands in the problem's `refusal`, beside `detail`.\n";

#[test]
fn every_command_has_its_rules_in_words() {
    for known in command_types() {
        assert!(known.rules.ends_with('.'), "{}: {:?}", known.name, known.rules);
        assert!(!known.events.is_empty(), "{}", known.name);
    }
}
