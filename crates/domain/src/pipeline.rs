//! A pipeline: versioned configuration of stages, their order, and the policy deals obey in it.

use crate::decider::{Describe, changed, commands, events};
use crate::fields::{self, Entity, FieldProblem, Fields};
use crate::task_templates::{self, TaskTemplates};
use crate::{
    Claim, DealId, Decider, FieldId, Given, Occurred, Order, PipelineId, Reads, StageId, TaskTemplateId,
    Version,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::stage_names::reads_as_waiting;

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
    /// The pipeline is not archived; the name is unique in the workspace.
    "RenamePipeline" = Rename { name: String } => [Renamed],
    /// The pipeline is not archived; id and name are unique in it, also among retired stages; there is one success
    /// stage; `before` is in force and of the same class.
    "AddStage" = AddStage {
        stage: Stage,
        /// The stage of its class that it comes before; absent: last of its class.
        #[serde(default)]
        before: Option<StageId>,
    } => [StageAdded],
    /// The stage is not retired; the name is unique in the pipeline; history keeps the old one.
    "RenameStage" = RenameStage { stage: StageId, name: String } => [StageRenamed],
    /// Names every process stage in force once.
    "ReorderStages" = Reorder { order: Vec<StageId> } => [StagesReordered],
    /// At least one, and process stages in force only.
    "SetEntryStages" = SetEntryStages { stages: Vec<StageId> } => [EntryStagesSet],
    /// What deals may do in this pipeline from now on.
    "SetMovementPolicy" = SetPolicy { policy: Policy } => [MovementPolicySet],
    /// The probability is 0 to 100; a success stage is 100 and `closed`, a failure stage 0 and `omitted`, a process stage
    /// never `closed`.
    "SetStageForecast" = SetForecast {
        stage: StageId,
        /// In percent.
        probability: i32,
        category: ForecastCategory,
    } => [StageForecastSet],
    /// The stage is not retired; custom fields are a deal's, exist and are not retired. Both lists take the place of what
    /// was required before.
    "SetStageRequirements" = SetRequirements {
        stage: StageId,
        /// What a deal has when it enters the stage.
        #[serde(default)]
        entry: Vec<Requirement>,
        /// What a deal has when it leaves the stage.
        #[serde(default)]
        exit: Vec<Requirement>,
    } => [StageRequirementsSet],
    /// The stage is not retired; days are above zero; an absent limit is none.
    "SetStageLimits" = SetLimits {
        stage: StageId,
        /// How long a deal may stay.
        #[serde(default)]
        max_days: Option<i32>,
        /// How long nothing may happen to a deal.
        #[serde(default)]
        idle_days: Option<i32>,
        clock: Clock,
    } => [StageLimitsSet],
    /// The stage is not retired; up to 4000 characters; an empty hint is none.
    "SetStageHint" = SetHint { stage: StageId, hint: String } => [StageHintSet],
    /// The stage is not retired; the templates exist; each is named once.
    "SetStageTaskTemplates" = SetTaskTemplates {
        stage: StageId,
        /// What is created, in order, when a deal enters the stage.
        templates: Vec<TaskTemplateId>,
    } => [StageTaskTemplatesSet],
    /// The stage is neither the last of its class nor the only entry stage; no open deal stays in it: `deals` go to `to`,
    /// another stage in force of its class. A retired stage stays known to history and accepts no moves.
    "RetireStage" = RetireStage {
        stage: StageId,
        /// Where its deals go.
        #[serde(default)]
        to: Option<StageId>,
        /// The open deals that stand in it.
        #[serde(default)]
        deals: Vec<DealId>,
    } => [StageRetired],
    /// No open deal is in the pipeline. It takes neither deals nor changes from then on, and its name stays taken.
    "ArchivePipeline" = Archive {} => [Archived],
    /// The other pipeline exists, is not archived and differs from this one.
    "LinkRecyclePipeline" = LinkRecycle {
        /// Where lost deals are revived.
        to: PipelineId,
    } => [RecyclePipelineLinked],
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
    /// A deal moves on only with a next task. Not written unless it is so, as shapes released before say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub next_task_required: bool,
    /// Within how many days after it was closed a deal may be reopened; absent: without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_days: Option<u16>,
}

