//! Merging records of one kind: which of them survives, what is chosen where they differ, and how it is undone.
//!
//! The survivor's stream says what it took over. Each of the others says into whom it went; until they are separated,
//! whatever is sent to it reaches the survivor. What a record numbers for itself, such as contact points, stays its own and is
//! read together with the survivor's.

use crate::field_changes;
use crate::subject::Subject;
use crate::{Command, Facts, FieldId, Order, Reads, State, StreamId, SubjectId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use uuid::Uuid;

/// Records that one command merges into a survivor, at most.
pub const MOST_LOSERS: usize = 20;

/// The id of a record that can be merged.
pub trait Id: Copy + Eq + Ord + fmt::Debug + Display + Into<Uuid> + From<Uuid> {}

impl<T: Copy + Eq + Ord + fmt::Debug + Display + Into<Uuid> + From<Uuid>> Id for T {}

/// Merge other records into this one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound(deserialize = "I: Deserialize<'de>"))]
pub struct Merge<I> {
    pub losers: Vec<I>,
    /// The versions that the preview was made of: the survivor's and every other's.
    pub seen: Vec<Seen<I>>,
    /// For each conflict of the preview, whose value stays.
    #[serde(default)]
    pub choices: Vec<Choice<I>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen<I> {
    pub id: I,
    pub version: Version,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice<I> {
    /// As the preview names it, such as `owner` or `field:0190…`.
    pub field: String,
    pub from: I,
}

/// Undo a merge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmerge {
    /// Its number, from 1, in the order of merging.
    pub merge: i32,
    /// Undo later merges of the survivor as well.
    #[serde(default)]
    pub chain: bool,
}

/// On the survivor's stream. `H` is what an open record is counted by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(bound(deserialize = "I: Deserialize<'de>, H: Deserialize<'de>"))]
pub struct Merged<I, H> {
    pub merge: i32,
    pub losers: Vec<I>,
    /// Those who were merged into the losers before.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub kin: Vec<I>,
    /// What the survivor takes over.
    pub changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<H>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<H>,
}

/// On the survivor's stream: these are records of their own again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unmerged<I, H> {
    /// This merge and all later ones are undone.
    pub merge: i32,
    pub losers: Vec<I>,
    /// What the survivor gives back. What was said of it since the merge stays its own.
    pub changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<H>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<H>,
}

/// On the stream of the record that is merged away.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MergedInto<I, H> {
    pub survivor: I,
    /// What it is no longer counted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<H>,
}

/// On the stream of the record that stands for itself again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Separated<I, H> {
    pub survivor: I,
    /// What it is counted by again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<H>,
}

/// One field of the survivor. A sealed value is told by the record whose value it is: `{"of": "0190…"}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    pub field: String,
    /// What it held before, as the record's own events write it; absent if nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Value>,
    /// What it holds from now on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<Value>,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Problem {
    #[error("no other record is named; name at least one in `losers`")]
    NoLosers,
    #[error("more than {most} records at once; merge them in several steps")]
    TooManyLosers { most: usize },
    #[error("{id} is the survivor itself, or was merged into it; leave it out of `losers`")]
    SurvivorIsLoser { id: Uuid },
    #[error("{id} is named twice; name it once")]
    LoserTwice { id: Uuid },
    #[error("{id} does not exist; name a record of the same kind")]
    NoSuchRecord { id: Uuid },
    #[error("{id} was merged into {into}; name that one, or undo that merge first")]
    MergedAway { id: Uuid, into: Uuid },
    #[error("{id} is archived; restore it first, so that nothing archived comes to life by an unmerge")]
    ArchivedRecord { id: Uuid },
    #[error("{id} is at version {version}, which the preview has not seen; preview again")]
    StalePreview { id: Uuid, version: Version },
    #[error(
        "{erased} was erased and {other} was not; if they are one, erase {other} as well, as its data would outlive the erasure"
    )]
    ErasedApart { erased: Uuid, other: Uuid },
    #[error("not decided whose value stays: {}; choose for each", conflicts(.undecided))]
    Undecided { undecided: Vec<Conflict> },
    #[error("{field:?} is not in conflict; in conflict: {}", listed(.accepted))]
    NoConflict { field: String, accepted: Vec<String> },
    #[error("{field:?} is chosen twice; choose once")]
    ChosenTwice { field: String },
    #[error("{from} has no {field:?}; choose one of {}", listed(.accepted))]
    NoValue { field: String, from: Uuid, accepted: Vec<Uuid> },
    #[error("there is no merge {merge} of this record; it has had {last}")]
    NoSuchMerge { merge: i32, last: i32 },
    #[error("later merges stand on this one: {}; undo them first, or all with `chain`", listed(.later))]
    LaterMerges { later: Vec<i32> },
    #[error("{survivor} has not merged this record; use the merge command of its kind")]
    NotByItself { survivor: Uuid },
    #[error("{survivor} still has this record merged; use the unmerge command of its kind")]
    StillMerged { survivor: Uuid },
}

