//! A deal: it moves through a pipeline's stages and ends won or lost.

mod again;
mod approval;
mod lines;
mod merging;
mod pace;
mod reports;
mod transfer;
mod with;

pub use again::{HandedBack, LinkedToPrevious, Origin, Revived};
pub use approval::{Approval, ApprovalGranted, ApprovalRefused, ApprovalRequested, Approvals, Matter};
pub use lines::{Line, LineAdded, LineChanged, LineRemoved, Lines};
pub use merging::{Changed, Merged, MergedInto, Separated, Unmerged};
pub use pace::{
    ForecastCategorySet, NextStepSet, Pace, ProbabilityOverridden, ProbabilityOverrideCleared, PutOnHold,
    Resumed,
};
pub use reports::{IdleSpell, LeftWithoutTask, Reported, StageLimitExceeded, VisitLimit, WentIdle};
pub use transfer::PipelineChanged;
pub use with::{
    COMPANY_CLAIM, CompanySet, ContactAdded, ContactRemoved, ContactRole, Holds, PrimaryContactSet,
    STAGE_CLAIM, With,
};

use crate::assignee::{self, Assignable, AssigneeProblem};
use crate::decider::{Describe, changed, commands, events, index};
use crate::dictionary::{self, NotInDictionary};
use crate::field_changes::{self, Changes, FieldSetting, Held};
use crate::fields::Entity;
use crate::merge::{self, Merging};
use crate::pipeline::{Class, Config, Pipeline, Stage, list};
use crate::pipeline::{ForecastCategory, Requirement};
use crate::user::WORK_CLAIM;
use crate::{
    Claim, CompanyId, ContactId, DealId, Decider, FieldId, Given, LossReasonId, Money, Occurred, Order,
    Personal, PersonalField, PipelineId, Reads, StageId, StreamId, SubjectId, TagId, TaskId, UserId, Version,
    loss_reasons, tags,
};
use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

commands! {
    /// The pipeline exists; the stage is an entry stage; party if the policy wants one; the owner is active and not
    /// absent; the value is not negative; an external id belongs to one deal.
    "OpenDeal" = Open(Open) => [Opened],
    /// The deal is open; the target is a process stage of its pipeline; forward only and no skip unless the policy
    /// allows; stage entries never run backwards in time.
    "MoveDeal" = Move {
        to: StageId,
        /// The pipeline version the sender looked at; a conflict only if rules have changed since.
        #[serde(default)]
        pipeline_version: Option<Version>,
    } => [StageChanged],
    /// The deal is open; the pipeline is another one and in force; the target is a process stage of it; party, task and
    /// fields if that pipeline wants them. What the stage that the deal leaves requires holds no transfer up. The visits
    /// stay where they were.
    "TransferPipeline" = Transfer {
        pipeline: PipelineId,
        to: StageId,
        /// The version of the other pipeline that the sender looked at.
        #[serde(default)]
        pipeline_version: Option<Version>,
    } => [PipelineChanged],
    /// The deal is open; the visit exists and is not a closing one; any process stage of the pipeline that it was in; a
    /// reason.
    "CorrectStage" = CorrectStage {
        /// The number of the visit that was recorded wrongly, from 1.
        visit: i32,
        to: StageId,
        #[serde(default)]
        reason: Personal,
    } => [StageCorrected],
    /// The deal is open; the owner is registered, active and not absent, unless forced with a reason.
    "AssignDeal" = Assign {
        owner: UserId,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Assigned],
    /// The deal is open; zero or more.
    "SetDealValue" = SetValue { value: Money } => [ValueChanged],
    /// The deal is open; how often the date was pushed is counted.
    "SetExpectedClose" = SetExpectedClose { date: NaiveDate } => [ExpectedCloseChanged],
    /// The deal is open; a value above zero if the policy wants one; not before the deal entered its stage.
    "CloseWon" = CloseWon {
        #[serde(default)]
        pipeline_version: Option<Version>,
    } => [Won],
    /// The deal is open; a loss reason in force for its pipeline; not before the deal entered its stage. What stages
    /// require holds no loss up.
    "CloseLost" = CloseLost {
        /// Mandatory; optional in shape so that its absence is answered with the accepted codes.
        #[serde(default)]
        reason: Option<LossReasonId>,
        /// Which failure stage; the first one if absent.
        #[serde(default)]
        stage: Option<StageId>,
        #[serde(default)]
        comment: Personal,
        #[serde(default)]
        pipeline_version: Option<Version>,
    } => [Lost],
    /// The deal is closed, not archived, and the policy allows it, within the days of grace; a process stage; a reason;
    /// whoever owns it from now on, unless nobody, is active and not absent, unless forced.
    "ReopenDeal" = Reopen {
        to: StageId,
        /// Who owns it from now on; whoever did if absent.
        #[serde(default)]
        owner: Option<UserId>,
        /// Also to an absent user.
        #[serde(default)]
        force: bool,
        #[serde(default)]
        reason: Personal,
    } => [Reopened, Assigned],
    /// As for an opened deal; the previous deal is closed and with the same party.
    "OpenRepeatDeal" = OpenRepeat {
        previous: DealId,
        with: Open,
    } => [Opened, LinkedToPrevious],
    /// The deal is open and its stage is retired; goes with the retiring, whatever the policy says of moves.
    "LeaveRetiredStage" = LeaveRetired { to: StageId } => [StageChanged],
    /// The deal is open; the name is not blank.
    "RenameDeal" = Rename { name: Personal } => [Renamed],
    /// The deal is not archived; the contact exists and is not archived.
    "AddDealContact" = AddContact { contact: ContactId, role: ContactRole } => [ContactAdded],
    /// The deal is open; not its last contact if the policy wants a party and there is no company.
    "RemoveDealContact" = RemoveContact { contact: ContactId } => [ContactRemoved],
    /// The deal is open; the contact is one of its contacts.
    "SetPrimaryDealContact" = SetPrimaryContact { contact: ContactId } => [PrimaryContactSet],
    /// The deal is open; the company exists and is not archived.
    "SetDealCompany" = SetCompany { company: CompanyId } => [CompanySet],
    /// The deal is open; quantity above zero, price not negative, discount 0 to 100 per cent, one currency. The value of
    /// the deal follows from its lines.
    "AddDealLine" = AddLine { line: Line } => [LineAdded, ValueChanged],
    /// As for an added line; the line exists.
    "ChangeDealLine" = ChangeLine { number: i32, line: Line } => [LineChanged, ValueChanged],
    /// The deal is open; the line exists. Without lines the deal keeps the value it had.
    "RemoveDealLine" = RemoveLine { number: i32 } => [LineRemoved, ValueChanged],
    /// The deal is open; 0 to 100; a reason.
    "OverrideProbability" = OverrideProbability {
        /// In per cent.
        probability: i32,
        #[serde(default)]
        reason: Personal,
    } => [ProbabilityOverridden],
    /// The deal is open.
    "ClearOverride" = ClearOverride {} => [ProbabilityOverrideCleared],
    /// The deal is open; any category but `closed`.
    "SetDealForecastCategory" = SetForecastCategory { category: ForecastCategory } => [ForecastCategorySet],
    /// The deal is open; a text or a task.
    "SetNextStep" = SetNextStep {
        #[serde(default)]
        text: Personal,
        #[serde(default)]
        task: Option<TaskId>,
    } => [NextStepSet],
    /// The deal is open; until a day after today. Moving does not end the hold; `ResumeDeal` and closing do.
    "PutDealOnHold" = PutOnHold {
        until: NaiveDate,
        #[serde(default)]
        reason: Personal,
    } => [PutOnHold],
    /// The deal is open.
    "ResumeDeal" = Resume {} => [Resumed],
    /// The deal is lost; its pipeline has a recycle pipeline; it is not revived and open there already. Opens the deal
    /// `recycled` there in the same append.
    "ReviveLostDeal" = Revive {
        recycled: DealId,
        #[serde(default)]
        owner: Option<UserId>,
    } => [Revived],
    /// A revived deal that is won in the recycle pipeline. Opens the deal `deal` in the pipeline that it was lost in.
    "HandBackToSales" = HandBack {
        deal: DealId,
        #[serde(default)]
        owner: Option<UserId>,
    } => [HandedBack],
    /// The deal is open.
    "RequestApproval" = RequestApproval {
        matter: Matter,
        #[serde(default)]
        reason: Personal,
    } => [ApprovalRequested],
    /// The approval is pending; whoever grants did not request it.
    "GrantApproval" = GrantApproval { approval: i32 } => [ApprovalGranted],
    /// The approval is pending; whoever refuses did not request it; a reason.
    "RefuseApproval" = RefuseApproval {
        approval: i32,
        #[serde(default)]
        reason: Personal,
    } => [ApprovalRefused],
    /// The deal is not archived; each field is named once. Values of personal and sensitive fields are sealed.
    "SetDealFields" = SetFields { fields: Vec<FieldSetting> } => [FieldsChanged],
    /// The deal is not archived; the tag is in the dictionary. A merged tag stands for the one that it was merged into.
    "TagDeal" = Tag { tag: TagId } => [Tagged],
    /// The deal is not archived.
    "UntagDeal" = Untag { tag: TagId } => [Untagged],
    /// The deal is not archived.
    "FollowDeal" = Follow { user: UserId } => [Followed],
    /// The deal is not archived.
    "UnfollowDeal" = Unfollow { user: UserId } => [Unfollowed],
    /// The deal is closed. An archived deal accepts `RestoreDeal` only.
    "ArchiveDeal" = Archive {} => [Archived],
    /// The deal exists.
    "RestoreDeal" = Restore {} => [Restored],
    /// The deal is not archived and not among the others; the others are open deals that stand for themselves and wait
    /// for no approval, in the same pipeline; the preview is of their present versions; none of them was erased, or
    /// all were; whose value stays is chosen for every field in conflict. The deal stays in its stage. What is sent to
    /// the others from now on reaches this deal, and funnels count them as one.
    "MergeDeals" = Merge(merge::Merge<DealId>) => [Merged, MergedInto],
    /// The merge was made and is not undone; later ones are undone first, or with it; all owners are active, the pipeline and
    /// whom the deals are with not archived. What was said of the deal since stays with it, but lines if those that came go. A deal whose stage was retired meanwhile comes back into this deal's
    /// stage, or an entry stage if this one is closed.
    "UnmergeDeals" = Unmerge(merge::Unmerge) => [Unmerged, Separated, StageChanged],
    /// The survivor has merged this deal. Follows from `MergeDeals`.
    "YieldDeal" = Yield { survivor: DealId } => [MergedInto],
    /// The survivor has undone the merge; the owner is active. Follows from `UnmergeDeals`.
    "SeparateDeal" = Separate { survivor: DealId } => [Separated, StageChanged],
    /// The deal is open, not on hold, and its visit as old as its stage's limit; once per visit.
    "ReportStageLimit" = ReportStageLimit {
        /// Which visit, and its limit; the present one, and what the pipeline says now, if absent.
        #[serde(default)]
        limit: Option<VisitLimit>,
    } => [StageLimitExceeded],
    /// The deal is open, not on hold, and nothing has happened to it for the idle days of its stage; once until something
    /// happens.
    "ReportIdleDeal" = ReportIdle {
        /// Since when, and how many days are too many; what the deal and its pipeline say themselves if absent.
        #[serde(default)]
        spell: Option<IdleSpell>,
    } => [WentIdle],
    /// The deal is open and has no open task; once for each time that its last one ended.
    "ReportDealWithoutTask" = ReportWithoutTask {
        /// When its last open task ended.
        #[serde(default)]
        since: Option<DateTime<Utc>>,
    } => [LeftWithoutTask],
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Open {
    pub pipeline: PipelineId,
    /// An entry stage; the pipeline's first entry stage if absent.
    #[serde(default)]
    pub stage: Option<StageId>,
    #[serde(default)]
    pub party: Option<Party>,
    /// What the party is called; sealed under the party's key.
    #[serde(default)]
    pub party_name: Personal,
    #[serde(default)]
    pub owner: Option<UserId>,
    #[serde(default)]
    pub value: Option<Money>,
    #[serde(default)]
    pub expected_close: Option<NaiveDate>,
    #[serde(default)]
    pub external: Option<External>,
    /// The deal that it comes of; `ReviveLostDeal` and `HandBackToSales` give it.
    #[serde(default)]
    pub origin: Option<Origin>,
    #[serde(default)]
    pub pipeline_version: Option<Version>,
}

impl Open {
    /// A deal with nothing but its pipeline.
    pub fn new(pipeline: PipelineId) -> Self {
        Self {
            pipeline,
            stage: None,
            party: None,
            party_name: Personal::default(),
            owner: None,
            value: None,
            expected_close: None,
            external: None,
            origin: None,
            pipeline_version: None,
        }
    }
}

/// The contact or company that the deal is with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Contact(ContactId),
    Company(CompanyId),
}

