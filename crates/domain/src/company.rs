//! A company: a name, domains and legal ids by which it is known, a parent, and the terms of its contracts.
//!
//! Name and legal ids are sealed, because those of a sole trader are a person's; domains are not. What terms mean for a
//! price is left out.

mod merging;

pub use merging::Domains;

use crate::assignee::{self, AssigneeProblem};
use crate::contact_point::{Meant, is_domain};
use crate::country::Country;
use crate::deal::External;
use crate::decider::{Describe, commands, events};
use crate::field_changes::{self, Changes, FieldSetting, Held};
use crate::fields::Entity;
use crate::free_mail::is_free_mail;
use crate::legal_id;
use crate::merge::{self, Merging};
use crate::{
    Claim, CompanyId, Decider, FieldId, Given, Occurred, Order, Personal, PersonalField, ProductId, Reads,
    StreamId, SubjectId, UserId, Version,
};
use chrono::{Days, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

commands! {
    /// The name is not blank; domains and legal ids as for `SetCompanyDomains` and `SetCompanyLegalIds`; the owner is
    /// active and not absent; an external id belongs to one company.
    "CreateCompany" = Create(Create) => [Created, DomainsSet, LegalIdsSet],
    /// The company is not archived; the name is not blank.
    "RenameCompany" = Rename { name: Personal } => [Renamed],
    /// The company is not archived; each is a domain and no provider of free mail; no other company holds it unless the
    /// duplicate is meant, with a reason. These replace what was set before.
    "SetCompanyDomains" = SetDomains {
        domains: Vec<String>,
        #[serde(default)]
        override_duplicate: bool,
        #[serde(default)]
        reason: Personal,
    } => [DomainsSet],
    /// The company is not archived; shape and check digit are those of the country; no other company holds an id in that
    /// country unless the duplicate is meant, with a reason. Ids that were set before are named in `replaces`, all of them.
    "SetCompanyLegalIds" = SetLegalIds {
        ids: LegalIds,
        /// They are not kept in clear, and are let go of.
        #[serde(default)]
        replaces: Option<LegalIds>,
        #[serde(default)]
        override_duplicate: bool,
        #[serde(default)]
        reason: Personal,
    } => [LegalIdsSet],
    /// The company is not archived; the parent is another, exists and is not archived; `ancestors` is the true chain from
    /// the parent up to the root, and the company is not in it. No parent and no ancestors: it stands alone.
    "SetParentCompany" = SetParent {
        #[serde(default)]
        parent: Option<CompanyId>,
        /// The parent, its parent, and so on, up to one without a parent.
        #[serde(default)]
        ancestors: Vec<CompanyId>,
    } => [ParentSet],
    /// The company is not archived; each field is named once. Values of personal and sensitive fields are sealed.
    "SetCompanyFields" = SetFields { fields: Vec<FieldSetting> } => [FieldsChanged],
    /// The company is not archived; the owner is registered, active and not absent, unless forced with a reason.
    "AssignCompany" = Assign {
        owner: UserId,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Assigned],
    /// The company is not archived; a code of 1 to 32 letters A-Z, digits, "-", "_" or ".". No code: it is in no territory.
    "SetCompanyTerritory" = SetTerritory {
        #[serde(default)]
        territory: Option<String>,
    } => [TerritorySet],
    /// The company is not archived; terms do not end before they start; exclusive ones name a product, are not granted twice
    /// and no other company holds the same exclusivity. Terms are numbered from 1.
    "GrantContractTerms" = GrantTerms(GrantTerms) => [ContractTermsGranted],
    /// The company is not archived; the terms run; they end neither before they start nor in the future.
    "EndContractTerms" = EndTerms { terms: i32, until: NaiveDate } => [ContractTermsEnded],
    /// The company exists and has no open deal.
    "ArchiveCompany" = Archive {} => [Archived],
    /// The company exists.
    "RestoreCompany" = Restore {} => [Restored],
    /// The company is not archived and not among the others; the others are companies in use that stand for
    /// themselves, with the same parent; the preview is of their present versions; none of them was erased, or all
    /// were; whose value stays is chosen for every field in conflict. What is sent to the others from now on reaches
    /// this company, except about their own legal ids and contract terms.
    "MergeCompanies" = Merge(merge::Merge<CompanyId>) => [Merged, MergedInto],
    /// The merge was made and is not undone; later ones are undone first, or with it. What was said of the company since
    /// stays with it; the others stand below its present parent.
    "UnmergeCompanies" = Unmerge(merge::Unmerge) => [Unmerged, Separated, ParentSet, DomainsSet],
    /// The survivor has merged this company. Follows from `MergeCompanies`.
    "YieldCompany" = Yield { survivor: CompanyId } => [MergedInto],
    /// The survivor has undone the merge. Follows from `UnmergeCompanies`.
    "SeparateCompany" = Separate {
        survivor: CompanyId,
        /// The domains that the survivor held until now.
        domains: Vec<String>,
    } => [Separated, ParentSet, DomainsSet],
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    pub name: Personal,
    #[serde(default)]
    pub domains: Vec<String>,
    #[serde(default)]
    pub legal_ids: Option<LegalIds>,
    #[serde(default)]
    pub external: Option<External>,
    #[serde(default)]
    pub owner: Option<UserId>,
    /// Another may hold the same domains and legal ids; needs a reason.
    #[serde(default)]
    pub override_duplicate: bool,
    #[serde(default)]
    pub reason: Personal,
}

/// Under which numbers a country knows the company; at least one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegalIds {
    pub country: Country,
    /// In the Union the VAT number.
    #[serde(default)]
    pub tax_id: Personal,
    /// In the register of companies.
    #[serde(default)]
    pub registration_id: Personal,
}