/// A field that more than one record fills, and not with the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Conflict {
    pub field: String,
    pub values: Vec<(Uuid, Value)>,
}

fn conflicts(undecided: &[Conflict]) -> String {
    let told = |conflict: &Conflict| {
        let from: Vec<Uuid> = conflict.values.iter().map(|(id, _)| *id).collect();
        format!("{} (from {})", conflict.field, listed(&from))
    };
    undecided.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn listed<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a record holds in one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    /// One value; of several records, one stays.
    One(Value),
    /// One value that is sealed, known by the record whose it is.
    Sealed(Uuid),
    /// Several values, which are united.
    Many(BTreeSet<String>),
}

impl Held {
    /// One value, if there is one.
    pub fn one(value: Option<&impl Serialize>) -> Option<Self> {
        value.map(|value| Self::One(json(value)))
    }

    /// Several values.
    pub fn many<T: Serialize>(values: impl IntoIterator<Item = T>) -> Option<Self> {
        let values: BTreeSet<String> = values.into_iter().map(|value| json(&value).to_string()).collect();
        (!values.is_empty()).then_some(Self::Many(values))
    }

    fn told(&self) -> Value {
        match self {
            Self::One(value) => value.clone(),
            Self::Sealed(of) => serde_json::json!({ "of": of }),
            Self::Many(values) => {
                let parse = |text: &String| serde_json::from_str(text).expect("it was written as JSON");
                Value::Array(values.iter().map(parse).collect())
            }
        }
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("what records hold is JSON")
}

/// Reads what a change says a field shall hold; nothing for what does not fit.
pub fn value<T: serde::de::DeserializeOwned>(told: Option<&Value>) -> Option<T> {
    told.and_then(|told| T::deserialize(told).ok())
}

/// The same, of a list.
pub fn values<T: serde::de::DeserializeOwned + Ord>(told: Option<&Value>) -> BTreeSet<T> {
    value::<Vec<T>>(told).unwrap_or_default().into_iter().collect()
}

/// Whose sealed value a change says a field shall hold.
pub fn sealed_in<I: From<Uuid>>(told: Option<&Value>) -> Option<I> {
    value::<Uuid>(told?.get("of")).map(I::from)
}

/// Fields by name, those that are filled.
pub type Fields = BTreeMap<String, Held>;

/// Named fields and custom ones, which are called `field:` and their id.
pub fn fields<const N: usize>(
    named: [(&str, Option<Held>); N],
    custom: &BTreeMap<FieldId, field_changes::Held>,
) -> Fields {
    let named = named.into_iter().filter_map(|(field, held)| Some((field.to_owned(), held?)));
    let custom = custom.iter().map(|(field, held)| {
        let held = match held {
            field_changes::Held::Clear(value) => Held::One(json(value)),
            field_changes::Held::Sealed(subject) => Held::Sealed(subject.0),
        };
        (format!("{CUSTOM}{field}"), held)
    });
    named.chain(custom).collect()
}

/// Sets a custom field by the name that `fields` gives it.
pub fn set_field(custom: &mut BTreeMap<FieldId, field_changes::Held>, field: &str, to: Option<&Value>) {
    let Some(field) = custom_id(field) else { return };
    match held(to) {
        Some(held) => custom.insert(field, held),
        None => custom.remove(&field),
    };
}

/// The custom field that a change is of, and what it holds from now on.
pub fn custom_field(change: &Change) -> Option<(FieldId, Option<field_changes::Held>)> {
    custom_id(&change.field).map(|field| (field, held(change.to.as_ref())))
}

fn custom_id(field: &str) -> Option<FieldId> {
    field.strip_prefix(CUSTOM).and_then(|field| field.parse().ok())
}

fn held(to: Option<&Value>) -> Option<field_changes::Held> {
    let sealed = sealed_in(to).map(field_changes::Held::Sealed);
    sealed.or_else(|| value(to).map(field_changes::Held::Clear))
}

const CUSTOM: &str = "field:";

/// A record that can be merged, and what it is counted by while it is open.
pub trait Mergeable: Clone {
    type Id: Id;
    type Holds: Clone + PartialEq;

