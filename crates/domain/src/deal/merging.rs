//! Deals that are merged.
//!
//! Stage visits, holds, approvals and tasks stay with the deal that they are about.

use super::lines::Line;
use super::{ContactRole, Deal, Event, Holds, OpenDeal, Refusal, StageChanged};
use crate::field_changes;
use crate::merge::{self, Fields, Held, Mergeable, Merging};
use crate::pipeline::Config;
use crate::{ContactId, DealId, FieldId, Given, Money, ProductId, StageId, UserId};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

pub type Merged = merge::Merged<DealId, Holds>;
pub type Unmerged = merge::Unmerged<DealId, Holds>;
pub type MergedInto = merge::MergedInto<DealId, Holds>;
pub type Separated = merge::Separated<DealId, Holds>;

/// The value, and the lines that it follows from, which go together.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Worth {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<Money>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub lines: BTreeMap<i32, Line>,
}

/// What a merge, or undoing one, says of a deal; nothing where it stays.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changed {
    pub owner: Option<Option<UserId>>,
    pub value: Option<Option<Money>>,
    pub expected_close: Option<Option<NaiveDate>>,
    /// Of the lines by number; `None`: the line is gone.
    pub products: BTreeMap<i32, Option<ProductId>>,
    /// Of the custom fields; `None`: it holds nothing any more.
    pub fields: BTreeMap<FieldId, Option<field_changes::Held>>,
}

impl Changed {
    pub fn by(changes: &[merge::Change]) -> Self {
        let to = |field: &str| {
            changes.iter().find(|change| change.field == field).map(|change| change.to.as_ref())
        };
        let worth = |told| merge::value::<Worth>(told).unwrap_or_default();
        Self {
            owner: to("owner").map(merge::value),
            value: to(WORTH).map(|told| worth(told).value),
            expected_close: to("expected_close").map(merge::value),
            products: changes.iter().filter(|change| change.field == WORTH).flat_map(products).collect(),
            fields: changes.iter().filter_map(merge::custom_field).collect(),
        }
    }
}

/// The lines that a change takes away, then those that it brings.
fn products(change: &merge::Change) -> impl Iterator<Item = (i32, Option<ProductId>)> {
    let lines = |told: &Option<Value>| merge::value::<Worth>(told.as_ref()).unwrap_or_default().lines;
    let gone = lines(&change.from).into_keys().map(|number| (number, None));
    let there = lines(&change.to).into_iter().map(|(number, line)| (number, Some(line.product)));
    gone.chain(there)
}

/// The field of value and lines.
pub(super) const WORTH: &str = "worth";

impl Event {
    pub(super) fn is_of_worth(&self) -> bool {
        matches!(
            self,
            Self::LineAdded(_) | Self::LineChanged(_) | Self::LineRemoved(_) | Self::ValueChanged(_)
        )
    }
}

impl Mergeable for OpenDeal {
    type Id = DealId;
    type Holds = Holds;

    fn fields(&self) -> Fields {
        let worth = Worth { value: self.value, lines: self.lines.lines.clone() };
        let named = [
            ("name", self.name_of.map(|of| Held::Sealed(of.0))),
            ("owner", Held::one(self.owner.as_ref())),
            (WORTH, (worth != Worth::default()).then(|| Held::one(Some(&worth))).flatten()),
            ("expected_close", Held::one(self.expected_close.as_ref())),
            ("company", Held::one(self.with.company.as_ref())),
            ("contacts", Held::many(&self.with.contacts)),
            ("tags", Held::many(&self.tags)),
            ("followers", Held::many(&self.followers)),
        ];
        merge::fields(named, &self.fields)
    }

    fn set(&mut self, field: &str, to: Option<&Value>) {
        match field {
            "name" => self.name_of = merge::sealed_in(to),
            "owner" => self.owner = merge::value(to),
            WORTH => {
                let Worth { value, lines } = merge::value(to).unwrap_or_default();
                self.value = value;
                self.lines.replace(lines);
            }
            "expected_close" => self.expected_close = merge::value(to),
            "company" => self.with.company = merge::value(to),
            "contacts" => {
                let contacts: Vec<(ContactId, ContactRole)> = merge::value(to).unwrap_or_default();
                // Of two roles of one contact its own stays.
                let own = std::mem::take(&mut self.with.contacts);
                let own = own.into_iter().filter(|own| contacts.contains(own));
                self.with.contacts = contacts.iter().copied().chain(own).collect();
                self.with.primary = self.with.primary.or_else(|| self.with.contacts.keys().next().copied());
            }
            "tags" => self.tags = merge::values(to),
            "followers" => self.followers = merge::values(to),
            field => merge::set_field(&mut self.fields, field, to),
        }
    }