impl Party {
    fn subject(self) -> SubjectId {
        match self {
            Self::Contact(id) => id.into(),
            Self::Company(id) => id.into(),
        }
    }
}

/// The deal's id in the system that it came from; claimed, so no two deals share one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct External {
    pub source: String,
    pub id: String,
}

impl External {
    /// What is claimed of it, by records of one kind.
    pub fn key(&self) -> String {
        external_key(&self.source, &self.id)
    }
}

/// The key of the id that a source knows something by.
pub fn external_key(source: &str, id: &str) -> String {
    format!("{source}\u{1f}{id}")
}

events! {
    Opened = "deal.opened",
    StageChanged = "deal.stage_changed",
    PipelineChanged = "deal.pipeline_changed",
    StageCorrected = "deal.stage_corrected",
    Assigned = "deal.assigned",
    ValueChanged = "deal.value_changed",
    ExpectedCloseChanged = "deal.expected_close_changed",
    Won = "deal.won",
    Lost = "deal.lost",
    Reopened = "deal.reopened",
    LinkedToPrevious = "deal.linked_to_previous",
    Renamed = "deal.renamed",
    ContactAdded = "deal.contact_added",
    ContactRemoved = "deal.contact_removed",
    PrimaryContactSet = "deal.primary_contact_set",
    CompanySet = "deal.company_set",
    LineAdded = "deal.line_added",
    LineChanged = "deal.line_changed",
    LineRemoved = "deal.line_removed",
    ProbabilityOverridden = "deal.probability_overridden",
    ProbabilityOverrideCleared = "deal.probability_override_cleared",
    ForecastCategorySet = "deal.forecast_category_set",
    NextStepSet = "deal.next_step_set",
    PutOnHold = "deal.put_on_hold",
    Resumed = "deal.resumed",
    Revived = "deal.revived",
    HandedBack = "deal.handed_back",
    ApprovalRequested = "deal.approval_requested",
    ApprovalGranted = "deal.approval_granted",
    ApprovalRefused = "deal.approval_refused",
    FieldsChanged = "deal.fields_changed",
    Tagged = "deal.tagged",
    Untagged = "deal.untagged",
    Followed = "deal.followed",
    Unfollowed = "deal.unfollowed",
    Archived = "deal.archived",
    Restored = "deal.restored",
    StageLimitExceeded = "deal.stage_limit_exceeded",
    WentIdle = "deal.went_idle",
    LeftWithoutTask = "deal.left_without_task",
    Merged = "deal.merged",
    Unmerged = "deal.unmerged",
    MergedInto = "deal.merged_into",
    Separated = "deal.separated",
}

