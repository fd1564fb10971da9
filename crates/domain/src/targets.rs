//! What a task or a meeting is about: a few leads, contacts, companies and deals, the first of them the main one.

use crate::subject::Subject;
use crate::target::{self, NoSuchTarget};
use crate::{DealId, Given, Reads, SubjectId, Target};
use serde::Serialize;

/// How many there may be at most.
pub const MOST: usize = 10;

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("{given} targets are too many; name at most {most}")]
    TooManyTargets { given: usize, most: usize },
    #[error("{problem}")]
    NoSuchTarget { problem: NoSuchTarget },
    #[error("the personal data of {subject} was erased; name a target that still is")]
    TargetErased { subject: SubjectId },
}

/// What must be looked at before `targets` are accepted.
pub(crate) fn reads(targets: &[Target]) -> impl Iterator<Item = Reads> {
    targets
        .iter()
        .take(MOST)
        .flat_map(|target| [target::reads(*target), Reads::Subject(subject(*target).stream())])
}

/// The targets, each once; they exist and were not erased.
pub(crate) fn accepted(targets: &[Target], given: &Given<'_>) -> Result<Vec<Target>, Refusal> {
    if targets.len() > MOST {
        return Err(Refusal::TooManyTargets { given: targets.len(), most: MOST });
    }
    let mut accepted = Vec::new();
    for target in targets {
        target::exists(*target, given).map_err(|problem| Refusal::NoSuchTarget { problem })?;
        let subject = subject(*target);
        if given.facts.get::<Subject>(subject.stream()) == Some(&Subject::Erased) {
            return Err(Refusal::TargetErased { subject });
        }
        if !accepted.contains(target) {
            accepted.push(*target);
        }
    }
    Ok(accepted)
}

/// The deals among `targets`.
pub(crate) fn deals(targets: &[Target]) -> Vec<DealId> {
    targets.iter().copied().filter_map(deal).collect()
}

pub(crate) fn deal(target: Target) -> Option<DealId> {
    match target {
        Target::Deal(id) => Some(id),
        Target::Lead(_) | Target::Contact(_) | Target::Company(_) => None,
    }
}

fn subject(target: Target) -> SubjectId {
    match target {
        Target::Lead(id) => id.into(),
        Target::Contact(id) => id.into(),
        Target::Company(id) => id.into(),
        Target::Deal(id) => id.into(),
    }
}
