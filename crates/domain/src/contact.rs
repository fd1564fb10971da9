//! A contact: a person, the points where the person can be reached, and where the person belongs.
//!
//! Names, contact points and addresses are sealed, so the state knows of a point only its number, its kind and whether it
//! is good. That a value belongs to a point is known by claims, which hold hashes of it.

mod merging;

use crate::assignee::{self, AssigneeProblem};
use crate::company::Company;
use crate::contact_point::{self, ContactPoint, Kind, Meant, NotTaken};
use crate::country::Country;
use crate::deal::External;
use crate::decider::{Describe, changed, commands, events};
use crate::dictionary::{self, NotInDictionary};
use crate::field_changes::{self, Changes, FieldSetting, Held};
use crate::fields::Entity;
use crate::merge::{self, Merging};
use crate::{
    Claim, CompanyId, ContactId, Decider, FieldId, Given, Occurred, Order, Personal, PersonalField, Reads,
    SourceId, StreamId, SubjectId, TagId, UserId, Version, sources, tags,
};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

commands! {
    /// A name or at least one contact point; contact points are valid, none is given twice, and no other holds their keys
    /// unless the duplicate is meant, with a reason; the owner is active and not absent; the source is in the dictionary;
    /// an external id belongs to one contact.
    "CreateContact" = Create(Create) => [Created, PointAdded],
    /// The contact is not archived; at least one part of a name. Parts that are left out are no longer part of the name.
    "RenameContact" = Rename {
        #[serde(default)]
        given: Personal,
        #[serde(default)]
        family: Personal,
        #[serde(default)]
        full: Personal,
    } => [Renamed],
    /// The contact is not archived; the point is valid and not there yet; no other holds its key unless the duplicate is
    /// meant, with a reason. Points are numbered from 1.
    "AddContactPoint" = AddPoint {
        contact_point: ContactPoint,
        #[serde(default)]
        override_duplicate: bool,
        #[serde(default)]
        reason: Personal,
    } => [PointAdded],
    /// The contact is not archived; the point is there and not invalid. One of each kind is the primary one.
    "SetPrimaryContactPoint" = SetPrimary { point: i32 } => [PrimaryPointSet],
    /// The contact is not archived; the point is there; evidence in words or as a reason code.
    "VerifyContactPoint" = Verify {
        point: i32,
        #[serde(default)]
        evidence: Personal,
    } => [PointVerified],
    /// The contact is not archived; the point is there; evidence in words or as a reason code. It is primary no longer.
    "InvalidateContactPoint" = Invalidate {
        point: i32,
        #[serde(default)]
        evidence: Personal,
    } => [PointInvalidated],
    /// The contact is not archived; the value is that of the point; not the last point of a contact without a name.
    "RemoveContactPoint" = RemovePoint {
        point: i32,
        /// What it was added with: it is not kept in clear, and its key is let go of.
        value: Personal,
        #[serde(default)]
        region: Option<Country>,
    } => [PointRemoved],
    /// The contact is not archived; the country is one of ISO 3166.
    "ChangeContactAddress" = ChangeAddress {
        country: Country,
        #[serde(default)]
        lines: Personal,
    } => [AddressChanged],
    /// The contact is not archived; each field is named once. Values of personal and sensitive fields are sealed.
    "SetContactFields" = SetFields { fields: Vec<FieldSetting> } => [FieldsChanged],
    /// The contact is not archived; the company exists and is not archived; the same role is not open there.
    "StartAffiliation" = StartAffiliation {
        company: CompanyId,
        role: Role,
        #[serde(default)]
        title: Personal,
        #[serde(default)]
        from: Option<NaiveDate>,
    } => [AffiliationStarted],
    /// The contact is not archived; the role is open there; it does not end before it starts.
    "EndAffiliation" = EndAffiliation { company: CompanyId, role: Role, until: NaiveDate } => [AffiliationEnded],
    /// The contact is not archived; the other is another contact, exists and is not archived.
    "RelateContacts" = Relate { other: ContactId, relation: Relation } => [RelationSet],
    /// The contact is not archived.
    "UnrelateContacts" = Unrelate { other: ContactId, relation: Relation } => [RelationRemoved],
    /// The contact is not archived; the owner is registered, active and not absent, unless forced with a reason.
    "AssignContact" = Assign {
        owner: UserId,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Assigned],
    /// The contact is not archived; a step back needs a reason.
    "SetLifecycleStage" = SetLifecycleStage {
        stage: LifecycleStage,
        #[serde(default)]
        reason: Personal,
    } => [LifecycleStageChanged],
    /// The contact is not archived; the tag is in the dictionary. A merged tag stands for the one that it was merged into.
    "TagContact" = Tag { tag: TagId } => [Tagged],
    /// The contact is not archived.
    "UntagContact" = Untag { tag: TagId } => [Untagged],
    /// The contact exists and is not the only contact of an open deal. Its contact points stay claimed.
    "ArchiveContact" = Archive {} => [Archived],
    /// The contact exists.
    "RestoreContact" = Restore {} => [Restored],
    /// The contact is not archived and not among the others; the others are contacts in use that stand for themselves;
    /// the preview is of their present versions; none of them was erased, or all were; whose value stays is chosen for
    /// every field in conflict. What is sent to the others from now on reaches this contact, except about their own
    /// contact points.
    "MergeContacts" = Merge(merge::Merge<ContactId>) => [Merged, MergedInto],
    /// The merge was made and is not undone; later ones are undone first, or with it. What was said of the contact since
    /// stays with it.
    "UnmergeContacts" = Unmerge(merge::Unmerge) => [Unmerged, Separated],
    /// The survivor has merged this contact. Follows from `MergeContacts`.
    "YieldContact" = Yield { survivor: ContactId } => [MergedInto],
    /// The survivor has undone the merge. Follows from `UnmergeContacts`.
    "SeparateContact" = Separate { survivor: ContactId } => [Separated],
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    #[serde(default)]
    pub given: Personal,
    #[serde(default)]
    pub family: Personal,
    /// The whole name, where its parts are not known.
    #[serde(default)]
    pub full: Personal,
    #[serde(default)]
    pub points: Vec<ContactPoint>,
    #[serde(default)]
    pub source: Option<SourceId>,
    #[serde(default)]
    pub external: Option<External>,
    #[serde(default)]
    pub owner: Option<UserId>,
    /// Another may hold the same contact points; needs a reason.
    #[serde(default)]
    pub override_duplicate: bool,
    #[serde(default)]
    pub reason: Personal,
}

