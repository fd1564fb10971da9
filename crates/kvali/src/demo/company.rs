//! The sample company: its people, its pipelines, its dictionaries, its customers.

use crate::ids;
use kvali_domain::pipeline::Class;
use kvali_domain::sources::ChannelType;
use kvali_domain::{
    ActivityTypeId, CompanyId, ContactId, FieldId, LossReasonId, PipelineId, SourceId, StageId, TagId,
    TaskTemplateId, UserId,
};

pub(crate) const PIPELINE: &str = "Sales";
pub(crate) const FUNNEL: &str = "Won within a quarter";
pub(crate) const RECYCLE: &str = "Second chance";
pub(crate) const ZONE: chrono_tz::Tz = chrono_tz::Asia::Tbilisi;

/// A stage, and what a deal needs and gets there.
pub(crate) struct StageRow {
    /// What has been achieved when a deal stands in it.
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    /// In percent.
    pub(crate) probability: i32,
    pub(crate) max_days: Option<i32>,
    pub(crate) hint: &'static str,
    /// The task that comes with the stage, and in how many days it is due.
    pub(crate) task: Option<(&'static str, i32)>,
}

const fn stage_row(
    name: &'static str,
    probability: i32,
    max_days: i32,
    hint: &'static str,
    task: (&'static str, i32),
) -> StageRow {
    StageRow { name, class: Class::Process, probability, max_days: Some(max_days), hint, task: Some(task) }
}

const fn last(name: &'static str, class: Class, probability: i32) -> StageRow {
    StageRow { name, class, probability, max_days: None, hint: "", task: None }
}

pub(crate) const STAGES: [StageRow; 7] = [
    stage_row("Lead", 5, 10, "Call within a day; find out who decides.", ("First call", 1)),
    stage_row("Qualified", 20, 20, "Need, budget, date: write each down.", ("Ask for needs and budget", 3)),
    stage_row(
        "Needs understood",
        40,
        28,
        "No offer before the needs are in the notes.",
        ("Prepare the offer", 5),
    ),
    stage_row("Offer sent", 60, 25, "Ask within three days what is missing.", ("Follow up on the offer", 3)),
    stage_row("Contract sent", 80, 20, "Get the date of signature.", ("Get the signature", 7)),
    last("Won", Class::Success, 100),
    last("Lost", Class::Failure, 0),
];

/// Where lost deals are tried again.
pub(crate) const RECYCLE_STAGES: [StageRow; 4] = [
    stage_row("Taken up", 5, 30, "Read why it was lost before you call.", ("Call again", 5)),
    stage_row("Interest renewed", 20, 30, "Hand it back once there is a need.", ("Ask what has changed", 5)),
    last("Handed back", Class::Success, 100),
    last("Given up", Class::Failure, 0),
];

/// Names, and by how many points of a hundred they do better or worse than usual at each step.
pub(crate) const OWNERS: [(&str, i32); 8] = [
    ("ნინო ბერიძე", 6),
    ("Giorgi Kapanadze", 2),
    ("თამარ ლომიძე", 0),
    ("Anna Schmidt", 4),
    ("დავით მაისურაძე", -3),
    ("Luca Rossi", -6),
    ("Mariam Gelashvili", 1),
    ("ლევან წიკლაური", -1),
];

/// Who leads the others, and who is away for a while; with mail addresses.
pub(crate) const HEAD: (&str, &str) = ("თინათინ ჩხეიძე", "tinatin@kvali.example");
pub(crate) const AWAY: (&str, &str) = ("ეკა ჯაფარიძე", "eka@kvali.example");

/// Code, label, and how often it is the one.
pub(crate) const LOSS_REASONS: [(u32, (&str, &str)); 6] = [
    (30, ("price", "Too expensive")),
    (22, ("no_reply", "Stopped replying")),
    (18, ("competitor", "Chose a competitor")),
    (14, ("no_budget", "No budget")),
    (10, ("bad_timing", "Not now")),
    (6, ("missing_feature", "Lacks what they need")),
];

pub(crate) const SOURCES: [(u32, (&str, &str, ChannelType)); 5] = [
    (35, ("site", "Web site", ChannelType::WebForm)),
    (25, ("phone", "Inbound call", ChannelType::Phone)),
    (15, ("referral", "Referral", ChannelType::Referral)),
    (15, ("ads", "Advertisement", ChannelType::Advertisement)),
    (10, ("expo", "Trade fair", ChannelType::Event)),
];

pub(crate) const TAGS: [&str; 4] = ["Key account", "Export", "Urgent", "Partner"];

/// Name, and the first part of the domain.
pub(crate) const CUSTOMERS: [(&str, &str); 24] = [
    ("ალაზანი", "alazani"),
    ("Borjomi Trade", "borjomi-trade"),
    ("ვარდზია", "vardzia"),
    ("Caucasus Foods", "caucasus-foods"),
    ("გერგეთი", "gergeti"),
    ("Didube Logistics", "didube"),
    ("ენგური", "enguri"),
    ("Black Sea Freight", "black-sea-freight"),
    ("თბილისი ტექსტილი", "tbilisi-textile"),
    ("Kazbegi Hotels", "kazbegi-hotels"),
    ("კოლხეთი", "kolkheti"),
    ("Likani Resort", "likani"),
    ("მთაწმინდა", "mtatsminda"),
    ("Nordwind GmbH", "nordwind"),
    ("ოკრიბა", "okriba"),
    ("Poti Shipping", "poti-shipping"),
    ("რაჭა ვაინი", "racha-wine"),
    ("Svaneti Tours", "svaneti-tours"),
    ("უშბა", "ushba"),
    ("Vake Clinic", "vake-clinic"),
    ("შირაქი", "shiraki"),
    ("Adriatica Srl", "adriatica"),
    ("ცივგომბორი", "tsivgombori"),
    ("Zugdidi Agro", "zugdidi-agro"),
];

/// What is added to a customer's name, and to its domain. The holding stands above the others.
pub(crate) const BRANCHES: [(&str, &str); 5] = [
    ("", ""),
    (" Batumi", "-batumi"),
    (" Kutaisi", "-kutaisi"),
    (" Holding", "-holding"),
    (" & Sons", "-sons"),
];
pub(crate) const HOLDING: usize = 3;

/// Given and family names, and how they are written in addresses.
pub(crate) const GIVEN: [(&str, &str); 8] = [
    ("ნანა", "nana"),
    ("Irakli", "irakli"),
    ("ქეთევან", "ketevan"),
    ("Thomas", "thomas"),
    ("ზურაბ", "zurab"),
    ("Elena", "elena"),
    ("Salome", "salome"),
    ("ვახტანგ", "vakhtang"),
];
pub(crate) const FAMILY: [(&str, &str); 8] = [
    ("აბაშიძე", "abashidze"),
    ("Kobalia", "kobalia"),
    ("დვალი", "dvali"),
    ("Weber", "weber"),
    ("მელაძე", "meladze"),
    ("Bianchi", "bianchi"),
    ("Tsereteli", "tsereteli"),
    ("ხვედელიძე", "khvedelidze"),
];

pub(crate) fn pipeline() -> PipelineId {
    ids::pipeline(PIPELINE)
}

pub(crate) fn recycle() -> PipelineId {
    ids::pipeline(RECYCLE)
}

pub(crate) fn stage(at: usize) -> StageId {
    ids::stage(pipeline(), STAGES[at].name)
}

pub(crate) fn recycle_stage(at: usize) -> StageId {
    ids::stage(recycle(), RECYCLE_STAGES[at].name)
}

pub(crate) fn owner(at: usize) -> UserId {
    ids::invented_user(OWNERS[at].0)
}

pub(crate) fn head() -> UserId {
    ids::invented_user(HEAD.0)
}

pub(crate) fn away() -> UserId {
    ids::invented_user(AWAY.0)
}

pub(crate) fn reason(code: &str) -> LossReasonId {
    ids::loss_reason(code)
}

pub(crate) fn source(code: &str) -> SourceId {
    SourceId(ids::invented("source", code))
}

pub(crate) fn tag(name: &str) -> TagId {
    TagId(ids::invented("tag", name))
}

pub(crate) fn field(key: &str) -> FieldId {
    FieldId(ids::invented("field", key))
}

pub(crate) fn activity_type(code: &str) -> ActivityTypeId {
    ActivityTypeId(ids::invented("activity type", code))
}

pub(crate) fn template(subject: &str) -> TaskTemplateId {
    TaskTemplateId(ids::invented("task template", subject))
}

/// A customer's company, by the places of its name and its branch.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) customer: usize,
    pub(crate) branch: usize,
}

impl Account {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..CUSTOMERS.len())
            .flat_map(|customer| (0..BRANCHES.len()).map(move |branch| Self { customer, branch }))
    }

    pub(crate) fn name(self) -> String {
        format!("{}{}", CUSTOMERS[self.customer].0, BRANCHES[self.branch].0)
    }

    /// Of the top-level domain that nobody can own.
    pub(crate) fn domain(self) -> String {
        format!("{}{}.example", CUSTOMERS[self.customer].1, BRANCHES[self.branch].1)
    }

    pub(crate) fn id(self) -> CompanyId {
        CompanyId(ids::invented("account", &self.name()))
    }

    /// The first or the second person there.
    pub(crate) fn contact(self, nth: u32) -> ContactId {
        ContactId(ids::invented("contact", &format!("{}/{nth}", self.domain())))
    }
}
