//! Before and after, field by field: what an event says itself, else what the events before it in its stream say.

use super::fields::{Rule, WHY, rules};
use kvali_eventstore::Opened;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a field holds; nothing is `None` of it.
#[derive(Clone, PartialEq, Debug)]
pub enum Held {
    Clear(Value),
    /// It was sealed: whoever may read personal texts sees it.
    Personal(Value),
    /// It was sealed, and nobody can read it any more.
    Erased,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// `owner`, `points.2.value`, `fields.ID`.
    pub field: String,
    pub before: Option<Held>,
    pub after: Option<Held>,
}

impl Change {
    /// Two values that nobody can read may differ.
    fn is_one(&self) -> bool {
        self.before != self.after || self.after == Some(Held::Erased)
    }

    /// Whether that is its field: the whole name, or a part of it between dots.
    pub(super) fn is_of(&self, field: &str) -> bool {
        self.field == field || self.field.split('.').any(|part| part == field)
    }
}

/// What the fields of a record hold, as far as its events say.
type Known = BTreeMap<String, Held>;

/// Members of `data` that keep the books.
const BOOKS: [&str; 3] = ["subject", "visit", "pipeline_version"];
/// A merge speaks of a record's name as one.
const NAME: (&str, [&str; 3]) = ("name", ["given", "family", "full"]);

/// Whether the events before it say what was before.
pub(super) fn needs_past(opened: &Opened) -> bool {
    let unsaid = |rule: &Rule| match rule {
        Rule::Change { .. }
        | Rule::ItemChange { .. }
        | Rule::Added(_)
        | Rule::Removed(_)
        | Rule::Aside(_) => false,
        Rule::Listed => Members::of(opened).0.contains_key("sealed"),
        _ => true,
    };
    opened.recorded.version > 1 && rules(&opened.recorded.event_type).iter().any(unsaid)
}

/// What each event of a stream changes; the history begins with the first of them.
pub fn of_history(history: &[Opened]) -> impl Iterator<Item = Vec<Change>> {
    let mut known = Known::new();
    history.iter().map(move |opened| {
        let changes = of_event(opened, &known);
        learn(&mut known, &changes);
        changes.into_iter().filter(Change::is_one).collect()
    })
}

/// What the fields of a record hold after its history.
pub fn standing(history: &[Opened]) -> BTreeMap<String, Held> {
    let mut known = Known::new();
    for opened in history {
        let changes = of_event(opened, &known);
        learn(&mut known, &changes);
    }
    known
}

/// What each of the wanted versions of a stream changes, by version.
pub(super) fn of_stream(history: &[Opened], wanted: &BTreeSet<i32>) -> HashMap<i32, Vec<Change>> {
    let versions = history.iter().map(|opened| opened.recorded.version);
    versions.zip(of_history(history)).filter(|(version, _)| wanted.contains(version)).collect()
}

/// What an event changes that says all of it itself.
pub(super) fn of_one(opened: &Opened) -> Vec<Change> {
    of_event(opened, &Known::new()).into_iter().filter(Change::is_one).collect()
}

fn learn(known: &mut Known, changes: &[Change]) {
    let mut put = |field: &str, held: Option<&Held>| match held {
        Some(held) => known.insert(field.to_owned(), held.clone()),
        None => known.remove(field),
    };
    for change in changes {
        put(&change.field, change.after.as_ref());
        if change.field == NAME.0 && matches!(&change.after, Some(Held::Clear(Value::Object(_)))) {
            NAME.1.iter().for_each(|field| drop(put(field, change.after.as_ref())));
        }
    }
}

/// Why, in words.
pub(super) fn comment(opened: &Opened) -> Option<Held> {
    let mut texts = texts(opened);
    WHY.iter().find_map(|field| texts.remove(*field))
}

fn texts(opened: &Opened) -> BTreeMap<String, Held> {
    let mut event = opened.event.clone();
    let readable: BTreeMap<&str, String> = event
        .personal()
        .into_iter()
        .filter_map(|found| Some((found.field, found.value.0.clone()?)))
        .collect();
    let held =
        |field: &str| readable.get(field).map_or(Held::Erased, |text| Held::Personal(text.clone().into()));
    opened.sealed().map(|(_, field)| (field.to_owned(), held(field))).collect()
}

