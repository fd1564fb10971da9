//! What a command's fields are called and what they take, by its schema: for the columns of a table, and for telling what is
//! wrong with a value without repeating it.

use kvali_domain::access::Permission;
use kvali_domain::{Command, command_types};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// By its permanent word: the schema of each command's fields, and the right that it takes.
static COMMANDS: LazyLock<HashMap<&'static str, (Value, Permission)>> = LazyLock::new(|| {
    let known = command_types().into_iter().map(|known| {
        let example = Command::decode(known.name, &known.example).expect("its example is a command");
        (known.name, (known.schema, Permission::of(&example)))
    });
    known.collect()
});

/// How deep fields are listed, and references followed.
const DEEPEST: usize = 6;

/// What may stand at one place of a command.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    root: &'a Value,
    /// Without references: one of these holds.
    any: Vec<&'a Value>,
}

/// How a text becomes the value of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    /// A list or an object, written as JSON.
    Json,
}

impl Field<'static> {
    /// All fields of the command with that permanent word.
    pub(crate) fn of_command(name: &str) -> Self {
        let (root, _) = COMMANDS.get(name).expect("every command has a schema");
        Self::of(root, root)
    }
}

/// The same word, for as long as the program runs.
pub(crate) fn permanent(name: &str) -> Option<&'static str> {
    COMMANDS.get_key_value(name).map(|(name, _)| *name)
}

/// The right that the command with that permanent word takes.
pub(crate) fn right(name: &str) -> Permission {
    COMMANDS.get(name).expect("every command takes a right").1
}

impl<'a> Field<'a> {
    pub(crate) fn of(root: &'a Value, schema: &'a Value) -> Self {
        let mut any = Vec::new();
        alternatives(root, schema, DEEPEST, &mut any);
        Self { root, any }
    }

    /// The member of that name, or the item of a list of that number.
    pub(crate) fn step(&self, name: &str) -> Option<Self> {
        let mut any = Vec::new();
        let mut found = false;
        for schema in &self.any {
            let member = schema["properties"].get(name);
            let other = schema.get("additionalProperties").filter(|other| other.is_object());
            let item = schema.get("items").filter(|_| name.parse::<usize>().is_ok());
            if let Some(schema) = member.or(other).or(item) {
                found = true;
                alternatives(self.root, schema, DEEPEST, &mut any);
            }
        }
        found.then_some(Self { root: self.root, any })
    }

    /// The same, if the command's own words lead there.
    pub(crate) fn own(&self, name: &str) -> Option<Self> {
        let is_own = self.any.iter().any(|schema| schema["properties"].get(name).is_some())
            || (self.is_list() && name.parse::<usize>().is_ok());
        self.step(name).filter(|_| is_own)
    }

    pub(crate) fn kind(&self) -> Kind {
        let types = self.types();
        if types.contains("string") {
            Kind::Text
        } else if types.contains("array") || types.contains("object") {
            Kind::Json
        } else if types.contains("boolean") {
            Kind::Boolean
        } else {
            Kind::Number
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        self.any.iter().any(|schema| schema.get("items").is_some())
    }

    fn types(&self) -> BTreeSet<&'a str> {
        let mut types = BTreeSet::new();
        for schema in &self.any {
            match &schema["type"] {
                Value::String(one) => drop(types.insert(one.as_str())),
                Value::Array(several) => types.extend(several.iter().filter_map(Value::as_str)),
                _ if schema["const"].is_string() || schema["enum"][0].is_string() => {
                    types.insert("string");
                }
                _ => {}
            }
        }
        types.remove("null");
        types
    }

    /// Members that must be there, whichever alternative holds.
    pub(crate) fn required(&self) -> BTreeSet<&'a str> {
        let of = |schema: &&'a Value| -> BTreeSet<&'a str> {
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let mut all = self.any.iter().filter(|schema| schema["properties"].is_object()).map(of);
        let first = all.next().unwrap_or_default();
        all.fold(first, |both, one| both.intersection(&one).copied().collect())
    }

    /// In words: `a text (uuid)`, `one of to_do, call`, `an object with amount, currency`.
    pub(crate) fn takes(&self) -> String {
        let words: BTreeSet<String> = self.any.iter().filter_map(|schema| takes(schema)).collect();
        if words.is_empty() {
            "a value".to_owned()
        } else {
            words.into_iter().collect::<Vec<_>>().join(", or ")
        }
    }

    /// The ways to its fields, dotted: `name`, `legal_ids.country`, `points.0.kind`.
    pub(crate) fn ways(&self) -> Vec<String> {
        let mut ways = BTreeSet::new();
        self.list("", DEEPEST, &mut ways);
        ways.into_iter().collect()
    }

    /// The way to the member of that name, as far as the first list: `party`, `with.party`, `items`.
    pub(crate) fn way_to(&self, name: &str) -> Option<String> {
        if self.own(name).is_some() {
            return Some(name.to_owned());
        }
        let ways = self.ways();
        let way = ways.iter().find(|way| way.split('.').any(|step| step == name))?;
        let steps: Vec<&str> = way.split('.').take_while(|step| step.parse::<usize>().is_err()).collect();
        let end = steps.iter().position(|step| *step == name).map_or(steps.len(), |at| at + 1);
        Some(steps[..end].join("."))
    }

