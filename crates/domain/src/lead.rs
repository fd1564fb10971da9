//! A lead: somebody who may become a customer, from the first sign to conversion or the end.
//!
//! Names and contact points are sealed, so a conversion that creates a contact brings its data again.

mod conversion;
mod merging;

pub use conversion::{Convert, Converted, ToCompany, ToContact, ToDeal};

use crate::assignee::{self, Assignable, AssigneeProblem};
use crate::contact_point::{self, ContactPoint, Kind, Meant, NotTaken};
use crate::deal::{External, Party};
use crate::decider::{Describe, changed, commands, events};
use crate::dictionary::{self, NotInDictionary};
use crate::field_changes::{self, Changes, FieldSetting, Held};
use crate::fields::Entity;
use crate::loss_reasons::{self, LossReasons};
use crate::merge::{self, Merging};
use crate::pipeline::list;
use crate::{
    Claim, CompanyId, ContactId, DealId, Decider, FieldId, Given, LeadId, LossReasonId, Occurred, Order,
    Personal, PersonalField, Reads, SourceId, StreamId, SubjectId, TagId, UserId, Version, deal,
};
use crate::{sources, tags};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

commands! {
    /// A name, a contact point or a company; contact points are valid, none is given twice, and no other lead holds their
    /// keys unless the duplicate is meant, with a reason; the owner is active; the source is in the dictionary; a
    /// provider's event and an external id belong to one lead.
    "CaptureLead" = Capture(Capture) => [Captured, PointAdded],
    /// The lead is neither converted nor archived; at least one change; each field is named once. Values of personal and
    /// sensitive fields are sealed.
    "UpdateLead" = Update(Update) => [FieldsChanged, Renamed],
    /// The lead is in work; the assignee is registered, active and not absent, unless forced with a reason.
    "AssignLead" = Assign {
        owner: UserId,
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Assigned],
    /// The lead is in work and assigned.
    "UnassignLead" = Unassign {} => [Unassigned],
    /// The lead is in work; whoever accepts is its assignee.
    "AcceptLead" = Accept {} => [Accepted],
    /// The lead is in work; whoever declines is its assignee; a reason. Nobody is its assignee from then on.
    "DeclineLead" = Decline {
        #[serde(default)]
        reason: Personal,
    } => [Declined],
    /// The lead is in work.
    "RecordContactAttempt" = RecordAttempt {
        channel: AttemptChannel,
        outcome: AttemptOutcome,
        #[serde(default)]
        comment: Personal,
    } => [ContactAttempted],
    /// The lead is in work; it is the first response, and not before the capture.
    "RecordFirstResponse" = RecordFirstResponse {} => [FirstResponded],
    /// The lead is in work; from new to contacted to nurturing to qualified; back needs a reason.
    "ChangeLeadStatus" = ChangeStatus {
        status: Working,
        #[serde(default)]
        reason: Personal,
    } => [StatusChanged],
    /// The lead is in work; 0 to 100; the factors say which model found what.
    "ScoreLead" = Score {
        model: String,
        score: i32,
        #[serde(default)]
        factors: BTreeMap<String, i32>,
    } => [Scored],
    /// The lead is in work, has an owner, and can be reached or is from a known company.
    "QualifyLead" = Qualify {} => [Qualified],
    /// The lead is in work or qualified; a reason of the dictionary of loss reasons that is in force.
    "DisqualifyLead" = Disqualify {
        /// Mandatory; optional in shape so that its absence is answered with the accepted codes.
        #[serde(default)]
        reason: Option<LossReasonId>,
        #[serde(default)]
        comment: Personal,
    } => [Disqualified],
    /// The lead is qualified; what it links is there; its deal is with its contact or company. Links or creates a contact,
    /// a company and a deal in the same append, each by its own rules: all or none.
    "ConvertLead" = Convert(Box<Convert>) => [Converted],
    /// The lead is in work or qualified; the deal is open and with the same contact or company.
    "AttachLeadToDeal" = Attach { deal: DealId, party: Party } => [Attached],
    /// The lead is disqualified; whoever owns it from now on, unless nobody, is active and not absent, unless forced
    /// with a reason.
    "RecycleLead" = Recycle {
        /// Who owns it from now on; whoever did if absent.
        #[serde(default)]
        owner: Option<UserId>,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Recycled, Assigned],
    /// The lead is not archived; the tag is in the dictionary. A merged tag stands for the one that it was merged into.
    "TagLead" = Tag { tag: TagId } => [Tagged],
    /// The lead is not archived.
    "UntagLead" = Untag { tag: TagId } => [Untagged],
    /// The lead is not converted. Its contact points stay claimed.
    "ArchiveLead" = Archive {} => [Archived],
    /// The lead exists; if it is in work again, whoever owns it from now on, unless nobody, is active and not absent,
    /// unless forced with a reason.
    "RestoreLead" = Restore {
        /// Who owns it from now on; whoever did if absent.
        #[serde(default)]
        owner: Option<UserId>,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Restored, Assigned],
    /// The lead is in work, converted or attached and not among the others; the others are leads in use that stand for
    /// themselves and are neither converted nor attached; the preview is of their present versions; none of them was
    /// erased, or all were; whose value stays is chosen for every field in conflict. What is sent to the others from
    /// now on reaches this lead.
    "MergeLeads" = Merge(merge::Merge<LeadId>) => [Merged, MergedInto],
    /// The merge was made and is not undone; later ones are undone first, or with it. What was said of the lead since stays
    /// with it.
    "UnmergeLeads" = Unmerge(merge::Unmerge) => [Unmerged, Separated],
    /// The survivor has merged this lead. Follows from `MergeLeads`.
    "YieldLead" = Yield { survivor: LeadId } => [MergedInto],
    /// The survivor has undone the merge; the owner of what is open again is active. Follows from `UnmergeLeads`.
    "SeparateLead" = Separate { survivor: LeadId } => [Separated],
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    #[serde(default)]
    pub given: Personal,
    #[serde(default)]
    pub family: Personal,
    /// The whole name, where its parts are not known.
    #[serde(default)]
    pub full: Personal,
    #[serde(default)]
    pub points: Vec<ContactPoint>,
    /// The company as the lead names it.
    #[serde(default)]
    pub company_name: Personal,
    /// What the lead wants, in the lead's words.
    #[serde(default)]
    pub message: Personal,
    #[serde(default)]
    pub source: Option<SourceId>,
    /// The event of the form, telephony or messenger that it comes from; captured once.
    #[serde(default)]
    pub provider_event: Option<External>,
    #[serde(default)]
    pub external: Option<External>,
    #[serde(default)]
    pub owner: Option<UserId>,
    /// Another lead may hold the same contact points; needs a reason.
    #[serde(default)]
    pub override_duplicate: bool,
    #[serde(default)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    #[serde(default)]
    pub given: Personal,
    #[serde(default)]
    pub family: Personal,
    #[serde(default)]
    pub full: Personal,
    #[serde(default)]
    pub company_name: Personal,
    #[serde(default)]
    pub fields: Vec<FieldSetting>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptChannel {
    Call,
    Email,
    Message,
    Visit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    Reached,
    NoAnswer,
    WrongAddress,
    CallBackLater,
}

/// How far the work on a lead has come before it is decided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Working {
    New,
    Contacted,
    Nurturing,
}

