//! The dictionary of task templates, which stages and workflows create tasks from: one stream per tenant.

use crate::activity_types;
use crate::decider::{Describe, commands, events};
use crate::dictionary::{self, NotInDictionary};
use crate::label::{LabelProblem, label};
use crate::pipeline::Clock;
use crate::{ActivityTypeId, Decider, Given, Occurred, Reads, StreamId, TaskTemplateId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The stream that holds the dictionary, in every tenant.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_7a5c_7e00_4a00_9000_0000_0000_0001));

/// Ten years.
const LONGEST_OFFSET_DAYS: i32 = 3660;

commands! {
    /// The subject is not blank; the activity type is one of tasks or calls; the offset is between 0 days and ten years. A template that is
    /// there already gets a new version.
    "DefineTaskTemplate" = Define {
        template: TaskTemplateId,
        /// What there is to do; no word about a person.
        subject: String,
        activity_type: ActivityTypeId,
        /// How many days after its cause the task is due.
        offset_days: i32,
        clock: Clock,
    } => [Defined],
}

events! {
    Defined = "task_template.defined",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    pub template: TaskTemplateId,
    /// The version of this template, from 1.
    pub version: i32,
    pub subject: String,
    pub activity_type: ActivityTypeId,
    pub offset_days: i32,
    pub clock: Clock,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("an offset of {days} days is none; accepted: 0 to {most}")]
    Offset { days: i32, most: i32 },
    #[error(transparent)]
    #[serde(untagged)]
    Label(#[from] LabelProblem),
    #[error(transparent)]
    #[serde(untagged)]
    Dictionary(#[from] NotInDictionary),
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TaskTemplates {
    templates: Vec<TaskTemplate>,
}

/// A template in its present version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskTemplate {
    pub id: TaskTemplateId,
    pub version: i32,
    pub subject: String,
    pub activity_type: ActivityTypeId,
    pub offset_days: i32,
    pub clock: Clock,
}

impl TaskTemplates {
    pub fn get(&self, id: TaskTemplateId) -> Option<&TaskTemplate> {
        self.templates.iter().find(|template| template.id == id)
    }

    pub fn subjects(&self) -> Vec<String> {
        self.templates.iter().map(|template| template.subject.clone()).collect()
    }
}

impl Decider for TaskTemplates {
    const AGGREGATE: &'static str = "task_template";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(_: &Command) -> Option<StreamId> {
        Some(STREAM)
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn reads(&self, _: &Command) -> Vec<Reads> {
        vec![Reads::ActivityTypes(activity_types::STREAM)]
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let Command::Define { template, subject, activity_type, offset_days: days, clock } = command;
        if !(0..=LONGEST_OFFSET_DAYS).contains(days) {
            return Err(Refusal::Offset { days: *days, most: LONGEST_OFFSET_DAYS });
        }
        dictionary::activity_type(*activity_type, dictionary::OF_TASKS, given)?;
        let before = self.get(*template);
        let mut wanted = Defined {
            template: *template,
            version: before.map_or(0, |before| before.version),
            subject: label("subject", subject)?,
            activity_type: *activity_type,
            offset_days: *days,
            clock: *clock,
        };
        if before == Some(&defined(&wanted)) {
            return Ok(Vec::new());
        }
        wanted.version = wanted.version.saturating_add(1);
        Ok(vec![Event::Defined(wanted)])
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        let Event::Defined(event) = event;
        match self.templates.iter_mut().find(|template| template.id == event.template) {
            Some(template) => *template = defined(event),
            None => self.templates.push(defined(event)),
        }
    }
}

fn defined(event: &Defined) -> TaskTemplate {
    TaskTemplate {
        id: event.template,
        version: event.version,
        subject: event.subject.clone(),
        activity_type: event.activity_type,
        offset_days: event.offset_days,
        clock: event.clock,
    }
}