/// Visit 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["party_name"]))]
pub struct Opened {
    pub pipeline: PipelineId,
    pub pipeline_version: Version,
    pub stage: StageId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub party: Option<Party>,
    #[serde(skip)]
    pub party_name: Personal,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected_close: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub external: Option<External>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<Origin>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageChanged {
    pub from: StageId,
    pub to: StageId,
    pub pipeline_version: Version,
    /// The number of the visit that begins.
    pub visit: i32,
    /// The deal and those merged into it, where the pipeline wants an open task about one of them for it to move on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub with_task_of: Vec<DealId>,
    /// The stage was retired and its deals moved on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub retired: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct StageCorrected {
    pub visit: i32,
    pub from: StageId,
    pub to: StageId,
    pub pipeline_version: Version,
    /// Whether the deal stands in this visit, and for itself.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub current: bool,
    /// Whose key seals the reason: the deal's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Assigned {
    /// The same, where an absent owner has a deal back.
    pub from: Option<UserId>,
    pub to: UserId,
    /// Given to an absent user, with a reason.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub forced: bool,
    /// Whose key seals the reason: the deal's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ValueChanged {
    pub from: Option<Money>,
    pub to: Money,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ExpectedCloseChanged {
    pub from: Option<NaiveDate>,
    pub to: NaiveDate,
    /// How often the date has been pushed to a later day, this one included.
    pub push_count: i32,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Won {
    pub from: StageId,
    pub stage: StageId,
    pub pipeline_version: Version,
    pub visit: i32,
    /// What the deal has held by claims.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holds: Option<Holds>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<Money>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["comment"]))]
pub struct Lost {
    pub from: StageId,
    pub stage: StageId,
    pub pipeline_version: Version,
    pub visit: i32,
    /// What the deal has held by claims.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holds: Option<Holds>,
    pub reason: LossReasonId,
    /// Whose key seals the comment: the deal's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub comment: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["reason"]))]
pub struct Reopened {
    pub from: StageId,
    pub to: StageId,
    pub pipeline_version: Version,
    pub visit: i32,
    /// What the deal holds again by claims.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub holds: Option<Holds>,
    /// Whose key seals the reason: the deal's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<SubjectId>,
    #[serde(skip)]
    pub reason: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["name"]))]
pub struct Renamed {
    /// Whose key seals the name: the deal's own.
    pub subject: SubjectId,
    #[serde(skip)]
    pub name: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FieldsChanged(pub Changes);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tagged {
    pub tag: TagId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Untagged {
    pub tag: TagId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Followed {
    pub user: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Unfollowed {
    pub user: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Archived {}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Restored {}

/// The claim that keeps one external id to one deal.
pub const EXTERNAL_CLAIM: &str = "deal.external_id";

impl Opened {
    fn holds(&self) -> Holds {
        let (company, sole_contact) = match self.party {
            Some(Party::Company(company)) => (Some(company), None),
            Some(Party::Contact(contact)) => (None, Some(contact)),
            None => (None, None),
        };
        Holds { stage: self.stage, owner: self.owner, company, sole_contact }
    }
}

/// Joined by every open task about the deal that is its key.
pub const OPEN_TASK_CLAIM: &str = "deal.open_task";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        let owned =
            |claim: fn(&'static str, String) -> Claim, owner: UserId| claim(WORK_CLAIM, owner.to_string());
        match self {
            Self::Opened(event) => {
                let external =
                    event.external.as_ref().map(|external| Claim::take(EXTERNAL_CLAIM, external.key()));
                external.into_iter().chain(event.holds().taken()).collect()
            }
            Self::StageChanged(event) => with::moved_with_task(&event.with_task_of, event.from, event.to),
            Self::PipelineChanged(event) => with::moved_with_task(&event.with_task_of, event.from, event.to),
            Self::StageCorrected(event) if event.current => with::moved(event.from, event.to).into(),
            Self::Assigned(event) => {
                let from = event.from.map(|from| owned(Claim::uncount, from));
                from.into_iter().chain([owned(Claim::count, event.to)]).collect()
            }
            Self::Won(Won { holds: Some(holds), .. }) | Self::Lost(Lost { holds: Some(holds), .. }) => {
                holds.let_go()
            }
            Self::Reopened(Reopened { holds: Some(holds), .. }) => holds.taken(),
            Self::ContactAdded(event) => with::sole_changed(event.sole_before, event.sole_after),
            Self::ContactRemoved(event) => with::sole_changed(event.sole_before, event.sole_after),
            Self::CompanySet(event) => {
                let from = event.from.map(|from| Claim::uncount(COMPANY_CLAIM, from.to_string()));
                from.into_iter().chain([Claim::count(COMPANY_CLAIM, event.to.to_string())]).collect()
            }
            Self::LeftWithoutTask(event) => {
                let all = std::iter::once(&event.deal).chain(&event.merged);
                all.map(|deal| Claim::none(OPEN_TASK_CLAIM, deal.to_string())).collect()
            }
            Self::Merged(Merged { before, after, .. }) | Self::Unmerged(Unmerged { before, after, .. }) => {
                let before = before.iter().flat_map(Holds::let_go);
                before.chain(after.iter().flat_map(Holds::taken)).collect()
            }
            Self::MergedInto(event) => event.holds.iter().flat_map(Holds::let_go).collect(),
            Self::Separated(event) => event.holds.iter().flat_map(Holds::taken).collect(),
            _ => Vec::new(),
        }
    }

    fn personal(&mut self) -> Vec<PersonalField<'_>> {
        let (subject, field, value) = match self {
            Self::Opened(event) => (event.party.map(Party::subject), "party_name", &mut event.party_name),
            Self::StageCorrected(event) => (Some(event.subject), "reason", &mut event.reason),
            Self::FieldsChanged(event) => return event.0.personal(),
            Self::Assigned(event) => (event.subject, "reason", &mut event.reason),
            Self::Lost(event) => (event.subject, "comment", &mut event.comment),
            Self::Reopened(event) => (event.subject, "reason", &mut event.reason),
            Self::Renamed(event) => (Some(event.subject), "name", &mut event.name),
            Self::NextStepSet(event) => (Some(event.subject), "text", &mut event.text),
            Self::PutOnHold(event) => (Some(event.subject), "reason", &mut event.reason),
            Self::ProbabilityOverridden(event) => (Some(event.subject), "reason", &mut event.reason),
            Self::ApprovalRequested(event) => (Some(event.subject), "reason", &mut event.reason),
            Self::ApprovalRefused(event) => (Some(event.subject), "reason", &mut event.reason),
            _ => return Vec::new(),
        };
        subject.map(|subject| PersonalField { subject, field, value }).into_iter().collect()
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this deal does not exist; open it first")]
    NoSuchDeal,
    #[error("this deal is open already; an id is used once")]
    AlreadyOpened,
    #[error("this deal is closed ({outcome}) and stays closed; {}", if *.may_reopen {
        "its pipeline allows ReopenDeal"
    } else {
        "open a new deal for a new request"
    })]
    Closed { outcome: &'static str, may_reopen: bool },
    #[error("this deal is open; only a closed deal can be reopened")]
    NotClosed,
    #[error("pipeline {pipeline} does not exist; create it first")]
    NoSuchPipeline { pipeline: PipelineId },
    #[error("stage {stage} is not in pipeline {pipeline:?}; accepted: {}", list(.accepted))]
    UnknownStage { stage: StageId, pipeline: String, accepted: Vec<String> },
    #[error("stage {stage:?} is retired and takes no deals; accepted: {}", list(.accepted))]
    StageRetired { stage: String, accepted: Vec<String> },
    #[error("pipeline {pipeline:?} is archived and takes no deals; {accepted}")]
    PipelineArchived { pipeline: String, accepted: &'static str },
    #[error("{stage:?} is not an entry stage; deals start in {}", list(.accepted))]
    NotAnEntryStage { stage: String, accepted: Vec<String> },
    #[error("{stage:?} is a {} stage; use {command}", .class.as_str())]
    WrongClass { stage: String, class: Class, command: &'static str },
    #[error("{to:?} lies before {from:?} and this pipeline moves forward only; accepted: {}", steps(.accepted))]
    Backward { from: String, to: String, accepted: Vec<String> },
    #[error("moving from {from:?} to {to:?} skips {}; accepted: {}", list(.skipped), steps(.accepted))]
    Skips { from: String, to: String, skipped: Vec<String>, accepted: Vec<String> },
    #[error(
        "the rules of this pipeline changed in version {changed_in}, after version {named} that the command names; look again and name version {current}"
    )]
    RulesChanged { named: Version, changed_in: Version, current: Version },
    #[error("pipeline version {named} does not exist yet; the current one is {current}")]
    NoSuchVersion { named: Version, current: Version },
    #[error("this deal is in pipeline {pipeline:?} already; MoveDeal moves it there, accepted: {}", steps(.accepted))]
    SamePipeline { pipeline: String, accepted: Vec<String> },
    #[error("pipeline {pipeline:?} wants a contact or a company for every deal; add one before the transfer")]
    PartyRequiredThere { pipeline: String },
    #[error("this pipeline wants a contact or a company for every deal; name one in `party`")]
    PartyRequired,
    #[error("a party's name is given without `party`; name the contact or company that bears it")]
    NameWithoutParty,
    #[error("this pipeline wants a value above zero before a deal is won; set one with SetDealValue")]
    ValueRequired,
    #[error("value {amount} is negative; a deal's value is zero or more")]
    NegativeValue { amount: String },
    #[error("a loss needs a reason; accepted: {}", list(.accepted))]
    LossReasonMissing { accepted: Vec<String> },
    #[error("loss reason {reason} is not in force for this pipeline; accepted: {}", list(.accepted))]
    LossReasonUnknown { reason: LossReasonId, accepted: Vec<String> },
    #[error("this needs a reason; give a text in `reason` or a reason code")]
    ReasonMissing,
    #[error("contact {contact} does not exist or is archived; name one that is in use")]
    NoSuchContact { contact: ContactId },
    #[error("company {company} does not exist or is archived; name one that is in use")]
    NoSuchCompany { company: CompanyId },
    #[error("this is the deal's last contact and its pipeline wants a party; add another or a company first")]
    LastContact,
    #[error("contact {contact} is none of the deal's; add it first with AddDealContact")]
    NotLinked { contact: ContactId },
    #[error("quantity {quantity} is not above zero")]
    QuantityNotPositive { quantity: String },
    #[error("discount {discount} is outside 0 to 100 per cent")]
    DiscountOutOfRange { discount: String },
    #[error("the deal's other lines are in {currency}; a deal has one currency")]
    OtherCurrency { currency: String },
    #[error("the sum of the lines is too large to be told; make quantities or prices smaller")]
    TooLarge,
    #[error("this deal has no line {line}; it has {lines:?}")]
    NoSuchLine { line: i32, lines: Vec<i32> },
    #[error("the value follows from the deal's lines; change those with ChangeDealLine")]
    ValueFromLines,
    #[error("a next step is a text or a task; give one of them")]
    NoNextStep,
    #[error("a deal is put on hold until a day after today ({today}), not {until}")]
    HoldNotInFuture { until: NaiveDate, today: NaiveDate },
    #[error("probability {probability} is outside 0 to 100 per cent")]
    ProbabilityOutOfRange { probability: i32 },
    #[error("this stage has no such limit; set one with SetStageLimits")]
    NoLimit,
    #[error("{age_days} days are within the limit of {max_days}")]
    WithinLimit { age_days: i64, max_days: i32 },
    #[error("deal {deal} does not exist; name the deal that this one comes of")]
    NoSuchPrevious { deal: DealId },
    #[error("deal {deal} is still open; go on with it, or close it first")]
    PreviousOpen { deal: DealId },
    #[error("deal {deal} is with somebody else; a repeat deal has the party of the one before it")]
    PreviousOfOther { deal: DealId },
    #[error("deal {deal} did not lead to this one; use ReviveLostDeal or HandBackToSales on it")]
    NotRevivedSo { deal: DealId },
    #[error("a deal is not opened as a repeat of deal {deal}; use OpenRepeatDeal")]
    RepeatByOpening { deal: DealId },
    #[error("this pipeline has no recycle pipeline; link one with LinkRecyclePipeline")]
    NoRecyclePipeline,
    #[error("only a lost deal is revived; for a new request use OpenRepeatDeal")]
    NotLost,
    #[error("this deal is revived already as {deal}, which is open; go on with that one")]
    AlreadyRevived { deal: DealId },
    #[error("only a deal that was revived is handed back; this one was not")]
    NotARecycledDeal,
    #[error("a revived deal is handed back when it is won in the recycle pipeline; win it first")]
    NotQualifiedYet,
    #[error(
        "this deal was transferred back to the pipeline that it was lost in; there is nowhere to hand it back to"
    )]
    BackInSales,
    #[error("this deal was handed back already as {deal}")]
    AlreadyHandedBack { deal: DealId },
    #[error("there is no approval {approval}; pending are {pending:?}")]
    NoSuchApproval { approval: i32, pending: Vec<i32> },
    #[error("approval {approval} was decided already; request a new one")]
    ApprovalDecided { approval: i32 },
    #[error("approval {approval} is decided by somebody other than who requested it")]
    OwnApproval { approval: i32 },
    #[error("approvals {pending:?} are pending; a deal is won when all are decided")]
    ApprovalPending { pending: Vec<i32> },
    #[error("fields: {problem}")]
    BadFields { problem: field_changes::Problem },
    #[error("name is empty; give it at least one visible character")]
    BlankName,
    #[error("stage {stage:?} wants {} before a deal {side} it; set what is missing first", list(.missing))]
    Requirements { stage: String, side: &'static str, missing: Vec<String> },
    #[error("this deal's stage is in force; use MoveDeal")]
    StageInForce,
    #[error("an open deal does not count as closed in a forecast; use CloseWon or CloseLost")]
    ClosedCategory,
    #[error("this deal is on hold until {until}; resume it first with ResumeDeal")]
    OnHold { until: NaiveDate },
    #[error("only a closed deal is archived; close it first")]
    StillOpen,
    #[error("this deal is archived; restore it first with RestoreDeal")]
    Archived,
    #[error(
        "this deal was closed {days} days ago and may be reopened for {grace_days}; open a new one with OpenRepeatDeal"
    )]
    GraceOver { days: i64, grace_days: u16 },
    #[error("this deal has no visit {visit}; it has visits 1 to {last}")]
    NoSuchVisit { visit: i32, last: i32 },
    #[error("visit {visit} is a closing one; closing is undone with ReopenDeal, not corrected")]
    ClosingVisit { visit: i32 },
    #[error(
        "{occurred} lies before {last}, when the deal entered its stage; stage entries never run backwards"
    )]
    RunsBackwards { occurred: DateTime<Utc>, last: DateTime<Utc> },
    #[error("deal {deal} is closed; only the survivor of a merge may be, so merge into it")]
    NotMergedAway { deal: DealId },
    #[error("deal {deal} waits for an approval ({}); grant or refuse it first", list(&.approvals.iter().map(ToString::to_string).collect::<Vec<_>>()))]
    WaitsForApproval { deal: DealId, approvals: Vec<i32> },
    #[error("the pipeline of this deal is archived, where no deal can be open again; leave the deals merged")]
    OpenInArchive,
    #[error("{kind} {id}, whom this deal is with, is archived; restore it first")]
    WithArchived { kind: &'static str, id: StreamId },
    #[error("deal {deal} is in another pipeline; merge deals of one pipeline")]
    OtherPipeline { deal: DealId },
    #[error(
        "the owner {user} of this deal is not active and would have work again; activate the user first, and hand the work over after"
    )]
    OwnerLeft { user: UserId },
    #[error(transparent)]
    #[serde(untagged)]
    Owner(#[from] AssigneeProblem),
    #[error(transparent)]
    #[serde(untagged)]
    Merge(#[from] merge::Problem),
    #[error(transparent)]
    #[serde(untagged)]
    Dictionary(#[from] NotInDictionary),
}

/// Stages that `MoveDeal` accepts from here, and the commands that always end a deal.
fn steps(stages: &[String]) -> String {
    match stages {
        [] => "CloseWon or CloseLost".to_owned(),
        stages => format!("{}, CloseWon or CloseLost", list(stages)),
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Deal {
    #[default]
    Absent,
    Open(OpenDeal),
    Closed(OpenDeal, Outcome),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    Won,
    Lost,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }
}

/// What a deal has become so far; the last visit of a closed one is its closing stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenDeal {
    pub pipeline: PipelineId,
    /// That of the deal's last event.
    pub version: Version,
    /// As corrected; never empty.
    pub visits: Vec<Visit>,
    pub stage: StageId,
    /// The latest instant that a stage entry is known not to lie before; later entries must not either.
    pub entered_at: Option<DateTime<Utc>>,
    pub owner: Option<UserId>,
    pub value: Option<Money>,
    pub expected_close: Option<NaiveDate>,
    pub push_count: i32,
    pub external: Option<External>,
    pub party: Option<Party>,
    pub with: With,
    pub lines: Lines,
    pub pace: Pace,
    pub reported: Reported,
    pub approvals: Approvals,
    pub fields: BTreeMap<FieldId, Held>,
    pub tags: BTreeSet<TagId>,
    pub followers: BTreeSet<UserId>,
    pub origin: Option<Origin>,
    /// The deal in the recycle pipeline that it was revived as.
    pub revived: Option<DealId>,
    /// The deal in sales that it led to.
    pub handed_back: Option<DealId>,
    pub archived: bool,
    /// When something last happened to it.
    pub touched_at: Option<DateTime<Utc>>,
    /// Whose sealed name it goes by.
    pub name_of: Option<DealId>,
    pub merging: Merging<Self>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Visit {
    pub pipeline: PipelineId,
    pub stage: StageId,
}

impl Command {
    /// To a user who is there.
    pub fn assign(owner: UserId) -> Self {
        Self::Assign { owner, force: false, reason: Personal::default() }
    }

    /// Whether an archived deal is more than archived in the answer to it.
    fn is_for_archived(&self) -> bool {
        matches!(
            self,
            Self::Archive {}
                | Self::Restore {}
                | Self::Open(_)
                | Self::OpenRepeat { .. }
                | Self::Yield { .. }
                | Self::Separate { .. }
        )
    }
}

impl OpenDeal {
    fn visit_count(&self) -> i32 {
        i32::try_from(self.visits.len()).expect("a stream's versions are i32, so its visits are fewer")
    }

    fn next_visit(&self) -> i32 {
        self.visit_count() + 1
    }

    /// The visit of this number, from 1.
    pub fn visit(&self, number: i32) -> Option<Visit> {
        index(number).and_then(|at| self.visits.get(at)).copied()
    }

    fn enter(&mut self, stage: StageId, occurred: &Occurred) {
        self.visits.push(Visit { pipeline: self.pipeline, stage });
        self.stage = stage;
        // A day begins before an instant within it, so the later of both is what is certain.
        self.entered_at = self.entered_at.max(occurred.at());
    }
}

impl Deal {
    /// What is known of the deal, open or closed.
    pub fn record(&self) -> Option<&OpenDeal> {
        match self {
            Self::Absent => None,
            Self::Open(deal) | Self::Closed(deal, _) => Some(deal),
        }
    }

    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Closed(_, outcome) => Some(*outcome),
            Self::Absent | Self::Open(_) => None,
        }
    }
}

impl Decider for Deal {
    const AGGREGATE: &'static str = "deal";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Open(_) | Command::OpenRepeat { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        let deal = |id: DealId| Reads::Deal(id.stream());
        let pipeline = self.record().map(|deal| Reads::Pipeline(deal.pipeline.stream())).into_iter();
        match command {
            Command::SetFields { .. } => return vec![field_changes::reads()],
            Command::Merge(asked) => return merge::reads(asked, Reads::Deal),
            Command::Unmerge(_) => {
                let without = self.record().into_iter().flat_map(|deal| &deal.merging.merges);
                let owners = without.filter_map(|merge| merge.without.owner);
                return owners.map(|owner| Reads::User(owner.stream())).collect();
            }
            Command::Yield { survivor } => return vec![deal(*survivor)],
            Command::Separate { survivor } => {
                let owner =
                    self.record().and_then(|deal| deal.owner).map(|owner| Reads::User(owner.stream()));
                let with = self.record().into_iter().flat_map(|deal| deal.with.reads());
                return pipeline.chain(owner).chain([deal(*survivor)]).chain(with).collect();
            }
            Command::Tag { .. } => return vec![Reads::Tags(tags::STREAM)],
            _ => {}
        }
        // Whatever a closed deal is told, the refusal says whether its pipeline allows reopening.
        if let Self::Closed(record, _) = self {
            let revived = record.revived.filter(|_| matches!(command, Command::Revive { .. })).map(deal);
            let lost = match record.origin {
                Some(Origin::Recycle { lost }) if matches!(command, Command::HandBack { .. }) => {
                    Some(deal(lost))
                }
                _ => None,
            };
            let owner = match command {
                Command::Reopen { owner, .. } => owner.or(record.owner),
                _ => None,
            };
            let owner = owner.map(|owner| Reads::User(owner.stream()));
            let contact = match command {
                Command::AddContact { contact, .. } => Some(Reads::Contact(contact.stream())),
                _ => None,
            };
            return pipeline.chain(revived).chain(lost).chain(owner).chain(contact).collect();
        }
        match command {
            Command::Open(open) | Command::OpenRepeat { with: open, .. } => {
                let owner = open.owner.map(|owner| Reads::User(owner.stream()));
                let origin = match command {
                    Command::OpenRepeat { previous, .. } => Some(deal(*previous)),
                    _ => open.origin.map(Origin::reads),
                };
                [Reads::Pipeline(open.pipeline.stream())].into_iter().chain(owner).chain(origin).collect()
            }
            Command::Assign { owner, .. } => vec![Reads::User(owner.stream())],
            Command::AddContact { contact, .. } => vec![Reads::Contact(contact.stream())],
            Command::SetCompany { company } => vec![Reads::Company(company.stream())],
            Command::CloseLost { .. } => pipeline.chain([Reads::LossReasons(loss_reasons::STREAM)]).collect(),
            Command::Transfer { pipeline, .. } => vec![Reads::Pipeline(pipeline.stream())],
            Command::CorrectStage { visit, .. } => {
                let visit = self.record().and_then(|deal| deal.visit(*visit));
                visit.map(|visit| Reads::Pipeline(visit.pipeline.stream())).into_iter().collect()
            }
            Command::Move { .. }
            | Command::CloseWon { .. }
            | Command::Reopen { .. }
            | Command::RemoveContact { .. }
            | Command::LeaveRetired { .. }
            | Command::ReportStageLimit { .. }
            | Command::ReportIdle { .. } => pipeline.collect(),
            _ => Vec::new(),
        }
    }

    fn owner(&self) -> Option<UserId> {
        self.record().and_then(|deal| deal.owner)
    }

    fn merged_into(&self) -> Option<StreamId> {
        self.record().and_then(|record| record.merging.into).map(StreamId)
    }

    fn is_own(command: &Command) -> bool {
        matches!(
            command,
            Command::CorrectStage { .. }
                | Command::GrantApproval { .. }
                | Command::RefuseApproval { .. }
                | Command::Unmerge(_)
                | Command::Yield { .. }
                | Command::Separate { .. }
        )
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        if self.record().is_some_and(|deal| deal.archived) && !command.is_for_archived() {
            return Err(Refusal::Archived);
        }
        if let Some(answer) = self.record().and_then(|deal| deal.marked(command, given)) {
            return answer;
        }
        match (self, command) {
            (Self::Absent, Command::Open(open)) => match open.origin {
                Some(Origin::Repeat { previous }) => Err(Refusal::RepeatByOpening { deal: previous }),
                origin => open_deal(open, origin, given),
            },
            (Self::Absent, Command::OpenRepeat { previous, with }) => repeat(*previous, with, given),
            (Self::Absent, _) => Err(Refusal::NoSuchDeal),
            (_, Command::Open(_) | Command::OpenRepeat { .. }) => Err(Refusal::AlreadyOpened),
            (Self::Open(_) | Self::Closed(..), Command::Merge(asked)) => self.merge(asked, given),
            (Self::Open(_) | Self::Closed(..), Command::Unmerge(asked)) => self.unmerge(*asked, given),
            (Self::Open(_) | Self::Closed(..), Command::Yield { survivor }) => self.yields(*survivor, given),
            (Self::Open(_) | Self::Closed(..), Command::Separate { survivor }) => {
                self.separates(*survivor, given)
            }
            (Self::Closed(deal, outcome), command) => deal.closed(*outcome, command, given),
            (Self::Open(deal), command) => deal.open(command, given),
        }
    }

    fn follow(&self, command: &Command, given: &Given<'_>) -> Vec<Order> {
        let survivor = DealId(given.stream.0);
        match (self, command) {
            (Self::Closed(deal, _), Command::Revive { recycled, owner }) => {
                again::revival(deal, *recycled, *owner, given)
            }
            (Self::Closed(deal, _), Command::HandBack { deal: to, owner }) => {
                again::way_back(deal, *to, *owner, given)
            }
            (_, Command::Merge(merge)) => merge::orders(&merge.losers, || Command::Yield { survivor }),
            (_, Command::Unmerge(asked)) => {
                let undone = self.record().map(|deal| deal.merging.undone_by(*asked)).unwrap_or_default();
                merge::orders(&undone, || Command::Separate { survivor })
            }
            _ => Vec::new(),
        }
    }

    fn evolve(&mut self, event: &Event, version: Version, occurred: &Occurred) {
        if let Event::Opened(event) = event {
            *self = Self::Open(OpenDeal {
                pipeline: event.pipeline,
                version,
                visits: vec![Visit { pipeline: event.pipeline, stage: event.stage }],
                stage: event.stage,
                entered_at: occurred.at(),
                owner: event.owner,
                value: event.value,
                expected_close: event.expected_close,
                push_count: 0,
                external: event.external.clone(),
                party: event.party,
                with: With::party(event.party),
                lines: Lines::default(),
                pace: Pace::default(),
                reported: Reported::default(),
                approvals: Approvals::default(),
                fields: BTreeMap::new(),
                tags: BTreeSet::new(),
                followers: BTreeSet::new(),
                origin: event.origin,
                revived: None,
                handed_back: None,
                archived: false,
                touched_at: occurred.at(),
                name_of: None,
                merging: Merging::default(),
            });
        }
        *self = match (std::mem::take(self), event) {
            (Self::Absent, _) => Self::Absent,
            (Self::Open(deal) | Self::Closed(deal, _), Event::Reopened(_)) => {
                Self::Open(deal.evolved(event, occurred))
            }
            (Self::Open(deal) | Self::Closed(deal, _), Event::Won(_)) => {
                Self::Closed(deal.evolved(event, occurred), Outcome::Won)
            }
            (Self::Open(deal) | Self::Closed(deal, _), Event::Lost(_)) => {
                Self::Closed(deal.evolved(event, occurred), Outcome::Lost)
            }
            (Self::Open(deal), event) => Self::Open(deal.evolved(event, occurred)),
            (Self::Closed(deal, outcome), event) => Self::Closed(deal.evolved(event, occurred), outcome),
        };
        if let Self::Open(deal) | Self::Closed(deal, _) = self {
            deal.version = version;
            deal.merging.version = version;
        }
    }
}