/// Where a lead stands until work on it is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    New,
    Contacted,
    Nurturing,
    Qualified,
}

impl From<Working> for Standing {
    fn from(working: Working) -> Self {
        match working {
            Working::New => Self::New,
            Working::Contacted => Self::Contacted,
            Working::Nurturing => Self::Nurturing,
        }
    }
}

events! {
    Captured = "lead.captured",
    PointAdded = "lead.point_added",
    Renamed = "lead.renamed",
    FieldsChanged = "lead.fields_changed",
    Assigned = "lead.assigned",
    Unassigned = "lead.unassigned",
    Accepted = "lead.accepted",
    Declined = "lead.declined",
    ContactAttempted = "lead.contact_attempted",
    FirstResponded = "lead.first_responded",
    StatusChanged = "lead.status_changed",
    Scored = "lead.scored",
    Qualified = "lead.qualified",
    Disqualified = "lead.disqualified",
    Converted = "lead.converted",
    Attached = "lead.attached_to_deal",
    Recycled = "lead.recycled",
    Tagged = "lead.tagged",
    Untagged = "lead.untagged",
    Archived = "lead.archived",
    Restored = "lead.restored",
    Merged = "lead.merged",
    Unmerged = "lead.unmerged",
    MergedInto = "lead.merged_into",
    Separated = "lead.separated",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["given", "family", "full", "company_name", "message"]))]
pub struct Captured {
    pub lead: LeadId,
    /// Whether there is a name among what is sealed.
    pub named: bool,
    /// Whether there is a company's name among what is sealed.
    pub of_company: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<SourceId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provider_event: Option<External>,
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
    #[serde(skip)]
    pub company_name: Personal,
    #[serde(skip)]
    pub message: Personal,
}

/// The sealed value is the key of the contact point, not what was typed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["value", "reason"]))]
pub struct PointAdded {
    pub lead: LeadId,
    /// From 1, in the order of adding.
    pub point: i32,
    pub kind: Kind,
    pub meant: Meant,
    #[serde(skip)]
    pub value: Personal,
    /// Why a duplicate is meant.
    #[serde(skip)]
    pub reason: Personal,
}

/// What is absent stays as it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["given", "family", "full", "company_name"]))]
pub struct Renamed {
    pub lead: LeadId,
    pub named: bool,
    pub of_company: bool,
    #[serde(skip)]
    pub given: Personal,
    #[serde(skip)]
    pub family: Personal,
    #[serde(skip)]
    pub full: Personal,
    #[serde(skip)]
    pub company_name: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FieldsChanged(pub Changes);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Assigned {
    pub lead: LeadId,
    /// The same, where an absent owner has a lead back.
    pub from: Option<UserId>,
    pub to: UserId,
    /// The assignee was absent.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unassigned {
    pub from: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    pub by: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Declined {
    pub lead: LeadId,
    pub by: UserId,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["comment"]))]