    /// What can be chosen, united or compared.
    fn fields(&self) -> Fields;
    fn set(&mut self, field: &str, to: Option<&Value>);
    fn holds(&self) -> Option<Self::Holds>;
    fn is_archived(&self) -> bool;
    fn merging(&self) -> &Merging<Self>;
    fn merging_mut(&mut self) -> &mut Merging<Self>;
}

/// What a record knows of its merges.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merging<R> {
    /// That of the record's last event.
    pub version: Version,
    /// The record that it was merged into.
    pub into: Option<Uuid>,
    /// Those in force, in their order.
    pub merges: Vec<InForce<R>>,
    /// The number of the last one, in force or undone.
    pub last: i32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InForce<R> {
    pub merge: i32,
    pub losers: Vec<Uuid>,
    /// Those who were merged into the losers before.
    pub kin: Vec<Uuid>,
    /// The fields that came with it.
    pub took: BTreeSet<String>,
    /// What the record would be without this merge and those after it.
    pub without: R,
}

impl<R> Default for Merging<R> {
    fn default() -> Self {
        Self { version: 0, into: None, merges: Vec::new(), last: 0 }
    }
}

impl<R> Merging<R> {
    /// Everyone who was merged into the record.
    pub fn losers(&self) -> impl Iterator<Item = Uuid> {
        self.merges.iter().flat_map(|merge| &merge.losers).copied()
    }

    /// Everyone who was merged into the record, also by way of others.
    pub fn everyone(&self) -> impl Iterator<Item = Uuid> {
        self.merges.iter().flat_map(|merge| merge.losers.iter().chain(&merge.kin)).copied()
    }

    /// Who is separated by undoing a merge.
    pub fn undone_by(&self, asked: Unmerge) -> Vec<Uuid> {
        let undone = self.merges.iter().filter(|merge| merge.merge >= asked.merge);
        undone.flat_map(|merge| &merge.losers).copied().collect()
    }

    /// The records as they would be without each merge, for whatever happens to the survivor after it.
    pub fn withouts(&mut self) -> impl Iterator<Item = &mut R> {
        self.merges.iter_mut().map(|merge| &mut merge.without)
    }
}

/// Several records side by side.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Preview {
    /// To be given back with the command.
    pub seen: Vec<Seen<Uuid>>,
    /// Every field that one of them fills.
    pub fields: Vec<Compared>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Compared {
    pub field: String,
    /// Whether somebody must choose. Lists are united.
    pub conflict: bool,
    pub values: Vec<(Uuid, Value)>,
}

/// What a merge of these records would meet, the survivor first.
pub fn preview<M: Mergeable>(records: &[(M::Id, &M)]) -> Preview {
    let seen =
        records.iter().map(|(id, record)| Seen { id: (*id).into(), version: record.merging().version });
    let held: Vec<(Uuid, Fields)> =
        records.iter().map(|(id, record)| ((*id).into(), record.fields())).collect();
    let names: BTreeSet<&String> = held.iter().flat_map(|(_, fields)| fields.keys()).collect();
    let compared = |field: &String| {
        let filled: Vec<(Uuid, &Held)> =
            held.iter().filter_map(|(id, fields)| fields.get(field).map(|held| (*id, held))).collect();
        let conflict = filled.iter().any(|(_, held)| !matches!(held, Held::Many(_)) && *held != filled[0].1);
        let values = filled.into_iter().map(|(id, held)| (id, held.told())).collect();
        Compared { field: field.clone(), conflict, values }
    };
    Preview { seen: seen.collect(), fields: names.into_iter().map(compared).collect() }
}

/// An event, none if it is already so, or why not.
type Decided<E> = Result<Option<E>, Problem>;

/// The losers by their states; a record that is not there has none.
pub type Losers<'a, M> = Vec<(<M as Mergeable>::Id, Option<&'a M>)>;

