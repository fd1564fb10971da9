//! The sample company: its people, its pipeline, its reasons for losing.

use crate::ids;
use kvali_domain::pipeline::{self, Class, Policy, Stage};
use kvali_domain::{LossReasonId, PipelineId, StageId, UserId};

pub(crate) const PIPELINE: &str = "Sales";

/// Each stage is named for what has been achieved when a deal stands in it.
pub(crate) const STAGES: [(&str, Class); 7] = [
    ("Lead", Class::Process),
    ("Qualified", Class::Process),
    ("Needs understood", Class::Process),
    ("Offer sent", Class::Process),
    ("Contract sent", Class::Process),
    ("Won", Class::Success),
    ("Lost", Class::Failure),
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

/// Code, label, and how often it is the one.
pub(crate) const LOSS_REASONS: [(u32, (&str, &str)); 6] = [
    (30, ("price", "Too expensive")),
    (22, ("no_reply", "Stopped replying")),
    (18, ("competitor", "Chose a competitor")),
    (14, ("no_budget", "No budget")),
    (10, ("bad_timing", "Not now")),
    (6, ("missing_feature", "Lacks what they need")),
];

pub(crate) const CUSTOMERS: [&str; 24] = [
    "ალაზანი",
    "Borjomi Trade",
    "ვარდზია",
    "Caucasus Foods",
    "გერგეთი",
    "Didube Logistics",
    "ენგური",
    "Black Sea Freight",
    "თბილისი ტექსტილი",
    "Kazbegi Hotels",
    "კოლხეთი",
    "Likani Resort",
    "მთაწმინდა",
    "Nordwind GmbH",
    "ოკრიბა",
    "Poti Shipping",
    "რაჭა ვაინი",
    "Svaneti Tours",
    "უშბა",
    "Vake Clinic",
    "შირაქი",
    "Adriatica Srl",
    "ცივგომბორი",
    "Zugdidi Agro",
];

pub(crate) const BRANCHES: [&str; 5] = ["", " Batumi", " Kutaisi", " Holding", " & Sons"];

pub(crate) fn pipeline() -> PipelineId {
    ids::pipeline(PIPELINE)
}

pub(crate) fn stage(at: usize) -> StageId {
    ids::stage(pipeline(), STAGES[at].0)
}

pub(crate) fn owner(at: usize) -> UserId {
    ids::invented_user(OWNERS[at].0)
}

pub(crate) fn reason(code: &str) -> LossReasonId {
    ids::loss_reason(code)
}

/// Strict: forward only, one stage at a time, and what is closed stays closed.
pub(crate) fn create() -> pipeline::Command {
    let stages = STAGES.iter().enumerate();
    let stages =
        stages.map(|(at, (name, class))| Stage { id: stage(at), name: (*name).into(), class: *class });
    pipeline::Command::Create {
        name: PIPELINE.to_owned(),
        stages: stages.collect(),
        entry_stages: Vec::new(),
        policy: Policy::default(),
    }
}