pub struct ContactAttempted {
    pub lead: LeadId,
    /// From 1.
    pub attempt: i32,
    pub channel: AttemptChannel,
    pub outcome: AttemptOutcome,
    #[serde(skip)]
    pub comment: Personal,
}

/// The time since the capture is the lead response time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FirstResponded {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct StatusChanged {
    pub lead: LeadId,
    pub from: Standing,
    pub to: Working,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Scored {
    pub model: String,
    pub score: i32,
    pub factors: BTreeMap<String, i32>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Qualified {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["comment"]))]
pub struct Disqualified {
    pub lead: LeadId,
    pub reason: LossReasonId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    #[serde(skip)]
    pub comment: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Attached {
    pub deal: DealId,
    pub party: Party,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
}

/// In work again, as new.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Recycled {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
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
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
}

/// The claim that keeps one external id to one lead.
pub const EXTERNAL_CLAIM: &str = "lead.external_id";

/// The claim that captures a provider's event once.
pub const PROVIDER_CLAIM: &str = "lead.provider_event";

/// The claim on a contact point among leads; a contact may be reached at the same place.
pub const POINT_CLAIM: &str = "lead.contact_point";

/// The owner whose work it is.
pub type Merged = merge::Merged<LeadId, UserId>;
pub type Unmerged = merge::Unmerged<LeadId, UserId>;
pub type MergedInto = merge::MergedInto<LeadId, UserId>;
pub type Separated = merge::Separated<LeadId, UserId>;

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        let work =
            |owner: &Option<UserId>, claim: fn(UserId) -> Claim| owner.iter().copied().map(claim).collect();
        match self {
            Self::Captured(event) => {
                let mut claims: Vec<Claim> = work(&event.owner, begins_work);
                claims.extend(event.external.as_ref().map(|id| Claim::take(EXTERNAL_CLAIM, id.key())));
                claims.extend(event.provider_event.as_ref().map(|id| Claim::take(PROVIDER_CLAIM, id.key())));
                claims
            }
            Self::PointAdded(PointAdded { kind, meant, value: Personal(Some(key)), .. }) => {
                let key = contact_point::claimed(kind, key);
                let claim = meant.claim(POINT_CLAIM, key);
                vec![claim.personal()]
            }
            Self::Assigned(event) => {
                event.from.map(ends_work).into_iter().chain([begins_work(event.to)]).collect()
            }
            Self::Merged(Merged { before, after, .. }) | Self::Unmerged(Unmerged { before, after, .. }) => {
                before.map(ends_work).into_iter().chain(after.map(begins_work)).collect()
            }
            Self::MergedInto(event) => event.holds.map(ends_work).into_iter().collect(),
            Self::Separated(event) => event.holds.map(begins_work).into_iter().collect(),
            Self::Unassigned(Unassigned { from: owner }) | Self::Declined(Declined { by: owner, .. }) => {
                vec![ends_work(*owner)]
            }
            Self::Disqualified(Disqualified { owner, .. })
            | Self::Converted(Converted { owner, .. })
            | Self::Attached(Attached { owner, .. })
            | Self::Archived(Archived { owner }) => work(owner, ends_work),
            Self::Recycled(Recycled { owner }) | Self::Restored(Restored { owner }) => {
                work(owner, begins_work)
            }
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (lead, fields) = match self {
            Self::Captured(event) => (
                event.lead,
                vec![
                    ("given", &mut event.given),
                    ("family", &mut event.family),
                    ("full", &mut event.full),
                    ("company_name", &mut event.company_name),
                    ("message", &mut event.message),
                ],
            ),
            Self::Renamed(event) => (
                event.lead,
                vec![
                    ("given", &mut event.given),
                    ("family", &mut event.family),
                    ("full", &mut event.full),
                    ("company_name", &mut event.company_name),
                ],
            ),
            Self::FieldsChanged(event) => return event.0.personal(),
            Self::PointAdded(event) => {
                (event.lead, vec![("value", &mut event.value), ("reason", &mut event.reason)])
            }
            Self::Assigned(event) => (event.lead, vec![("reason", &mut event.reason)]),
            Self::Declined(event) => (event.lead, vec![("reason", &mut event.reason)]),
            Self::ContactAttempted(event) => (event.lead, vec![("comment", &mut event.comment)]),
            Self::StatusChanged(event) => (event.lead, vec![("reason", &mut event.reason)]),
            Self::Disqualified(event) => (event.lead, vec![("comment", &mut event.comment)]),
            _ => return Vec::new(),
        };
        let subject: SubjectId = lead.into();
        fields.into_iter().map(|(field, value)| PersonalField { subject, field, value }).collect()
    }
}

