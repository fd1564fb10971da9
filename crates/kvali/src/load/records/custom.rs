//! The tenant's own fields, by their keys.

use super::draft::Part;
use crate::failure::Failure;
use crate::import::records::{RecordRow, RecordRows};
use crate::import::{Kind, RowProblem};
use crate::load::sink::Sink;
use chrono::NaiveDate;
use kvali_domain::field_changes::FieldSetting;
use kvali_domain::fields::{self, Entity, Field, FieldType, FieldValue};
use kvali_domain::{Command, State, company, contact, lead};
use rust_decimal::Decimal;

/// Those that a map fills.
#[derive(Default)]
pub(super) struct Fields(Vec<Field>);

impl Fields {
    pub(super) async fn of(
        sink: &Sink<'_>,
        kind: Kind,
        keys: impl Iterator<Item = &String>,
    ) -> Result<Self, Failure> {
        let state = sink.state(fields::STREAM).await?;
        let known = match state.as_ref().map(|(_, state)| &**state) {
            Some(State::Fields(known)) => known.clone(),
            _ => fields::Fields::default(),
        };
        let find = |key: &String| {
            let field =
                entity(kind).and_then(|entity| known.by_key(entity, key)).filter(|field| field.active);
            field.cloned().ok_or_else(|| {
                Failure::Impossible(format!(
                    "the map fills [fields] {key}, and {} have no such field; define it first with \
                     `kvali do DefineField` (its `entity` and `key` say which)",
                    kind.plural()
                ))
            })
        };
        keys.map(find).collect::<Result<_, _>>().map(Self)
    }

    /// The values that a row has for them.
    pub(super) fn read(
        &self,
        row: &RecordRow,
        file: &mut RecordRows<'_>,
    ) -> Result<Vec<(String, FieldSetting, String)>, RowProblem> {
        let mut settings = Vec::new();
        for field in &self.0 {
            let Some(cell) = row.fields.get(&field.key) else { continue };
            let value = value(field, cell).and_then(|value| match field.fits(&value) {
                Ok(()) => Ok(value),
                Err(problem) => Err(problem.to_string()),
            });
            match value {
                Ok(value) => {
                    let setting = FieldSetting { field: field.id, value: Some(value) };
                    settings.push((field.key.clone(), setting, cell.clone()));
                }
                Err(why) => file.unusable(row.line, &field.key, cell, why)?,
            }
        }
        Ok(settings)
    }
}

/// One part for each field, so that one which is refused does not keep the others back.
pub(super) fn parts(entity: Entity, settings: Vec<(String, FieldSetting, String)>) -> Vec<Part> {
    let part = |(key, setting, cell): (String, FieldSetting, String)| {
        Part::always("field", &[&cell], command(entity, vec![setting])).at(&key)
    };
    settings.into_iter().map(part).collect()
}

fn command(entity: Entity, fields: Vec<FieldSetting>) -> Command {
    match entity {
        Entity::Company => company::Command::SetFields { fields }.into(),
        Entity::Contact => contact::Command::SetFields { fields }.into(),
        Entity::Lead | Entity::Deal => {
            lead::Command::Update(lead::Update { fields, ..lead::Update::default() }).into()
        }
    }
}

fn entity(kind: Kind) -> Option<Entity> {
    match kind {
        Kind::Companies => Some(Entity::Company),
        Kind::Contacts => Some(Entity::Contact),
        Kind::Leads => Some(Entity::Lead),
        Kind::Tasks | Kind::Users | Kind::DealContacts => None,
    }
}

fn value(field: &Field, cell: &str) -> Result<FieldValue, String> {
    let text = || cell.to_owned();
    let not = |what: &str| format!("is no {what}, as the field {:?} takes it", field.key);
    match field.kind {
        FieldType::Text => Ok(FieldValue::Text(text())),
        FieldType::Choice => Ok(FieldValue::Choice(text())),
        FieldType::MultiChoice => {
            Ok(FieldValue::MultiChoice(cell.split(';').map(|key| key.trim().to_owned()).collect()))
        }
        FieldType::Number => Decimal::from_str_exact(cell)
            .map(FieldValue::Number)
            .map_err(|_| not("plain number such as 10.5")),
        FieldType::Date => NaiveDate::parse_from_str(cell, "%Y-%m-%d")
            .map(FieldValue::Date)
            .map_err(|_| not("date such as 2024-06-30")),
        FieldType::Bool => match cell.to_ascii_lowercase().as_str() {
            "true" => Ok(FieldValue::Bool(true)),
            "false" => Ok(FieldValue::Bool(false)),
            _ => Err(not("true or false")),
        },
        FieldType::Money => {
            Err("fills a field that takes money, which files do not yet; leave it out".to_owned())
        }
    }
}
