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
        let patterns = keywords.get("patternProperties").and_then(Value::as_object).unwrap_or(&none);
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
                    let is_told = |name: &str| {
                        properties.contains_key(name)
                            || patterns.keys().any(|pattern| fits_pattern(pattern, name))
                    };
                    for (name, other) in object.iter().filter(|(name, _)| !is_told(name)) {
                        if rule == false {
                            return Err(format!("{at}: {name} is not known"));
                        }
                        self.check(rule, other, &format!("{at}.{name}"))?;
                    }
                    true
                }
                ("patternProperties", Value::Object(object)) => {
                    for (pattern, rule) in patterns {
                        for (name, told) in object.iter().filter(|(name, _)| fits_pattern(pattern, name)) {
                            self.check(rule, told, &format!("{at}.{name}"))?;
                        }
                    }
                    true
                }
                ("items", Value::Array(items)) => {
                    for item in items {
                        self.check(rule, item, &format!("{at}[]"))?;
                    }
                    true
                }
                ("uniqueItems", Value::Array(items)) => {
                    rule != true || (1..items.len()).all(|at| !items[..at].contains(&items[at]))
                }
                ("pattern", Value::String(text)) => {
                    rule.as_str().is_some_and(|pattern| fits_pattern(pattern, text))
                }
                ("format", Value::String(text)) => fits_format(rule, text),
                ("format", Value::Number(number)) => fits_number(rule, number.as_i64()),
                ("minimum", Value::Number(number)) => number.as_i64() >= rule.as_i64(),
                ("maximum", Value::Number(number)) => number.as_i64() <= rule.as_i64(),
                // Remarks, what others look up, and rules for values of another kind.
                (
                    "$schema"
                    | "$defs"
                    | "title"
                    | "description"
                    | "default"
                    | "x-personal"
                    | "properties"
                    | "patternProperties"
                    | "required"
                    | "additionalProperties"
                    | "items"
                    | "uniqueItems"
                    | "pattern"
                    | "format"
                    | "minimum"
                    | "maximum",
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

fn fits_number(format: &Value, number: Option<i64>) -> bool {
    match format.as_str() {
        Some("int32") => number.is_some_and(|number| i32::try_from(number).is_ok()),
        Some("int64") => number.is_some(),
        Some("uint32") => number.is_some_and(|number| u32::try_from(number).is_ok()),
        Some("uint16") => number.is_some_and(|number| u16::try_from(number).is_ok()),
        _ => panic!("this checker does not know the format {format}"),
    }
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

fn fits_pattern(pattern: &str, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match pattern {
        "^[0-9A-Fa-f]{64}$" => text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "^[A-Z]{3}$" => text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
        r"^-?\d+$" => digits(text.strip_prefix('-').unwrap_or(text)),
        decimal @ (r"^-?[0-9]+(\.[0-9]+)?$" | r"^[0-9]+(\.[0-9]+)?$") => {
            let sign = text.strip_prefix('-').filter(|_| decimal.starts_with("^-?"));
            let text = sign.unwrap_or(text);
            text.split_once('.').map_or(digits(text), |(whole, rest)| digits(whole) && digits(rest))
        }
        "^[0-9]*[1-9][0-9]*[dhm]$" => {
            let count = text.strip_suffix(['d', 'h', 'm']).unwrap_or_default();
            digits(count) && count.contains(|digit| digit != '0')
        }
        _ => panic!("this checker does not know the pattern {pattern}"),
    }
}

fn fits_format(format: &Value, text: &str) -> bool {
    match format.as_str() {
        Some("uuid") => uuid::Uuid::parse_str(text).is_ok(),
        Some("int32" | "int64" | "uint16") => true, // says nothing about texts; `type` does
        Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
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
            "spoons": { "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$" },
            "price": { "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$" },
            "size": { "oneOf": [{ "enum": ["s", "l"] }, { "type": "null" }] },
            "days": { "type": ["integer", "null"], "format": "uint16", "minimum": 1, "maximum": 9 },
            "grams": { "type": "integer", "format": "int64" },
            "leaf": { "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" },
            "at": { "type": "string", "format": "date-time" },
            "spices": { "type": "object", "additionalProperties": { "type": "integer" } },
            "sips": { "type": "array", "items": { "type": "boolean" } },
        },
        "required": ["kind"],
        "additionalProperties": false,
        "$defs": { "Cups": { "type": "integer", "format": "int32" } },
    });
    let good = json!({
        "kind": "tea", "cups": 2, "who": null, "price": "-1.50", "spoons": "1.5", "size": "s", "sips": [true],
        "leaf": "0aF9".repeat(16), "at": "2024-07-03T12:00:00Z", "grams": 3_000_000_000_i64,
        "spices": { "mint": 1 },
    });
    assert_eq!(check(&schema, &good), Ok(()));
    for (name, bad) in [
        ("kind", json!("coffee")),
        ("cups", json!("2")),
        ("cups", json!(3_000_000_000_i64)),
        ("who", json!("nobody")),
        ("price", json!("1.")),
        ("price", json!(1)),
        ("spoons", json!("-1.5")),
        ("size", json!("m")),
        ("days", json!(0)),
        ("days", json!(10)),
        ("days", json!(-1)),
        ("grams", json!(9_223_372_036_854_775_808_u64)),
        ("leaf", json!("a".repeat(63))),
        ("leaf", json!("g".repeat(64))),
        ("at", json!("2024-07-03")),
        ("sips", json!([true, 0])),
        ("spices", json!({ "mint": "some" })),
        ("sugar", json!(true)),
    ] {
        let mut value = good.clone();
        value[name] = bad;
        assert!(check(&schema, &value).is_err(), "{value}");
    }
    assert!(check(&schema, &json!({ "cups": 2 })).is_err());
    assert!(check(&json!({ "multipleOf": 1 }), &json!(2)).is_err());
}