/// What somebody is in a company.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Employee,
    Manager,
    Director,
    Owner,
    Shareholder,
    DecisionMaker,
    Accountant,
    Adviser,
    Representative,
    Other,
}

/// What the other is to the contact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Spouse,
    Parent,
    Child,
    Relative,
    Manager,
    Report,
    Assistant,
    Colleague,
    Partner,
    Referrer,
    Other,
}

/// In this order; a step back needs a reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleStage {
    Subscriber,
    Lead,
    MarketingQualified,
    SalesQualified,
    Opportunity,
    Customer,
    Evangelist,
    /// Stands last, so that nobody steps back by way of it.
    Other,
}

impl LifecycleStage {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscriber => "subscriber",
            Self::Lead => "lead",
            Self::MarketingQualified => "marketing_qualified",
            Self::SalesQualified => "sales_qualified",
            Self::Opportunity => "opportunity",
            Self::Customer => "customer",
            Self::Evangelist => "evangelist",
            Self::Other => "other",
        }
    }
}

events! {
    Created = "contact.created",
    Renamed = "contact.renamed",
    PointAdded = "contact.point_added",
    PrimaryPointSet = "contact.primary_point_set",
    PointVerified = "contact.point_verified",
    PointInvalidated = "contact.point_invalidated",
    PointRemoved = "contact.point_removed",
    AddressChanged = "contact.address_changed",
    FieldsChanged = "contact.fields_changed",
    AffiliationStarted = "contact.affiliation_started",
    AffiliationEnded = "contact.affiliation_ended",
    RelationSet = "contact.relation_set",
    RelationRemoved = "contact.relation_removed",
    Assigned = "contact.assigned",
    LifecycleStageChanged = "contact.lifecycle_stage_changed",
    Tagged = "contact.tagged",
    Untagged = "contact.untagged",
    Archived = "contact.archived",
    Restored = "contact.restored",
    Merged = "contact.merged",
    Unmerged = "contact.unmerged",
    MergedInto = "contact.merged_into",
    Separated = "contact.separated",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["given", "family", "full"]))]