impl OpenDeal {
    fn open(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Move { to, pipeline_version } => move_on(self, *to, *pipeline_version, given),
            Command::Transfer { pipeline, to, pipeline_version } => {
                transfer::transfer(self, *pipeline, *to, *pipeline_version, given)
            }
            Command::CorrectStage { visit, to, reason } => correct(self, *visit, *to, reason, given),
            Command::Assign { owner, force, reason } => {
                assign(self, *owner, force.then_some(reason), reason, given)
            }
            Command::SetValue { value } => set_value(self, *value),
            Command::SetExpectedClose { date } => Ok(set_expected_close(self, *date)),
            Command::CloseWon { pipeline_version } => win(self, *pipeline_version, given),
            Command::CloseLost { reason, stage, comment, pipeline_version } => {
                let config = rules(self.pipeline, *pipeline_version, given)?;
                lose(self, config, *reason, *stage, comment, given)
            }
            Command::LeaveRetired { to } => leave_retired(self, *to, given),
            Command::Rename { name } => rename(name, given),
            Command::AddContact { contact, role } => with::add_contact(self, *contact, *role, given),
            Command::RemoveContact { contact } => with::remove_contact(self, *contact, given),
            Command::SetPrimaryContact { contact } => with::set_primary(self, *contact),
            Command::SetCompany { company } => with::set_company(self, *company, given),
            Command::AddLine { line } => lines::add(self, line),
            Command::ChangeLine { number, line } => lines::change(self, *number, line),
            Command::RemoveLine { number } => lines::remove(self, *number),
            Command::OverrideProbability { probability, reason } => {
                pace::override_probability(self, *probability, reason, given)
            }
            Command::ClearOverride {} => Ok(pace::clear_override(self)),
            Command::SetForecastCategory { category } => pace::set_category(self, *category),
            Command::SetNextStep { text, task } => pace::set_next_step(text, *task, given),
            Command::PutOnHold { until, reason } => pace::hold(self, *until, reason, given),
            Command::Resume {} => Ok(pace::resume(self)),
            Command::RequestApproval { matter, reason } => {
                Ok(approval::request(self, *matter, reason, given))
            }
            Command::GrantApproval { approval } => approval::grant(self, *approval, given),
            Command::RefuseApproval { approval, reason } => approval::refuse(self, *approval, reason, given),
            Command::ReportStageLimit { limit } => reports::stage_limit(self, *limit, given),
            Command::ReportIdle { spell } => reports::idle(self, *spell, given),
            Command::ReportWithoutTask { since } => Ok(reports::without_task(self, *since, given)),
            Command::Reopen { .. } => Err(Refusal::NotClosed),
            Command::Archive {} => Err(Refusal::StillOpen),
            Command::Revive { .. } => Err(Refusal::NotLost),
            Command::HandBack { .. } => match self.origin {
                Some(Origin::Recycle { .. }) => Err(Refusal::NotQualifiedYet),
                _ => Err(Refusal::NotARecycledDeal),
            },
            Command::Open(_) | Command::OpenRepeat { .. } => Err(Refusal::AlreadyOpened),
            // `decide` and `marked` have answered these. Named one by one, so that no new command is taken for already done.
            Command::SetFields { .. }
            | Command::Tag { .. }
            | Command::Untag { .. }
            | Command::Follow { .. }
            | Command::Unfollow { .. }
            | Command::Restore {}
            | Command::Merge(_)
            | Command::Unmerge(_)
            | Command::Yield { .. }
            | Command::Separate { .. } => Ok(Vec::new()),
        }
    }

    fn closed(&self, outcome: Outcome, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Reopen { to, owner, force, reason } => {
                let mut events = reopen(self, *to, reason, given)?;
                events.extend(given_back(self, *owner, force.then_some(reason), given)?);
                Ok(events)
            }
            Command::Revive { recycled, .. } => again::revive(self, outcome, *recycled, given),
            Command::HandBack { deal, .. } => again::hand_back(self, outcome, *deal, given),
            Command::AddContact { contact, role } => {
                with::add_contact_to_closed(self, *contact, *role, given)
            }
            Command::Archive {} => Ok(changed(!self.archived, Event::Archived(Archived {}))),
            _ => Err(closed(self, outcome, given)),
        }
    }

    /// What any deal accepts, open or closed; `None` for other commands.
    fn marked(&self, command: &Command, given: &Given<'_>) -> Option<Result<Vec<Event>, Refusal>> {
        Some(match command {
            Command::SetFields { fields } => field_changes::decide(Entity::Deal, &self.fields, fields, given)
                .map(|changes| changes.into_iter().map(FieldsChanged).map(Event::FieldsChanged).collect())
                .map_err(|problem| Refusal::BadFields { problem }),
            Command::Tag { tag } => dictionary::tag(*tag, given)
                .map(|tag| changed(!self.tags.contains(&tag), Event::Tagged(Tagged { tag })))
                .map_err(Refusal::from),
            Command::Untag { tag } => {
                Ok(changed(self.tags.contains(tag), Event::Untagged(Untagged { tag: *tag })))
            }
            Command::Follow { user } => {
                Ok(changed(!self.followers.contains(user), Event::Followed(Followed { user: *user })))
            }
            Command::Unfollow { user } => {
                Ok(changed(self.followers.contains(user), Event::Unfollowed(Unfollowed { user: *user })))
            }
            Command::Restore {} => Ok(changed(self.archived, Event::Restored(Restored {}))),
            _ => return None,
        })
    }

    fn evolved(mut self, event: &Event, occurred: &Occurred) -> Self {
        match event {
            Event::Merged(event) => merge::on_merged(&mut self, event),
            Event::Unmerged(event) => merge::on_unmerged(&mut self, event),
            Event::MergedInto(event) => self.merging.into = Some(event.survivor.0),
            Event::Separated(_) => self.merging.into = None,
            event => {
                self.apply(event, occurred);
                // Lines that came with a merge are no business of the deal without it.
                let taken = self.merging.merges.iter().rposition(|merge| merge.took.contains(merging::WORTH));
                for (at, without) in self.merging.withouts().enumerate() {
                    if !event.is_of_worth() || taken.is_none_or(|taken| taken < at) {
                        without.apply(event, occurred);
                    }
                }
            }
        }
        self
    }

    fn apply(&mut self, event: &Event, occurred: &Occurred) {
        if !matches!(event, Event::StageLimitExceeded(_) | Event::WentIdle(_) | Event::LeftWithoutTask(_)) {
            self.touched_at = self.touched_at.max(occurred.at());
        }
        self.with.evolve(event);
        self.lines.evolve(event);
        self.pace.evolve(event);
        self.reported.evolve(event);
        self.approvals.evolve(event);
        match event {
            Event::StageChanged(event) => self.enter(event.to, occurred),
            Event::PipelineChanged(event) => {
                self.pipeline = event.to_pipeline;
                self.enter(event.to, occurred);
            }
            Event::Won(event) => self.enter(event.stage, occurred),
            Event::Lost(event) => self.enter(event.stage, occurred),
            Event::Reopened(event) => self.enter(event.to, occurred),
            Event::Renamed(event) => self.name_of = Some(DealId(event.subject.0)),
            Event::StageCorrected(event) => {
                if let Some(visit) = index(event.visit).and_then(|at| self.visits.get_mut(at)) {
                    visit.stage = event.to;
                }
                self.stage = self.visits.last().map_or(self.stage, |visit| visit.stage);
            }
            Event::Assigned(event) => self.owner = Some(event.to),
            Event::ValueChanged(event) => self.value = Some(event.to),
            Event::ExpectedCloseChanged(event) => {
                self.expected_close = Some(event.to);
                self.push_count = event.push_count;
            }
            Event::FieldsChanged(event) => field_changes::apply(&mut self.fields, &event.0),
            Event::Tagged(event) => drop(self.tags.insert(event.tag)),
            Event::Untagged(event) => drop(self.tags.remove(&event.tag)),
            Event::Followed(event) => drop(self.followers.insert(event.user)),
            Event::Unfollowed(event) => drop(self.followers.remove(&event.user)),
            Event::Revived(event) => self.revived = Some(event.recycled),
            Event::HandedBack(event) => self.handed_back = Some(event.deal),
            Event::Archived(_) => self.archived = true,
            Event::Restored(_) => self.archived = false,
            _ => {}
        }
    }
}

