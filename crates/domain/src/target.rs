//! What a call, a conversation, a note, a task or a meeting is about, and whether it is there.

use crate::company::Company;
use crate::contact::Contact;
use crate::deal::Deal;
use crate::lead::Lead;
use crate::subject::Subject;
use crate::{DealId, Given, Reads, StreamId, SubjectId, Target};
use schemars::JsonSchema;
use serde::Serialize;

/// How many targets a task or a meeting may have, the first of them the main one.
pub const MOST: usize = 10;

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[error("there is no {kind} {id}; name a lead, contact, company or deal that exists")]
pub struct NoSuchTarget {
    pub kind: &'static str,
    pub id: StreamId,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("{given} targets are too many; name at most {most}")]
    TooManyTargets { given: usize, most: usize },
    #[error("{problem}")]
    NoSuchTarget { problem: NoSuchTarget },
    #[error("the personal data of {subject} was erased; name a target that still is")]
    TargetErased { subject: SubjectId },
}

/// The stream that tells whether `target` exists.
pub(crate) fn reads(target: Target) -> Reads {
    let stream = target.stream();
    match target {
        Target::Deal(_) => Reads::Deal(stream),
        Target::Lead(_) => Reads::Lead(stream),
        Target::Contact(_) => Reads::Contact(stream),
        Target::Company(_) => Reads::Company(stream),
    }
}

pub(crate) fn exists(target: Target, given: &Given<'_>) -> Result<(), NoSuchTarget> {
    let (kind, there) = match target {
        Target::Deal(id) => {
            let deal = given.facts.get::<Deal>(id.stream());
            ("deal", deal.is_some_and(|deal| deal.record().is_some()))
        }
        Target::Lead(id) => {
            let lead = given.facts.get::<Lead>(id.stream());
            ("lead", lead.is_some_and(|lead| lead.record().is_some()))
        }
        Target::Contact(id) => {
            let contact = given.facts.get::<Contact>(id.stream());
            ("contact", contact.is_some_and(|contact| *contact != Contact::default()))
        }
        Target::Company(id) => {
            let company = given.facts.get::<Company>(id.stream());
            ("company", company.is_some_and(|company| *company != Company::default()))
        }
    };
    if there { Ok(()) } else { Err(NoSuchTarget { kind, id: target.stream() }) }
}

/// What must be looked at before `targets` are accepted.
pub(crate) fn reads_all(targets: &[Target]) -> impl Iterator<Item = Reads> {
    targets.iter().take(MOST).flat_map(|target| [reads(*target), Reads::Subject(subject(*target).stream())])
}

/// The targets, each once; they exist and were not erased.
pub(crate) fn accepted(targets: &[Target], given: &Given<'_>) -> Result<Vec<Target>, Refusal> {
    if targets.len() > MOST {
        return Err(Refusal::TooManyTargets { given: targets.len(), most: MOST });
    }
    let mut accepted = Vec::new();
    for target in targets {
        exists(*target, given).map_err(|problem| Refusal::NoSuchTarget { problem })?;
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