pub struct Created {
    pub contact: ContactId,
    /// Whether there is a name among what is sealed.
    pub named: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<SourceId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external: Option<External>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    #[serde(skip)]
    pub given: Personal,
    #[serde(skip)]
    pub family: Personal,
    #[serde(skip)]
    pub full: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["given", "family", "full"]))]
pub struct Renamed {
    pub contact: ContactId,
    #[serde(skip)]
    pub given: Personal,
    #[serde(skip)]
    pub family: Personal,
    #[serde(skip)]
    pub full: Personal,
}

/// The sealed value is the key of the contact point, not what was typed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["value", "reason"]))]
pub struct PointAdded {
    pub contact: ContactId,
    /// From 1, in the order of adding; never used again.
    pub point: i32,
    pub kind: Kind,
    pub meant: Meant,
    #[serde(skip)]
    pub value: Personal,
    /// Why a duplicate is meant.
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PrimaryPointSet {
    pub point: i32,
    pub kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["evidence"]))]
pub struct PointVerified {
    pub contact: ContactId,
    pub point: i32,
    #[serde(skip)]
    pub evidence: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["evidence"]))]
pub struct PointInvalidated {
    pub contact: ContactId,
    pub point: i32,
    #[serde(skip)]
    pub evidence: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["value"]))]
pub struct PointRemoved {
    pub contact: ContactId,
    pub point: i32,
    pub kind: Kind,
    #[serde(skip)]
    pub value: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["lines"]))]
pub struct AddressChanged {
    pub contact: ContactId,
    pub country: Country,
    #[serde(skip)]
    pub lines: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FieldsChanged(pub Changes);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["title"]))]
