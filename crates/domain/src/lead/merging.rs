//! Leads that are merged.
//!
//! Contact points, attempts, source and external id stay with the lead that they were given to.

use super::{Answer, Event, Lead, Record, Refusal};
use crate::merge::{self, Fields, Held, Mergeable, Merging};
use crate::{Given, LeadId, UserId};
use serde_json::Value;

impl Mergeable for Record {
    type Id = LeadId;
    type Holds = UserId;

    fn fields(&self) -> Fields {
        let named = [
            ("name", self.name_of.map(|of| Held::Sealed(of.0))),
            ("company_name", self.company_of.map(|of| Held::Sealed(of.0))),
            // Whoever owns what is not in work need not be active.
            ("owner", Held::one(self.owner.filter(|_| self.is_open()).as_ref())),
            ("score", Held::one(self.score.as_ref())),
            ("tags", Held::many(&self.tags)),
        ];
        merge::fields(named, &self.fields)
    }

    fn set(&mut self, field: &str, to: Option<&Value>) {
        match field {
            "name" => self.name_of = merge::sealed_in(to),
            "company_name" => self.company_of = merge::sealed_in(to),
            "owner" => (self.owner, self.answer) = (merge::value(to), Answer::Awaited),
            "score" => self.score = merge::value(to),
            "tags" => self.tags = merge::values(to),
            field => merge::set_field(&mut self.fields, field, to),
        }
    }

    fn holds(&self) -> Option<UserId> {
        self.at_work()
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

impl Record {
    pub(super) fn merge(
        &self,
        lead: LeadId,
        asked: &merge::Merge<LeadId>,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        self.not_archived()?;
        let losers: merge::Losers<'_, Self> =
            asked.losers.iter().map(|loser| (*loser, own(*loser, given))).collect();
        let event = merge::merge(lead, self, asked, &losers, given.facts)?;
        let ended = losers.iter().filter_map(|(id, loser)| Some((*id, loser.as_ref()?)));
        if let Some((lead, loser)) = ended.into_iter().find(|(_, loser)| loser.is_converted()) {
            return Err(Refusal::NotMergedAway { lead, status: loser.status.as_str() });
        }
        Ok(event.map(Event::Merged).into_iter().collect())
    }

    pub(super) fn unmerge(
        &self,
        lead: LeadId,
        asked: merge::Unmerge,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        let event = merge::unmerge(lead, self, asked)?;
        let owner = event.as_ref().and_then(|event| event.after);
        if let Some(user) = given.who_left(owner) {
            return Err(Refusal::OwnerLeft { user });
        }
        Ok(event.map(Event::Unmerged).into_iter().collect())
    }

    /// Whether somebody who was merged into it can be reached.
    pub(super) fn is_reachable_by_others(&self, given: &Given<'_>) -> bool {
        let points = |id| own(LeadId(id), given).map_or(0, |lead| lead.points);
        self.merging.everyone().any(|id| points(id) > 0)
    }

    pub(super) fn yields(
        &self,
        lead: LeadId,
        survivor: LeadId,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        let event = merge::yields(lead, self, survivor, own(survivor, given))?;
        Ok(event.map(Event::MergedInto).into_iter().collect())
    }

    pub(super) fn separates(
        &self,
        lead: LeadId,
        survivor: LeadId,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        let event = merge::separates(lead, self, survivor, own(survivor, given))?;
        let owner = event.as_ref().and_then(|event| event.holds);
        if let Some(user) = given.who_left(owner) {
            return Err(Refusal::OwnerLeft { user });
        }
        Ok(event.map(Event::Separated).into_iter().collect())
    }
}

fn own<'a>(lead: LeadId, given: &Given<'a>) -> Option<&'a Record> {
    given.facts.own::<Lead>(lead.stream()).and_then(Lead::record)
}