fn begins_work(owner: UserId) -> Claim {
    Claim::count(crate::user::WORK_CLAIM, owner.to_string())
}

fn ends_work(owner: UserId) -> Claim {
    Claim::uncount(crate::user::WORK_CLAIM, owner.to_string())
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this lead does not exist; capture it first")]
    NoSuchLead,
    #[error("this lead is captured already; an id is used once")]
    AlreadyCaptured,
    #[error("a lead needs a name, a contact point or a company; give at least one")]
    NothingKnown,
    #[error("a duplicate that is meant needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("fields: {problem}")]
    BadFields { problem: field_changes::Problem },
    #[error("nothing changes; name a part of the name, the company or a field")]
    NoChange,
    #[error("this lead is {status}; {way_out}")]
    NotInWork { status: &'static str, way_out: &'static str },
    #[error("this lead is assigned to {}; only its assignee may accept or decline it", .owner.map_or_else(|| "nobody".to_owned(), |owner| owner.to_string()))]
    NotTheAssignee { owner: Option<UserId> },
    #[error("this lead has had its first response; record further ones with RecordContactAttempt")]
    AlreadyResponded,
    #[error("the response lies before the capture ({captured}); give a later time")]
    BeforeCapture { captured: DateTime<Utc> },
    #[error("going back from {from} to {to} needs a reason; give a text in `reason` or a reason code")]
    BackNeedsReason { from: &'static str, to: &'static str },
    #[error("score {score} is outside 0 to 100; give a whole number from 0 to 100")]
    ScoreOutOfRange { score: i32 },
    #[error("{field} is empty; give it at least one visible character")]
    Blank { field: &'static str },
    #[error("a qualified lead has an owner; assign it first with AssignLead")]
    NoOwner,
    #[error(
        "a qualified lead has a contact point or a company; it has neither; name its company with UpdateLead"
    )]
    NotReachable,
    #[error("disqualifying needs a reason; accepted: {}", list(.accepted))]
    LossReasonMissing { accepted: Vec<String> },
    #[error("reason {reason} is not in force; accepted: {}", list(.accepted))]
    LossReasonUnknown { reason: LossReasonId, accepted: Vec<String> },
    #[error("only a qualified lead is converted; this one is {status}; use QualifyLead first")]
    NotQualified { status: &'static str },
    #[error("contact {contact} does not exist or is archived; link another or create one")]
    NoSuchContact { contact: ContactId },
    #[error("company {company} does not exist or is archived; link another or create one")]
    NoSuchCompany { company: CompanyId },
    #[error(
        "the deal of a conversion is with its contact or company; name one of them as its party, or none"
    )]
    DealWithOther,
    #[error("deal {deal} is not open; attach to an open deal, or convert the lead into a new one")]
    DealNotOpen { deal: DealId },
    #[error("deal {deal} is with somebody else; attach to a deal of the same contact or company")]
    OtherParty { deal: DealId },
    #[error("only a disqualified lead is recycled; this one is {status}; {way_out}")]
    NotDisqualified { status: &'static str, way_out: &'static str },
    #[error(
        "the owner {user} of this lead is not active and would have work again; activate the user first, and hand the work over after"
    )]
    OwnerLeft { user: UserId },
    #[error("lead {lead} is {status}; only the survivor of a merge may be, so merge into it")]
    NotMergedAway { lead: LeadId, status: &'static str },
    #[error("this lead is in work and stays whose it is; use AssignLead to give it to somebody else")]
    StaysWithOwner,
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
    #[error(transparent)]
    #[serde(untagged)]
    Merge(#[from] merge::Problem),
    #[error(transparent)]
    #[serde(untagged)]
    Dictionary(#[from] NotInDictionary),
    #[error(transparent)]
    #[serde(untagged)]
    Points(#[from] NotTaken),
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Lead {
    #[default]
    Absent,
    Known(Box<Record>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub status: Status,
    pub archived: bool,
    pub owner: Option<UserId>,
    pub answer: Answer,
    pub captured_at: Option<DateTime<Utc>>,
    pub responded: bool,
    pub attempts: i32,
    pub points: i32,
    /// Whose sealed name it goes by.
    pub name_of: Option<LeadId>,
    /// Whose sealed name of a company it goes by.
    pub company_of: Option<LeadId>,
    pub score: Option<Scored>,
    pub tags: BTreeSet<TagId>,
    pub fields: BTreeMap<FieldId, Held>,
    pub external: Option<External>,
    pub merging: Merging<Self>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Working(Working),
    Qualified,
    Disqualified(LossReasonId),
    Converted { contact: ContactId, company: Option<CompanyId>, deal: Option<DealId> },
    Attached { deal: DealId, party: Party },
}

/// What its assignee said to the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Awaited,
    Accepted,
    DeclinedBy(UserId),
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Working(working) => working.as_str(),
            Self::Qualified => "qualified",
            Self::Disqualified(_) => "disqualified",
            Self::Converted { .. } => "converted",
            Self::Attached { .. } => "attached to a deal",
        }
    }

    fn way_out(self) -> &'static str {
        match self {
            Self::Working(_) | Self::Qualified => "go on with it",
            Self::Disqualified(_) => "RecycleLead takes it into work again",
            Self::Converted { .. } | Self::Attached { .. } => "go on with the deal and the contact",
        }
    }
}

impl Working {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Contacted => "contacted",
            Self::Nurturing => "nurturing",
        }
    }
}