/// The event that merges; none if all of them are merged into this one already.
pub fn merge<M: Mergeable>(
    id: M::Id,
    survivor: &M,
    asked: &Merge<M::Id>,
    losers: &Losers<'_, M>,
    facts: &Facts,
) -> Decided<Merged<M::Id, M::Holds>> {
    if asked.losers.is_empty() {
        return Err(Problem::NoLosers);
    }
    if asked.losers.len() > MOST_LOSERS {
        return Err(Problem::TooManyLosers { most: MOST_LOSERS });
    }
    let mut records = vec![(id, survivor)];
    let mut known = 0;
    for (at, (loser, record)) in losers.iter().enumerate() {
        let loser_id: Uuid = (*loser).into();
        if *loser == id {
            return Err(Problem::SurvivorIsLoser { id: loser_id });
        }
        if losers[..at].iter().any(|(earlier, _)| earlier == loser) {
            return Err(Problem::LoserTwice { id: loser_id });
        }
        let record = record.ok_or(Problem::NoSuchRecord { id: loser_id })?;
        match record.merging().into {
            Some(into) if into == id.into() => known += 1,
            Some(into) => return Err(Problem::MergedAway { id: loser_id, into }),
            None if record.is_archived() => return Err(Problem::ArchivedRecord { id: loser_id }),
            None => records.push((*loser, record)),
        }
    }
    if known == losers.len() {
        return Ok(None);
    }
    if let Some((merged, _)) = losers.iter().find(|(loser, _)| records.iter().all(|(id, _)| id != loser)) {
        return Err(Problem::SurvivorIsLoser { id: (*merged).into() });
    }
    for (id, record) in &records {
        let version = record.merging().version;
        if !asked.seen.iter().any(|seen| seen.id == *id && seen.version == version) {
            return Err(Problem::StalePreview { id: (*id).into(), version });
        }
    }
    erased_together(records.iter().map(|(id, _)| (*id).into()), facts)?;
    let changes = changes(&records, &asked.choices)?;
    let mut after = survivor.clone();
    for change in &changes {
        after.set(&change.field, change.to.as_ref());
    }
    let (before, after) = (survivor.holds(), after.holds());
    let moved = before != after;
    let kin = records[1..].iter().flat_map(|(_, loser)| loser.merging().everyone()).map(M::Id::from);
    Ok(Some(Merged {
        merge: survivor.merging().last.saturating_add(1),
        losers: asked.losers.clone(),
        kin: kin.collect(),
        changes,
        before: before.filter(|_| moved),
        after: after.filter(|_| moved),
    }))
}

/// What merging rests on: the others, and whether somebody was erased.
pub fn reads<I: Id>(asked: &Merge<I>, record: fn(StreamId) -> Reads) -> Vec<Reads> {
    let losers = asked.losers.iter().map(|loser| record(StreamId((*loser).into())));
    let subjects = asked.seen.iter().map(|seen| Reads::Subject(SubjectId(seen.id.into()).stream()));
    losers.chain(subjects).collect()
}

/// An erasure reaches all that was merged by then; what is merged afterwards must not bring readable data back.
fn erased_together(records: impl Iterator<Item = Uuid>, facts: &Facts) -> Result<(), Problem> {
    let is_erased = |id: &Uuid| facts.get(SubjectId(*id).stream()) == Some(&Subject::Erased);
    let (erased, others): (Vec<Uuid>, Vec<Uuid>) = records.partition(is_erased);
    match (erased.first(), others.first()) {
        (Some(&erased), Some(&other)) => Err(Problem::ErasedApart { erased, other }),
        _ => Ok(()),
    }
}

