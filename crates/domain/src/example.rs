//! An example of whatever a JSON Schema describes: its required fields, each with a plausible value.

use serde_json::{Map, Value, json};

/// The example of `schema`, whose definitions stand in `root`.
pub(crate) fn of(root: &Value, schema: &Value) -> Value {
    value(root, schema, "", 0)
}

/// References may run in a circle; no command is nested so deep.
const DEEPEST: u8 = 8;

fn value(root: &Value, schema: &Value, name: &str, depth: u8) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let inner = |schema: &Value| value(root, schema, name, depth + 1);
    if let Some(fixed) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return fixed.clone();
    }
    if let Some(path) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        return root.pointer(path).map_or(Value::Null, inner);
    }
    for of in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) = schema[of].get(0) {
            return inner(first);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => object(root, schema, depth),
        Some("array") => json!([inner(&schema["items"])]),
        Some("string") => text(schema, name).into(),
        Some("integer") => schema["minimum"].as_i64().unwrap_or(0).max(1).into(),
        _ => Value::Null,
    }
}

fn object(root: &Value, schema: &Value, depth: u8) -> Value {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let field = |name: &Value| {
        let name = name.as_str()?;
        Some((name.to_owned(), value(root, &schema["properties"][name], name, depth + 1)))
    };
    Value::Object(required.iter().filter_map(field).collect::<Map<_, _>>())
}

fn text(schema: &Value, name: &str) -> String {
    match schema["pattern"].as_str() {
        Some("^[0-9A-Fa-f]{64}$") => return "0a".repeat(32),
        Some("^[A-Z]{3}$") => return "GEL".to_owned(),
        Some(pattern) if pattern.contains("[0-9]+") => return "1054.00".to_owned(),
        _ => {}
    }
    let text = match (schema["format"].as_str(), name) {
        (Some("uuid"), _) => "0190d9c6-4a00-7000-8000-000000000001",
        (Some("date"), _) => "2026-03-31",
        (Some("date-time"), _) => "2026-03-31T09:30:00Z",
        (_, "zone") => "Asia/Tbilisi",
        (_, "currency") => "GEL",
        (_, "country") => "GE",
        (_, "amount") => "1054.00",
        (_, "") => "text",
        (_, name) => name,
    };
    text.to_owned()
}