fn repeat(previous: DealId, open: &Open, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let mut events = open_deal(open, Some(Origin::Repeat { previous }), given)?;
    events.push(Event::LinkedToPrevious(LinkedToPrevious { previous }));
    Ok(events)
}

fn leave_retired(deal: &OpenDeal, to: StageId, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, None, given)?;
    if deal.stage == to {
        return Ok(Vec::new());
    }
    if !config.is_retired(deal.stage) {
        return Err(Refusal::StageInForce);
    }
    let target = process_stage(config, to)?;
    Ok(vec![Event::StageChanged(StageChanged {
        from: deal.stage,
        to: target.id,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        with_task_of: Vec::new(),
        retired: true,
    })])
}

fn rename(name: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if name.is_blank() {
        return Err(Refusal::BlankName);
    }
    let subject = SubjectId(given.stream.0);
    Ok(vec![Event::Renamed(Renamed { subject, name: name.clone() })])
}

/// What a deal has, for the requirements of stages.
#[expect(clippy::struct_excessive_bools, reason = "each answers one requirement")]
struct Has<'a> {
    value: bool,
    expected_close: bool,
    party: bool,
    owner: bool,
    next_step: bool,
    fields: &'a BTreeMap<FieldId, Held>,
}

impl OpenDeal {
    fn has(&self) -> Has<'_> {
        Has {
            value: self.value.is_some_and(|value| !value.amount.is_zero()),
            expected_close: self.expected_close.is_some(),
            party: !self.with.is_nobody(),
            owner: self.owner.is_some(),
            next_step: self.pace.next_step,
            fields: &self.fields,
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Enter,
    Leave,
}

/// Whether what `stage` wants on this side is there.
fn required(config: &Config, stage: &Stage, side: Side, has: &Has<'_>) -> Result<(), Refusal> {
    let Some(terms) = config.terms.get(&stage.id) else { return Ok(()) };
    let (wanted, side) = match side {
        Side::Enter => (&terms.entry, "enters"),
        Side::Leave => (&terms.exit, "leaves"),
    };
    let missing: Vec<String> = wanted.iter().filter_map(|wanted| lacks(*wanted, has)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::Requirements { stage: stage.name.clone(), side, missing })
}

fn lacks(wanted: Requirement, has: &Has<'_>) -> Option<String> {
    let (there, name) = match wanted {
        Requirement::Value => (has.value, "a value".to_owned()),
        Requirement::ExpectedClose => (has.expected_close, "an expected close".to_owned()),
        Requirement::Party => (has.party, "a contact or company".to_owned()),
        Requirement::Owner => (has.owner, "an owner".to_owned()),
        Requirement::NextStep => (has.next_step, "a next step".to_owned()),
        Requirement::Field(field) => (has.fields.contains_key(&field), format!("field {field}")),
    };
    (!there).then_some(name)
}

fn open_deal(open: &Open, origin: Option<Origin>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let config = rules(open.pipeline, open.pipeline_version, given)?;
    not_archived(config, "open the deal in a pipeline that is in force")?;
    let entry = open.stage.or_else(|| config.entry_stages.first().copied());
    let entry = entry.expect("a pipeline has an entry stage from its creation on");
    let is_entry = |stage: &&Stage| config.entry_stages.contains(&stage.id);
    let accepted = || config.stages.iter().filter(is_entry).map(|stage| stage.name.clone()).collect();
    let stage = known(config, entry, accepted)?;
    not_retired(config, stage, accepted)?;
    if !is_entry(&stage) {
        return Err(Refusal::NotAnEntryStage { stage: stage.name.clone(), accepted: accepted() });
    }
    if config.policy.party_required && open.party.is_none() {
        return Err(Refusal::PartyRequired);
    }
    if open.party.is_none() && !open.party_name.is_blank() {
        return Err(Refusal::NameWithoutParty);
    }
    if let Some(value) = open.value {
        not_negative(value)?;
    }
    if let Some(owner) = open.owner {
        assignee::check(owner, given, None)?;
    }
    if let Some(origin) = origin {
        again::check(origin, open, given)?;
    }
    let has = Has {
        value: open.value.is_some_and(|value| !value.amount.is_zero()),
        expected_close: open.expected_close.is_some(),
        party: open.party.is_some(),
        owner: open.owner.is_some(),
        next_step: false,
        fields: &BTreeMap::new(),
    };
    required(config, stage, Side::Enter, &has)?;
    Ok(vec![Event::Opened(Opened {
        pipeline: open.pipeline,
        pipeline_version: config.version,
        stage: stage.id,
        party: open.party,
        party_name: open.party_name.unless_blank(),
        owner: open.owner,
        value: open.value,
        expected_close: open.expected_close,
        external: open.external.clone(),
        origin,
    })])
}

fn move_on(
    deal: &OpenDeal,
    to: StageId,
    named: Option<Version>,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, named, given)?;
    not_archived(config, "CloseWon and CloseLost are accepted")?;
    let target = process_stage(config, to)?;
    if target.id == deal.stage {
        return Ok(Vec::new());
    }
    follows_order(config, deal.stage, target)?;
    leaves(deal, config)?;
    required(config, target, Side::Enter, &deal.has())?;
    forward_in_time(deal, given)?;
    Ok(vec![Event::StageChanged(StageChanged {
        from: deal.stage,
        to,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        with_task_of: if config.policy.next_task_required { deal.all(given) } else { Vec::new() },
        retired: false,
    })])
}

