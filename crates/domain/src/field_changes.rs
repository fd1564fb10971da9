//! Values of custom fields: what was asked, what it changes. Those of personal and sensitive fields are sealed, so the
//! state knows only that such a field is filled.

use crate::fields::{self, Entity, Fields};
pub use crate::fields::{FieldProblem, FieldValue};
use crate::{FieldId, Given, Personal, PersonalField, Reads, SubjectId};
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

/// What becomes of the fields of a record: of some in clear, or of one that is sealed.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["sealed_value"]))]
pub struct Changes {
    pub changes: Vec<FieldChange>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sealed: Option<SealedField>,
    /// A field's value, as JSON.
    #[serde(skip)]
    pub sealed_value: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    pub field: FieldId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<FieldValue>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<FieldValue>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SealedField {
    pub field: FieldId,
    /// Whether it holds the value that is sealed, or nothing any more.
    pub filled: bool,
    /// Whose key seals the value: the record's own.
    pub subject: SubjectId,
}

/// What a record has in a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    Clear(FieldValue),
    /// Whose key seals it.
    Sealed(SubjectId),
}

impl Changes {
    pub fn in_clear(changes: Vec<FieldChange>) -> Self {
        Self { changes, ..Self::default() }
    }

    pub fn personal(&mut self) -> Vec<PersonalField<'_>> {
        match self.sealed {
            Some(SealedField { filled: true, subject, .. }) => {
                vec![PersonalField { subject, field: "sealed_value", value: &mut self.sealed_value }]
            }
            _ => Vec::new(),
        }
    }

    /// The sealed value, for whoever has the key.
    pub fn unsealed(&self) -> Option<FieldValue> {
        self.sealed_value.as_deref().and_then(|json| serde_json::from_str(json).ok())
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Problem {
    #[error("no field is named; name at least one with the value it shall hold")]
    NoFields,
    #[error("field {field} is named twice; name it once")]
    Twice { field: FieldId },
    #[error(transparent)]
    #[serde(untagged)]
    Field(#[from] FieldProblem),
}

/// Where the dictionary of fields stands, for whoever checks values against it.
pub fn reads() -> Reads {
    Reads::Fields(fields::STREAM)
}

/// What really changes, if these fields of an entity may hold these values: first those in clear, in the order asked,
/// then each sealed one. A sealed value cannot be compared, so one that is given counts as another.
pub fn decide(
    entity: Entity,
    known: &BTreeMap<FieldId, Held>,
    asked: &[FieldSetting],
    given: &Given<'_>,
) -> Result<Vec<Changes>, Problem> {
    if asked.is_empty() {
        return Err(Problem::NoFields);
    }
    let none = Fields::default();
    let fields = given.facts.get::<Fields>(fields::STREAM).unwrap_or(&none);
    let (mut in_clear, mut sealed) = (Vec::new(), Vec::new());
    for (place, setting) in asked.iter().enumerate() {
        if asked[..place].iter().any(|earlier| earlier.field == setting.field) {
            return Err(Problem::Twice { field: setting.field });
        }
        let field = fields.in_force(entity, setting.field)?;
        if let Some(value) = &setting.value {
            field.fits(value)?;
        }
        let held = known.get(&setting.field);
        // What was sealed under an earlier class is cleared as it was set.
        if field.is_sealed() || (matches!(held, Some(Held::Sealed(_))) && setting.value.is_none()) {
            sealed.extend(seal(setting, held, SubjectId(given.stream.0)));
        } else {
            in_clear.extend(change(setting, held));
        }
    }
    let in_clear = (!in_clear.is_empty()).then(|| Changes::in_clear(in_clear));
    Ok(in_clear.into_iter().chain(sealed).collect())
}

fn change(setting: &FieldSetting, held: Option<&Held>) -> Option<FieldChange> {
    let from = match held {
        Some(Held::Clear(value)) => Some(value.clone()),
        Some(Held::Sealed(_)) | None => None,
    };
    let to = setting.value.clone();
    (from != to).then_some(FieldChange { field: setting.field, from, to })
}

fn seal(setting: &FieldSetting, held: Option<&Held>, subject: SubjectId) -> Option<Changes> {
    let json = |value| serde_json::to_string(value).expect("a field's value is JSON");
    let sealed_value = Personal(setting.value.as_ref().map(json));
    let filled = setting.value.is_some();
    let sealed = Some(SealedField { field: setting.field, filled, subject });
    (filled || held.is_some()).then_some(Changes { changes: Vec::new(), sealed, sealed_value })
}

pub fn apply(known: &mut BTreeMap<FieldId, Held>, changes: &Changes) {
    let in_clear = changes.changes.iter().map(|change| (change.field, change.to.clone().map(Held::Clear)));
    let sealed =
        changes.sealed.map(|sealed| (sealed.field, sealed.filled.then_some(Held::Sealed(sealed.subject))));
    for (field, held) in in_clear.chain(sealed) {
        match held {
            Some(held) => known.insert(field, held),
            None => known.remove(&field),
        };
    }
}