pub struct AffiliationStarted {
    pub contact: ContactId,
    pub company: CompanyId,
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<NaiveDate>,
    #[serde(skip)]
    pub title: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct AffiliationEnded {
    pub company: CompanyId,
    pub role: Role,
    pub until: NaiveDate,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RelationSet {
    pub other: ContactId,
    pub relation: Relation,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RelationRemoved {
    pub other: ContactId,
    pub relation: Relation,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Assigned {
    pub from: Option<UserId>,
    pub to: UserId,
    /// Given to an absent user, with a reason.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    /// Whose key seals the reason: the contact's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct LifecycleStageChanged {
    pub contact: ContactId,
    pub from: Option<LifecycleStage>,
    pub to: LifecycleStage,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tagged {
    pub tag: TagId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Untagged {
    pub tag: TagId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Archived {
    pub contact: ContactId,
    /// The contacts that were merged into it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub merged: Vec<ContactId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Restored {}

pub type Merged = merge::Merged<ContactId, ()>;
pub type Unmerged = merge::Unmerged<ContactId, ()>;
pub type MergedInto = merge::MergedInto<ContactId, ()>;
pub type Separated = merge::Separated<ContactId, ()>;

/// The claim that keeps one external id to one contact.
pub const EXTERNAL_CLAIM: &str = "contact.external_id";

/// Joined by every open deal that has this contact, and no other; keeps the contact from being archived.
pub const SOLE_DEALS_CLAIM: &str = "contact.sole_deals";

/// That a contact has a key, so that it does not get the same one twice.
const HAS_CLAIM: &str = "contact.point";

/// That a numbered point of a contact has a key, so that none but its own is let go of when it is removed.
const NUMBER_CLAIM: &str = "contact.point_number";

fn has_key(contact: ContactId, kind: &Kind, key: &str) -> String {
    format!("{contact}\u{1f}{}", contact_point::claimed(kind, key))
}

fn number_key(contact: ContactId, point: i32, kind: &Kind, key: &str) -> String {
    format!("{contact}\u{1f}{point}\u{1f}{}", contact_point::claimed(kind, key))
}

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Created(Created { external: Some(external), .. }) => {
                vec![Claim::take(EXTERNAL_CLAIM, external.key())]
            }
            Self::PointAdded(PointAdded {
                contact, point, kind, meant, value: Personal(Some(key)), ..
            }) => vec![
                Claim::free(HAS_CLAIM, has_key(*contact, kind, key)).personal(),
                contact_point::claim(kind, key, *meant),
                Claim::take(HAS_CLAIM, has_key(*contact, kind, key)).personal(),
                Claim::take(NUMBER_CLAIM, number_key(*contact, *point, kind, key)).personal(),
            ],
            Self::PointRemoved(PointRemoved { contact, point, kind, value: Personal(Some(key)) }) => vec![
                Claim::own(NUMBER_CLAIM, number_key(*contact, *point, kind, key)).personal(),
                Claim::release(contact_point::CLAIM, contact_point::claimed(kind, key)).personal(),
                Claim::release(HAS_CLAIM, has_key(*contact, kind, key)).personal(),
                Claim::release(NUMBER_CLAIM, number_key(*contact, *point, kind, key)).personal(),
            ],
            Self::Archived(Archived { contact, merged }) => {
                let all = std::iter::once(contact).chain(merged);
                all.map(|contact| Claim::none(SOLE_DEALS_CLAIM, contact.to_string())).collect()
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (contact, values) = match self {
            Self::Created(Created { contact, given, family, full, .. })
            | Self::Renamed(Renamed { contact, given, family, full }) => {
                (contact, vec![("given", given), ("family", family), ("full", full)])
            }
            Self::PointAdded(PointAdded { contact, value, reason, .. }) => {
                (contact, vec![("value", value), ("reason", reason)])
            }
            Self::PointVerified(PointVerified { contact, evidence, .. })
            | Self::PointInvalidated(PointInvalidated { contact, evidence, .. }) => {
                (contact, vec![("evidence", evidence)])
            }
            Self::PointRemoved(PointRemoved { contact, value, .. }) => (contact, vec![("value", value)]),
            Self::AddressChanged(AddressChanged { contact, lines, .. }) => (contact, vec![("lines", lines)]),
            Self::AffiliationStarted(AffiliationStarted { contact, title, .. }) => {
                (contact, vec![("title", title)])
            }
            Self::FieldsChanged(event) => return event.0.personal(),
            Self::Assigned(Assigned { subject: Some(subject), reason, .. }) => {
                return vec![PersonalField { subject: *subject, field: "reason", value: reason }];
            }
            Self::LifecycleStageChanged(LifecycleStageChanged { contact, reason, .. }) => {
                (contact, vec![("reason", reason)])
            }
            _ => return Vec::new(),
        };
        let subject = (*contact).into();
        values.into_iter().map(|(field, value)| PersonalField { subject, field, value }).collect()
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this contact does not exist; create it first")]
    NoSuchContact,
    #[error("this contact exists already; an id is used once")]
    AlreadyCreated,
    #[error("this contact is archived; use RestoreContact first")]
    ContactArchived,
    #[error("nothing tells who this is; give a part of a name or a contact point")]
    NoIdentifier,
    #[error("no part of the name says anything; give `given`, `family` or `full`")]
    BlankName,
    #[error("this contact has no contact point {point}; it has {}", numbers(.accepted))]
    NoSuchPoint { point: i32, accepted: Vec<i32> },
    #[error("contact point {point} is invalid; choose {}", numbers(.accepted))]
    PointInvalid { point: i32, accepted: Vec<i32> },
    #[error("contact point {point} is all that tells who this is; add a name or another one first")]
    OnlyIdentifier { point: i32 },
    #[error("this needs evidence; give a text in `evidence` or a reason code")]
    EvidenceMissing,
    #[error("this needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("from {} back to {} needs a reason; give one, or a stage from {} on", .from.as_str(), .to.as_str(), .from.as_str())]
    StepBack { from: LifecycleStage, to: LifecycleStage },
    #[error("{problem}")]
    BadFields { problem: field_changes::Problem },
    #[error("company {company} does not exist or is archived; name an active one")]
    CompanyNotActive { company: CompanyId },
    #[error("this role is open at company {company} already{}; end it first", since(*.from))]
    RoleOpen { company: CompanyId, from: Option<NaiveDate> },
    #[error("this role is not open at company {company}; start it first")]
    RoleNotOpen { company: CompanyId },
    #[error("{until} lies before {from}, when the affiliation started; name that day or a later one")]
    EndsBeforeStart { from: NaiveDate, until: NaiveDate },
    #[error("a contact is not related to itself; name another contact")]
    SameContact,
    #[error("contact {other} does not exist or is archived; name an active one")]
    OtherNotActive { other: ContactId },
    #[error(transparent)]
    #[serde(untagged)]
    Merge(#[from] merge::Problem),
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
    #[error(transparent)]
    #[serde(untagged)]
    Dictionary(#[from] NotInDictionary),
    #[error(transparent)]
    #[serde(untagged)]
    Points(#[from] NotTaken),
}

fn numbers(points: &[i32]) -> String {
    match points {
        [] => "none".to_owned(),
        points => points.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn since(from: Option<NaiveDate>) -> String {
    from.map_or_else(String::new, |from| format!(", since {from}"))
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Contact {
    #[default]
    Absent,
    Known(Box<Record>),
}

/// What a contact has become so far; nothing in it is personal.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Record {
    pub archived: bool,
    /// Whose sealed name it goes by.
    pub name_of: Option<ContactId>,
    pub points: BTreeMap<i32, Point>,
    /// The number that was given last, also when its point is gone.
    pub last_point: i32,
    pub primary: BTreeMap<Kind, i32>,
    pub address: Option<Address>,
    pub fields: BTreeMap<FieldId, Held>,
    pub affiliations: Vec<Affiliation>,
    pub relations: BTreeSet<(ContactId, Relation)>,
    pub owner: Option<UserId>,
    pub lifecycle_stage: Option<LifecycleStage>,
    pub tags: BTreeSet<TagId>,
    pub external: Option<External>,
    pub merging: Merging<Self>,
}

/// Where the sealed lines of an address are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Address {
    pub of: ContactId,
    pub country: Country,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Point {
    pub kind: Kind,
    pub standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Unknown,
    Verified,
    Invalid,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Affiliation {
    pub company: CompanyId,
    pub role: Role,
    pub from: Option<NaiveDate>,
    pub until: Option<NaiveDate>,
}

impl Contact {
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

impl Decider for Contact {
    const AGGREGATE: &'static str = "contact";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Create(_))
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::Create(Create { owner, source, .. }) => {
                let owner = owner.map(|owner| Reads::User(owner.stream()));
                let dictionary = source.map(|_| Reads::Sources(sources::STREAM));
                owner.into_iter().chain(dictionary).collect()
            }
            Command::Assign { owner, .. } => vec![Reads::User(owner.stream())],
            Command::Tag { .. } => vec![Reads::Tags(tags::STREAM)],
            Command::StartAffiliation { company, .. } => vec![Reads::Company(company.stream())],
            Command::Relate { other, .. } => vec![Reads::Contact(other.stream())],
            Command::SetFields { .. } => vec![field_changes::reads()],
            Command::Merge(asked) => merge::reads(asked, Reads::Contact),
            Command::Yield { survivor } | Command::Separate { survivor } => {
                vec![Reads::Contact(survivor.stream())]
            }
            _ => Vec::new(),
        }
    }

    fn owner(&self) -> Option<UserId> {
        self.record().and_then(|contact| contact.owner)
    }

    fn merged_into(&self) -> Option<StreamId> {
        self.record().and_then(|record| record.merging.into).map(StreamId)
    }

    fn is_own(command: &Command) -> bool {
        matches!(
            command,
            Command::SetPrimary { .. }
                | Command::Verify { .. }
                | Command::Invalidate { .. }
                | Command::RemovePoint { .. }
                | Command::Unmerge(_)
                | Command::Yield { .. }
                | Command::Separate { .. }
        )
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Create(asked)) => create(asked, given),
            (Self::Absent, _) => Err(Refusal::NoSuchContact),
            (Self::Known(_), Command::Create(_)) => Err(Refusal::AlreadyCreated),
            (Self::Known(known), Command::Yield { survivor }) => known.yields(*survivor, given),
            (Self::Known(known), Command::Separate { survivor }) => known.separates(*survivor, given),
            (Self::Known(known), Command::Unmerge(asked)) => {
                Ok(merge::unmerge(ContactId(given.stream.0), &**known, *asked)?
                    .map(Event::Unmerged)
                    .into_iter()
                    .collect())
            }
            (Self::Known(known), Command::Archive {}) if known.archived => Ok(Vec::new()),
            (Self::Known(known), Command::Restore {}) if known.archived => {
                Ok(vec![Event::Restored(Restored {})])
            }
            (Self::Known(_), Command::Restore {}) => Ok(Vec::new()),
            (Self::Known(known), _) if known.archived => Err(Refusal::ContactArchived),
            (Self::Known(known), command) => known.decide(command, given),
        }
    }

    fn follow(&self, command: &Command, given: &Given<'_>) -> Vec<Order> {
        let survivor = ContactId(given.stream.0);
        match (self, command) {
            (_, Command::Merge(merge)) => merge::orders(&merge.losers, || Command::Yield { survivor }),
            (Self::Known(known), Command::Unmerge(asked)) => {
                let losers = known.merging.undone_by(*asked);
                merge::orders(&losers, || Command::Separate { survivor })
            }
            _ => Vec::new(),
        }
    }

    fn evolve(&mut self, event: &Event, version: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Created(event)) => {
                *self = Self::Known(Box::new(Record {
                    name_of: event.named.then_some(event.contact),
                    owner: event.owner,
                    external: event.external.clone(),
                    ..Record::default()
                }));
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
        let contact = ContactId(given.stream.0);
        let event = match command {
            // `decide` has answered these.
            Command::Create(_)
            | Command::Restore {}
            | Command::Unmerge(_)
            | Command::Yield { .. }
            | Command::Separate { .. } => return Ok(Vec::new()),
            Command::Rename { given, family, full } => {
                if [given, family, full].into_iter().all(Personal::is_blank) {
                    return Err(Refusal::BlankName);
                }
                let (given, family, full) =
                    (given.unless_blank(), family.unless_blank(), full.unless_blank());
                Event::Renamed(Renamed { contact, given, family, full })
            }
            Command::AddPoint { contact_point, override_duplicate, reason } => {
                let meant = meant(*override_duplicate, reason, given)?;
                let key = contact_point.key();
                let key = key.map_err(|problem| NotTaken::BadContactPoint { place: 1, problem })?;
                let point = self.last_point.checked_add(1);
                let point = point.filter(|_| self.points.len() < contact_point::MOST);
                let point = point.ok_or(NotTaken::TooManyPoints { most: contact_point::MOST })?;
                point_added(contact, point, &contact_point.kind, key, meant, reason)
            }
            Command::SetPrimary { point } => return self.set_primary(*point),
            Command::Verify { point, evidence } => {
                if self.point(*point)?.standing == Standing::Verified {
                    return Ok(Vec::new());
                }
                let evidence = needs_evidence(evidence, given)?;
                Event::PointVerified(PointVerified { contact, point: *point, evidence })
            }
            Command::Invalidate { point, evidence } => {
                if self.point(*point)?.standing == Standing::Invalid {
                    return Ok(Vec::new());
                }
                let evidence = needs_evidence(evidence, given)?;
                Event::PointInvalidated(PointInvalidated { contact, point: *point, evidence })
            }
            Command::RemovePoint { point, value, region } => {
                return self.remove_point(contact, *point, value, *region);
            }
            Command::ChangeAddress { country, lines } => Event::AddressChanged(AddressChanged {
                contact,
                country: *country,
                lines: lines.unless_blank(),
            }),
            Command::SetFields { fields } => {
                let changes = field_changes::decide(Entity::Contact, &self.fields, fields, given);
                let changes = changes.map_err(|problem| Refusal::BadFields { problem })?;
                return Ok(changes.into_iter().map(FieldsChanged).map(Event::FieldsChanged).collect());
            }
            Command::StartAffiliation { company, role, title, from } => {
                if let Some(open) = self.open_affiliation(*company, *role) {
                    let same = open.from == *from;
                    let refusal = Refusal::RoleOpen { company: *company, from: open.from };
                    return if same { Ok(Vec::new()) } else { Err(refusal) };
                }
                if !given.facts.get::<Company>(company.stream()).is_some_and(Company::is_active) {
                    return Err(Refusal::CompanyNotActive { company: *company });
                }
                let (company, role, from, title) = (*company, *role, *from, title.unless_blank());
                Event::AffiliationStarted(AffiliationStarted { contact, company, role, from, title })
            }
            Command::EndAffiliation { company, role, until } => {
                return self.end_affiliation(*company, *role, *until);
            }
            Command::Relate { other, relation } => return self.relate(contact, *other, *relation, given),
            Command::Unrelate { other, relation } => {
                if !self.relations.contains(&(*other, *relation)) {
                    return Ok(Vec::new());
                }
                Event::RelationRemoved(RelationRemoved { other: *other, relation: *relation })
            }
            Command::Assign { owner, .. } if self.owner == Some(*owner) => return Ok(Vec::new()),
            Command::Assign { owner, force, reason } => Event::Assigned(Assigned {
                from: self.owner,
                to: *owner,
                forced: assignee::check(*owner, given, force.then_some(reason))?.forced,
                subject: (!reason.is_blank()).then_some(contact.into()),
                reason: reason.unless_blank(),
            }),
            Command::SetLifecycleStage { stage, reason } => {
                let (from, to) = (self.lifecycle_stage, *stage);
                match from {
                    Some(from) if from == to => return Ok(Vec::new()),
                    Some(from) if from > to && !given.has_reason(reason) => {
                        return Err(Refusal::StepBack { from, to });
                    }
                    _ => {}
                }
                let reason = reason.unless_blank();
                Event::LifecycleStageChanged(LifecycleStageChanged { contact, from, to, reason })
            }
            Command::Tag { tag } => {
                let tag = dictionary::tag(*tag, given)?;
                return Ok(changed(!self.tags.contains(&tag), Event::Tagged(Tagged { tag })));
            }
            Command::Untag { tag } => {
                let worn = self.tags.contains(tag);
                return Ok(changed(worn, Event::Untagged(Untagged { tag: *tag })));
            }
            Command::Merge(asked) => return self.merge(contact, asked, given),
            Command::Archive {} => {
                let merged = self.merging.everyone().map(ContactId).collect();
                Event::Archived(Archived { contact, merged })
            }
        };
        Ok(vec![event])
    }

    fn point(&self, point: i32) -> Result<&Point, Refusal> {
        let accepted = || self.points.keys().copied().collect();
        self.points.get(&point).ok_or_else(|| Refusal::NoSuchPoint { point, accepted: accepted() })
    }

    fn set_primary(&self, point: i32) -> Result<Vec<Event>, Refusal> {
        let Point { kind, standing } = self.point(point)?;
        if *standing == Standing::Invalid {
            let good =
                |(_, other): &(&i32, &Point)| other.kind == *kind && other.standing != Standing::Invalid;
            let accepted = self.points.iter().filter(good).map(|(number, _)| *number).collect();
            return Err(Refusal::PointInvalid { point, accepted });
        }
        if self.primary.get(kind) == Some(&point) {
            return Ok(Vec::new());
        }
        Ok(vec![Event::PrimaryPointSet(PrimaryPointSet { point, kind: kind.clone() })])
    }

    /// That the value is the point's own is demanded by a claim.
    fn remove_point(
        &self,
        contact: ContactId,
        point: i32,
        value: &Personal,
        region: Option<Country>,
    ) -> Result<Vec<Event>, Refusal> {
        if (1..=self.last_point).contains(&point) && !self.points.contains_key(&point) {
            return Ok(Vec::new());
        }
        let kind = self.point(point)?.kind.clone();
        let unnamed = |record: &Self| record.name_of.is_none() && record.points.len() == 1;
        if unnamed(self) || self.merging.merges.iter().any(|merge| unnamed(&merge.without)) {
            return Err(Refusal::OnlyIdentifier { point });
        }
        let key = contact_point::key(&kind, value, region);
        let key = key.map_err(|problem| NotTaken::BadContactPoint { place: 1, problem })?;
        Ok(vec![Event::PointRemoved(PointRemoved { contact, point, kind, value: Personal::new(key) })])
    }

    fn open_affiliation(&self, company: CompanyId, role: Role) -> Option<&Affiliation> {
        let open =
            |known: &&Affiliation| known.company == company && known.role == role && known.until.is_none();
        self.affiliations.iter().find(open)
    }

    fn end_affiliation(
        &self,
        company: CompanyId,
        role: Role,
        until: NaiveDate,
    ) -> Result<Vec<Event>, Refusal> {
        let Some(open) = self.open_affiliation(company, role) else {
            let ended = |known: &Affiliation| {
                known.company == company && known.role == role && known.until == Some(until)
            };
            let already_so = self.affiliations.iter().any(ended);
            return if already_so { Ok(Vec::new()) } else { Err(Refusal::RoleNotOpen { company }) };
        };
        match open.from {
            Some(from) if until < from => Err(Refusal::EndsBeforeStart { from, until }),
            _ => Ok(vec![Event::AffiliationEnded(AffiliationEnded { company, role, until })]),
        }
    }

    fn relate(
        &self,
        contact: ContactId,
        other: ContactId,
        relation: Relation,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        if other == contact {
            return Err(Refusal::SameContact);
        }
        if self.relations.contains(&(other, relation)) {
            return Ok(Vec::new());
        }
        if !given.facts.get::<Contact>(other.stream()).is_some_and(Contact::is_active) {
            return Err(Refusal::OtherNotActive { other });
        }
        Ok(vec![Event::RelationSet(RelationSet { other, relation })])
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
            Event::Renamed(event) => self.name_of = Some(event.contact),
            Event::PointAdded(event) => {
                let point = Point { kind: event.kind.clone(), standing: Standing::Unknown };
                self.points.insert(event.point, point);
                self.last_point = self.last_point.max(event.point);
            }
            Event::PrimaryPointSet(event) => {
                self.primary.insert(event.kind.clone(), event.point);
            }
            Event::PointVerified(event) => self.stands(event.point, Standing::Verified),
            Event::PointInvalidated(event) => {
                self.stands(event.point, Standing::Invalid);
                self.primary.retain(|_, primary| *primary != event.point);
            }
            Event::PointRemoved(event) => {
                self.points.remove(&event.point);
                self.primary.retain(|_, primary| *primary != event.point);
            }
            Event::AddressChanged(event) => {
                self.address = Some(Address { of: event.contact, country: event.country });
            }
            Event::FieldsChanged(event) => field_changes::apply(&mut self.fields, &event.0),
            Event::AffiliationStarted(event) => self.affiliations.push(Affiliation {
                company: event.company,
                role: event.role,
                from: event.from,
                until: None,
            }),
            Event::AffiliationEnded(event) => {
                let ended = |known: &&mut Affiliation| {
                    known.company == event.company && known.role == event.role && known.until.is_none()
                };
                for known in self.affiliations.iter_mut().filter(ended) {
                    known.until = Some(event.until);
                }
            }
            Event::RelationSet(event) => {
                self.relations.insert((event.other, event.relation));
            }
            Event::RelationRemoved(event) => {
                self.relations.remove(&(event.other, event.relation));
            }
            Event::Assigned(event) => self.owner = Some(event.to),
            Event::LifecycleStageChanged(event) => self.lifecycle_stage = Some(event.to),
            Event::Tagged(event) => {
                self.tags.insert(event.tag);
            }
            Event::Untagged(event) => {
                self.tags.remove(&event.tag);
            }
            Event::Archived(_) => self.archived = true,
            Event::Restored(_) => self.archived = false,
        }
    }

    fn stands(&mut self, point: i32, standing: Standing) {
        if let Some(point) = self.points.get_mut(&point) {
            point.standing = standing;
        }
    }
}

fn create(asked: &Create, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let contact = ContactId(given.stream.0);
    let named = [&asked.given, &asked.family, &asked.full].into_iter().any(|part| !part.is_blank());
    if !named && asked.points.is_empty() {
        return Err(Refusal::NoIdentifier);
    }
    let meant = meant(asked.override_duplicate, &asked.reason, given)?;
    if let Some(owner) = asked.owner {
        assignee::check(owner, given, None)?;
    }
    if let Some(source) = asked.source {
        dictionary::source(source, given)?;
    }
    let mut events = vec![Event::Created(Created {
        contact,
        named,
        source: asked.source,
        external: asked.external.clone(),
        owner: asked.owner,
        given: asked.given.unless_blank(),
        family: asked.family.unless_blank(),
        full: asked.full.unless_blank(),
    })];
    for (point, kind, key) in contact_point::numbered(&asked.points)? {
        events.push(point_added(contact, point, kind, key, meant, &asked.reason));
    }
    Ok(events)
}

fn point_added(
    contact: ContactId,
    point: i32,
    kind: &Kind,
    key: String,
    meant: Meant,
    reason: &Personal,
) -> Event {
    let (kind, value, reason) = (kind.clone(), Personal::new(key), reason.unless_blank());
    Event::PointAdded(PointAdded { contact, point, kind, meant, value, reason })
}

fn meant(override_duplicate: bool, reason: &Personal, given: &Given<'_>) -> Result<Meant, Refusal> {
    Meant::asked(override_duplicate, reason, given).ok_or(Refusal::ReasonMissing)
}

fn needs_evidence(evidence: &Personal, given: &Given<'_>) -> Result<Personal, Refusal> {
    if given.has_reason(evidence) { Ok(evidence.unless_blank()) } else { Err(Refusal::EvidenceMissing) }
}