/// Whether the deal has what its stage wants before it is left.
fn leaves(deal: &OpenDeal, config: &Config) -> Result<(), Refusal> {
    config.stage(deal.stage).map_or(Ok(()), |stage| required(config, stage, Side::Leave, &deal.has()))
}

/// The movement policy: forward only, one stage at a time, unless it allows more.
fn follows_order(config: &Config, from: StageId, target: &Stage) -> Result<(), Refusal> {
    let process: Vec<&Stage> = config.of_class(Class::Process).collect();
    let place = |id| process.iter().position(|stage| stage.id == id);
    let (Some(here), Some(there)) = (place(from), place(target.id)) else { return Ok(()) };
    let accepted = || accepted_moves(config, &process, here);
    let (from, to) = (process[here].name.clone(), target.name.clone());
    if there < here && !config.policy.allow_backward {
        return Err(Refusal::Backward { from, to, accepted: accepted() });
    }
    if there > here + 1 && !config.policy.allow_skip {
        let skipped = process[here + 1..there].iter().map(|stage| stage.name.clone()).collect();
        return Err(Refusal::Skips { from, to, skipped, accepted: accepted() });
    }
    Ok(())
}

fn accepted_moves(config: &Config, process: &[&Stage], here: usize) -> Vec<String> {
    let may_move = |there: usize| match there.cmp(&here) {
        std::cmp::Ordering::Less => config.policy.allow_backward,
        std::cmp::Ordering::Equal => false,
        std::cmp::Ordering::Greater => there == here + 1 || config.policy.allow_skip,
    };
    let moves = process.iter().enumerate().filter(|(there, _)| may_move(*there));
    moves.map(|(_, stage)| stage.name.clone()).collect()
}

