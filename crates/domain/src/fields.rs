//! Custom fields of leads, contacts, companies and deals: one stream per tenant, so keys are unique by its version.

use crate::decider::{Describe, changed, commands, events};
use crate::label::{LabelProblem, label};
use crate::pipeline::{folded, list};
use crate::{Claim, Decider, FieldId, Given, Money, Occurred, StreamId, Version};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stream that holds the fields, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_f1e1_d500_4a00_9000_0000_0000_0001));

/// Joined by whoever requires a field, such as a pipeline; the key is the field's id.
pub const REQUIRED_CLAIM: &str = "field.required";

/// The longest text that a field holds, in characters.
pub const LONGEST_TEXT: usize = 10_000;

commands! {
    /// The key is unique among the fields of the entity, whatever its case, also when that field is retired; the id is
    /// not another field's; choices have options, each with its own key, and other types have none; a default is valid
    /// for the type.
    "DefineField" = Define {
        field: FieldId,
        entity: Entity,
        /// What imports and reports use.
        key: String,
        label: String,
        #[serde(rename = "type")]
        kind: FieldType,
        /// What may be chosen, in order.
        #[serde(default)]
        options: Vec<FieldOption>,
        #[serde(default)]
        default: Option<FieldValue>,
        #[serde(default)]
        class: Classification,
    } => [Defined],
    /// The field is in force and a choice; at least one option, each with its own key; the default stays among them. An
    /// option that is left out is retired, never removed; one that is named again is back in force.
    "ChangeFieldOptions" = ChangeOptions {
        field: FieldId,
        /// All that may be chosen from now on, in order.
        options: Vec<FieldOption>,
    } => [OptionsChanged],
    /// The field is in force; the label has up to 200 characters.
    "RenameField" = Rename { field: FieldId, label: String } => [Renamed],
    /// The field exists; values written from now on are sealed, or not, by the new class.
    "ClassifyField" = Classify { field: FieldId, class: Classification } => [Classified],
    /// The field exists and no active stage requires it.
    "RetireField" = Retire { field: FieldId } => [Retired],
}

/// What has fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    Lead,
    Contact,
    Company,
    Deal,
}

impl Entity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Deal => "deal",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    Text,
    Number,
    Money,
    Date,
    Bool,
    Choice,
    MultiChoice,
}

impl FieldType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Money => "money",
            Self::Date => "date",
            Self::Bool => "bool",
            Self::Choice => "choice",
            Self::MultiChoice => "multi_choice",
        }
    }

    fn has_options(self) -> bool {
        matches!(self, Self::Choice | Self::MultiChoice)
    }
}

/// How the values of a field are to be guarded; personal and sensitive ones are sealed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    #[default]
    None,
    Personal,
    Sensitive,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldOption {
    /// Permanent; values hold it.
    pub key: String,
    pub label: String,
}

/// `{"text": "…"}`, `{"number": "12.5"}`, `{"money": {…}}`, `{"date": "2024-06-30"}`, `{"bool": true}`,
/// `{"choice": "key"}` or `{"multi_choice": ["key"]}`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    Text(String),
    /// A string, because JSON numbers are not exact.
    Number(#[schemars(with = "String", regex(pattern = r"^-?[0-9]+(\.[0-9]+)?$"))] Decimal),
    Money(Money),
    Date(NaiveDate),
    Bool(bool),
    /// The key of an option.
    Choice(String),
    /// The keys of options.
    MultiChoice(Vec<String>),
}

impl FieldValue {
    pub fn kind(&self) -> FieldType {
        match self {
            Self::Text(_) => FieldType::Text,
            Self::Number(_) => FieldType::Number,
            Self::Money(_) => FieldType::Money,
            Self::Date(_) => FieldType::Date,
            Self::Bool(_) => FieldType::Bool,
            Self::Choice(_) => FieldType::Choice,
            Self::MultiChoice(_) => FieldType::MultiChoice,
        }
    }
}

/// Hides the value: it may be personal, and no log line shows what is.
impl std::fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FieldValue({}…)", self.kind().as_str())
    }
}

