//! The description of the API, `OpenAPI` 3.1, made of the routes and of the commands. JSON Schemas of the domain's types are
//! its own dialect, so they stand in it as they are.

pub(crate) mod shapes;

use crate::commands::kebab;
use crate::routes::{ROUTES, Route, With};
use axum::Json;
use kvali_domain::access::Permission;
use kvali_domain::{Command, CommandType, command_types, event_types};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(describe);

/// `GET /openapi.json`.
pub(crate) async fn document() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// The description of every operation, as it is served and committed.
pub fn openapi() -> Value {
    DOCUMENT.clone()
}

const DEFINITIONS: &str = "/components/schemas";

fn describe() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = DEFINITIONS.into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route, &mut generator);
    }
    let problem = generator.subschema_for::<shapes::Problem>();
    let answer = generator.subschema_for::<shapes::CommandAnswer>().to_value();
    let mut schemas = generator.take_definitions(true);
    for known in command_types() {
        let path = format!("/v1/{}/{{id}}/{}", known.aggregate, kebab(known.name));
        let body = lifted(known.schema.clone(), known.aggregate, &mut schemas);
        paths.insert(path, json!({ "post": command(&known, &body) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kvali",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0 OR MIT" },
            "description": "An event-sourced CRM core: commands, the feed of events, and read models as of now or of any past instant.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters(),
            "responses": {
                "CommandAnswer": {
                    "description": "Carried out, or already so",
                    "content": { "application/json": { "schema": answer } },
                },
                "Problem": {
                    "description": "What went wrong, and what would be accepted (RFC 9457)",
                    "content": { "application/problem+json": { "schema": problem } },
                },
            },
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "kvali_ID_SECRET" },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut told = json!({
        "operationId": operation_id(route.method, route.path),
        "summary": route.says,
        "tags": [tag(route.path)],
        "parameters": path_parameters(route.path),
        "responses": responses(route.status, route.media, &(route.answer)(generator).to_value()),
    });
    if let Some(right) = route.right {
        told["x-kvali-right"] = json!(right.as_str());
    }
    if !route.path.starts_with("/v1/") {
        told["security"] = json!([]);
    }
    match route.with {
        With::Nothing => {}
        With::Query | With::Rows => {
            let schema = (route.asked)(generator).to_value();
            let parameters = query_parameters(&schema, generator.definitions());
            told["parameters"].as_array_mut().expect("just made").extend(parameters);
        }
        With::Body => {
            let schema = (route.asked)(generator).to_value();
            told["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
    }
    if route.with == With::Rows {
        told["parameters"].as_array_mut().expect("just made").push(parameter_named("Idempotency-Key"));
        told["requestBody"] = rows();
    }
    if route.path.ends_with("{command}") {
        let headers = HEADERS.iter().map(|(name, ..)| parameter_named(name));
        told["parameters"].as_array_mut().expect("just made").extend(headers);
    }
    told
}

/// Rows as a body has them.
fn rows() -> Value {
    let line = "An item a line, as in POST /v1/commands";
    let table = "A row an item; the header names fields of the command, and id, idempotency_key, if_version, reason, occurred_at";
    let text = |says: &str, example: &str| json!({ "schema": { "type": "string", "description": says }, "example": example });
    json!({
        "required": true,
        "content": {
            "application/x-ndjson": text(line, "{\"aggregate\": \"company\", \"command\": \"create-company\", \"id\": \"-\", \"body\": {\"name\": \"Acme\"}}\n"),
            "text/csv": text(table, "name,legal_ids.country,legal_ids.tax_id\nAcme,GE,204567890\n"),
        },
    })
}

/// A command at a path of its own.
fn command(known: &CommandType, body: &Value) -> Value {
    let right = Command::decode(known.name, &known.example).map(|command| Permission::of(&command));
    let right = right.expect("its example is a command");
    let parameters = [ID].into_iter().chain(HEADERS.map(|(name, ..)| name)).map(parameter_named);
    json!({
        "operationId": known.name,
        "summary": known.name,
        "description": known.rules,
        "tags": [known.aggregate],
        "x-kvali-right": right.as_str(),
        "x-kvali-events": known.events,
        "parameters": parameters.collect::<Vec<_>>(),
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": body, "example": known.example } },
        },
        "responses": answered(&json!({ "$ref": "#/components/responses/CommandAnswer" }), 200),
    })
}

const ID: &str = "Id";

/// Name, schema and meaning of what any command may say in its header.
const HEADERS: [(&str, (&str, &str), &str); 5] = [
    (
        "Idempotency-Key",
        ("pattern", "^[!-~]{1,200}$"),
        "Requests of one sender with the same key are one command",
    ),
    (
        "If-Match",
        ("pattern", "^\"[0-9]{1,9}\"$"),
        "Refuse unless the stream is at this version, as its ETag says",
    ),
    ("Kvali-Reason", ("pattern", "^[a-z0-9_]{1,64}$"), "Why, as a code"),
    ("Kvali-Occurred-At", ("format", "date-time"), "When it happened, if that was earlier"),
    ("X-Request-Id", ("pattern", "^[!-~]{1,128}$"), "Kept with the command for the audit trail"),
];

fn parameters() -> Value {
    let header = |(name, (rule, value), says): (&str, (&str, &str), &str)| {
        let schema = json!({ "type": "string", rule: value });
        (name.to_owned(), json!({ "name": name, "in": "header", "description": says, "schema": schema }))
    };
    let mut parameters: Map<String, Value> = HEADERS.into_iter().map(header).collect();
    let id = json!({
        "name": "id",
        "in": "path",
        "required": true,
        "description": "The record; - where there is one alone, or where a new one is made",
        "schema": {
            "type": "string",
            "pattern": "^(-|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$",
        },
    });
    parameters.insert(ID.to_owned(), id);
    Value::Object(parameters)
}

fn parameter_named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

fn responses(status: u16, media: &str, schema: &Value) -> Value {
    if status == 204 {
        return answered(&json!({ "description": "Done" }), status);
    }
    answered(&json!({ "description": "As asked", "content": { media: { "schema": schema } } }), status)
}

fn answered(answer: &Value, status: u16) -> Value {
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    let mut all = json!({ status.to_string(): answer, "4XX": problem, "503": problem });
    if status == 201 {
        // What was there already is told as it stands.
        all["200"] = answer.clone();
    }
    all
}

fn operation_id(method: &str, path: &str) -> String {
    let words = path.split('/').filter(|word| !word.is_empty() && *word != "v1");
    let words: Vec<&str> = words.map(|word| word.trim_matches(['{', '}'])).collect();
    format!("{method}_{}", words.join("_").replace(['-', '.'], "_"))
}

fn tag(path: &str) -> &str {
    path.strip_prefix("/v1/")
        .map_or("server", |rest| rest.split('/').next().unwrap_or_default().trim_matches(['{', '}']))
}

fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let mut schema = json!({ "type": "string" });
            if name == "id" {
                schema["format"] = json!("uuid");
            }
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect()
}

/// One parameter for each field of the question.
fn query_parameters(schema: &Value, definitions: &Map<String, Value>) -> Vec<Value> {
    let named = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let schema = named.and_then(|name| definitions.get(name)).unwrap_or(schema);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields: BTreeMap<&String, &Value> = schema["properties"].as_object().into_iter().flatten().collect();
    fields
        .into_iter()
        .map(|(name, field)| {
            let mut field = field.clone();
            let says = field.as_object_mut().and_then(|field| field.remove("description"));
            without_null(&mut field);
            json!({
                "name": name,
                "in": "query",
                "required": required.iter().any(|needed| needed == name),
                "description": says.unwrap_or_default(),
                "schema": field,
            })
        })
        .collect()
}

/// A parameter that is not given is left out; there is no null in a query.
fn without_null(schema: &mut Value) {
    if let Some(types) = schema["type"].as_array_mut() {
        types.retain(|kind| kind != "null");
        if let [one] = &types[..] {
            schema["type"] = one.clone();
        }
    }
    if let Some(any) = schema["anyOf"].as_array_mut() {
        any.retain(|kind| kind["type"] != "null");
        if let [one] = &any[..] {
            *schema = one.clone();
        }
    }
    if let Some(members) = schema.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
}

/// The schema of a command or an event; what it refers to is put beside the others, under the name of its aggregate.
fn lifted(mut schema: Value, aggregate: &str, schemas: &mut Map<String, Value>) -> Value {
    let defined = schema.as_object_mut().and_then(|members| {
        members.remove("$schema");
        members.remove("$defs")
    });
    let own = format!("#{DEFINITIONS}/{aggregate}.");
    for (name, mut definition) in defined.and_then(|all| all.as_object().cloned()).into_iter().flatten() {
        redirect(&mut definition, &own);
        schemas.insert(format!("{aggregate}.{name}"), definition);
    }
    redirect(&mut schema, &own);
    schema
}

fn redirect(schema: &mut Value, to: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(path)) = members.get_mut("$ref")
                && let Some(name) = path.strip_prefix("#/$defs/")
            {
                *path = format!("{to}{name}");
            }
            members.values_mut().for_each(|value| redirect(value, to));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, to)),
        _ => {}
    }
}