fn correct(
    deal: &OpenDeal,
    visit: i32,
    to: StageId,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let Some(Visit { pipeline, stage: from }) = deal.visit(visit) else {
        return Err(Refusal::NoSuchVisit { visit, last: deal.visit_count() });
    };
    let config = rules(pipeline, None, given)?;
    let target = process_stage(config, to)?;
    if config.stage(from).is_some_and(|stage| stage.class != Class::Process) {
        return Err(Refusal::ClosingVisit { visit });
    }
    if from == target.id {
        return Ok(Vec::new());
    }
    needs_reason(reason, given)?;
    Ok(vec![Event::StageCorrected(StageCorrected {
        visit,
        from,
        to,
        pipeline_version: config.version,
        current: visit == deal.visit_count() && deal.merging.into.is_none(),
        subject: SubjectId(given.stream.0),
        reason: reason.unless_blank(),
    })])
}

fn assign(
    deal: &OpenDeal,
    owner: UserId,
    force: Option<&Personal>,
    reason: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    if deal.owner == Some(owner) {
        return Ok(Vec::new());
    }
    let assignable = assignee::check(owner, given, force)?;
    Ok(vec![Event::Assigned(Assigned {
        from: deal.owner,
        to: owner,
        forced: assignable.forced,
        subject: own_key(reason, given),
        reason: reason.unless_blank(),
    })])
}

