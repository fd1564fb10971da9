use super::{SHAPES, Shape, present};
use crate::DecodeError;
use serde_json::{Value, json};

/// A type that has been through three shapes, beside one that never changed.
const TABLE: &[Shape] = &[
    Shape { event_type: "tea.poured", version: 1, change: std::convert::identity },
    Shape { event_type: "tea.poured", version: 2, change: cups_become_litres },
    Shape { event_type: "tea.poured", version: 3, change: litres_get_a_unit },
    Shape { event_type: "tea.drunk", version: 1, change: std::convert::identity },
];

fn cups_become_litres(mut data: Value) -> Value {
    json!({ "litres": data["cups"].take().as_f64().expect("shape 1 counts cups") / 4.0 })
}

fn litres_get_a_unit(mut data: Value) -> Value {
    json!({ "volume": data["litres"].take(), "unit": "l" })
}

fn read(event_type: &str, version: i16, data: &str) -> Value {
    let data = present(TABLE, event_type, version, data).expect("the shape is in the table");
    serde_json::from_str(&data).expect("changes give JSON")
}

#[test]
fn an_old_shape_is_read_through_every_later_change_in_order() {
    let now = json!({ "volume": 0.5, "unit": "l" });
    assert_eq!(read("tea.poured", 1, r#"{"cups":2}"#), now);
    assert_eq!(read("tea.poured", 2, r#"{"litres":0.5}"#), now);
    assert_eq!(read("tea.poured", 3, r#"{"volume":0.5,"unit":"l"}"#), now);
}

#[test]
fn the_present_shape_keeps_its_bytes() {
    let odd = r#"{ "unit" : "l",  "volume":0.50 }"#;
    assert_eq!(present(TABLE, "tea.poured", 3, odd).expect("shape 3 is current"), odd);
    assert_eq!(present(TABLE, "tea.drunk", 1, odd).expect("shape 1 is current"), odd);
}

#[test]
fn a_shape_that_never_was_is_an_error() {
    for version in [-1, 0, 4] {
        let error = present(TABLE, "tea.poured", version, "{}").expect_err("no such shape");
        assert!(matches!(error, DecodeError::UnknownShape { version: named, .. } if named == version));
        assert!(error.to_string().contains("tea.poured"), "{error}");
    }
}

#[test]
fn a_type_that_never_was_is_an_error_of_its_own() {
    let error = present(TABLE, "tea.spilled", 1, "{}").expect_err("no such type");
    assert!(matches!(&error, DecodeError::UnknownType { event_type } if event_type == "tea.spilled"));
}

#[test]
fn old_bytes_that_are_no_json_are_malformed() {
    let error = present(TABLE, "tea.poured", 1, "{").expect_err("half an object");
    assert!(matches!(error, DecodeError::Malformed { .. }));
}

#[test]
fn versions_of_a_type_stand_in_order_from_one_without_gap() {
    for shape in SHAPES {
        let versions = SHAPES.iter().filter(|other| other.event_type == shape.event_type);
        let versions: Vec<i16> = versions.map(|other| other.version).collect();
        let expected: Vec<i16> = (1..).take(versions.len()).collect();
        assert_eq!(versions, expected, "{}", shape.event_type);
    }
}