/// What is covered of exclusivity: two companies never hold it for the same country and product at once, as long as terms
/// run in the log. Not covered: terms that end by their date alone hold their exclusivity until `EndContractTerms`, and
/// future ones hold it from now on, so two exclusivities one after the other are granted one after the other; terms that
/// are not exclusive are granted beside another's exclusivity; and a product is not asked whether it exists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantTerms {
    pub country: Country,
    /// All products if absent, which exclusive terms cannot be for.
    #[serde(default)]
    pub product: Option<ProductId>,
    #[serde(default)]
    pub exclusive: bool,
    pub from: NaiveDate,
    /// The last day; open-ended if absent.
    #[serde(default)]
    pub until: Option<NaiveDate>,
}

events! {
    Created = "company.created",
    Renamed = "company.renamed",
    DomainsSet = "company.domains_set",
    LegalIdsSet = "company.legal_ids_set",
    ParentSet = "company.parent_set",
    FieldsChanged = "company.fields_changed",
    Assigned = "company.assigned",
    TerritorySet = "company.territory_set",
    ContractTermsGranted = "company.contract_terms_granted",
    ContractTermsEnded = "company.contract_terms_ended",
    Archived = "company.archived",
    Restored = "company.restored",
    Merged = "company.merged",
    Unmerged = "company.unmerged",
    MergedInto = "company.merged_into",
    Separated = "company.separated",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["name"]))]
pub struct Created {
    pub company: CompanyId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external: Option<External>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    #[serde(skip)]
    pub name: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["name"]))]