impl Policy {
    /// Free movement and re-opening, nothing required: the policy of imported histories.
    pub const PERMISSIVE: Self = Self {
        allow_backward: true,
        allow_skip: true,
        allow_reopen: true,
        party_required: false,
        value_required: false,
        next_task_required: false,
        grace_days: None,
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

/// How a deal in a stage counts in a forecast; roll-ups are cumulative.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForecastCategory {
    Pipeline,
    BestCase,
    MostLikely,
    Commit,
    Closed,
    Omitted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forecast {
    /// In percent, 0 to 100.
    pub probability: i32,
    pub category: ForecastCategory,
}

/// What a deal must have: something of its own, or a value in a custom field, `{"field": id}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    Value,
    ExpectedClose,
    Party,
    Owner,
    NextStep,
    Field(FieldId),
}

/// How days are counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// All days.
    #[default]
    Calendar,
    /// Days on which the organisation works.
    Business,
}

events! {
    Created = "pipeline.created",
    Renamed = "pipeline.renamed",
    StageAdded = "pipeline.stage_added",
    StageRenamed = "pipeline.stage_renamed",
    StagesReordered = "pipeline.stages_reordered",
    EntryStagesSet = "pipeline.entry_stages_set",
    MovementPolicySet = "pipeline.movement_policy_set",
    StageForecastSet = "pipeline.stage_forecast_set",
    StageRequirementsSet = "pipeline.stage_requirements_set",
    StageLimitsSet = "pipeline.stage_limits_set",
    StageHintSet = "pipeline.stage_hint_set",
    StageTaskTemplatesSet = "pipeline.stage_task_templates_set",
    StageRetired = "pipeline.stage_retired",
    Archived = "pipeline.archived",
    RecyclePipelineLinked = "pipeline.recycle_pipeline_linked",
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

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageForecastSet {
    pub stage: StageId,
    /// In percent.
    pub probability: i32,
    pub category: ForecastCategory,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageRequirementsSet {
    pub stage: StageId,
    pub entry: Vec<Requirement>,
    pub exit: Vec<Requirement>,
    /// Custom fields that no stage of this pipeline required before.
    pub newly_required: Vec<FieldId>,
    /// Custom fields that no stage of this pipeline requires any more.
    pub no_longer_required: Vec<FieldId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageLimitsSet {
    pub stage: StageId,
    pub max_days: Option<i32>,
    pub idle_days: Option<i32>,
    pub clock: Clock,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageHintSet {
    pub stage: StageId,
    /// What to do in this stage; absent: nothing is said.
    pub hint: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageTaskTemplatesSet {
    pub stage: StageId,
    pub templates: Vec<TaskTemplateId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageRetired {
    pub stage: StageId,
    /// Where its deals went, if it had any.
    pub to: Option<StageId>,
    /// Custom fields that no stage of this pipeline requires any more.
    pub no_longer_required: Vec<FieldId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Archived {
    pub pipeline: PipelineId,
    /// No open deal stands in any of them.
    pub stages: Vec<StageId>,
    /// Custom fields that this pipeline required.
    pub no_longer_required: Vec<FieldId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RecyclePipelineLinked {
    pub from: Option<PipelineId>,
    pub to: PipelineId,
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
            Self::StageRequirementsSet(event) => {
                let counted = |field: &FieldId| Claim::count(fields::REQUIRED_CLAIM, field.to_string());
                let counted = event.newly_required.iter().map(counted);
                counted.chain(uncounted(&event.no_longer_required)).collect()
            }
            Self::StageRetired(event) => {
                let none = Claim::none(STAGE_DEALS_CLAIM, event.stage.to_string());
                std::iter::once(none).chain(uncounted(&event.no_longer_required)).collect()
            }
            Self::Archived(event) => {
                let none = event.stages.iter().map(|stage| Claim::none(STAGE_DEALS_CLAIM, stage.to_string()));
                none.chain(uncounted(&event.no_longer_required)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn uncounted(fields: &[FieldId]) -> impl Iterator<Item = Claim> {
    fields.iter().map(|field| Claim::uncount(fields::REQUIRED_CLAIM, field.to_string()))
}

/// The claim that counts the open deals of a stage.
pub const STAGE_DEALS_CLAIM: &str = "stage.deals";

/// The longest hint, in characters.
pub const LONGEST_HINT: usize = 4000;

/// The claim that keeps pipeline names unique in a workspace, whatever their case.
pub const NAME_CLAIM: &str = "pipeline.name";

/// Names are compared without case and outer white space.
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
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
    #[error("this pipeline is archived and takes no changes; create another with CreatePipeline")]
    PipelineArchived,
    #[error("stage {stage:?} is retired; in force are {}", list(.accepted))]
    StageRetired { stage: String, accepted: Vec<String> },
    #[error("{probability} is no probability; a {} stage has {accepted}", .class.as_str())]
    Probability { probability: i32, class: Class, accepted: &'static str },
    #[error("a {} stage counts as {accepted} in a forecast", .class.as_str())]
    Category { class: Class, accepted: &'static str },
    #[error("{field} is {days}; give one day or more, or leave it out for no limit")]
    DaysNotPositive { field: &'static str, days: i32 },
    #[error("the hint has {length} characters; up to {most} are accepted")]
    HintTooLong { length: usize, most: usize },
    #[error("task template {template} does not exist; there are {}", list(.accepted))]
    NoSuchTaskTemplate { template: TaskTemplateId, accepted: Vec<String> },
    #[error("task template {template} is named twice; name each once")]
    TaskTemplateTwice { template: TaskTemplateId },
    #[error("{stage:?} is the last {} stage; {accepted}", .class.as_str())]
    LastOfClass { stage: String, class: Class, accepted: &'static str },
    #[error("{stage:?} is the only entry stage; name another with SetEntryStages first: {}", list(.accepted))]
    OnlyEntryStage { stage: String, accepted: Vec<String> },
    #[error("the deals of {stage:?} cannot go to {to:?}; name in `to` one of {}", list(.accepted))]
    NotASuccessor { stage: String, to: String, accepted: Vec<String> },
    #[error("deals are named and not where they go; name in `to` one of {}", list(.accepted))]
    SuccessorMissing { accepted: Vec<String> },
    #[error("pipeline {pipeline} does not exist or is archived; name one that is in force")]
    NoSuchRecyclePipeline { pipeline: PipelineId },
    #[error("a pipeline does not recycle into itself; name another one")]
    RecyclesIntoItself,
    #[error(transparent)]
    #[serde(untagged)]
    Field(#[from] FieldProblem),
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
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Config {
    pub name: String,
    /// The version of the configuration: that of the pipeline's last event.
    pub version: Version,
    /// The last version that changed what deals may do; a rename does not.
    pub rules_version: Version,
    /// Process stages in order, then success, then failure stages; retired ones among them.
    pub stages: Vec<Stage>,
    pub entry_stages: Vec<StageId>,
    pub policy: Policy,
    /// What is set for stages beside their names and places.
    pub terms: BTreeMap<StageId, Terms>,
    /// Where lost deals are revived.
    pub recycle: Option<PipelineId>,
    pub archived: bool,
}

/// What is set for a stage; at first, nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Terms {
    pub forecast: Option<Forecast>,
    /// What a deal has when it enters the stage.
    pub entry: Vec<Requirement>,
    /// What a deal has when it leaves the stage.
    pub exit: Vec<Requirement>,
    pub limits: Limits,
    pub hint: Option<String>,
    pub task_templates: Vec<TaskTemplateId>,
    pub retired: bool,
}

/// How long a deal may stay in a stage, and how long nothing may happen to it there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Limits {
    pub max_days: Option<i32>,
    pub idle_days: Option<i32>,
    pub clock: Clock,
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

    /// What is set for the stage; `None` where nothing was.
    pub fn terms(&self, id: StageId) -> Option<&Terms> {
        self.terms.get(&id)
    }

    pub fn is_retired(&self, id: StageId) -> bool {
        self.terms(id).is_some_and(|terms| terms.retired)
    }

    /// Place in the order, from 0; success and failure stages come after all process stages.
    pub fn place(&self, id: StageId) -> Option<usize> {
        self.stages.iter().position(|stage| stage.id == id)
    }

    /// The stages that are not retired.
    pub fn in_force(&self) -> impl Iterator<Item = &Stage> {
        self.stages.iter().filter(|stage| !self.is_retired(stage.id))
    }

    /// The stages in force of a class.
    pub fn of_class(&self, class: Class) -> impl Iterator<Item = &Stage> {
        self.in_force().filter(move |stage| stage.class == class)
    }

    pub fn stage_named(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| folded(&stage.name) == folded(name))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.in_force().map(|stage| stage.name.clone()).collect()
    }

    pub(crate) fn names_of(&self, class: Class) -> Vec<String> {
        self.of_class(class).map(|stage| stage.name.clone()).collect()
    }

    fn known(&self, id: StageId) -> Result<&Stage, Refusal> {
        self.stage(id).ok_or_else(|| Refusal::UnknownStage { stage: id, accepted: self.names() })
    }

    /// The stage, unless it is retired.
    fn active(&self, id: StageId) -> Result<&Stage, Refusal> {
        let stage = self.known(id)?;
        if self.is_retired(id) {
            return Err(Refusal::StageRetired { stage: stage.name.clone(), accepted: self.names() });
        }
        Ok(stage)
    }

    /// What is set for the stage, or the nothing that it begins with.
    fn terms_of(&self, id: StageId) -> Terms {
        self.terms(id).cloned().unwrap_or_default()
    }

    /// The custom fields that stages in force require, `other_than` one.
    fn required_fields(&self, other_than: Option<StageId>) -> BTreeSet<FieldId> {
        let others = self.terms.iter().filter(|(id, terms)| !terms.retired && Some(**id) != other_than);
        others.flat_map(|(_, terms)| custom(&terms.entry).chain(custom(&terms.exit))).collect()
    }

    /// The custom fields that nobody requires once this stage no longer does.
    fn required_only_by(&self, stage: StageId) -> Vec<FieldId> {
        self.required_fields(None).difference(&self.required_fields(Some(stage))).copied().collect()
    }

    fn insert(&mut self, stage: Stage, before: Option<StageId>) {
        let rank = class_rank(stage.class);
        let at = before.and_then(|before| self.place(before)).unwrap_or_else(|| {
            self.stages.iter().take_while(|other| class_rank(other.class) <= rank).count()
        });
        self.stages.insert(at, stage);
    }
}

fn custom(requirements: &[Requirement]) -> impl Iterator<Item = FieldId> {
    requirements.iter().filter_map(|requirement| match requirement {
        Requirement::Field(field) => Some(*field),
        _ => None,
    })
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

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::SetRequirements { entry, exit, .. }
                if custom(entry).chain(custom(exit)).next().is_some() =>
            {
                vec![Reads::Fields(fields::STREAM)]
            }
            Command::SetTaskTemplates { .. } => vec![Reads::TaskTemplates(task_templates::STREAM)],
            Command::LinkRecycle { to } => vec![Reads::Pipeline(to.stream())],
            _ => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Create { name, stages, entry_stages, policy }) => {
                create(name, stages, entry_stages, *policy)
            }
            (Self::Absent, _) => Err(Refusal::NoSuchPipeline),
            (Self::Defined(config), Command::Create { name, stages, entry_stages, policy }) => {
                let same = create(name, stages, entry_stages, *policy)?;
                already(config.version == 1 && evolved(&same) == *self, Refusal::AlreadyExists)
            }
            (Self::Defined(config), Command::Archive {}) => Ok(archive(config, given)),
            (Self::Defined(Config { archived: true, .. }), _) => Err(Refusal::PipelineArchived),
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
            (Self::Defined(config), Command::SetForecast { stage, probability, category }) => {
                let forecast = Forecast { probability: *probability, category: *category };
                set_forecast(config, config.active(*stage)?, forecast)
            }
            (Self::Defined(config), Command::SetRequirements { stage, entry, exit }) => {
                set_requirements(config, config.active(*stage)?, entry, exit, given)
            }
            (Self::Defined(config), Command::SetLimits { stage, max_days, idle_days, clock }) => {
                let limits = Limits { max_days: *max_days, idle_days: *idle_days, clock: *clock };
                set_limits(config, config.active(*stage)?, limits)
            }
            (Self::Defined(config), Command::SetHint { stage, hint }) => {
                set_hint(config, config.active(*stage)?, hint)
            }
            (Self::Defined(config), Command::SetTaskTemplates { stage, templates }) => {
                set_task_templates(config, config.active(*stage)?, templates, given)
            }
            (Self::Defined(config), Command::RetireStage { stage, to, deals }) => {
                retire_stage(config, config.known(*stage)?, *to, deals)
            }
            (Self::Defined(config), Command::LinkRecycle { to }) => link_recycle(config, *to, given),
        }
    }

    fn follow(&self, command: &Command, _: &Given<'_>) -> Vec<Order> {
        let Command::RetireStage { to: Some(to), deals, .. } = command else { return Vec::new() };
        let leave = |deal: &DealId| Order {
            stream: deal.stream(),
            command: crate::deal::Command::LeaveRetired { to: *to }.into(),
        };
        deals.iter().map(leave).collect()
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
                    ..Config::default()
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
                // Retired stages are not named and come last.
                let place =
                    |id: StageId| event.order.iter().position(|other| *other == id).unwrap_or(usize::MAX);
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
            Event::StageForecastSet(StageForecastSet { stage, probability, category }) => {
                let forecast = Forecast { probability: *probability, category: *category };
                self.terms.entry(*stage).or_default().forecast = Some(forecast);
            }
            Event::StageRequirementsSet(event) => {
                self.rules_version = version;
                let terms = self.terms.entry(event.stage).or_default();
                terms.entry.clone_from(&event.entry);
                terms.exit.clone_from(&event.exit);
            }
            Event::StageLimitsSet(StageLimitsSet { stage, max_days, idle_days, clock }) => {
                let limits = Limits { max_days: *max_days, idle_days: *idle_days, clock: *clock };
                self.terms.entry(*stage).or_default().limits = limits;
            }
            Event::StageHintSet(event) => {
                self.terms.entry(event.stage).or_default().hint.clone_from(&event.hint);
            }
            Event::StageTaskTemplatesSet(event) => {
                self.terms.entry(event.stage).or_default().task_templates.clone_from(&event.templates);
            }
            Event::StageRetired(event) => {
                self.rules_version = version;
                self.terms.entry(event.stage).or_default().retired = true;
                self.entry_stages.retain(|entry| *entry != event.stage);
            }
            Event::Archived(_) => {
                self.rules_version = version;
                self.archived = true;
            }
            Event::RecyclePipelineLinked(event) => self.recycle = Some(event.to),
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
    if config.stage(stage.id) == Some(stage) && !config.is_retired(stage.id) {
        return Ok(Vec::new());
    }
    if config.stage(stage.id).is_some() || config.stage_named(&stage.name).is_some() {
        return Err(Refusal::StageTwice { name: stage.name.clone() });
    }
    if let (Class::Success, Some(existing)) = (stage.class, config.of_class(Class::Success).next()) {
        return Err(Refusal::SecondSuccess { existing: existing.name.clone() });
    }
    if let Some(before) = before {
        let next = config.active(before)?;
        if next.class != stage.class {
            let accepted = config.names_of(stage.class);
            return Err(Refusal::OtherClass { stage: next.name.clone(), class: next.class, accepted });
        }
    }
    Ok(vec![Event::StageAdded(StageAdded { stage: stage.clone(), before })])
}

fn rename_stage(config: &Config, id: StageId, name: &str) -> Result<Vec<Event>, Refusal> {
    not_blank("stage name", name)?;
    let stage = config.active(id)?;
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
    for stage in stages {
        config.active(*stage)?;
    }
    check_entry(&config.stages, stages)?;
    let event = Event::EntryStagesSet(EntryStagesSet { stages: stages.to_vec() });
    Ok(changed(config.entry_stages != stages, event))
}

fn set_forecast(config: &Config, stage: &Stage, forecast: Forecast) -> Result<Vec<Event>, Refusal> {
    let Forecast { probability, category } = forecast;
    let (probabilities, words) = match stage.class {
        Class::Process => (0..=100, "0 to 100"),
        Class::Success => (100..=100, "100"),
        Class::Failure => (0..=0, "0"),
    };
    if !probabilities.contains(&probability) {
        return Err(Refusal::Probability { probability, class: stage.class, accepted: words });
    }
    let closed = category == ForecastCategory::Closed;
    let wrong = match stage.class {
        Class::Process => closed.then_some("`pipeline`, `best_case`, `most_likely`, `commit` or `omitted`"),
        Class::Success => (!closed).then_some("`closed`"),
        Class::Failure => (category != ForecastCategory::Omitted).then_some("`omitted`"),
    };
    if let Some(accepted) = wrong {
        return Err(Refusal::Category { class: stage.class, accepted });
    }
    let event = StageForecastSet { stage: stage.id, probability, category };
    Ok(changed(config.terms_of(stage.id).forecast != Some(forecast), Event::StageForecastSet(event)))
}

fn set_requirements(
    config: &Config,
    stage: &Stage,
    entry: &[Requirement],
    exit: &[Requirement],
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let (entry, exit) = (each_once(entry), each_once(exit));
    let before = config.terms_of(stage.id);
    if before.entry == entry && before.exit == exit {
        return Ok(Vec::new());
    }
    let wanted: BTreeSet<FieldId> = custom(&entry).chain(custom(&exit)).collect();
    let none = Fields::default();
    let fields = given.facts.get::<Fields>(fields::STREAM).unwrap_or(&none);
    for field in &wanted {
        fields.in_force(Entity::Deal, *field)?;
    }
    let no_longer = config.required_only_by(stage.id).into_iter().filter(|field| !wanted.contains(field));
    let no_longer_required = no_longer.collect();
    let newly_required = wanted.difference(&config.required_fields(None)).copied().collect();
    let event = StageRequirementsSet { stage: stage.id, entry, exit, newly_required, no_longer_required };
    Ok(vec![Event::StageRequirementsSet(event)])
}

/// In one order and each once, so that the same wish is the same list.
fn each_once(requirements: &[Requirement]) -> Vec<Requirement> {
    let set: BTreeSet<Requirement> = requirements.iter().copied().collect();
    set.into_iter().collect()
}

fn set_limits(config: &Config, stage: &Stage, limits: Limits) -> Result<Vec<Event>, Refusal> {
    let Limits { max_days, idle_days, clock } = limits;
    for (field, days) in [("max_days", max_days), ("idle_days", idle_days)] {
        if let Some(days) = days.filter(|days| *days < 1) {
            return Err(Refusal::DaysNotPositive { field, days });
        }
    }
    let event = StageLimitsSet { stage: stage.id, max_days, idle_days, clock };
    Ok(changed(config.terms_of(stage.id).limits != limits, Event::StageLimitsSet(event)))
}

fn set_hint(config: &Config, stage: &Stage, hint: &str) -> Result<Vec<Event>, Refusal> {
    let length = hint.trim().chars().count();
    if length > LONGEST_HINT {
        return Err(Refusal::HintTooLong { length, most: LONGEST_HINT });
    }
    let hint = (length > 0).then(|| hint.trim().to_owned());
    let differs = config.terms_of(stage.id).hint != hint;
    Ok(changed(differs, Event::StageHintSet(StageHintSet { stage: stage.id, hint })))
}

fn set_task_templates(
    config: &Config,
    stage: &Stage,
    templates: &[TaskTemplateId],
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let known = given.facts.get::<TaskTemplates>(task_templates::STREAM);
    for (at, template) in templates.iter().enumerate() {
        if known.and_then(|known| known.get(*template)).is_none() {
            let accepted = known.map(TaskTemplates::subjects).unwrap_or_default();
            return Err(Refusal::NoSuchTaskTemplate { template: *template, accepted });
        }
        if templates[..at].contains(template) {
            return Err(Refusal::TaskTemplateTwice { template: *template });
        }
    }
    let event = StageTaskTemplatesSet { stage: stage.id, templates: templates.to_vec() };
    let differs = config.terms_of(stage.id).task_templates != templates;
    Ok(changed(differs, Event::StageTaskTemplatesSet(event)))
}

fn retire_stage(
    config: &Config,
    stage: &Stage,
    to: Option<StageId>,
    deals: &[DealId],
) -> Result<Vec<Event>, Refusal> {
    if config.is_retired(stage.id) {
        return Ok(Vec::new());
    }
    let (name, class) = (|| stage.name.clone(), stage.class);
    if config.of_class(class).count() == 1 {
        let accepted = match class {
            Class::Success => "rename it with RenameStage",
            Class::Process | Class::Failure => "add another with AddStage first",
        };
        return Err(Refusal::LastOfClass { stage: name(), class, accepted });
    }
    let others = config.of_class(class).filter(|other| other.id != stage.id);
    let accepted = || others.map(|other| other.name.clone()).collect();
    if config.entry_stages.contains(&stage.id) && config.entry_stages.iter().all(|entry| *entry == stage.id) {
        return Err(Refusal::OnlyEntryStage { stage: name(), accepted: accepted() });
    }
    match to {
        Some(to) => {
            let to = config.active(to)?;
            if to.class != class || to.id == stage.id {
                let to = to.name.clone();
                return Err(Refusal::NotASuccessor { stage: name(), to, accepted: accepted() });
            }
        }
        None if !deals.is_empty() => return Err(Refusal::SuccessorMissing { accepted: accepted() }),
        None => {}
    }
    let no_longer_required = config.required_only_by(stage.id);
    Ok(vec![Event::StageRetired(StageRetired { stage: stage.id, to, no_longer_required })])
}

fn archive(config: &Config, given: &Given<'_>) -> Vec<Event> {
    let no_longer_required = config.required_fields(None).into_iter().collect();
    let stages = config.stages.iter().map(|stage| stage.id).collect();
    let event = Archived { pipeline: PipelineId(given.stream.0), stages, no_longer_required };
    changed(!config.archived, Event::Archived(event))
}

fn link_recycle(config: &Config, to: PipelineId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if to.stream() == given.stream {
        return Err(Refusal::RecyclesIntoItself);
    }
    let target = given.facts.pipeline(to).and_then(Pipeline::config);
    if target.is_none_or(|target| target.archived) {
        return Err(Refusal::NoSuchRecyclePipeline { pipeline: to });
    }
    let event = RecyclePipelineLinked { from: config.recycle, to };
    Ok(changed(config.recycle != Some(to), Event::RecyclePipelineLinked(event)))
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