/// What an event says: the members of its data, and its sealed texts but for why.
struct Members(BTreeMap<String, Option<Held>>);

impl Members {
    fn of(opened: &Opened) -> Self {
        let data: Map<String, Value> = serde_json::from_str(&opened.event.data()).unwrap_or_default();
        let own = opened.recorded.stream.to_string();
        let keeps_books = |(name, value): &(String, Value)| BOOKS.contains(&name.as_str()) || *value == own;
        let data = data.into_iter().filter(|member| !keeps_books(member));
        let data = data.map(|(name, value)| (name, (!value.is_null()).then_some(Held::Clear(value))));
        let texts = texts(opened).into_iter().filter(|(field, _)| !WHY.contains(&field.as_str()));
        Self(data.chain(texts.map(|(field, text)| (field, Some(text)))).collect())
    }

    fn get(&self, name: &str) -> Option<Held> {
        self.0.get(name).cloned().flatten()
    }

    fn clear(&self, name: &str) -> Option<&Value> {
        match self.0.get(name)? {
            Some(Held::Clear(value)) => Some(value),
            _ => None,
        }
    }

    /// Which of several things is meant, as a word.
    fn key(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(Some(Held::Clear(value) | Held::Personal(value))) => word(value),
            _ => String::new(),
        }
    }

    /// Those that no rule of the event's names.
    fn rest<'a>(&'a self, rules: &'a [Rule]) -> impl Iterator<Item = (&'a String, &'a Option<Held>)> {
        self.0
            .iter()
            .filter(|(name, _)| !rules.iter().any(|rule| names(rule).any(|used| used == name.as_str())))
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(object) => object.values().map(word).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The members that a rule takes by name.
fn names(rule: &Rule) -> impl Iterator<Item = &'static str> {
    let (few, many): ([&'static str; 3], &'static [&'static str]) = match *rule {
        Rule::Item { key, .. } | Rule::Gone { key, .. } | Rule::Mark { key, .. } => ([key, "", ""], &[]),
        Rule::Replaces(members) | Rule::Aside(members) => (["", "", ""], members),
        Rule::ReplacesIf(flag, members) => ([flag, "", ""], members),
        Rule::Change { from, to, .. } => ([from, to, ""], &[]),
        Rule::ItemChange { key, from, to, .. } => ([key, from, to], &[]),
        Rule::Set { to, .. } => ([to, "", ""], &[]),
        Rule::Listed => (["changes", "sealed", "sealed_value"], &[]),
        Rule::Members
        | Rule::Is(..)
        | Rule::Yes(_)
        | Rule::No(_)
        | Rule::Cleared(_)
        | Rule::Added(_)
        | Rule::Removed(_) => (["", "", ""], &[]),
    };
    few.into_iter().chain(many.iter().copied()).filter(|name| !name.is_empty())
}

fn of_event(opened: &Opened, known: &Known) -> Vec<Change> {
    let rules = rules(&opened.recorded.event_type);
    let telling = Telling { members: Members::of(opened), rules, known };
    rules.iter().flat_map(|rule| telling.by(rule)).collect()
}

struct Telling<'a> {
    members: Members,
    rules: &'a [Rule],
    known: &'a Known,
}