impl Lead {
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Absent => None,
            Self::Known(record) => Some(record),
        }
    }
}

impl Decider for Lead {
    const AGGREGATE: &'static str = "lead";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Capture(_))
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::Capture(Capture { owner, source, .. }) => {
                let owner = owner.map(|owner| Reads::User(owner.stream()));
                let dictionary = source.map(|_| Reads::Sources(sources::STREAM));
                owner.into_iter().chain(dictionary).collect()
            }
            Command::Assign { owner, .. } => vec![Reads::User(owner.stream())],
            Command::Recycle { owner, .. } | Command::Restore { owner, .. } => {
                let owner = owner.or(self.record().and_then(|lead| lead.owner));
                owner.map(|owner| Reads::User(owner.stream())).into_iter().collect()
            }
            Command::Tag { .. } => vec![Reads::Tags(tags::STREAM)],
            Command::Update(_) => vec![field_changes::reads()],
            Command::Disqualify { .. } => vec![Reads::LossReasons(loss_reasons::STREAM)],
            Command::Attach { deal, .. } => vec![Reads::Deal(deal.stream())],
            Command::Convert(convert) => {
                let contact = match convert.contact {
                    ToContact::Link(contact) => Some(Reads::Contact(contact.stream())),
                    ToContact::Create { .. } => None,
                };
                let company = match convert.company {
                    Some(ToCompany::Link(company)) => Some(Reads::Company(company.stream())),
                    _ => None,
                };
                contact.into_iter().chain(company).collect()
            }
            Command::Merge(asked) => merge::reads(asked, Reads::Lead),
            Command::Unmerge(_) => {
                let without = self.record().into_iter().flat_map(|lead| &lead.merging.merges);
                let owners = without.filter_map(|merge| merge.without.owner);
                owners.map(|owner| Reads::User(owner.stream())).collect()
            }
            Command::Qualify {} => {
                let losers = self.record().into_iter().flat_map(|lead| lead.merging.everyone());
                losers.map(|loser| Reads::Lead(StreamId(loser))).collect()
            }
            Command::Yield { survivor } => vec![Reads::Lead(survivor.stream())],
            Command::Separate { survivor } => {
                let owner =
                    self.record().and_then(|lead| lead.owner).map(|owner| Reads::User(owner.stream()));
                owner.into_iter().chain([Reads::Lead(survivor.stream())]).collect()
            }
            _ => Vec::new(),
        }
    }

    fn owner(&self) -> Option<UserId> {
        self.record().and_then(|lead| lead.owner)
    }

    fn merged_into(&self) -> Option<StreamId> {
        self.record().and_then(|record| record.merging.into).map(StreamId)
    }

    fn is_own(command: &Command) -> bool {
        matches!(command, Command::Unmerge(_) | Command::Yield { .. } | Command::Separate { .. })
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, Command::Capture(asked)) => capture(asked, given),
            (Self::Absent, _) => Err(Refusal::NoSuchLead),
            (Self::Known(_), Command::Capture(_)) => Err(Refusal::AlreadyCaptured),
            (Self::Known(lead), command) => lead.decide(command, given),
        }
    }

    fn follow(&self, command: &Command, given: &Given<'_>) -> Vec<Order> {
        let survivor = LeadId(given.stream.0);
        match command {
            Command::Convert(convert) => convert.orders(),
            Command::Merge(merge) => merge::orders(&merge.losers, || Command::Yield { survivor }),
            Command::Unmerge(asked) => {
                let undone = self.record().map(|lead| lead.merging.undone_by(*asked)).unwrap_or_default();
                merge::orders(&undone, || Command::Separate { survivor })
            }
            _ => Vec::new(),
        }
    }

    fn evolve(&mut self, event: &Event, version: Version, occurred: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Captured(event)) => {
                *self = Self::Known(Box::new(Record {
                    status: Status::Working(Working::New),
                    archived: false,
                    owner: event.owner,
                    answer: Answer::Awaited,
                    captured_at: occurred.at(),
                    responded: false,
                    attempts: 0,
                    points: 0,
                    name_of: event.named.then_some(event.lead),
                    company_of: event.of_company.then_some(event.lead),
                    score: None,
                    tags: BTreeSet::new(),
                    fields: BTreeMap::new(),
                    external: event.external.clone(),
                    merging: Merging::default(),
                }));
            }
            (Self::Known(lead), event) => lead.evolve(event),
            (Self::Absent, _) => {}
        }
        if let Self::Known(lead) = self {
            lead.merging.version = version;
        }
    }
}