/// What the first of the records takes over.
fn changes<M: Mergeable>(records: &[(M::Id, &M)], choices: &[Choice<M::Id>]) -> Result<Vec<Change>, Problem> {
    let held: Vec<(M::Id, Fields)> = records.iter().map(|(id, record)| (*id, record.fields())).collect();
    let fields = preview(records).fields;
    let in_conflict = || fields.iter().filter(|field| field.conflict);
    for (at, choice) in choices.iter().enumerate() {
        let field = choice.field.clone();
        let Some(conflict) = in_conflict().find(|conflict| conflict.field == field) else {
            return Err(Problem::NoConflict {
                field,
                accepted: in_conflict().map(|conflict| conflict.field.clone()).collect(),
            });
        };
        if choices[..at].iter().any(|earlier| earlier.field == field) {
            return Err(Problem::ChosenTwice { field });
        }
        let accepted: Vec<Uuid> = conflict.values.iter().map(|(id, _)| *id).collect();
        if !accepted.contains(&choice.from.into()) {
            return Err(Problem::NoValue { field, from: choice.from.into(), accepted });
        }
    }
    let chosen = |field: &str| choices.iter().find(|choice| choice.field == field).map(|choice| choice.from);
    let undecided = in_conflict().filter(|conflict| chosen(&conflict.field).is_none());
    let undecided: Vec<Conflict> = undecided
        .map(|conflict| Conflict { field: conflict.field.clone(), values: conflict.values.clone() })
        .collect();
    if !undecided.is_empty() {
        return Err(Problem::Undecided { undecided });
    }
    let own = &held[0].1;
    let mut changes = Vec::new();
    for Compared { field, .. } in &fields {
        let filled = || held.iter().filter_map(|(id, fields)| fields.get(field).map(|held| (*id, held)));
        let to = match (own.get(field), chosen(field)) {
            (_, Some(from)) => filled().find(|(id, _)| *id == from).map(|(_, held)| held.clone()),
            (own, None) => own.or_else(|| filled().next().map(|(_, held)| held)).map(|held| match held {
                Held::Many(_) => united(filled().map(|(_, held)| held), records),
                one => one.clone(),
            }),
        };
        let (from, to) = (own.get(field).map(Held::told), to.map(|held| held.told()));
        if from != to {
            changes.push(Change { field: field.clone(), from, to });
        }
    }
    Ok(changes)
}

/// All values but those by which the records point at one another.
fn united<'a, M: Mergeable>(held: impl Iterator<Item = &'a Held>, records: &[(M::Id, &M)]) -> Held {
    let lists = held.filter_map(|held| if let Held::Many(values) = held { Some(values) } else { None });
    let points_within = |value: &&String| records.iter().any(|(id, _)| value.contains(&id.to_string()));
    Held::Many(lists.flatten().filter(|value| !points_within(value)).cloned().collect())
}

/// The event that undoes a merge; none if it is undone already.
pub fn unmerge<M: Mergeable>(id: M::Id, record: &M, asked: Unmerge) -> Decided<Unmerged<M::Id, M::Holds>> {
    let merging = record.merging();
    if let Some(into) = merging.into {
        return Err(Problem::MergedAway { id: id.into(), into });
    }
    if !(1..=merging.last).contains(&asked.merge) {
        return Err(Problem::NoSuchMerge { merge: asked.merge, last: merging.last });
    }
    let Some(at) = merging.merges.iter().position(|merge| merge.merge == asked.merge) else {
        return Ok(None);
    };
    let undone = &merging.merges[at..];
    if undone.len() > 1 && !asked.chain {
        return Err(Problem::LaterMerges { later: undone[1..].iter().map(|merge| merge.merge).collect() });
    }
    let without = &undone[0].without;
    let (have, shall) = (record.fields(), without.fields());
    let names: BTreeSet<&String> = have.keys().chain(shall.keys()).collect();
    let told = |fields: &Fields, name: &String| fields.get(name).map(Held::told);
    let changes = names.into_iter().filter(|name| have.get(*name) != shall.get(*name));
    let changes =
        changes.map(|name| Change { field: name.clone(), from: told(&have, name), to: told(&shall, name) });
    let (before, after) = (record.holds(), without.holds());
    let moved = before != after;
    Ok(Some(Unmerged {
        merge: asked.merge,
        losers: undone.iter().flat_map(|merge| &merge.losers).copied().map(M::Id::from).collect(),
        changes: changes.collect(),
        before: before.filter(|_| moved),
        after: after.filter(|_| moved),
    }))
}

