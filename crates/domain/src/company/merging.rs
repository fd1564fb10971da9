//! Companies that are merged.
//!
//! Legal ids, contract terms and external ids stay with the company that they were given to; domains go over.

use super::{Company, DOMAIN_CLAIM, DomainsSet, Event, ParentSet, Record, Refusal};
use crate::contact_point::Meant;
use crate::merge::{self, Fields, Held, Mergeable, Merging};
use crate::{Claim, CompanyId, Given, Personal};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a company claims in its own name.
pub type Domains = BTreeSet<String>;

impl Mergeable for Record {
    type Id = CompanyId;
    type Holds = Domains;

    fn fields(&self) -> Fields {
        let named = [
            ("name", self.name_of.map(|of| Held::Sealed(of.0))),
            ("owner", Held::one(self.owner.as_ref())),
            ("territory", Held::one(self.territory.as_ref())),
            ("domains", Held::many(&self.domains)),
        ];
        merge::fields(named, &self.fields)
    }

    fn set(&mut self, field: &str, to: Option<&Value>) {
        match field {
            "name" => self.name_of = merge::sealed_in(to),
            "owner" => self.owner = merge::value(to),
            "territory" => self.territory = merge::value(to),
            "domains" => self.domains = merge::values(to),
            field => merge::set_field(&mut self.fields, field, to),
        }
    }

    fn holds(&self) -> Option<Domains> {
        (!self.domains.is_empty()).then(|| self.domains.clone())
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

/// Domains go from one company to another in one append, so none is refused.
pub(super) fn claims(before: Option<&Domains>, after: Option<&Domains>) -> Vec<Claim> {
    let (none, all) = (Domains::new(), |held: Option<&Domains>| held.cloned());
    let (before, after) = (all(before).unwrap_or_else(|| none.clone()), all(after).unwrap_or(none));
    let released = before.difference(&after).map(|domain| Claim::release(DOMAIN_CLAIM, domain));
    released.chain(after.difference(&before).map(|domain| Claim::join(DOMAIN_CLAIM, domain))).collect()
}

impl Record {
    /// Where all stand below the same parent, none of them stands above another, so no circle closes.
    pub(super) fn merge(
        &self,
        company: CompanyId,
        asked: &merge::Merge<CompanyId>,
        given: &Given<'_>,
    ) -> Result<Option<Event>, Refusal> {
        let losers: merge::Losers<'_, Self> =
            asked.losers.iter().map(|loser| (*loser, own(*loser, given))).collect();
        let event = merge::merge(company, self, asked, &losers, given.facts)?;
        let elsewhere =
            losers.iter().find(|(_, loser)| loser.is_some_and(|loser| loser.parent != self.parent));
        match (event, elsewhere) {
            (Some(_), Some((loser, _))) => Err(Refusal::OtherParent { company: *loser }),
            (event, _) => Ok(event.map(Event::Merged)),
        }
    }

    pub(super) fn yields(&self, survivor: CompanyId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let event = merge::yields(CompanyId(given.stream.0), self, survivor, own(survivor, given))?;
        Ok(event.map(Event::MergedInto).into_iter().collect())
    }

    /// What stood below it meanwhile stood below the survivor, so its own old parent may be below it by now; the
    /// survivor's is not.
    /// A domain that the survivor has given up meanwhile may be another company's by now, and is not taken back.
    pub(super) fn separates(
        &self,
        survivor: CompanyId,
        held: &[String],
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        let (company, state) = (CompanyId(given.stream.0), own(survivor, given));
        let Some(mut event) = merge::separates(company, self, survivor, state)? else {
            return Ok(Vec::new());
        };
        let (back, gone): (Domains, Domains) =
            self.domains.iter().cloned().partition(|domain| held.contains(domain));
        event.holds = (!back.is_empty()).then_some(back);
        let gone = (!gone.is_empty()).then(|| {
            Event::DomainsSet(DomainsSet {
                company,
                added: Vec::new(),
                removed: gone.into_iter().collect(),
                meant: Meant::Unique,
                reason: Personal::default(),
            })
        });
        let (from, to) = (self.parent, state.and_then(|state| state.parent));
        let moved = (from != to).then_some(Event::ParentSet(ParentSet { from, to }));
        Ok([Event::Separated(event)].into_iter().chain(moved).chain(gone).collect())
    }
}

fn own<'a>(company: CompanyId, given: &Given<'a>) -> Option<&'a Record> {
    given.facts.own::<Company>(company.stream()).and_then(Company::record)
}