impl Record {
    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let lead = LeadId(given.stream.0);
        match command {
            Command::Capture(_) => Err(Refusal::AlreadyCaptured),
            Command::Update(asked) => self.not_converted().and_then(|()| self.update(asked, given)),
            Command::Assign { owner, force, reason } => {
                self.in_work()?;
                self.assign(*owner, force.then_some(reason), reason, given)
            }
            Command::Unassign {} => {
                self.in_work()?;
                Ok(self.owner.map(|from| Event::Unassigned(Unassigned { from })).into_iter().collect())
            }
            Command::Accept {} => {
                let by = self.assignee(given)?;
                Ok(changed(self.answer != Answer::Accepted, Event::Accepted(Accepted { by })))
            }
            Command::Decline { reason } => {
                if matches!(self.answer, Answer::DeclinedBy(by) if by.0 == given.actor.0) {
                    return self.in_work().map(|()| Vec::new());
                }
                let by = self.assignee(given)?;
                needs_reason(reason, given)?;
                Ok(vec![Event::Declined(Declined { lead, by, reason: reason.unless_blank() })])
            }
            Command::RecordAttempt { channel, outcome, comment } => {
                self.in_work()?;
                Ok(vec![Event::ContactAttempted(ContactAttempted {
                    lead,
                    attempt: self.attempts.saturating_add(1),
                    channel: *channel,
                    outcome: *outcome,
                    comment: comment.unless_blank(),
                })])
            }
            Command::RecordFirstResponse {} => self.in_work().and_then(|()| self.respond(given)),
            Command::ChangeStatus { status, reason } => self.change_status(*status, reason, given),
            Command::Score { model, score, factors } => {
                self.in_work()?;
                let scored = score_of(model, *score, factors)?;
                Ok(changed(self.score.as_ref() != Some(&scored), Event::Scored(scored)))
            }
            Command::Qualify {} => self.qualify(given),
            Command::Disqualify { reason, comment } => self.disqualify(*reason, comment, given),
            Command::Convert(convert) => self.convert(convert, given),
            Command::Attach { deal, party } => self.attach(*deal, *party, given),
            Command::Recycle { owner, force, reason } => {
                self.recycle(*owner, force.then_some(reason), reason, given)
            }
            Command::Tag { tag } => {
                self.not_archived()?;
                let tag = dictionary::tag(*tag, given)?;
                Ok(changed(!self.tags.contains(&tag), Event::Tagged(Tagged { tag })))
            }
            Command::Untag { tag } => {
                self.not_archived()?;
                Ok(changed(self.tags.contains(tag), Event::Untagged(Untagged { tag: *tag })))
            }
            Command::Merge(asked) => self.merge(lead, asked, given),
            Command::Unmerge(asked) => self.unmerge(lead, *asked, given),
            Command::Yield { survivor } => self.yields(lead, *survivor, given),
            Command::Separate { survivor } => self.separates(lead, *survivor, given),
            Command::Archive {} if self.archived => Ok(Vec::new()),
            Command::Archive {} => {
                self.not_converted()?;
                Ok(vec![Event::Archived(Archived { owner: self.at_work() })])
            }
            Command::Restore { owner, force, reason } => {
                self.restore(*owner, force.then_some(reason), reason, given)
            }
        }
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
            Event::Captured(_)
            | Event::Merged(_)
            | Event::Unmerged(_)
            | Event::MergedInto(_)
            | Event::Separated(_) => {}
            Event::PointAdded(event) => self.points = event.point,
            Event::Renamed(event) => {
                let renamed = |is: bool, before| if is { Some(event.lead) } else { before };
                self.name_of = renamed(event.named, self.name_of);
                self.company_of = renamed(event.of_company, self.company_of);
            }
            Event::FieldsChanged(event) => field_changes::apply(&mut self.fields, &event.0),
            Event::Assigned(event) => (self.owner, self.answer) = (Some(event.to), Answer::Awaited),
            Event::Unassigned(_) => (self.owner, self.answer) = (None, Answer::Awaited),
            Event::Declined(event) => (self.owner, self.answer) = (None, Answer::DeclinedBy(event.by)),
            Event::Accepted(_) => self.answer = Answer::Accepted,
            Event::ContactAttempted(event) => self.attempts = event.attempt,
            Event::FirstResponded(_) => self.responded = true,
            Event::StatusChanged(event) => self.status = Status::Working(event.to),
            Event::Scored(event) => self.score = Some(event.clone()),
            Event::Qualified(_) => self.status = Status::Qualified,
            Event::Disqualified(event) => self.status = Status::Disqualified(event.reason),
            Event::Converted(event) => self.status = event.status(),
            Event::Attached(Attached { deal, party, .. }) => {
                self.status = Status::Attached { deal: *deal, party: *party };
            }
            Event::Recycled(_) => self.status = Status::Working(Working::New),
            Event::Tagged(event) => drop(self.tags.insert(event.tag)),
            Event::Untagged(event) => drop(self.tags.remove(&event.tag)),
            Event::Archived(_) => self.archived = true,
            Event::Restored(_) => self.archived = false,
        }
    }

    /// Work on it is not done yet.
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::Working(_) | Status::Qualified)
    }

    /// The owner whose open work it is.
    fn at_work(&self) -> Option<UserId> {
        self.owner.filter(|_| self.is_open() && !self.archived && self.merging.into.is_none())
    }

    fn in_work(&self) -> Result<(), Refusal> {
        if self.is_open() && !self.archived { Ok(()) } else { Err(self.refused()) }
    }

    fn refused(&self) -> Refusal {
        let status = if self.archived { "archived" } else { self.status.as_str() };
        let way_out = if self.archived { "restore it first with RestoreLead" } else { self.status.way_out() };
        Refusal::NotInWork { status, way_out }
    }

    fn not_archived(&self) -> Result<(), Refusal> {
        if self.archived { Err(self.refused()) } else { Ok(()) }
    }

    fn not_converted(&self) -> Result<(), Refusal> {
        if self.is_converted() { Err(self.refused()) } else { self.not_archived() }
    }

    fn is_converted(&self) -> bool {
        matches!(self.status, Status::Converted { .. } | Status::Attached { .. })
    }

    fn assignee(&self, given: &Given<'_>) -> Result<UserId, Refusal> {
        self.in_work()?;
        let assignee = self.owner.filter(|owner| owner.0 == given.actor.0);
        assignee.ok_or(Refusal::NotTheAssignee { owner: self.owner })
    }

    fn update(&self, asked: &Update, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let lead = LeadId(given.stream.0);
        let mut events = Vec::new();
        let parts = [&asked.given, &asked.family, &asked.full];
        let named = parts.iter().any(|part| !part.is_blank());
        if named || !asked.company_name.is_blank() {
            events.push(Event::Renamed(Renamed {
                lead,
                named,
                of_company: !asked.company_name.is_blank(),
                given: asked.given.unless_blank(),
                family: asked.family.unless_blank(),
                full: asked.full.unless_blank(),
                company_name: asked.company_name.unless_blank(),
            }));
        }
        if !asked.fields.is_empty() {
            let changes = field_changes::decide(Entity::Lead, &self.fields, &asked.fields, given);
            let changes = changes.map_err(|problem| Refusal::BadFields { problem })?;
            events.extend(changes.into_iter().map(FieldsChanged).map(Event::FieldsChanged));
        } else if events.is_empty() {
            return Err(Refusal::NoChange);
        }
        Ok(events)
    }

    fn assign(
        &self,
        owner: UserId,
        force: Option<&Personal>,
        reason: &Personal,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        if self.owner == Some(owner) {
            return Ok(Vec::new());
        }
        let forced = assignee::check(owner, given, force)?.forced;
        let (lead, reason) = (LeadId(given.stream.0), reason.unless_blank());
        Ok(vec![Event::Assigned(Assigned { lead, from: self.owner, to: owner, forced, reason })])
    }

    fn respond(&self, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        if self.responded {
            return Err(Refusal::AlreadyResponded);
        }
        if let Some((_, captured)) = given.runs_backwards(self.captured_at) {
            return Err(Refusal::BeforeCapture { captured });
        }
        Ok(vec![Event::FirstResponded(FirstResponded {})])
    }

    fn change_status(
        &self,
        to: Working,
        reason: &Personal,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        self.in_work()?;
        let from = match self.status {
            Status::Working(from) => from.into(),
            _ => Standing::Qualified,
        };
        let target = Standing::from(to);
        if from == target {
            return Ok(Vec::new());
        }
        if target < from && !given.has_reason(reason) {
            return Err(Refusal::BackNeedsReason { from: self.status.as_str(), to: to.as_str() });
        }
        let lead = LeadId(given.stream.0);
        Ok(vec![Event::StatusChanged(StatusChanged { lead, from, to, reason: reason.unless_blank() })])
    }

    fn qualify(&self, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        self.in_work()?;
        if self.status == Status::Qualified {
            return Ok(Vec::new());
        }
        if self.owner.is_none() {
            return Err(Refusal::NoOwner);
        }
        let reachable = self.points > 0 || self.company_of.is_some() || self.is_reachable_by_others(given);
        if !reachable {
            return Err(Refusal::NotReachable);
        }
        Ok(vec![Event::Qualified(Qualified {})])
    }

    fn disqualify(
        &self,
        reason: Option<LossReasonId>,
        comment: &Personal,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        if !self.archived && reason.is_some_and(|reason| self.status == Status::Disqualified(reason)) {
            return Ok(Vec::new());
        }
        self.in_work()?;
        let reasons = given.facts.loss_reasons();
        let accepted = || reasons.map_or_else(Vec::new, LossReasons::active_codes);
        let Some(reason) = reason else {
            return Err(Refusal::LossReasonMissing { accepted: accepted() });
        };
        if !reasons.and_then(|reasons| reasons.get(reason)).is_some_and(|reason| reason.active) {
            return Err(Refusal::LossReasonUnknown { reason, accepted: accepted() });
        }
        let lead = LeadId(given.stream.0);
        let comment = comment.unless_blank();
        Ok(vec![Event::Disqualified(Disqualified { lead, reason, owner: self.owner, comment })])
    }

    fn attach(&self, id: DealId, party: Party, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        if self.status == (Status::Attached { deal: id, party }) && !self.archived {
            return Ok(Vec::new());
        }
        self.in_work()?;
        let deal = given.facts.get::<deal::Deal>(id.stream());
        let open = deal.filter(|deal| matches!(deal, deal::Deal::Open(_)));
        if !open.ok_or(Refusal::DealNotOpen { deal: id })?.is_with(party) {
            return Err(Refusal::OtherParty { deal: id });
        }
        Ok(vec![Event::Attached(Attached { deal: id, party, owner: self.owner })])
    }

    fn recycle(
        &self,
        named: Option<UserId>,
        force: Option<&Personal>,
        reason: &Personal,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        self.not_archived()?;
        match self.status {
            Status::Disqualified(_) => {
                let recycled = Event::Recycled(Recycled { owner: self.owner });
                Ok([recycled].into_iter().chain(self.given_back(named, force, reason, given)?).collect())
            }
            Status::Working(Working::New) => self.stays_with(named),
            other => Err(Refusal::NotDisqualified { status: other.as_str(), way_out: other.way_out() }),
        }
    }

    fn restore(
        &self,
        named: Option<UserId>,
        force: Option<&Personal>,
        reason: &Personal,
        given: &Given<'_>,
    ) -> Result<Vec<Event>, Refusal> {
        if !self.archived {
            return self.stays_with(named);
        }
        if self.is_open() {
            let restored = Event::Restored(Restored { owner: self.owner });
            return Ok([restored].into_iter().chain(self.given_back(named, force, reason, given)?).collect());
        }
        if named.is_some() {
            return Err(Refusal::NotInWork { status: self.status.as_str(), way_out: self.status.way_out() });
        }
        Ok(vec![Event::Restored(Restored { owner: None })])
    }

    fn stays_with(&self, named: Option<UserId>) -> Result<Vec<Event>, Refusal> {
        if named.is_none() || named == self.owner { Ok(Vec::new()) } else { Err(Refusal::StaysWithOwner) }
    }

    /// Of a lead that comes into work again: nothing, if whoever owned it is there to have it back.
    fn given_back(
        &self,
        named: Option<UserId>,
        force: Option<&Personal>,
        reason: &Personal,
        given: &Given<'_>,
    ) -> Result<Option<Event>, Refusal> {
        let Some(before) = self.owner.or(named) else { return Ok(None) };
        let Assignable { user: to, forced } = assignee::back(named, before, "owner", given, force)?;
        let (lead, reason) = (LeadId(given.stream.0), reason.unless_blank());
        let assigned = Event::Assigned(Assigned { lead, from: self.owner, to, forced, reason });
        Ok((forced || self.owner != Some(to)).then_some(assigned))
    }
}