pub struct Renamed {
    pub company: CompanyId,
    #[serde(skip)]
    pub name: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct DomainsSet {
    pub company: CompanyId,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub meant: Meant,
    /// Why a duplicate is meant.
    #[serde(skip)]
    pub reason: Personal,
}

/// The sealed ids are keys, not what was typed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["tax_id", "registration_id", "old_tax_id", "old_registration_id", "reason"]))]
pub struct LegalIdsSet {
    pub company: CompanyId,
    pub known: LegalIdsKnown,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replaced: Option<LegalIdsKnown>,
    pub meant: Meant,
    #[serde(skip)]
    pub tax_id: Personal,
    #[serde(skip)]
    pub registration_id: Personal,
    #[serde(skip)]
    pub old_tax_id: Personal,
    #[serde(skip)]
    pub old_registration_id: Personal,
    /// Why a duplicate is meant.
    #[serde(skip)]
    pub reason: Personal,
}

/// Which ids are known, without telling them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LegalIdsKnown {
    pub country: Country,
    pub tax_id: bool,
    pub registration_id: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ParentSet {
    pub from: Option<CompanyId>,
    pub to: Option<CompanyId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FieldsChanged(pub Changes);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Assigned {
    pub from: Option<UserId>,
    pub to: UserId,
    /// Given to an absent user, with a reason.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    /// Whose key seals the reason: the company's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TerritorySet {
    pub from: Option<String>,
    pub to: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ContractTermsGranted {
    /// From 1, in the order of granting; never used again.
    pub terms: i32,
    pub country: Country,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub product: Option<ProductId>,
    pub exclusive: bool,
    pub from: NaiveDate,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<NaiveDate>,
    /// The exclusivity that is held from now on; none for terms that were over when they were recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holds: Option<ProductId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ContractTermsEnded {
    pub terms: i32,
    pub until: NaiveDate,
    pub country: Country,
    /// The exclusivity that is let go of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub releases: Option<ProductId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Archived {
    pub company: CompanyId,
    /// The companies that were merged into it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub merged: Vec<CompanyId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Restored {}

pub type Merged = merge::Merged<CompanyId, Domains>;
pub type Unmerged = merge::Unmerged<CompanyId, Domains>;
pub type MergedInto = merge::MergedInto<CompanyId, Domains>;
pub type Separated = merge::Separated<CompanyId, Domains>;

/// The claim that keeps one external id to one company.
pub const EXTERNAL_CLAIM: &str = "company.external_id";

/// Joined by every open deal with this company; keeps the company from being archived.
pub const DEALS_CLAIM: &str = "company.deals";

/// A domain, in small letters: one company's in all countries, since a name of the net has one owner.
pub const DOMAIN_CLAIM: &str = "company.domain";

/// The exclusivity for a country and a product.
pub const EXCLUSIVE_CLAIM: &str = "contract.exclusive";

/// The claims on an id: across companies, and that it is this company's own, so that none but that is let go of.
#[derive(Clone, Copy)]
struct LegalClaim {
    kind: &'static str,
    own: &'static str,
}

const TAX: LegalClaim = LegalClaim { kind: "company.tax_id", own: "company.own_tax_id" };
const REGISTRATION: LegalClaim =
    LegalClaim { kind: "company.registration_id", own: "company.own_registration_id" };

/// One id before and after, each with its country.
struct Replacement<'a> {
    of: LegalClaim,
    old: Option<(Country, &'a str)>,
    new: Option<(Country, &'a str)>,
}

impl Replacement<'_> {
    fn claims(&self, company: CompanyId, meant: Meant) -> Vec<Claim> {
        let key = |(country, id): (Country, &str)| format!("{country}\u{1f}{id}");
        let own = |(country, id): (Country, &str)| format!("{company}\u{1f}{country}\u{1f}{id}");
        let mut claims = Vec::new();
        claims.extend(self.old.map(|old| Claim::own(self.of.own, own(old))));
        if self.old != self.new {
            if let Some(old) = self.old {
                claims
                    .extend([Claim::release(self.of.kind, key(old)), Claim::release(self.of.own, own(old))]);
            }
            if let Some(new) = self.new {
                claims.extend([meant.claim(self.of.kind, key(new)), Claim::take(self.of.own, own(new))]);
            }
        }
        claims.into_iter().map(Claim::personal).collect()
    }
}

fn exclusivity(country: Country, product: ProductId) -> String {
    format!("{country}\u{1f}{product}")
}

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Created(Created { external: Some(external), .. }) => {
                vec![Claim::take(EXTERNAL_CLAIM, external.key())]
            }
            Self::DomainsSet(DomainsSet { added, removed, meant, .. }) => {
                let released = removed.iter().map(|domain| Claim::release(DOMAIN_CLAIM, domain));
                released.chain(added.iter().map(|domain| meant.claim(DOMAIN_CLAIM, domain))).collect()
            }
            Self::LegalIdsSet(event) => {
                let old = |id| event.replaced.map(|known| known.country).zip(Personal::as_deref(id));
                let new = |id| Some(event.known.country).zip(Personal::as_deref(id));
                let tax = Replacement { of: TAX, old: old(&event.old_tax_id), new: new(&event.tax_id) };
                let (before, after) = (old(&event.old_registration_id), new(&event.registration_id));
                let registration = Replacement { of: REGISTRATION, old: before, new: after };
                let ids = [tax, registration];
                ids.iter().flat_map(|id| id.claims(event.company, event.meant)).collect()
            }
            Self::ContractTermsGranted(ContractTermsGranted { country, holds: Some(product), .. }) => {
                vec![Claim::take(EXCLUSIVE_CLAIM, exclusivity(*country, *product))]
            }
            Self::ContractTermsEnded(ContractTermsEnded { country, releases: Some(product), .. }) => {
                vec![Claim::release(EXCLUSIVE_CLAIM, exclusivity(*country, *product))]
            }
            Self::Archived(Archived { company, merged }) => {
                let all = std::iter::once(company).chain(merged);
                all.map(|company| Claim::none(DEALS_CLAIM, company.to_string())).collect()
            }
            Self::Merged(Merged { before, after, .. }) | Self::Unmerged(Unmerged { before, after, .. }) => {
                merging::claims(before.as_ref(), after.as_ref())
            }
            Self::MergedInto(event) => merging::claims(event.holds.as_ref(), None),
            Self::Separated(event) => merging::claims(None, event.holds.as_ref()),
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (company, values) = match self {
            Self::Created(Created { company, name, .. }) | Self::Renamed(Renamed { company, name }) => {
                (*company, vec![("name", name)])
            }
            Self::FieldsChanged(event) => return event.0.personal(),
            Self::Assigned(Assigned { subject: Some(subject), reason, .. }) => {
                return vec![PersonalField { subject: *subject, field: "reason", value: reason }];
            }
            Self::DomainsSet(DomainsSet { company, reason, .. }) => (*company, vec![("reason", reason)]),
            Self::LegalIdsSet(event) => (
                event.company,
                vec![
                    ("tax_id", &mut event.tax_id),
                    ("registration_id", &mut event.registration_id),
                    ("old_tax_id", &mut event.old_tax_id),
                    ("old_registration_id", &mut event.old_registration_id),
                    ("reason", &mut event.reason),
                ],
            ),
            _ => return Vec::new(),
        };
        let subject = company.into();
        values.into_iter().map(|(field, value)| PersonalField { subject, field, value }).collect()
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this company does not exist; create it first")]
    NoSuchCompany,
    #[error("this company exists already; an id is used once")]
    AlreadyCreated,
    #[error("this company is archived; use RestoreCompany first")]
    CompanyArchived,
    #[error("name is empty; give it at least one visible character")]
    BlankName,
    #[error("domain {place} of the list is none; write it as example.com")]
    NotADomain { place: usize },
    #[error("anybody can have a mailbox at {domain:?}, so it tells nothing of a company; leave it out")]
    FreeMail { domain: String },
    #[error("a company has no more than {most} domains; leave some out")]
    TooManyDomains { most: usize },
    #[error("no legal id is given; name a tax id or a registration id")]
    NoLegalId,
    #[error("{problem}")]
    BadLegalId { problem: legal_id::Problem },
    #[error("legal ids are known already; name all of them in `replaces`: {}", ids(*.known))]
    ReplacesMissing { known: LegalIdsKnown },
    #[error("no legal ids are known yet; leave `replaces` out")]
    NothingToReplace,
    #[error("a reason is missing; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("company {parent} does not exist or is archived; name an active one")]
    ParentNotActive { parent: CompanyId },
    #[error("company {parent} is this company or stands below it; name one that does not")]
    Cycle { parent: CompanyId },
    #[error("the ancestors are not the chain from the parent up to the root; read it again: after {after} comes {}", .next.map_or_else(|| "none".to_owned(), |next| next.to_string()))]
    StaleAncestors { after: CompanyId, next: Option<CompanyId> },
    #[error(
        "ancestors are listed from the parent on; start with `parent`, and leave them out if there is none"
    )]
    AncestorsWithoutParent,
    #[error("a chain of parents is no longer than {most} companies; choose a parent nearer to the root")]
    ChainTooLong { most: usize },
    #[error("{problem}")]
    BadFields { problem: field_changes::Problem },
    #[error("a territory is a code of 1 to 32 letters A-Z, digits, \"-\", \"_\" or \".\", such as GE-TB")]
    NotATerritory,
    #[error("{until} lies before {from}, when the terms start; name that day or a later one")]
    EndsBeforeStart { from: NaiveDate, until: NaiveDate },
    #[error("{until} has not come yet; end the terms when they do, today is {today}")]
    EndsInTheFuture { until: NaiveDate, today: NaiveDate },
    #[error("exclusive terms are for one product; name it, and grant one by one for several")]
    ExclusiveForAll,
    #[error(
        "terms {terms} of this company are exclusive for this country and product already; end them first"
    )]
    ExclusiveAlready { terms: i32 },
    #[error("a company has no more terms of a contract than fit a number; use another company")]
    TooManyTerms,
    #[error("this company has no terms {terms}; running are {}", numbers(.accepted))]
    NoSuchTerms { terms: i32, accepted: Vec<i32> },
    #[error("terms {terms} ended on {until} already; grant new ones")]
    TermsEnded { terms: i32, until: NaiveDate },
    #[error(
        "company {company} stands below another parent; give all of them the same one first, or none, with SetParentCompany"
    )]
    OtherParent { company: CompanyId },
    #[error(transparent)]
    #[serde(untagged)]
    Merge(#[from] merge::Problem),
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
}

