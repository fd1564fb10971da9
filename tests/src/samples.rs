//! A small pipeline to test with.

use crate::{accepted, envelope, new_id, order};
use kvali_domain::deal::{self, Open};
use kvali_domain::pipeline::{self, Class, Policy, Stage};
use kvali_domain::{DealId, LossReasonId, PipelineId, StageId, TenantId, loss_reasons};
use kvali_eventstore::Store;
use uuid::Uuid;

/// Lead → Offer → Contract, Won, Lost; one loss reason.
pub struct Sales {
    pub tenant: TenantId,
    pub pipeline: PipelineId,
    pub reason: LossReasonId,
}

pub const LEAD: StageId = StageId(Uuid::from_u128(0x51));
pub const OFFER: StageId = StageId(Uuid::from_u128(0x52));
pub const CONTRACT: StageId = StageId(Uuid::from_u128(0x53));
pub const WON: StageId = StageId(Uuid::from_u128(0x54));
pub const LOST: StageId = StageId(Uuid::from_u128(0x55));

/// Of a pipeline for service: Intake → Repair, Done, Gone.
pub const INTAKE: StageId = StageId(Uuid::from_u128(0x61));
pub const REPAIR: StageId = StageId(Uuid::from_u128(0x62));
pub const DONE: StageId = StageId(Uuid::from_u128(0x63));
pub const GONE: StageId = StageId(Uuid::from_u128(0x64));

impl Sales {
    pub async fn set_up(store: &Store, tenant: TenantId, policy: Policy) -> Self {
        let sales = Self { tenant, pipeline: PipelineId(new_id()), reason: LossReasonId(new_id()) };
        let create = create_pipeline("Sales", policy);
        accepted(store.handle(order(sales.pipeline.stream(), create), envelope(tenant)).await);
        let define = loss_reasons::Command::Define {
            reason: sales.reason,
            code: "price".into(),
            label: "Too expensive".into(),
            pipelines: Vec::new(),
        };
        accepted(store.handle(order(loss_reasons::STREAM, define), envelope(tenant)).await);
        sales
    }

    /// A second pipeline, of that name.
    pub async fn service(&self, store: &Store, name: &str) -> PipelineId {
        let service = PipelineId(new_id());
        let stage = |id, name: &str, class| Stage { id, name: name.into(), class };
        let create = pipeline::Command::Create {
            name: name.into(),
            stages: vec![
                stage(INTAKE, "Intake", Class::Process),
                stage(REPAIR, "Repair", Class::Process),
                stage(DONE, "Done", Class::Success),
                stage(GONE, "Gone", Class::Failure),
            ],
            entry_stages: Vec::new(),
            policy: Policy::PERMISSIVE,
        };
        accepted(store.handle(order(service.stream(), create), envelope(self.tenant)).await);
        service
    }

    pub async fn open_deal(&self, store: &Store) -> DealId {
        let deal = DealId(new_id());
        let open = deal::Command::Open(Open::new(self.pipeline));
        accepted(store.handle(order(deal.stream(), open), envelope(self.tenant)).await);
        deal
    }
}

pub fn create_pipeline(name: &str, policy: Policy) -> pipeline::Command {
    let stage = |id, name: &str, class| Stage { id, name: name.into(), class };
    pipeline::Command::Create {
        name: name.into(),
        stages: vec![
            stage(LEAD, "Lead", Class::Process),
            stage(OFFER, "Offer", Class::Process),
            stage(CONTRACT, "Contract", Class::Process),
            stage(WON, "Won", Class::Success),
            stage(LOST, "Lost", Class::Failure),
        ],
        entry_stages: Vec::new(),
        policy,
    }
}

pub fn transfer(pipeline: PipelineId, to: StageId) -> deal::Command {
    deal::Command::Transfer { pipeline, to, pipeline_version: None }
}

pub fn move_to(stage: StageId) -> deal::Command {
    deal::Command::Move { to: stage, pipeline_version: None }
}