fn set_value(deal: &OpenDeal, value: Money) -> Result<Vec<Event>, Refusal> {
    not_negative(value)?;
    if deal.value == Some(value) {
        return Ok(Vec::new());
    }
    if !deal.lines.is_empty() {
        return Err(Refusal::ValueFromLines);
    }
    Ok(vec![Event::ValueChanged(ValueChanged { from: deal.value, to: value })])
}

fn set_expected_close(deal: &OpenDeal, date: NaiveDate) -> Vec<Event> {
    if deal.expected_close == Some(date) {
        return Vec::new();
    }
    let pushed = deal.expected_close.is_some_and(|from| date > from);
    let push_count = deal.push_count + i32::from(pushed);
    vec![Event::ExpectedCloseChanged(ExpectedCloseChanged {
        from: deal.expected_close,
        to: date,
        push_count,
    })]
}

fn win(deal: &OpenDeal, named: Option<Version>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, named, given)?;
    forward_in_time(deal, given)?;
    if config.policy.value_required
        && !deal.value.is_some_and(|value| value.amount.is_sign_positive() && !value.amount.is_zero())
    {
        return Err(Refusal::ValueRequired);
    }
    let pending = deal.approvals.pending();
    if !pending.is_empty() {
        return Err(Refusal::ApprovalPending { pending });
    }
    let success = config.of_class(Class::Success).next().expect("a pipeline has a success stage");
    leaves(deal, config)?;
    required(config, success, Side::Enter, &deal.has())?;
    Ok(vec![Event::Won(Won {
        from: deal.stage,
        stage: success.id,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        holds: Some(deal.holds_in(deal.stage)),
        value: deal.value,
    })])
}

fn lose(
    deal: &OpenDeal,
    config: &Config,
    reason: Option<LossReasonId>,
    stage: Option<StageId>,
    comment: &Personal,
    given: &Given<'_>,
) -> Result<Vec<Event>, Refusal> {
    let reasons = given.facts.loss_reasons();
    let accepted = || reasons.map_or_else(Vec::new, |reasons| reasons.accepted(deal.pipeline));
    let Some(reason) = reason else {
        return Err(Refusal::LossReasonMissing { accepted: accepted() });
    };
    let serves =
        reasons.and_then(|reasons| reasons.get(reason)).is_some_and(|reason| reason.serves(deal.pipeline));
    if !serves {
        return Err(Refusal::LossReasonUnknown { reason, accepted: accepted() });
    }
    let failure = match stage {
        Some(id) => stage_of(config, id, Class::Failure)?,
        None => config.of_class(Class::Failure).next().expect("a pipeline has a failure stage"),
    };
    forward_in_time(deal, given)?;
    Ok(vec![Event::Lost(Lost {
        from: deal.stage,
        stage: failure.id,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        holds: Some(deal.holds_in(deal.stage)),
        reason,
        subject: own_key(comment, given),
        comment: comment.unless_blank(),
    })])
}

fn reopen(deal: &OpenDeal, to: StageId, reason: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    let config = rules(deal.pipeline, None, given)?;
    if !config.policy.allow_reopen {
        let won = config.stage(deal.stage).is_some_and(|stage| stage.class == Class::Success);
        let outcome = if won { Outcome::Won } else { Outcome::Lost };
        return Err(Refusal::Closed { outcome: outcome.as_str(), may_reopen: false });
    }
    not_archived(config, "open a new deal in a pipeline that is in force")?;
    within_grace(deal, config, given)?;
    let target = process_stage(config, to)?;
    needs_reason(reason, given)?;
    forward_in_time(deal, given)?;
    Ok(vec![Event::Reopened(Reopened {
        from: deal.stage,
        to: target.id,
        pipeline_version: config.version,
        visit: deal.next_visit(),
        holds: Some(deal.holds_in(target.id)),
        subject: own_key(reason, given),
        reason: reason.unless_blank(),
    })])
}

/// Of a deal that is open again: nothing, if whoever owned it is there to have it back. The reason stands in the event
/// before.
fn given_back(
    deal: &OpenDeal,
    named: Option<UserId>,
    force: Option<&Personal>,
    given: &Given<'_>,
) -> Result<Option<Event>, Refusal> {
    let Some(before) = deal.owner.or(named) else { return Ok(None) };
    let Assignable { user: to, forced } = assignee::back(named, before, "owner", given, force)?;
    let (from, reason) = (deal.owner, Personal::default());
    let assigned = Event::Assigned(Assigned { from, to, forced, subject: None, reason });
    Ok((forced || from != Some(to)).then_some(assigned))
}

fn within_grace(deal: &OpenDeal, config: &Config, given: &Given<'_>) -> Result<(), Refusal> {
    let (Some(grace_days), Some(closed)) = (config.policy.grace_days, deal.entered_at) else { return Ok(()) };
    let reopened = given.occurred.and_then(Occurred::at).unwrap_or(given.now);
    let days = (reopened - closed).num_days();
    if days >= i64::from(grace_days) { Err(Refusal::GraceOver { days, grace_days }) } else { Ok(()) }
}

fn closed(deal: &OpenDeal, outcome: Outcome, given: &Given<'_>) -> Refusal {
    let config = given.facts.pipeline(deal.pipeline).and_then(Pipeline::config);
    let may_reopen = config.is_some_and(|config| config.policy.allow_reopen);
    Refusal::Closed { outcome: outcome.as_str(), may_reopen }
}

/// The rules in force; a command that names an older version conflicts only if they changed since.
fn rules<'a>(pipeline: PipelineId, named: Option<Version>, given: &Given<'a>) -> Result<&'a Config, Refusal> {
    let facts = given.facts;
    let config =
        facts.pipeline(pipeline).and_then(Pipeline::config).ok_or(Refusal::NoSuchPipeline { pipeline })?;
    match named {
        Some(named) if named > config.version => {
            Err(Refusal::NoSuchVersion { named, current: config.version })
        }
        Some(named) if named < config.rules_version => {
            Err(Refusal::RulesChanged { named, changed_in: config.rules_version, current: config.version })
        }
        _ => Ok(config),
    }
}

fn known(config: &Config, id: StageId, accepted: impl FnOnce() -> Vec<String>) -> Result<&Stage, Refusal> {
    config.stage(id).ok_or_else(|| Refusal::UnknownStage {
        stage: id,
        pipeline: config.name.clone(),
        accepted: accepted(),
    })
}

/// History names retired stages; no deal enters one.
fn not_retired(
    config: &Config,
    stage: &Stage,
    accepted: impl FnOnce() -> Vec<String>,
) -> Result<(), Refusal> {
    if config.is_retired(stage.id) {
        return Err(Refusal::StageRetired { stage: stage.name.clone(), accepted: accepted() });
    }
    Ok(())
}

/// An archived pipeline lets deals go and takes none.
fn not_archived(config: &Config, accepted: &'static str) -> Result<(), Refusal> {
    if config.archived {
        return Err(Refusal::PipelineArchived { pipeline: config.name.clone(), accepted });
    }
    Ok(())
}

fn process_stage(config: &Config, id: StageId) -> Result<&Stage, Refusal> {
    stage_of(config, id, Class::Process)
}

fn stage_of(config: &Config, id: StageId, class: Class) -> Result<&Stage, Refusal> {
    let stage = known(config, id, || config.names_of(class))?;
    not_retired(config, stage, || config.names_of(class))?;
    if stage.class == class {
        return Ok(stage);
    }
    let command = match stage.class {
        Class::Process => "MoveDeal",
        Class::Success => "CloseWon",
        Class::Failure => "CloseLost",
    };
    Err(Refusal::WrongClass { stage: stage.name.clone(), class: stage.class, command })
}

fn not_negative(value: Money) -> Result<(), Refusal> {
    if value.amount.is_sign_negative() && !value.amount.is_zero() {
        return Err(Refusal::NegativeValue { amount: value.to_string() });
    }
    Ok(())
}

fn needs_reason(reason: &Personal, given: &Given<'_>) -> Result<(), Refusal> {
    if given.has_reason(reason) { Ok(()) } else { Err(Refusal::ReasonMissing) }
}

fn own_key(text: &Personal, given: &Given<'_>) -> Option<SubjectId> {
    (!text.is_blank()).then_some(SubjectId(given.stream.0))
}

fn forward_in_time(deal: &OpenDeal, given: &Given<'_>) -> Result<(), Refusal> {
    match given.runs_backwards(deal.entered_at) {
        Some((occurred, last)) => Err(Refusal::RunsBackwards { occurred, last }),
        None => Ok(()),
    }
}