/// The description of the feed, `AsyncAPI` 3.0: one message per type of event.
pub fn asyncapi() -> Value {
    let (mut messages, mut schemas) = (Map::new(), Map::new());
    for (name, schema) in event_types() {
        let aggregate = name.split('.').next().unwrap_or_default();
        let schema = lifted(schema.to_value(), aggregate, &mut schemas);
        messages.insert(
            name.to_owned(),
            json!({
                "name": name,
                "contentType": "application/cloudevents+json",
                "payload": {
                    "type": "object",
                    "required": ["specversion", "id", "source", "type", "subject", "time", "position", "data"],
                    "properties": { "type": { "const": name }, "data": schema },
                },
            }),
        );
    }
    let of_feed = |name: &String| (name.clone(), json!({ "$ref": format!("#/components/messages/{name}") }));
    let channel: Map<String, Value> = messages.keys().map(of_feed).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kvali's feed of events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events in the order of their positions, which has no gaps, as CloudEvents 1.0: GET /v1/events by long poll, or as server-sent events with Last-Event-ID.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": { "events": { "address": "/v1/events", "messages": channel } },
        "operations": { "follow": { "action": "send", "channel": { "$ref": "#/channels/events" } } },
        "components": { "messages": messages, "schemas": schemas },
    })
}