    fn holds(&self) -> Option<Holds> {
        Some(self.holds_in(self.stage))
    }

    fn is_archived(&self) -> bool {
        self.archived
    }

    fn merging(&self) -> &Merging<Self> {
        &self.merging
    }

    fn merging_mut(&mut self) -> &mut Merging<Self> {
        &mut self.merging
    }
}

impl OpenDeal {
    /// The deal and those that were merged into it.
    pub(super) fn all(&self, given: &Given<'_>) -> Vec<DealId> {
        [DealId(given.stream.0)].into_iter().chain(self.merging.everyone().map(DealId)).collect()
    }
}

impl Deal {
    pub(super) fn merge(
        &self,
        asked: &merge::Merge<DealId>,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        let Some(deal) = self.record() else { return Err(Refusal::NoSuchDeal) };
        let state = |id: DealId| given.facts.own::<Self>(id.stream());
        let losers =
            asked.losers.iter().map(|loser| (*loser, state(*loser).and_then(Self::record))).collect();
        let Some(mut event) = merge::merge(DealId(given.stream.0), deal, asked, &losers, given.facts)? else {
            return Ok(Vec::new());
        };
        for (id, loser) in &losers {
            if state(*id).is_some_and(|state| state.outcome().is_some()) {
                return Err(Refusal::NotMergedAway { deal: *id });
            }
            let approvals = loser.map(|loser| loser.approvals.pending()).unwrap_or_default();
            if !approvals.is_empty() {
                return Err(Refusal::WaitsForApproval { deal: *id, approvals });
            }
            if loser.is_some_and(|loser| loser.pipeline != deal.pipeline) {
                return Err(Refusal::OtherPipeline { deal: *id });
            }
        }
        self.if_open(&mut event.before);
        self.if_open(&mut event.after);
        Ok(vec![Event::Merged(event)])
    }

    pub(super) fn unmerge(&self, asked: merge::Unmerge, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let Some(deal) = self.record() else { return Err(Refusal::NoSuchDeal) };
        let event = merge::unmerge(DealId(given.stream.0), deal, asked)?;
        let Some(mut event) = event else { return Ok(Vec::new()) };
        self.if_open(&mut event.before);
        self.if_open(&mut event.after);
        let owner = event.after.and_then(|holds| holds.owner);
        if let Some(user) = given.who_left(owner) {
            return Err(Refusal::OwnerLeft { user });
        }
        Ok(vec![Event::Unmerged(event)])
    }

    /// A closed deal is counted by nothing.
    fn if_open(&self, holds: &mut Option<Holds>) {
        if self.outcome().is_some() {
            *holds = None;
        }
    }

    pub(super) fn yields(&self, survivor: DealId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let Some(deal) = self.record() else { return Err(Refusal::NoSuchDeal) };
        let state = given.facts.own::<Self>(survivor.stream()).and_then(Self::record);
        let event = merge::yields(DealId(given.stream.0), deal, survivor, state)?;
        Ok(event.map(Event::MergedInto).into_iter().collect())
    }

    pub(super) fn separates(&self, survivor: DealId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let Some(deal) = self.record() else { return Err(Refusal::NoSuchDeal) };
        let state = given.facts.own::<Self>(survivor.stream());
        let event = merge::separates(DealId(given.stream.0), deal, survivor, state.and_then(Self::record))?;
        let Some(event) = event else { return Ok(Vec::new()) };
        if let Some(user) = given.who_left(deal.owner) {
            return Err(Refusal::OwnerLeft { user });
        }
        let config = super::rules(deal.pipeline, None, given)?;
        if config.archived {
            return Err(Refusal::OpenInArchive);
        }
        deal.with.nobody_is_archived(given)?;
        let moved = config.is_retired(deal.stage).then(|| deal.out_of_retired(config, state));
        let moved = moved.flatten().map(Event::StageChanged);
        Ok([Event::Separated(event)].into_iter().chain(moved).collect())
    }
}

impl OpenDeal {
    fn out_of_retired(&self, config: &Config, survivor: Option<&Deal>) -> Option<StageChanged> {
        let beside = match survivor {
            Some(Deal::Open(survivor)) if survivor.pipeline == self.pipeline => Some(survivor.stage),
            _ => None,
        };
        let to: StageId = beside.or_else(|| config.entry_stages.first().copied())?;
        Some(StageChanged {
            from: self.stage,
            to,
            pipeline_version: config.version,
            visit: self.next_visit(),
            with_task_of: Vec::new(),
            retired: true,
        })
    }
}