    fn list(&self, at: &str, deep: usize, ways: &mut BTreeSet<String>) {
        let members = self.any.iter().filter_map(|schema| schema["properties"].as_object());
        let mut names: BTreeSet<&str> =
            members.flat_map(|members| members.keys().map(String::as_str)).collect();
        if self.is_list() {
            names.insert("0");
        }
        let is_plain = !self.types().iter().all(|kind| *kind == "object");
        if !at.is_empty() && (is_plain || names.is_empty()) {
            ways.insert(at.to_owned());
        }
        for name in names.into_iter().filter(|_| deep > 0) {
            let way = if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
            if let Some(field) = self.step(name) {
                field.list(&way, deep - 1, ways);
            }
        }
    }
}

fn alternatives<'a>(root: &'a Value, schema: &'a Value, deep: usize, any: &mut Vec<&'a Value>) {
    if deep == 0 {
        return;
    }
    if let Some(path) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        let meant = root.pointer(path).expect("a reference of a schema leads somewhere");
        return alternatives(root, meant, deep - 1, any);
    }
    any.push(schema);
    for several in ["anyOf", "oneOf", "allOf"] {
        for one in schema[several].as_array().into_iter().flatten() {
            alternatives(root, one, deep - 1, any);
        }
    }
}

fn takes(schema: &Value) -> Option<String> {
    if let Some(one_of) = schema["enum"].as_array() {
        let words: Vec<&str> = one_of.iter().filter_map(Value::as_str).collect();
        return Some(format!("one of {}", words.join(", ")));
    }
    if let Some(word) = schema["const"].as_str() {
        return Some(format!("{word:?}"));
    }
    let is = |kind: &str| {
        schema["type"] == kind
            || schema["type"].as_array().is_some_and(|several| several.iter().any(|one| one == kind))
    };
    if is("string") {
        let rule = schema["format"].as_str().or_else(|| schema["pattern"].as_str());
        return Some(rule.map_or_else(|| "a text".to_owned(), |rule| format!("a text ({rule})")));
    }
    if is("object") {
        let names: Vec<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        return Some(if names.is_empty() {
            "an object".to_owned()
        } else {
            format!("an object with {names}")
        });
    }
    let words = [
        ("integer", "a whole number"),
        ("number", "a number"),
        ("boolean", "true or false"),
        ("array", "a list"),
    ];
    words.into_iter().find(|(kind, _)| is(kind)).map(|(_, words)| words.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Field, Kind};
    use kvali_domain::command_types;

    fn kind(command: &str, way: &str) -> Option<Kind> {
        let all = Some(Field::of_command(command));
        way.split('.').fold(all, |field, name| field?.step(name)).map(|field| field.kind())
    }

    #[test]
    fn a_field_is_found_by_its_way_through_references_alternatives_and_lists() {
        assert_eq!(kind("CreateCompany", "name"), Some(Kind::Text));
        assert_eq!(kind("CreateCompany", "domains"), Some(Kind::Json));
        assert_eq!(kind("CreateCompany", "domains.0"), Some(Kind::Text));
        assert_eq!(kind("CreateCompany", "override_duplicate"), Some(Kind::Boolean));
        assert_eq!(kind("CreateCompany", "legal_ids.country"), Some(Kind::Text));
        assert_eq!(kind("CreateContact", "points.1.kind.handle.network"), Some(Kind::Text));
        assert_eq!(kind("CreateTask", "due.day.zone"), Some(Kind::Text));
        assert_eq!(kind("CreateTask", "estimate_minutes"), Some(Kind::Number));
        for way in ["nmae", "name.first", "domains.first", "legal_ids.vat"] {
            assert_eq!(kind("CreateCompany", way), None, "{way}");
        }
    }

    #[test]
    fn a_field_says_what_it_takes() {
        let takes = |command: &str, way: &str| Field::of_command(command).step(way).expect("a field").takes();
        assert_eq!(takes("CreateTask", "priority"), "one of low, normal, high, urgent");
        assert_eq!(takes("CreateTask", "assignee"), "a text (uuid)");
        assert_eq!(takes("CreateTask", "estimate_minutes"), "a whole number");
    }

    #[test]
    fn the_way_to_a_member_ends_at_it_or_at_the_list_that_holds_it() {
        let way = |command: &str, name: &str| Field::of_command(command).way_to(name);
        let told = |way: &str| Some(way.to_owned());
        assert_eq!(way("MoveDeal", "to"), told("to"));
        assert_eq!(way("OpenRepeatDeal", "party"), told("with.party"));
        assert_eq!(way("CreateCompany", "tax_id"), told("legal_ids.tax_id"));
        assert_eq!(way("HandOverWork", "to"), told("items"));
        assert_eq!(way("MatchCall", "several"), told("outcome.several"));
        assert_eq!(way("CloseWon", "reason"), None);
    }

    #[test]
    fn every_way_that_is_listed_leads_to_a_field() {
        for known in command_types() {
            let field = Field::of_command(known.name);
            for way in field.ways() {
                assert!(kind(known.name, &way).is_some(), "{}: {way}", known.name);
            }
            assert!(field.required().iter().all(|name| field.step(name).is_some()), "{}", known.name);
        }
        let ways = Field::of_command("CreateCompany").ways();
        for way in ["name", "domains", "domains.0", "legal_ids.tax_id", "owner"] {
            assert!(ways.iter().any(|known| known == way), "{way} is not in {ways:?}");
        }
    }
}
