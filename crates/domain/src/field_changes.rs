//! Values of custom fields: what was asked, what it changes. Personal values are no part of it.

pub use crate::fields::FieldValue;
use crate::fields::{self, Entity, FieldProblem, Fields};
use crate::{FieldId, Given, Reads};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a field shall hold; no value clears it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldSetting {
    pub field: FieldId,
    #[serde(default)]
    pub value: Option<FieldValue>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    pub field: FieldId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<FieldValue>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<FieldValue>,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Problem {
    #[error("no field is named; name at least one with the value it shall hold")]
    NoFields,
    #[error("field {field} is named twice; name it once")]
    Twice { field: FieldId },
    #[error("the field {key:?} is personal or sensitive, and such values cannot be kept yet; leave it out")]
    Sealed { key: String },
    #[error(transparent)]
    #[serde(untagged)]
    Field(#[from] FieldProblem),
}

/// Where the dictionary of fields stands, for whoever checks values against it.
pub fn reads() -> Reads {
    Reads::Fields(fields::STREAM)
}

/// Whether these fields of an entity may hold these values.
pub fn check_fields(entity: Entity, asked: &[FieldSetting], given: &Given<'_>) -> Result<(), Problem> {
    if asked.is_empty() {
        return Err(Problem::NoFields);
    }
    let none = Fields::default();
    let known = given.facts.get::<Fields>(fields::STREAM).unwrap_or(&none);
    for (place, setting) in asked.iter().enumerate() {
        if asked[..place].iter().any(|earlier| earlier.field == setting.field) {
            return Err(Problem::Twice { field: setting.field });
        }
        let field = known.in_force(entity, setting.field)?;
        if field.is_sealed() && setting.value.is_some() {
            return Err(Problem::Sealed { key: field.key.clone() });
        }
        if let Some(value) = &setting.value {
            field.fits(value)?;
        }
    }
    Ok(())
}

/// What really changes, in the order it was asked.
pub fn changes(known: &BTreeMap<FieldId, FieldValue>, asked: &[FieldSetting]) -> Vec<FieldChange> {
    let change = |setting: &FieldSetting| FieldChange {
        field: setting.field,
        from: known.get(&setting.field).cloned(),
        to: setting.value.clone(),
    };
    asked.iter().map(change).filter(|change| change.from != change.to).collect()
}

pub fn apply(known: &mut BTreeMap<FieldId, FieldValue>, changes: &[FieldChange]) {
    for FieldChange { field, to, .. } in changes {
        match to {
            Some(value) => known.insert(*field, value.clone()),
            None => known.remove(field),
        };
    }
}