fn ids(known: LegalIdsKnown) -> String {
    let names = [(known.tax_id, "tax_id"), (known.registration_id, "registration_id")];
    let names: Vec<&str> =
        names.into_iter().filter_map(|(is_known, name)| is_known.then_some(name)).collect();
    format!("{} of {}", names.join(" and "), known.country)
}

fn numbers(terms: &[i32]) -> String {
    match terms {
        [] => "none".to_owned(),
        terms => terms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Company {
    #[default]
    Absent,
    Known(Box<Record>),
}

/// What a company has become so far; nothing in it is personal.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Record {
    pub archived: bool,
    /// Whose sealed name it goes by.
    pub name_of: Option<CompanyId>,
    pub domains: BTreeSet<String>,
    pub legal_ids: Option<LegalIdsKnown>,
    pub parent: Option<CompanyId>,
    pub fields: BTreeMap<FieldId, Held>,
    pub owner: Option<UserId>,
    pub territory: Option<String>,
    pub terms: BTreeMap<i32, Terms>,
    pub external: Option<External>,
    pub merging: Merging<Self>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    pub country: Country,
    pub product: Option<ProductId>,
    pub exclusive: bool,
    pub from: NaiveDate,
    pub until: Option<NaiveDate>,
    /// The exclusivity that is held.
    pub holds: Option<ProductId>,
    /// When they were ended, whatever `until` says.
    pub ended: Option<NaiveDate>,
}

impl Company {
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Absent => None,
            Self::Known(record) => Some(record),
        }
    }

    pub fn is_active(&self) -> bool {
        self.record().is_some_and(|record| !record.archived)
    }
}

