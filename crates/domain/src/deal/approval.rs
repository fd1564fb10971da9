//! Approvals: somebody else agrees before the deal is won.

use super::{Event, OpenDeal, Refusal};
use crate::{ActorId, Given, Personal, SubjectId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be approved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Matter {
    Discount,
    Value,
    Terms,
    Close,
    Other,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct ApprovalRequested {
    /// From 1.
    pub approval: i32,
    pub matter: Matter,
    pub by: ActorId,
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalGranted {
    pub approval: i32,
    pub by: ActorId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct ApprovalRefused {
    pub approval: i32,
    pub by: ActorId,
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Approval {
    pub matter: Matter,
    pub requested_by: ActorId,
    /// `None` while it is pending.
    pub granted: Option<bool>,
}

/// The requests of a deal, the first one first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Approvals(Vec<Approval>);

impl Approvals {
    fn get(&self, number: i32) -> Option<&Approval> {
        super::index(number).and_then(|at| self.0.get(at))
    }

    /// Numbers of those that nobody has decided.
    pub(super) fn pending(&self) -> Vec<i32> {
        (1..)
            .zip(&self.0)
            .filter(|(_, approval)| approval.granted.is_none())
            .map(|(number, _)| number)
            .collect()
    }

    pub(super) fn evolve(&mut self, event: &Event) {
        match event {
            Event::ApprovalRequested(event) => {
                self.0.push(Approval { matter: event.matter, requested_by: event.by, granted: None });
            }
            Event::ApprovalGranted(event) => self.settle(event.approval, true),
            Event::ApprovalRefused(event) => self.settle(event.approval, false),
            _ => {}
        }
    }

    fn settle(&mut self, number: i32, granted: bool) {
        if let Some(approval) = super::index(number).and_then(|at| self.0.get_mut(at)) {
            approval.granted = Some(granted);
        }
    }
}

pub(super) fn request(deal: &OpenDeal, matter: Matter, reason: &Personal, given: &Given<'_>) -> Vec<Event> {
    let approval = i32::try_from(deal.approvals.0.len()).unwrap_or(i32::MAX).saturating_add(1);
    let (by, subject) = (given.actor, SubjectId(given.stream.0));
    let reason = reason.unless_blank();
    vec![Event::ApprovalRequested(ApprovalRequested { approval, matter, by, subject, reason })]
}

pub(super) fn grant(deal: &OpenDeal, number: i32, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    match to_decide(deal, number, given)?.granted {
        Some(true) => Ok(Vec::new()),
        Some(false) => Err(Refusal::ApprovalDecided { approval: number }),
        None => Ok(vec![Event::ApprovalGranted(ApprovalGranted { approval: number, by: given.actor })]),
    }
}

pub(super) fn refuse(
    deal: &OpenDeal,
    number: i32,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    match to_decide(deal, number, given)?.granted {
        Some(false) => return Ok(Vec::new()),
        Some(true) => return Err(Refusal::ApprovalDecided { approval: number }),
        None => {}
    }
    super::needs_reason(reason, given)?;
    let (by, subject) = (given.actor, SubjectId(given.stream.0));
    let reason = reason.unless_blank();
    Ok(vec![Event::ApprovalRefused(ApprovalRefused { approval: number, by, subject, reason })])
}

/// Whoever approves is not who asked.
fn to_decide<'d>(deal: &'d OpenDeal, number: i32, given: &Given<'_>) -> Result<&'d Approval, Refusal> {
    let pending = || deal.approvals.pending();
    let approval = deal.approvals.get(number);
    let approval =
        approval.ok_or_else(|| Refusal::NoSuchApproval { approval: number, pending: pending() })?;
    if approval.granted.is_none() && approval.requested_by == given.actor {
        return Err(Refusal::OwnApproval { approval: number });
    }
    Ok(approval)
}
