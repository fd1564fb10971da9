//! A pipeline: versioned configuration of stages, their order, and the policy deals obey in it.

use crate::decider::{Describe, commands, events};
use crate::{Claim, Decider, Given, Occurred, StageId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// The name is unique in the workspace; at least one process stage, exactly one success and at least one failure
    /// stage, no two of one id or name; entry stages are process stages.
    "CreatePipeline" = Create {
        name: String,
        /// In order; process stages keep this order, success and failure stages stand after them.
        stages: Vec<Stage>,
        /// Where deals may start; empty means the first process stage.
        #[serde(default)]
        entry_stages: Vec<StageId>,
        #[serde(default)]
        policy: Policy,
    } => [Created],
    /// The name is unique in the workspace.
    "RenamePipeline" = Rename { name: String } => [Renamed],
    /// Id and name are unique in the pipeline; there is one success stage; `before` is of the same class.
    "AddStage" = AddStage {
        stage: Stage,
        /// The stage of its class that it comes before; absent: last of its class.
        #[serde(default)]
        before: Option<StageId>,
    } => [StageAdded],
    /// The name is unique in the pipeline; history keeps the old one.
    "RenameStage" = RenameStage { stage: StageId, name: String } => [StageRenamed],
    /// Names every process stage once.
    "ReorderStages" = Reorder { order: Vec<StageId> } => [StagesReordered],
    /// At least one, and process stages only.
    "SetEntryStages" = SetEntryStages { stages: Vec<StageId> } => [EntryStagesSet],
    /// What deals may do in this pipeline from now on.
    "SetMovementPolicy" = SetPolicy { policy: Policy } => [MovementPolicySet],
}

/// What differs between organisations is policy, not code. The default is the strict one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent yes or no of the organisation")]
pub struct Policy {
    pub allow_backward: bool,
    pub allow_skip: bool,
    pub allow_reopen: bool,
    pub party_required: bool,
    /// A deal is won only with a value above zero.
    pub value_required: bool,
}

impl Policy {
    /// Free movement and re-opening, nothing required: the policy of imported histories.
    pub const PERMISSIVE: Self = Self {
        allow_backward: true,
        allow_skip: true,
        allow_reopen: true,
        party_required: false,
        value_required: false,
    };
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub id: StageId,
    pub name: String,
    pub class: Class,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Process,
    Success,
    Failure,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

events! {
    Created = "pipeline.created",
    Renamed = "pipeline.renamed",
    StageAdded = "pipeline.stage_added",
    StageRenamed = "pipeline.stage_renamed",
    StagesReordered = "pipeline.stages_reordered",
    EntryStagesSet = "pipeline.entry_stages_set",
    MovementPolicySet = "pipeline.movement_policy_set",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    pub name: String,
    pub stages: Vec<Stage>,
    pub entry_stages: Vec<StageId>,
    pub policy: Policy,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Renamed {
    pub from: String,
    pub to: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageAdded {
    pub stage: Stage,
    pub before: Option<StageId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageRenamed {
    pub stage: StageId,
    pub from: String,
    pub to: String,
}

/// The new order of all process stages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StagesReordered {
    pub order: Vec<StageId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EntryStagesSet {
    pub stages: Vec<StageId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MovementPolicySet {
    pub policy: Policy,
}

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Created(event) => vec![Claim::take(NAME_CLAIM, folded(&event.name))],
            Self::Renamed(event) if folded(&event.from) == folded(&event.to) => Vec::new(),
            Self::Renamed(event) => vec![
                Claim::release(NAME_CLAIM, folded(&event.from)),
                Claim::take(NAME_CLAIM, folded(&event.to)),
            ],
            _ => Vec::new(),
        }
    }
}

/// The claim that keeps pipeline names unique in a workspace, whatever their case.
pub const NAME_CLAIM: &str = "pipeline.name";

/// Names are compared without case and outer white space.
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this pipeline does not exist; create it first")]
    NoSuchPipeline,
    #[error("this pipeline exists already with another configuration; change it with its own commands")]
    AlreadyExists,
    #[error("{field} is empty; give it at least one visible character")]
    Blank { field: &'static str },
    #[error(
        "a pipeline needs at least one process stage, exactly one success and at least one failure stage; this has {process}, {success} and {failure}"
    )]
    Incomplete { process: usize, success: usize, failure: usize },
    #[error("two stages have the id or the name {name:?}; each stage needs its own")]
    StageTwice { name: String },
    #[error("stage {stage} is not in this pipeline; it has {}", list(.accepted))]
    UnknownStage { stage: StageId, accepted: Vec<String> },
    #[error("{stage:?} is a {} stage and the new one is not; it may come before {}", .class.as_str(), list(.accepted))]
    OtherClass { stage: String, class: Class, accepted: Vec<String> },
    #[error("a pipeline needs an entry stage; name at least one of {}", list(.accepted))]
    NoEntryStage { accepted: Vec<String> },
    #[error("{stage:?} is a {} stage; deals start in a process stage", .class.as_str())]
    NotAnEntry { stage: String, class: Class },
    #[error(
        "a pipeline has one success stage and this one has {existing:?} already; rename it, or add a process or failure stage"
    )]
    SecondSuccess { existing: String },
    #[error("the order must name every process stage once: {}", list(.accepted))]
    NotAPermutation { accepted: Vec<String> },
}