/// Deeper than any group of companies is; bounds what one decision reads.
const LONGEST_CHAIN: usize = 32;

const MOST_DOMAINS: usize = 100;

impl Decider for Company {
    const AGGREGATE: &'static str = "company";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Create(_))
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::Create(Create { owner: Some(owner), .. }) | Command::Assign { owner, .. } => {
                vec![Reads::User(owner.stream())]
            }
            // Every link is a condition of the append, so of two commands that would close a circle together one is
            // decided again, on what the other did.
            Command::SetParent { ancestors, .. } => {
                let links: BTreeSet<&CompanyId> = ancestors.iter().take(LONGEST_CHAIN).collect();
                links.into_iter().map(|company| Reads::Company(company.stream())).collect()
            }
            Command::SetFields { .. } => vec![field_changes::reads()],
            Command::Merge(asked) => merge::reads(asked, Reads::Company),
            Command::Yield { survivor } | Command::Separate { survivor, .. } => {
                vec![Reads::Company(survivor.stream())]
            }
            _ => Vec::new(),
        }
    }

    fn owner(&self) -> Option<UserId> {
        self.record().and_then(|company| company.owner)
    }

    fn merged_into(&self) -> Option<StreamId> {
        self.record().and_then(|record| record.merging.into).map(StreamId)
    }

    fn is_own(command: &Command) -> bool {
        matches!(
            command,
            Command::SetLegalIds { .. }
                | Command::EndTerms { .. }
                | Command::Unmerge(_)
                | Command::Yield { .. }
                | Command::Separate { .. }
        )
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Create(asked)) => create(asked, given),
            (Self::Absent, _) => Err(Refusal::NoSuchCompany),
            (Self::Known(_), Command::Create(_)) => Err(Refusal::AlreadyCreated),
            (Self::Known(known), Command::Yield { survivor }) => known.yields(*survivor, given),
            (Self::Known(known), Command::Separate { survivor, domains }) => {
                known.separates(*survivor, domains, given)
            }
            (Self::Known(known), Command::Unmerge(asked)) => {
                Ok(merge::unmerge(CompanyId(given.stream.0), &**known, *asked)?
                    .map(Event::Unmerged)
                    .into_iter()
                    .collect())
            }
            (Self::Known(known), Command::Archive {}) if known.archived => Ok(Vec::new()),
            (Self::Known(known), Command::Restore {}) if known.archived => {
                Ok(vec![Event::Restored(Restored {})])
            }
            (Self::Known(_), Command::Restore {}) => Ok(Vec::new()),
            (Self::Known(known), _) if known.archived => Err(Refusal::CompanyArchived),
            (Self::Known(known), command) => known.decide(command, given),
        }
    }

    fn follow(&self, command: &Command, given: &Given<'_>) -> Vec<Order> {
        let survivor = CompanyId(given.stream.0);
        match (self, command) {
            (_, Command::Merge(merge)) => merge::orders(&merge.losers, || Command::Yield { survivor }),
            (Self::Known(known), Command::Unmerge(asked)) => {
                let domains: Vec<String> = known.domains.iter().cloned().collect();
                let separate = || Command::Separate { survivor, domains: domains.clone() };
                merge::orders(&known.merging.undone_by(*asked), separate)
            }
            _ => Vec::new(),
        }
    }

    fn evolve(&mut self, event: &Event, version: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Created(event)) => {
                let (owner, external) = (event.owner, event.external.clone());
                let name_of = Some(event.company);
                *self = Self::Known(Box::new(Record { name_of, owner, external, ..Record::default() }));
            }
            (Self::Absent, _) => {}
            (Self::Known(known), event) => known.evolve(event),
        }
        if let Self::Known(known) = self {
            known.merging.version = version;
        }
    }
}