/// The event by which a record goes into the survivor that has merged it; none if it has gone there already.
pub fn yields<M: Mergeable>(
    id: M::Id,
    record: &M,
    survivor: M::Id,
    state: Option<&M>,
) -> Decided<MergedInto<M::Id, M::Holds>> {
    if record.merging().into == Some(survivor.into()) {
        return Ok(None);
    }
    if !has(state, id) {
        return Err(Problem::NotByItself { survivor: survivor.into() });
    }
    Ok(Some(MergedInto { survivor, holds: record.holds() }))
}

/// The event by which a record stands for itself again; none if it does already.
pub fn separates<M: Mergeable>(
    id: M::Id,
    record: &M,
    survivor: M::Id,
    state: Option<&M>,
) -> Decided<Separated<M::Id, M::Holds>> {
    if record.merging().into != Some(survivor.into()) {
        return Ok(None);
    }
    if has(state, id) {
        return Err(Problem::StillMerged { survivor: survivor.into() });
    }
    let mut apart = record.clone();
    apart.merging_mut().into = None;
    Ok(Some(Separated { survivor, holds: apart.holds() }))
}

fn has<M: Mergeable>(survivor: Option<&M>, id: M::Id) -> bool {
    survivor.is_some_and(|survivor| survivor.merging().losers().any(|loser| loser == id.into()))
}

/// The survivor takes over.
pub fn on_merged<M: Mergeable>(record: &mut M, event: &Merged<M::Id, M::Holds>) {
    let mut without = record.clone();
    *without.merging_mut() = Merging::default();
    for change in &event.changes {
        record.set(&change.field, change.to.as_ref());
    }
    let losers = event.losers.iter().map(|loser| (*loser).into()).collect();
    let kin = event.kin.iter().map(|kin| (*kin).into()).collect();
    let took = event.changes.iter().map(|change| change.field.clone()).collect();
    let merging = record.merging_mut();
    merging.merges.push(InForce { merge: event.merge, losers, kin, took, without });
    merging.last = event.merge;
}

/// The survivor gives back.
pub fn on_unmerged<M: Mergeable>(record: &mut M, event: &Unmerged<M::Id, M::Holds>) {
    let mut merging = std::mem::take(record.merging_mut());
    let undone = merging.merges.iter().position(|merge| merge.merge >= event.merge);
    let first = undone.and_then(|at| merging.merges.drain(at..).next());
    if let Some(first) = first {
        *record = first.without;
    }
    *record.merging_mut() = merging;
}

/// The same order to each of these records.
pub fn orders<I: Into<Uuid> + Copy, C: Into<Command>>(to: &[I], command: impl Fn() -> C) -> Vec<Order> {
    let order = |id: &I| Order { stream: StreamId((*id).into()), command: command().into() };
    to.iter().map(order).collect()
}

/// What a merge of these records would meet, the survivor first; `None` unless all are there and of one kind that can be
/// merged.
pub fn preview_of(records: &[(StreamId, &State)]) -> Option<Preview> {
    macro_rules! of {
        ($kind:ident, $id:ident) => {{
            let record = |(id, state): &(StreamId, &'_ State)| match state {
                State::$kind(state) => state.record().is_some().then_some(crate::$id(id.0)),
                _ => None,
            };
            let ids: Option<Vec<crate::$id>> = records.iter().map(record).collect();
            if let Some(ids) = ids {
                let found = records.iter().filter_map(|(_, state)| match state {
                    State::$kind(state) => state.record(),
                    _ => None,
                });
                let all: Vec<_> = ids.into_iter().zip(found).collect();
                return Some(preview(&all.iter().map(|(id, record)| (*id, &**record)).collect::<Vec<_>>()));
            }
        }};
    }
    of!(Contact, ContactId);
    of!(Company, CompanyId);
    of!(Lead, LeadId);
    of!(Deal, DealId);
    None
}

/// The records that this one was merged with, as far as its own state tells.
pub(crate) fn kin(state: &State) -> Vec<StreamId> {
    fn of<R>(merging: &Merging<R>) -> Vec<StreamId> {
        merging.into.into_iter().chain(merging.losers()).map(StreamId).collect()
    }
    match state {
        State::Contact(contact) => contact.record().map(|record| of(&record.merging)),
        State::Company(company) => company.record().map(|record| of(&record.merging)),
        State::Lead(lead) => lead.record().map(|record| of(&record.merging)),
        State::Deal(deal) => deal.record().map(|record| of(&record.merging)),
        _ => None,
    }
    .unwrap_or_default()
}