/// `"A", "B" or "C"` for messages.
pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Pipeline {
    #[default]
    Absent,
    Defined(Config),
}

/// The configuration in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    pub name: String,
    /// The version of the configuration: that of the pipeline's last event.
    pub version: Version,
    /// The last version that changed what deals may do; a rename does not.
    pub rules_version: Version,
    /// Process stages in order, then success, then failure stages.
    pub stages: Vec<Stage>,
    pub entry_stages: Vec<StageId>,
    pub policy: Policy,
}

impl Pipeline {
    pub fn config(&self) -> Option<&Config> {
        match self {
            Self::Absent => None,
            Self::Defined(config) => Some(config),
        }
    }
}

impl Config {
    pub fn stage(&self, id: StageId) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.id == id)
    }

    /// Place in the order, from 0; success and failure stages come after all process stages.
    pub fn place(&self, id: StageId) -> Option<usize> {
        self.stages.iter().position(|stage| stage.id == id)
    }

    pub fn of_class(&self, class: Class) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(move |stage| stage.class == class)
    }

    pub fn stage_named(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| folded(&stage.name) == folded(name))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.stages.iter().map(|stage| stage.name.clone()).collect()
    }

    pub(crate) fn names_of(&self, class: Class) -> Vec<String> {
        self.of_class(class).map(|stage| stage.name.clone()).collect()
    }

    fn known(&self, id: StageId) -> Result<&Stage, Refusal> {
        self.stage(id).ok_or_else(|| Refusal::UnknownStage { stage: id, accepted: self.names() })
    }

    fn insert(&mut self, stage: Stage, before: Option<StageId>) {
        let rank = class_rank(stage.class);
        let at = before.and_then(|before| self.place(before)).unwrap_or_else(|| {
            self.stages.iter().take_while(|other| class_rank(other.class) <= rank).count()
        });
        self.stages.insert(at, stage);
    }
}

fn class_rank(class: Class) -> u8 {
    match class {
        Class::Process => 0,
        Class::Success => 1,
        Class::Failure => 2,
    }
}

impl Decider for Pipeline {
    const AGGREGATE: &'static str = "pipeline";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Create { .. })
    }

    fn decide(&self, command: &Command, _: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Create { name, stages, entry_stages, policy }) => {
                create(name, stages, entry_stages, *policy)
            }
            (Self::Absent, _) => Err(Refusal::NoSuchPipeline),
            (Self::Defined(config), Command::Create { name, stages, entry_stages, policy }) => {
                let same = create(name, stages, entry_stages, *policy)?;
                already(config.version == 1 && evolved(&same) == *self, Refusal::AlreadyExists)
            }
            (Self::Defined(config), Command::Rename { name }) => rename(config, name),
            (Self::Defined(config), Command::AddStage { stage, before }) => add_stage(config, stage, *before),
            (Self::Defined(config), Command::RenameStage { stage, name }) => {
                rename_stage(config, *stage, name)
            }
            (Self::Defined(config), Command::Reorder { order }) => reorder(config, order),
            (Self::Defined(config), Command::SetEntryStages { stages }) => set_entry(config, stages),
            (Self::Defined(config), Command::SetPolicy { policy }) => Ok(changed(
                config.policy != *policy,
                Event::MovementPolicySet(MovementPolicySet { policy: *policy }),
            )),
        }
    }

    fn evolve(&mut self, event: &Event, version: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Created(event)) => {
                let mut stages = event.stages.clone();
                stages.sort_by_key(|stage| class_rank(stage.class));
                *self = Self::Defined(Config {
                    name: event.name.clone(),
                    version,
                    rules_version: version,
                    stages,
                    entry_stages: event.entry_stages.clone(),
                    policy: event.policy,
                });
            }
            (Self::Absent, _) => {}
            (Self::Defined(config), event) => config.evolve(event, version),
        }
    }
}

impl Config {
    fn evolve(&mut self, event: &Event, version: Version) {
        self.version = version;
        match event {
            Event::Created(_) => {}
            Event::Renamed(event) => self.name.clone_from(&event.to),
            Event::StageRenamed(event) => {
                if let Some(stage) = self.stages.iter_mut().find(|stage| stage.id == event.stage) {
                    stage.name.clone_from(&event.to);
                }
            }
            Event::StageAdded(event) => {
                self.rules_version = version;
                self.insert(event.stage.clone(), event.before);
            }
            Event::StagesReordered(event) => {
                self.rules_version = version;
                let place = |id: StageId| event.order.iter().position(|other| *other == id);
                self.stages.sort_by_key(|stage| (class_rank(stage.class), place(stage.id)));
            }
            Event::EntryStagesSet(event) => {
                self.rules_version = version;
                self.entry_stages.clone_from(&event.stages);
            }
            Event::MovementPolicySet(event) => {
                self.rules_version = version;
                self.policy = event.policy;
            }
        }
    }
}