impl Record {
    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let company = CompanyId(given.stream.0);
        let event = match command {
            // `decide` has answered these.
            Command::Create(_)
            | Command::Restore {}
            | Command::Unmerge(_)
            | Command::Yield { .. }
            | Command::Separate { .. } => None,
            Command::Rename { name } if name.is_blank() => return Err(Refusal::BlankName),
            Command::Rename { name } => Some(Event::Renamed(Renamed { company, name: name.clone() })),
            Command::SetDomains { domains, override_duplicate, reason } => {
                let meant = meant(*override_duplicate, reason, given)?;
                self.set_domains(company, domains, meant, reason)?
            }
            Command::SetLegalIds { ids, replaces, override_duplicate, reason } => {
                let meant = meant(*override_duplicate, reason, given)?;
                self.set_legal_ids(company, ids, replaces.as_ref(), meant, reason)?
            }
            Command::SetParent { parent, ancestors } => {
                self.set_parent(company, *parent, ancestors, given)?
            }
            Command::SetFields { fields } => {
                let changes = field_changes::decide(Entity::Company, &self.fields, fields, given);
                let changes = changes.map_err(|problem| Refusal::BadFields { problem })?;
                return Ok(changes.into_iter().map(FieldsChanged).map(Event::FieldsChanged).collect());
            }
            Command::Assign { owner, .. } if self.owner == Some(*owner) => None,
            Command::Assign { owner, force, reason } => Some(Event::Assigned(Assigned {
                from: self.owner,
                to: *owner,
                forced: assignee::check(*owner, given, force.then_some(reason))?.forced,
                subject: (!reason.is_blank()).then_some(company.into()),
                reason: reason.unless_blank(),
            })),
            Command::SetTerritory { territory } => {
                let to = territory.as_deref().map(code).transpose()?;
                let from = self.territory.clone();
                (from != to).then_some(Event::TerritorySet(TerritorySet { from, to }))
            }
            Command::GrantTerms(asked) => Some(self.grant(asked, given)?),
            Command::EndTerms { terms, until } => self.end_terms(*terms, *until, given)?,
            Command::Merge(asked) => self.merge(company, asked, given)?,
            Command::Archive {} => {
                let merged = self.merging.everyone().map(CompanyId).collect();
                Some(Event::Archived(Archived { company, merged }))
            }
        };
        Ok(event.into_iter().collect())
    }

    fn set_domains(
        &self,
        company: CompanyId,
        asked: &[String],
        meant: Meant,
        reason: &Personal,
    ) -> Result<Option<Event>, Refusal> {
        let domains = checked_domains(asked)?;
        let added: Vec<String> = domains.difference(&self.domains).cloned().collect();
        let removed: Vec<String> = self.domains.difference(&domains).cloned().collect();
        if added.is_empty() && removed.is_empty() {
            return Ok(None);
        }
        let reason = reason.unless_blank();
        Ok(Some(Event::DomainsSet(DomainsSet { company, added, removed, meant, reason })))
    }

    /// That the ids to be replaced are the company's own is demanded by claims.
    fn set_legal_ids(
        &self,
        company: CompanyId,
        asked: &LegalIds,
        replaces: Option<&LegalIds>,
        meant: Meant,
        reason: &Personal,
    ) -> Result<Option<Event>, Refusal> {
        let (known, tax_id, registration_id) = checked_ids(asked)?;
        let old = replaces.map(checked_ids).transpose()?;
        let (old_tax_id, old_registration_id) = match (self.legal_ids, old) {
            (None, None) => Default::default(),
            (None, Some(_)) => return Err(Refusal::NothingToReplace),
            (Some(known), Some((named, tax_id, registration_id))) if named == known => {
                (tax_id, registration_id)
            }
            (Some(known), _) => return Err(Refusal::ReplacesMissing { known }),
        };
        let same = (&old_tax_id, &old_registration_id) == (&tax_id, &registration_id);
        if same && self.legal_ids == Some(known) {
            return Ok(None);
        }
        Ok(Some(Event::LegalIdsSet(LegalIdsSet {
            company,
            known,
            replaced: self.legal_ids,
            meant,
            tax_id,
            registration_id,
            old_tax_id,
            old_registration_id,
            reason: reason.unless_blank(),
        })))
    }

    fn set_parent(
        &self,
        company: CompanyId,
        parent: Option<CompanyId>,
        ancestors: &[CompanyId],
        given: &Given<'_>,
    ) -> Result<Option<Event>, Refusal> {
        if parent != ancestors.first().copied() {
            return match parent {
                Some(parent) if ancestors.is_empty() => {
                    Err(Refusal::StaleAncestors { after: company, next: Some(parent) })
                }
                _ => Err(Refusal::AncestorsWithoutParent),
            };
        }
        if parent == self.parent {
            return Ok(None);
        }
        if let Some(parent) = parent {
            is_chain(company, parent, ancestors, given)?;
        }
        Ok(Some(Event::ParentSet(ParentSet { from: self.parent, to: parent })))
    }

    fn grant(&self, asked: &GrantTerms, given: &Given<'_>) -> Result<Event, Refusal> {
        let GrantTerms { country, product, exclusive, from, until } = *asked;
        if let Some(until) = until.filter(|until| *until < from) {
            return Err(Refusal::EndsBeforeStart { from, until });
        }
        if exclusive && product.is_none() {
            return Err(Refusal::ExclusiveForAll);
        }
        let over = until.is_some_and(|until| until < given.now.date_naive());
        let holds = product.filter(|_| exclusive && !over);
        let held = |terms: &Terms| terms.ended.is_none() && terms.country == country && terms.holds == holds;
        let twin = self.terms.iter().find(|(_, terms)| holds.is_some() && held(terms));
        if let Some((terms, _)) = twin {
            return Err(Refusal::ExclusiveAlready { terms: *terms });
        }
        let last = self.terms.last_key_value().map_or(0, |(terms, _)| *terms);
        let terms = last.checked_add(1).ok_or(Refusal::TooManyTerms)?;
        Ok(Event::ContractTermsGranted(ContractTermsGranted {
            terms,
            country,
            product,
            exclusive,
            from,
            until,
            holds,
        }))
    }

    fn end_terms(&self, terms: i32, until: NaiveDate, given: &Given<'_>) -> Result<Option<Event>, Refusal> {
        let running = || {
            let running = self.terms.iter().filter(|(_, terms)| terms.ended.is_none());
            running.map(|(number, _)| *number).collect()
        };
        let known =
            self.terms.get(&terms).ok_or_else(|| Refusal::NoSuchTerms { terms, accepted: running() })?;
        match known.ended {
            Some(ended) if ended == until => return Ok(None),
            Some(ended) => return Err(Refusal::TermsEnded { terms, until: ended }),
            None => {}
        }
        if until < known.from {
            return Err(Refusal::EndsBeforeStart { from: known.from, until });
        }
        // East of Greenwich it may be tomorrow already.
        let today = given.now.date_naive();
        if until > today.checked_add_days(Days::new(1)).unwrap_or(today) {
            return Err(Refusal::EndsInTheFuture { until, today });
        }
        let (country, releases) = (known.country, known.holds);
        Ok(Some(Event::ContractTermsEnded(ContractTermsEnded { terms, until, country, releases })))
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Merged(event) => merge::on_merged(self, event),
            Event::Unmerged(event) => merge::on_unmerged(self, event),
            Event::MergedInto(event) => self.merging.into = Some(event.survivor.0),
            Event::Separated(_) => self.merging.into = None,
            event => {
                self.apply(event);
                self.merging.withouts().for_each(|without| without.apply(event));
            }
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Created(_)
            | Event::Merged(_)
            | Event::Unmerged(_)
            | Event::MergedInto(_)
            | Event::Separated(_) => {}
            Event::Renamed(event) => self.name_of = Some(event.company),
            Event::DomainsSet(event) => {
                self.domains.retain(|domain| !event.removed.contains(domain));
                self.domains.extend(event.added.iter().cloned());
            }
            Event::LegalIdsSet(event) => self.legal_ids = Some(event.known),
            Event::ParentSet(event) => self.parent = event.to,
            Event::FieldsChanged(event) => field_changes::apply(&mut self.fields, &event.0),
            Event::Assigned(event) => self.owner = Some(event.to),
            Event::TerritorySet(event) => self.territory.clone_from(&event.to),
            Event::ContractTermsGranted(event) => {
                let ContractTermsGranted { terms, country, product, exclusive, from, until, holds } = *event;
                let ended = None;
                self.terms.insert(terms, Terms { country, product, exclusive, from, until, holds, ended });
            }
            Event::ContractTermsEnded(event) => {
                if let Some(terms) = self.terms.get_mut(&event.terms) {
                    (terms.ended, terms.holds) = (Some(event.until), None);
                }
            }
            Event::Archived(_) => self.archived = true,
            Event::Restored(_) => self.archived = false,
        }
    }
}

