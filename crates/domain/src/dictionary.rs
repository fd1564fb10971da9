//! Whether what a command names is in a dictionary. An empty dictionary accepts nothing.

use crate::activity_types::{self, ActivityType, ActivityTypes, Kind};
use crate::pipeline::list;
use crate::sources::{self, Sources};
use crate::tags::{self, Tags};
use crate::task::Template;
use crate::task_templates::{self, TaskTemplate, TaskTemplates};
use crate::{ActivityTypeId, Given, SourceId, TagId, TaskTemplateId, Version};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum NotInDictionary {
    #[error("source {unknown} is not in the dictionary; accepted: {}", list(.accepted))]
    SourceUnknown { unknown: SourceId, accepted: Vec<String> },
    #[error("tag {tag} is not in the dictionary; accepted: {}", list(.accepted))]
    TagUnknown { tag: TagId, accepted: Vec<String> },
    #[error("{activity_type} is no activity type that this may be of; accepted: {}", list(.accepted))]
    ActivityTypeUnknown { activity_type: ActivityTypeId, accepted: Vec<String> },
    #[error("that is no code of an activity type of calls; accepted: {}", list(.accepted))]
    DispositionUnknown { accepted: Vec<String> },
    #[error("task template {template} is not in the dictionary; accepted: {}", list(.accepted))]
    TemplateUnknown { template: TaskTemplateId, accepted: Vec<String> },
    #[error("version {named} of the task template {subject:?} is not in force; accepted: {in_force}")]
    TemplateVersion { subject: String, named: Version, in_force: Version },
}

/// What a task may be of.
pub(crate) const OF_TASKS: &[Kind] = &[Kind::Task, Kind::Call];
pub(crate) const OF_MEETINGS: &[Kind] = &[Kind::Meeting];
pub(crate) const OF_CALLS: &[Kind] = &[Kind::Call];

pub(crate) fn source(unknown: SourceId, given: &Given<'_>) -> Result<(), NotInDictionary> {
    let sources = given.facts.get::<Sources>(sources::STREAM);
    if sources.is_some_and(|sources| sources.get(unknown).is_some()) {
        return Ok(());
    }
    Err(NotInDictionary::SourceUnknown { unknown, accepted: sources.map_or_else(Vec::new, Sources::codes) })
}

/// The tag itself, or the one that it was merged into.
pub(crate) fn tag(tag: TagId, given: &Given<'_>) -> Result<TagId, NotInDictionary> {
    let tags = given.facts.get::<Tags>(tags::STREAM);
    match tags.and_then(|tags| tags.resolve(tag)) {
        Some(known) => Ok(known.id),
        None => Err(NotInDictionary::TagUnknown { tag, accepted: tags.map_or_else(Vec::new, Tags::names) }),
    }
}

pub(crate) fn activity_type<'a>(
    id: ActivityTypeId,
    kinds: &[Kind],
    given: &Given<'a>,
) -> Result<&'a ActivityType, NotInDictionary> {
    let types = given.facts.get::<ActivityTypes>(activity_types::STREAM);
    let known = types.and_then(|types| types.get(id)).filter(|known| kinds.contains(&known.kind));
    known.ok_or_else(|| NotInDictionary::ActivityTypeUnknown {
        activity_type: id,
        accepted: types.map_or_else(Vec::new, |types| types.codes_of(kinds)),
    })
}

/// How a call went is told by the code of an activity type of calls, whatever its case.
pub(crate) fn disposition<'a>(code: &str, given: &Given<'a>) -> Result<&'a ActivityType, NotInDictionary> {
    let types = given.facts.get::<ActivityTypes>(activity_types::STREAM);
    let known = types.and_then(|types| types.by_code(code)).filter(|known| OF_CALLS.contains(&known.kind));
    known.ok_or_else(|| NotInDictionary::DispositionUnknown {
        accepted: types.map_or_else(Vec::new, |types| types.codes_of(OF_CALLS)),
    })
}

/// The template, if the version named is the one in force.
pub(crate) fn task_template<'a>(
    Template { id, version }: Template,
    given: &Given<'a>,
) -> Result<&'a TaskTemplate, NotInDictionary> {
    let templates = given.facts.get::<TaskTemplates>(task_templates::STREAM);
    let Some(known) = templates.and_then(|templates| templates.get(id)) else {
        let accepted = templates.map_or_else(Vec::new, TaskTemplates::subjects);
        return Err(NotInDictionary::TemplateUnknown { template: id, accepted });
    };
    if known.version != version {
        let (subject, in_force) = (known.subject.clone(), known.version);
        return Err(NotInDictionary::TemplateVersion { subject, named: version, in_force });
    }
    Ok(known)
}