#[cfg(test)]
mod tests {
    use super::{asyncapi, openapi};
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// `KVALI_BLESS=1 cargo test -p kvali-api` rewrites the files.
    fn committed(name: &str, now: &Value) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas").join(name);
        let now = serde_json::to_string_pretty(&sorted(now)).expect("a JSON value") + "\n";
        if std::env::var_os("KVALI_BLESS").is_some() {
            return std::fs::write(&path, now).expect("the schemas can be written");
        }
        let was = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(was == now, "schemas/{name} differs from the code: KVALI_BLESS=1 cargo test -p kvali-api");
    }

    /// The same value with sorted keys, also where another crate of the build makes maps keep their order.
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let sorted: BTreeMap<&String, Value> =
                    members.iter().map(|(key, value)| (key, sorted(value))).collect();
                sorted.into_iter().map(|(key, value)| (key.clone(), value)).collect()
            }
            Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }

    #[test]
    fn the_committed_descriptions_are_those_of_the_code() {
        committed("openapi.json", &openapi());
        committed("asyncapi.json", &asyncapi());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(root: &Value, value: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(path) = members.get("$ref").and_then(Value::as_str) {
                        let pointer = path.strip_prefix('#').expect("within the document");
                        assert!(root.pointer(pointer).is_some(), "{path}");
                    }
                    members.values().for_each(|value| walk(root, value));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(root, item)),
                _ => {}
            }
        }
        for document in [openapi(), asyncapi()] {
            walk(&document, &document);
        }
    }
}