fn create(asked: &Create, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let company = CompanyId(given.stream.0);
    if asked.name.is_blank() {
        return Err(Refusal::BlankName);
    }
    let meant = meant(asked.override_duplicate, &asked.reason, given)?;
    if let Some(owner) = asked.owner {
        assignee::check(owner, given, None)?;
    }
    let nothing = Record::default();
    let domains = nothing.set_domains(company, &asked.domains, meant, &asked.reason)?;
    let set_ids = |ids| nothing.set_legal_ids(company, ids, None, meant, &asked.reason);
    let legal_ids = asked.legal_ids.as_ref().map(set_ids).transpose()?.flatten();
    let created = Event::Created(Created {
        company,
        external: asked.external.clone(),
        owner: asked.owner,
        name: asked.name.clone(),
    });
    Ok([Some(created), domains, legal_ids].into_iter().flatten().collect())
}

/// In small letters, without a dot at the end; `xn--` forms are left as they are.
fn checked_domains(asked: &[String]) -> Result<BTreeSet<String>, Refusal> {
    if asked.len() > MOST_DOMAINS {
        return Err(Refusal::TooManyDomains { most: MOST_DOMAINS });
    }
    let checked = |(place, asked): (usize, &String)| {
        let domain = asked.trim().to_lowercase();
        let domain = domain.strip_suffix('.').unwrap_or(&domain).to_owned();
        if !is_domain(&domain) {
            return Err(Refusal::NotADomain { place });
        }
        if is_free_mail(&domain) { Err(Refusal::FreeMail { domain }) } else { Ok(domain) }
    };
    (1..).zip(asked).map(checked).collect()
}