events! {
    Defined = "field.defined",
    OptionsChanged = "field.options_changed",
    Renamed = "field.renamed",
    Classified = "field.classified",
    Retired = "field.retired",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    pub field: FieldId,
    pub entity: Entity,
    pub key: String,
    pub label: String,
    #[serde(rename = "type")]
    pub kind: FieldType,
    pub options: Vec<FieldOption>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default: Option<FieldValue>,
    pub class: Classification,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OptionsChanged {
    pub field: FieldId,
    /// All that may be chosen from now on, in order.
    pub options: Vec<FieldOption>,
    /// Keys that could be chosen before and no longer can.
    pub retired: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Renamed {
    pub field: FieldId,
    pub from: String,
    pub to: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Classified {
    pub field: FieldId,
    pub from: Classification,
    pub to: Classification,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retired {
    pub field: FieldId,
}

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Retired(event) => vec![Claim::none(REQUIRED_CLAIM, event.field.to_string())],
            _ => Vec::new(),
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this field does not exist; there are {}", list(.accepted))]
    NoSuchField { accepted: Vec<String> },
    #[error("the {} field {taken:?} exists already; choose another key", .entity.as_str())]
    KeyTaken { entity: Entity, taken: String },
    #[error("this id is that of the {} field {used_by:?}; use another id", .entity.as_str())]
    IdTaken { entity: Entity, used_by: String },
    #[error("the field {key:?} is retired; change one of {}", list(.accepted))]
    RetiredField { key: String, accepted: Vec<String> },
    #[error("a {} field needs at least one option; name them in `options`", .kind.as_str())]
    OptionsMissing { kind: FieldType },
    #[error("a {} field has no options; leave them out, or make it a choice or multi_choice", .kind.as_str())]
    OptionsUnasked { kind: FieldType },
    #[error("two options have the key {key:?}; each needs its own")]
    OptionTwice { key: String },
    #[error("option {key:?} is the field's default; keep it among the options")]
    DefaultOption { key: String },
    #[error(transparent)]
    #[serde(untagged)]
    Label(#[from] LabelProblem),
    #[error(transparent)]
    #[serde(untagged)]
    Default(#[from] FieldProblem),
}

/// Why a value does not go into a field. Never repeats the value, which may be personal.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum FieldProblem {
    #[error("a {} has no field {field}; it has {}", .entity.as_str(), list(.accepted))]
    UnknownField { field: FieldId, entity: Entity, accepted: Vec<String> },
    #[error("the field {key:?} is retired and takes no values; accepted: {}", list(.accepted))]
    FieldRetired { key: String, accepted: Vec<String> },
    #[error("the field {key:?} takes a {}, not a {}", .accepted.as_str(), .given.as_str())]
    WrongType { key: String, given: FieldType, accepted: FieldType },
    #[error("the field {key:?} takes a text of 1 to {most} characters; this has {length}")]
    TextLength { key: String, length: usize, most: usize },
    #[error("the field {key:?} is given what is no option of it; accepted: {}", list(.accepted))]
    UnknownOption { key: String, accepted: Vec<String> },
    #[error("the field {key:?} takes at least one option; accepted: {}", list(.accepted))]
    NothingChosen { key: String, accepted: Vec<String> },
    #[error("the field {key:?} is given an option twice; name each once, of {}", list(.accepted))]
    ChosenTwice { key: String, accepted: Vec<String> },
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Fields {
    fields: Vec<Field>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    pub id: FieldId,
    pub entity: Entity,
    pub key: String,
    pub label: String,
    pub kind: FieldType,
    /// Options in force, in order; then retired ones.
    pub options: Vec<Choosable>,
    pub default: Option<FieldValue>,
    pub class: Classification,
    pub active: bool,
}

/// An option, in force or retired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choosable {
    pub option: FieldOption,
    pub active: bool,
}

impl Field {
    /// What may be chosen.
    pub fn options(&self) -> impl Iterator<Item = &FieldOption> {
        self.options.iter().filter(|known| known.active).map(|known| &known.option)
    }

    /// Whether its values are sealed.
    pub fn is_sealed(&self) -> bool {
        !matches!(self.class, Classification::None)
    }

    /// Whether the value is one of this field.
    pub fn fits(&self, value: &FieldValue) -> Result<(), FieldProblem> {
        match (self.kind, value) {
            (FieldType::Text, FieldValue::Text(text)) => self.fits_text(text),
            (FieldType::Choice, FieldValue::Choice(chosen)) => self.chooses(chosen),
            (FieldType::MultiChoice, FieldValue::MultiChoice(chosen)) => self.chooses_all(chosen),
            (accepted, value) if accepted == value.kind() => Ok(()),
            (accepted, value) => {
                Err(FieldProblem::WrongType { key: self.key.clone(), given: value.kind(), accepted })
            }
        }
    }

    fn fits_text(&self, text: &str) -> Result<(), FieldProblem> {
        let length = text.chars().count();
        if text.trim().is_empty() || length > LONGEST_TEXT {
            return Err(FieldProblem::TextLength { key: self.key.clone(), length, most: LONGEST_TEXT });
        }
        Ok(())
    }

    fn chooses(&self, chosen: &str) -> Result<(), FieldProblem> {
        if self.options().any(|option| option.key == chosen) {
            return Ok(());
        }
        Err(FieldProblem::UnknownOption { key: self.key.clone(), accepted: self.option_keys() })
    }

    fn chooses_all(&self, chosen: &[String]) -> Result<(), FieldProblem> {
        let (key, accepted) = (self.key.clone(), self.option_keys());
        if chosen.is_empty() {
            return Err(FieldProblem::NothingChosen { key, accepted });
        }
        for (at, option) in chosen.iter().enumerate() {
            self.chooses(option)?;
            if chosen[..at].contains(option) {
                return Err(FieldProblem::ChosenTwice { key, accepted });
            }
        }
        Ok(())
    }

    fn option_keys(&self) -> Vec<String> {
        self.options().map(|option| option.key.clone()).collect()
    }

    fn has_options(&self, options: &[FieldOption]) -> bool {
        self.options().eq(options)
    }

    fn default_options(&self) -> &[String] {
        match &self.default {
            Some(FieldValue::Choice(key)) => std::slice::from_ref(key),
            Some(FieldValue::MultiChoice(keys)) => keys,
            _ => &[],
        }
    }
}

impl Fields {
    pub fn get(&self, id: FieldId) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// The field with this key, whatever its case, also when retired.
    pub fn by_key(&self, entity: Entity, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.entity == entity && folded(&field.key) == folded(key))
    }

    /// Every field of a class, retired ones too.
    pub fn classed(&self, class: Classification) -> impl Iterator<Item = FieldId> {
        self.fields.iter().filter(move |field| field.class == class).map(|field| field.id)
    }

    /// The fields of an entity that take values, in the order of their definition.
    pub fn of(&self, entity: Entity) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(move |field| field.active && field.entity == entity)
    }

    /// The field of an entity, if it takes values.
    pub fn in_force(&self, entity: Entity, field: FieldId) -> Result<&Field, FieldProblem> {
        let accepted = || self.of(entity).map(|field| field.key.clone()).collect();
        match self.get(field).filter(|known| known.entity == entity) {
            None => Err(FieldProblem::UnknownField { field, entity, accepted: accepted() }),
            Some(known) if !known.active => {
                Err(FieldProblem::FieldRetired { key: known.key.clone(), accepted: accepted() })
            }
            Some(known) => Ok(known),
        }
    }

    /// Whether a field of an entity may have the value.
    pub fn check(&self, entity: Entity, field: FieldId, value: &FieldValue) -> Result<(), FieldProblem> {
        self.in_force(entity, field)?.fits(value)
    }

    fn known(&self, id: FieldId) -> Result<&Field, Refusal> {
        self.get(id).ok_or_else(|| Refusal::NoSuchField { accepted: self.active_keys() })
    }

    fn active(&self, id: FieldId) -> Result<&Field, Refusal> {
        let field = self.known(id)?;
        if field.active {
            return Ok(field);
        }
        Err(Refusal::RetiredField { key: field.key.clone(), accepted: self.active_keys() })
    }

    fn active_keys(&self) -> Vec<String> {
        self.fields.iter().filter(|field| field.active).map(|field| field.key.clone()).collect()
    }
}

impl Decider for Fields {
    const AGGREGATE: &'static str = "field";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(_: &Command) -> Option<StreamId> {
        Some(STREAM)
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn decide(&self, command: &Command, _: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Define { field, entity, key, label: words, kind, options, default, class } => {
                let (key, words) = (label("key", key)?, label("label", words)?);
                let (field, entity, kind, class) = (*field, *entity, *kind, *class);
                let options = checked_options(kind, options)?;
                let default = default.clone();
                define(self, Defined { field, entity, key, label: words, kind, options, default, class })
            }
            Command::ChangeOptions { field, options } => change_options(self.active(*field)?, options),
            Command::Rename { field, label: words } => {
                let (field, to) = (self.active(*field)?, label("label", words)?);
                let event = Renamed { field: field.id, from: field.label.clone(), to };
                Ok(changed(event.from != event.to, Event::Renamed(event)))
            }
            Command::Classify { field, class } => {
                let field = self.known(*field)?;
                let event = Classified { field: field.id, from: field.class, to: *class };
                Ok(changed(event.from != event.to, Event::Classified(event)))
            }
            Command::Retire { field } => {
                let field = self.known(*field)?;
                Ok(changed(field.active, Event::Retired(Retired { field: field.id })))
            }
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        let id = match event {
            Event::Defined(event) => return self.fields.push(defined(event)),
            Event::OptionsChanged(event) => event.field,
            Event::Renamed(event) => event.field,
            Event::Classified(event) => event.field,
            Event::Retired(event) => event.field,
        };
        for field in self.fields.iter_mut().filter(|field| field.id == id) {
            match event {
                Event::Defined(_) => {}
                Event::OptionsChanged(event) => field.options = options_after(&field.options, &event.options),
                Event::Renamed(event) => field.label.clone_from(&event.to),
                Event::Classified(event) => field.class = event.to,
                Event::Retired(_) => field.active = false,
            }
        }
    }
}

fn define(fields: &Fields, wanted: Defined) -> Result<Vec<Event>, Refusal> {
    let field = defined(&wanted);
    if let Some(default) = &wanted.default {
        field.fits(default)?;
    }
    let twin = fields.get(wanted.field).or_else(|| fields.by_key(wanted.entity, &wanted.key));
    match twin {
        None => Ok(vec![Event::Defined(wanted)]),
        Some(twin) if *twin == Field { key: twin.key.clone(), ..field } && same_key(twin, &wanted) => {
            Ok(Vec::new())
        }
        Some(twin) if !same_key(twin, &wanted) => {
            Err(Refusal::IdTaken { entity: twin.entity, used_by: twin.key.clone() })
        }
        Some(twin) => Err(Refusal::KeyTaken { entity: twin.entity, taken: wanted.key }),
    }
}

fn same_key(twin: &Field, wanted: &Defined) -> bool {
    twin.entity == wanted.entity && folded(&twin.key) == folded(&wanted.key)
}

fn change_options(field: &Field, options: &[FieldOption]) -> Result<Vec<Event>, Refusal> {
    let options = checked_options(field.kind, options)?;
    let stays = |key: &String| options.iter().any(|option| option.key == *key);
    if let Some(key) = field.default_options().iter().find(|key| !stays(key)) {
        return Err(Refusal::DefaultOption { key: key.clone() });
    }
    let retired = field.option_keys().into_iter().filter(|key| !stays(key)).collect();
    let differs = !field.has_options(&options);
    Ok(changed(differs, Event::OptionsChanged(OptionsChanged { field: field.id, options, retired })))
}

fn checked_options(kind: FieldType, options: &[FieldOption]) -> Result<Vec<FieldOption>, Refusal> {
    match (kind.has_options(), options.is_empty()) {
        (true, true) => return Err(Refusal::OptionsMissing { kind }),
        (false, false) => return Err(Refusal::OptionsUnasked { kind }),
        _ => {}
    }
    let mut checked: Vec<FieldOption> = Vec::with_capacity(options.len());
    for FieldOption { key, label: words } in options {
        let option = FieldOption { key: label("option key", key)?, label: label("option label", words)? };
        if checked.iter().any(|other| folded(&other.key) == folded(&option.key)) {
            return Err(Refusal::OptionTwice { key: option.key });
        }
        checked.push(option);
    }
    Ok(checked)
}

fn defined(event: &Defined) -> Field {
    let in_force = |option: &FieldOption| Choosable { option: option.clone(), active: true };
    Field {
        id: event.field,
        entity: event.entity,
        key: event.key.clone(),
        label: event.label.clone(),
        kind: event.kind,
        options: event.options.iter().map(in_force).collect(),
        default: event.default.clone(),
        class: event.class,
        active: true,
    }
}

/// The options named, then those of before that are not, retired.
fn options_after(before: &[Choosable], named: &[FieldOption]) -> Vec<Choosable> {
    let left_out = |known: &&Choosable| !named.iter().any(|option| option.key == known.option.key);
    let retired = before.iter().filter(left_out).map(|known| Choosable { active: false, ..known.clone() });
    let in_force = named.iter().map(|option| Choosable { option: option.clone(), active: true });
    in_force.chain(retired).collect()
}