impl Telling<'_> {
    fn by(&self, rule: &Rule) -> Vec<Change> {
        let word = |word: &str| Some(Held::Clear(word.into()));
        match *rule {
            Rule::Members => self.rest(""),
            Rule::Item { of, key } => self.rest(&format!("{of}.{}.", self.members.key(key))),
            Rule::Gone { of, key } => self.gone(&format!("{of}.{}", self.members.key(key))),
            Rule::Replaces(members) => self.replaced(members),
            Rule::ReplacesIf(flag, members) => match self.members.clear(flag) {
                Some(Value::Bool(true)) => self.replaced(members),
                _ => Vec::new(),
            },
            Rule::Change { field, from, to } => vec![self.said(field.to_owned(), from, to)],
            Rule::ItemChange { of, key, field, from, to } => {
                let thing = format!("{of}.{}", self.members.key(key));
                let field = if field.is_empty() { thing } else { format!("{thing}.{field}") };
                vec![self.said(field, from, to)]
            }
            Rule::Set { field, to } => vec![self.to(field, self.members.get(to))],
            Rule::Is(field, is) => vec![self.to(field, word(is))],
            Rule::Yes(field) => vec![self.to(field, Some(Held::Clear(true.into())))],
            Rule::No(field) => vec![self.to(field, Some(Held::Clear(false.into())))],
            Rule::Cleared(field) => vec![self.to(field, None)],
            Rule::Mark { of, key, field, word: is } => {
                vec![self.to(&format!("{of}.{}.{field}", self.members.key(key)), word(is))]
            }
            Rule::Added(field) => {
                vec![Change { field: field.to_owned(), before: None, after: self.whole() }]
            }
            Rule::Removed(field) => {
                vec![Change { field: field.to_owned(), before: self.whole(), after: None }]
            }
            Rule::Listed => self.listed(),
            Rule::Aside(_) => Vec::new(),
        }
    }

    fn to(&self, field: &str, after: Option<Held>) -> Change {
        Change { field: field.to_owned(), before: self.known.get(field).cloned(), after }
    }

    fn said(&self, field: String, from: &str, to: &str) -> Change {
        Change { field, before: self.members.get(from), after: self.members.get(to) }
    }

    fn rest(&self, prefix: &str) -> Vec<Change> {
        let rest = self.members.rest(self.rules);
        rest.map(|(name, held)| self.to(&format!("{prefix}{name}"), held.clone())).collect()
    }

    fn replaced(&self, members: &[&str]) -> Vec<Change> {
        members.iter().map(|member| self.to(member, self.members.get(member))).collect()
    }

    fn gone(&self, thing: &str) -> Vec<Change> {
        let fields: Vec<Change> = self
            .known
            .keys()
            .filter(|field| {
                field.strip_prefix(thing).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .map(|field| self.to(field, None))
            .collect();
        // What nobody knows of is told all the same.
        if fields.is_empty() {
            vec![Change { field: thing.to_owned(), before: self.whole(), after: None }]
        } else {
            fields
        }
    }

    /// All that no rule names, as one value.
    fn whole(&self) -> Option<Held> {
        let rest: Vec<_> = self.members.rest(self.rules).collect();
        if let [(_, one)] = rest.as_slice() {
            return (*one).clone();
        }
        let clear = rest.into_iter().filter_map(|(name, held)| match held {
            Some(Held::Clear(value)) => Some((name.clone(), value.clone())),
            _ => None,
        });
        let object: Map<String, Value> = clear.collect();
        (!object.is_empty()).then_some(Held::Clear(Value::Object(object)))
    }

    fn listed(&self) -> Vec<Change> {
        let held = |value: &Value| (!value.is_null()).then(|| Held::Clear(value.clone()));
        let listed = self.members.clear("changes").and_then(Value::as_array).into_iter().flatten();
        let in_clear = listed.map(|change| Change {
            field: field(&change["field"]),
            before: held(&change["from"]),
            after: held(&change["to"]),
        });
        let sealed = self.members.clear("sealed").map(|sealed| {
            let value = self.members.get("sealed_value").map(|held| match held {
                Held::Personal(Value::String(json)) => {
                    Held::Personal(serde_json::from_str(&json).unwrap_or(Value::String(json)))
                }
                held => held,
            });
            self.to(&field(&sealed["field"]), value)
        });
        in_clear.chain(sealed).collect()
    }
}

/// Custom fields are named by their ids, those that a merge decides by words.
fn field(named: &Value) -> String {
    let name = named.as_str().unwrap_or_default();
    if uuid::Uuid::parse_str(name).is_ok() { format!("fields.{name}") } else { name.to_owned() }
}