type Checked = (LegalIdsKnown, Personal, Personal);

fn checked_ids(asked: &LegalIds) -> Result<Checked, Refusal> {
    let bad = |problem| Refusal::BadLegalId { problem };
    let LegalIds { country, tax_id, registration_id } = asked;
    let tax_id = (!tax_id.is_blank()).then(|| legal_id::tax_id(*country, tax_id)).transpose().map_err(bad)?;
    let registration_id = (!registration_id.is_blank()).then(|| legal_id::registration_id(registration_id));
    let registration_id = registration_id.transpose().map_err(bad)?;
    let (has_tax_id, has_registration_id) = (tax_id.is_some(), registration_id.is_some());
    if !has_tax_id && !has_registration_id {
        return Err(Refusal::NoLegalId);
    }
    let known = LegalIdsKnown { country: *country, tax_id: has_tax_id, registration_id: has_registration_id };
    Ok((known, Personal(tax_id), Personal(registration_id)))
}

/// Link by link: each is the parent of the one before, the last has none, and `company` is nobody's.
fn is_chain(
    company: CompanyId,
    parent: CompanyId,
    ancestors: &[CompanyId],
    given: &Given<'_>,
) -> Result<(), Refusal> {
    if given.facts.survivor(parent.stream()) == company.stream() {
        return Err(Refusal::Cycle { parent });
    }
    if ancestors.len() > LONGEST_CHAIN {
        return Err(Refusal::ChainTooLong { most: LONGEST_CHAIN });
    }
    let known = |id: CompanyId| given.facts.get::<Company>(id.stream()).and_then(Company::record);
    if known(parent).is_none_or(|parent| parent.archived) {
        return Err(Refusal::ParentNotActive { parent });
    }
    let named_next = ancestors.iter().skip(1).copied().map(Some).chain([None]);
    for (link, named) in ancestors.iter().zip(named_next) {
        let next = known(*link).and_then(|record| record.parent);
        if next.is_some_and(|next| given.facts.survivor(next.stream()) == company.stream()) {
            return Err(Refusal::Cycle { parent });
        }
        if next != named {
            return Err(Refusal::StaleAncestors { after: *link, next });
        }
    }
    Ok(())
}

fn code(territory: &str) -> Result<String, Refusal> {
    let code = territory.trim().to_ascii_uppercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=32).contains(&code.len()) && code.chars().all(fits);
    if fits { Ok(code) } else { Err(Refusal::NotATerritory) }
}

fn meant(override_duplicate: bool, reason: &Personal, given: &Given<'_>) -> Result<Meant, Refusal> {
    Meant::asked(override_duplicate, reason, given).ok_or(Refusal::ReasonMissing)
}