fn capture(asked: &Capture, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let lead = LeadId(given.stream.0);
    let named = [&asked.given, &asked.family, &asked.full].iter().any(|part| !part.is_blank());
    let of_company = !asked.company_name.is_blank();
    if !named && !of_company && asked.points.is_empty() {
        return Err(Refusal::NothingKnown);
    }
    let meant = Meant::asked(asked.override_duplicate, &asked.reason, given).ok_or(Refusal::ReasonMissing)?;
    if let Some(owner) = asked.owner {
        assignee::check(owner, given, None)?;
    }
    if let Some(source) = asked.source {
        dictionary::source(source, given)?;
    }
    let mut events = vec![Event::Captured(Captured {
        lead,
        named,
        of_company,
        source: asked.source,
        provider_event: asked.provider_event.clone(),
        external: asked.external.clone(),
        owner: asked.owner,
        given: asked.given.unless_blank(),
        family: asked.family.unless_blank(),
        full: asked.full.unless_blank(),
        company_name: asked.company_name.unless_blank(),
        message: asked.message.unless_blank(),
    })];
    for (point, kind, key) in contact_point::numbered(&asked.points)? {
        let (kind, value, reason) = (kind.clone(), Personal::new(key), asked.reason.unless_blank());
        events.push(Event::PointAdded(PointAdded { lead, point, kind, meant, value, reason }));
    }
    Ok(events)
}

fn score_of(model: &str, score: i32, factors: &BTreeMap<String, i32>) -> Result<Scored, Refusal> {
    if model.trim().is_empty() {
        return Err(Refusal::Blank { field: "model" });
    }
    if !(0..=100).contains(&score) {
        return Err(Refusal::ScoreOutOfRange { score });
    }
    Ok(Scored { model: model.to_owned(), score, factors: factors.clone() })
}

fn needs_reason(reason: &Personal, given: &Given<'_>) -> Result<(), Refusal> {
    if given.has_reason(reason) { Ok(()) } else { Err(Refusal::ReasonMissing) }
}