fn create(name: &str, stages: &[Stage], entry: &[StageId], policy: Policy) -> Result<Vec<Event>, Refusal> {
    not_blank("name", name)?;
    for (at, stage) in stages.iter().enumerate() {
        not_blank("stage name", &stage.name)?;
        let twin = |other: &Stage| other.id == stage.id || folded(&other.name) == folded(&stage.name);
        if stages[..at].iter().any(twin) {
            return Err(Refusal::StageTwice { name: stage.name.clone() });
        }
    }
    let count = |class| stages.iter().filter(|stage| stage.class == class).count();
    let (process, success, failure) = (count(Class::Process), count(Class::Success), count(Class::Failure));
    if process == 0 || success != 1 || failure == 0 {
        return Err(Refusal::Incomplete { process, success, failure });
    }
    let first = stages.iter().find(|stage| stage.class == Class::Process).map(|stage| stage.id);
    let entry_stages = if entry.is_empty() { first.into_iter().collect() } else { entry.to_vec() };
    check_entry(stages, &entry_stages)?;
    Ok(vec![Event::Created(Created { name: name.to_owned(), stages: stages.to_vec(), entry_stages, policy })])
}

fn rename(config: &Config, name: &str) -> Result<Vec<Event>, Refusal> {
    not_blank("name", name)?;
    let event = Renamed { from: config.name.clone(), to: name.to_owned() };
    Ok(changed(config.name != name, Event::Renamed(event)))
}

fn add_stage(config: &Config, stage: &Stage, before: Option<StageId>) -> Result<Vec<Event>, Refusal> {
    not_blank("stage name", &stage.name)?;
    if config.stage(stage.id) == Some(stage) {
        return Ok(Vec::new());
    }
    if config.stage(stage.id).is_some() || config.stage_named(&stage.name).is_some() {
        return Err(Refusal::StageTwice { name: stage.name.clone() });
    }
    if let (Class::Success, Some(existing)) = (stage.class, config.of_class(Class::Success).next()) {
        return Err(Refusal::SecondSuccess { existing: existing.name.clone() });
    }
    if let Some(before) = before {
        let next = config.known(before)?;
        if next.class != stage.class {
            let accepted = config.names_of(stage.class);
            return Err(Refusal::OtherClass { stage: next.name.clone(), class: next.class, accepted });
        }
    }
    Ok(vec![Event::StageAdded(StageAdded { stage: stage.clone(), before })])
}

fn rename_stage(config: &Config, id: StageId, name: &str) -> Result<Vec<Event>, Refusal> {
    not_blank("stage name", name)?;
    let stage = config.known(id)?;
    if config.stage_named(name).is_some_and(|other| other.id != id) {
        return Err(Refusal::StageTwice { name: name.to_owned() });
    }
    let event = StageRenamed { stage: id, from: stage.name.clone(), to: name.to_owned() };
    Ok(changed(stage.name != name, Event::StageRenamed(event)))
}

fn reorder(config: &Config, order: &[StageId]) -> Result<Vec<Event>, Refusal> {
    let current: Vec<StageId> = config.of_class(Class::Process).map(|stage| stage.id).collect();
    let (mut wanted, mut existing) = (order.to_vec(), current.clone());
    wanted.sort_unstable();
    existing.sort_unstable();
    if wanted != existing {
        return Err(Refusal::NotAPermutation { accepted: config.names_of(Class::Process) });
    }
    Ok(changed(current != order, Event::StagesReordered(StagesReordered { order: order.to_vec() })))
}

fn set_entry(config: &Config, stages: &[StageId]) -> Result<Vec<Event>, Refusal> {
    if stages.is_empty() {
        return Err(Refusal::NoEntryStage { accepted: config.names_of(Class::Process) });
    }
    check_entry(&config.stages, stages)?;
    let event = Event::EntryStagesSet(EntryStagesSet { stages: stages.to_vec() });
    Ok(changed(config.entry_stages != stages, event))
}

fn check_entry(stages: &[Stage], entry: &[StageId]) -> Result<(), Refusal> {
    for id in entry {
        match stages.iter().find(|stage| stage.id == *id) {
            None => {
                let accepted = stages.iter().map(|stage| stage.name.clone()).collect();
                return Err(Refusal::UnknownStage { stage: *id, accepted });
            }
            Some(stage) if stage.class != Class::Process => {
                return Err(Refusal::NotAnEntry { stage: stage.name.clone(), class: stage.class });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn not_blank(field: &'static str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() { Err(Refusal::Blank { field }) } else { Ok(()) }
}

fn changed(differs: bool, event: Event) -> Vec<Event> {
    differs.then_some(event).into_iter().collect()
}

fn already(same: bool, otherwise: Refusal) -> Result<Vec<Event>, Refusal> {
    if same { Ok(Vec::new()) } else { Err(otherwise) }
}

fn evolved(events: &[Event]) -> Pipeline {
    let mut state = Pipeline::default();
    for (version, event) in (1..).zip(events) {
        state.evolve(event, version, &Occurred::Unknown);
    }
    state
}
