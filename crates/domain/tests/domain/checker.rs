//! Checks a value against the JSON Schema keywords that our generated schemas use; any other keyword is an
//! error, so that nothing passes by being overlooked.

use serde_json::{Map, Value};

/// What is wrong with `value` by `schema`, in words.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Checker { root: schema }.check(schema, value, "$")
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Value::Object(keywords) = schema else { return Err(format!("{at}: schema is no object")) };
        let none = Map::new();
        let properties = keywords.get("properties").and_then(Value::as_object).unwrap_or(&none);
        for (keyword, rule) in keywords {
            let holds = match (keyword.as_str(), value) {
                ("$ref", _) => {
                    let target = rule.as_str().and_then(|path| self.root.pointer(path.strip_prefix('#')?));
                    self.check(target.ok_or(format!("{at}: {rule} leads nowhere"))?, value, at)?;
                    true
                }
                ("type", _) => match rule {
                    Value::Array(types) => types.iter().any(|name| is_a(name, value)),
                    name => is_a(name, value),
                },
                ("const", _) => rule == value,
                ("enum", _) => rule.as_array().is_some_and(|values| values.contains(value)),
                ("anyOf", _) => self.fitting(rule, value, at) > 0,
                ("oneOf", _) => self.fitting(rule, value, at) == 1,
                ("required", Value::Object(object)) => {
                    let names = rule.as_array().ok_or("required is a list")?;
                    names.iter().all(|name| name.as_str().is_some_and(|name| object.contains_key(name)))
                }
                ("additionalProperties", Value::Object(object)) => {
                    assert_eq!(rule, false, "only `false` is understood");
                    object.keys().all(|name| properties.contains_key(name))
                }
                ("items", Value::Array(items)) => {
                    for item in items {
                        self.check(rule, item, &format!("{at}[]"))?;
                    }
                    true
                }
                ("pattern", Value::String(text)) => fits_pattern(rule, text),
                ("format", Value::String(text)) => fits_format(rule, text),
                ("format", Value::Number(number)) => rule == "int32" && number.as_i64().is_some_and(is_i32),
                // Remarks, what others look up, and rules for values of another kind.
                (
                    "$schema"
                    | "$defs"
                    | "title"
                    | "description"
                    | "default"
                    | "x-personal"
                    | "properties"
                    | "required"
                    | "additionalProperties"
                    | "items"
                    | "pattern"
                    | "format",
                    _,
                ) => true,
                _ => return Err(format!("{at}: this checker does not know the keyword {keyword}")),
            };
            if !holds {
                return Err(format!("{at}: {value} does not satisfy {keyword}: {rule}"));
            }
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            if let Some(property) = properties.get(name) {
                self.check(property, value, &format!("{at}.{name}"))?;
            }
        }
        Ok(())
    }

    fn fitting(&self, schemas: &Value, value: &Value, at: &str) -> usize {
        let schemas = schemas.as_array().into_iter().flatten();
        schemas.filter(|schema| self.check(schema, value, at).is_ok()).count()
    }
}

fn is_i32(number: i64) -> bool {
    i32::try_from(number).is_ok()
}

fn is_a(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => panic!("this checker does not know the type {name}"),
    }
}

fn fits_pattern(pattern: &Value, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match pattern.as_str() {
        Some("^[A-Z]{3}$") => text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
        Some(r"^-?[0-9]+(\.[0-9]+)?$") => {
            let text = text.strip_prefix('-').unwrap_or(text);
            text.split_once('.').map_or(digits(text), |(whole, rest)| digits(whole) && digits(rest))
        }
        _ => panic!("this checker does not know the pattern {pattern}"),
    }
}

fn fits_format(format: &Value, text: &str) -> bool {
    match format.as_str() {
        Some("uuid") => uuid::Uuid::parse_str(text).is_ok(),
        Some("int32") => true, // says nothing about texts; `type` does
        Some("date") => text.parse::<chrono::NaiveDate>().is_ok(),
        _ => panic!("this checker does not know the format {format}"),
    }
}

#[test]
fn the_checker_refuses_what_a_schema_refuses() {
    use serde_json::json;
    let schema = json!({
        "type": "object",
        "properties": {
            "kind": { "const": "tea" },
            "cups": { "$ref": "#/$defs/Cups" },
            "who": { "type": ["string", "null"], "format": "uuid" },
            "price": { "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$" },
            "size": { "oneOf": [{ "enum": ["s", "l"] }, { "type": "null" }] },
            "sips": { "type": "array", "items": { "type": "boolean" } },
        },
        "required": ["kind"],
        "additionalProperties": false,
        "$defs": { "Cups": { "type": "integer", "format": "int32" } },
    });
    let good =
        json!({ "kind": "tea", "cups": 2, "who": null, "price": "-1.50", "size": "s", "sips": [true] });
    assert_eq!(check(&schema, &good), Ok(()));
    for (name, bad) in [
        ("kind", json!("coffee")),
        ("cups", json!("2")),
        ("cups", json!(3_000_000_000_i64)),
        ("who", json!("nobody")),
        ("price", json!("1.")),
        ("price", json!(1)),
        ("size", json!("m")),
        ("sips", json!([true, 0])),
        ("sugar", json!(true)),
    ] {
        let mut value = good.clone();
        value[name] = bad;
        assert!(check(&schema, &value).is_err(), "{value}");
    }
    assert!(check(&schema, &json!({ "cups": 2 })).is_err());
    assert!(check(&json!({ "minimum": 1 }), &json!(2)).is_err());
}
