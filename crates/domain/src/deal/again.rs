//! Deals that come of other deals: a repeat request, a lost deal revived in the recycle pipeline, its way back to sales.

use super::{Deal, Event, Open, OpenDeal, Outcome, Party, Refusal};
use crate::pipeline::Pipeline;
use crate::{DealId, Given, Order, PipelineId, Reads, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a deal was opened, if it comes of another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// A new request of the party of a closed deal.
    Repeat { previous: DealId },
    /// In the recycle pipeline, of a lost deal.
    Recycle { lost: DealId },
    /// Back in sales, of a deal that was qualified in the recycle pipeline.
    Revived { recycled: DealId, lost: DealId },
}

impl Origin {
    /// The deal whose state the opening rests on.
    pub(super) fn reads(self) -> Reads {
        match self {
            Self::Repeat { previous: deal }
            | Self::Recycle { lost: deal }
            | Self::Revived { recycled: deal, .. } => Reads::Deal(deal.stream()),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LinkedToPrevious {
    pub previous: DealId,
}

/// Of a lost deal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Revived {
    /// The deal in the recycle pipeline.
    pub recycled: DealId,
    pub pipeline: PipelineId,
}

/// Of a deal that was won in the recycle pipeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HandedBack {
    /// The new deal in sales.
    pub deal: DealId,
    pub pipeline: PipelineId,
}

/// Whether a deal may be opened with `origin`.
pub(super) fn check(origin: Origin, open: &Open, given: &Given<'_>) -> Result<(), Refusal> {
    let id = DealId(given.stream.0);
    let of = given.facts.get::<Deal>(origin.reads().stream());
    match origin {
        Origin::Repeat { previous } => {
            let known = of.and_then(Deal::record).ok_or(Refusal::NoSuchPrevious { deal: previous })?;
            if of.and_then(Deal::outcome).is_none() {
                return Err(Refusal::PreviousOpen { deal: previous });
            }
            let same = known.with.is_nobody()
                || open.party.is_some_and(|party| of.is_some_and(|of| of.is_with(party)));
            if same { Ok(()) } else { Err(Refusal::PreviousOfOther { deal: previous }) }
        }
        // Only the command on the other deal, in the same append, makes these so.
        Origin::Recycle { lost } => {
            let revived = of.and_then(Deal::record).and_then(|deal| deal.revived);
            if revived == Some(id) { Ok(()) } else { Err(Refusal::NotRevivedSo { deal: lost }) }
        }
        Origin::Revived { recycled, .. } => {
            let back = of.and_then(Deal::record).and_then(|deal| deal.handed_back);
            if back == Some(id) { Ok(()) } else { Err(Refusal::NotRevivedSo { deal: recycled }) }
        }
    }
}

/// The pipeline that lost deals of this one are revived in.
fn recycle_pipeline(deal: &OpenDeal, given: &Given<'_>) -> Result<PipelineId, Refusal> {
    let config = given.facts.pipeline(deal.pipeline).and_then(Pipeline::config);
    config.and_then(|config| config.recycle).ok_or(Refusal::NoRecyclePipeline)
}

pub(super) fn revive(
    deal: &OpenDeal,
    outcome: Outcome,
    recycled: DealId,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if deal.revived == Some(recycled) {
        return Ok(Vec::new());
    }
    if outcome != Outcome::Lost {
        return Err(Refusal::NotLost);
    }
    let open = deal.revived.and_then(|revived| given.facts.get::<Deal>(revived.stream()));
    if let (Some(revived), Some(Deal::Open(_))) = (deal.revived, open) {
        return Err(Refusal::AlreadyRevived { deal: revived });
    }
    Ok(vec![Event::Revived(Revived { recycled, pipeline: recycle_pipeline(deal, given)? })])
}

/// What opens the deal in the recycle pipeline.
pub(super) fn revival(
    deal: &OpenDeal,
    recycled: DealId,
    owner: Option<UserId>,
    given: &Given<'_>,
) -> Vec<Order> {
    let lost = DealId(given.stream.0);
    let Ok(pipeline) = recycle_pipeline(deal, given) else { return Vec::new() };
    let open = Open {
        party: party(deal),
        owner,
        value: deal.value,
        origin: Some(Origin::Recycle { lost }),
        ..Open::new(pipeline)
    };
    vec![Order { stream: recycled.stream(), command: super::Command::Open(open).into() }]
}

pub(super) fn hand_back(
    deal: &OpenDeal,
    outcome: Outcome,
    to: DealId,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if deal.handed_back == Some(to) {
        return Ok(Vec::new());
    }
    let Some(Origin::Recycle { lost }) = deal.origin else { return Err(Refusal::NotARecycledDeal) };
    if outcome != Outcome::Won {
        return Err(Refusal::NotQualifiedYet);
    }
    if let Some(deal) = deal.handed_back {
        return Err(Refusal::AlreadyHandedBack { deal });
    }
    let origin = given.facts.get::<Deal>(lost.stream()).and_then(Deal::record);
    let pipeline = origin.ok_or(Refusal::NoSuchPrevious { deal: lost })?.pipeline;
    if pipeline == deal.pipeline {
        return Err(Refusal::BackInSales);
    }
    Ok(vec![Event::HandedBack(HandedBack { deal: to, pipeline })])
}

/// What opens the deal in sales again.
pub(super) fn way_back(deal: &OpenDeal, to: DealId, owner: Option<UserId>, given: &Given<'_>) -> Vec<Order> {
    let Some(Origin::Recycle { lost }) = deal.origin else { return Vec::new() };
    let Some(origin) = given.facts.get::<Deal>(lost.stream()).and_then(Deal::record) else {
        return Vec::new();
    };
    let open = Open {
        party: party(deal),
        owner,
        value: deal.value,
        origin: Some(Origin::Revived { recycled: DealId(given.stream.0), lost }),
        ..Open::new(origin.pipeline)
    };
    vec![Order { stream: to.stream(), command: super::Command::Open(open).into() }]
}

/// Who it is with now, which may be somebody else than it was opened with.
fn party(deal: &OpenDeal) -> Option<Party> {
    let company = deal.with.company.map(Party::Company);
    let opened_with_company = matches!(deal.party, Some(Party::Company(_)));
    let contact = deal.with.primary.map(Party::Contact);
    if opened_with_company { company.or(contact) } else { contact.or(company) }
}
