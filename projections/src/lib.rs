//! Read models: one folder per question that the CRM answers, one line here.

mod ask;
pub mod audit_trail;
mod called;
pub mod conversion_funnel;
pub mod deal_board;
pub mod duplicate_candidates;
pub mod field_completeness;
pub mod overdue_tasks;
mod owner;
mod rows;
pub mod search;
mod sql;
pub mod timeline;

pub use ask::AskError;

use kvali_eventstore::project::Projection;
use std::sync::Arc;

/// Every read model.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(conversion_funnel::ConversionFunnel),
        Arc::new(overdue_tasks::OverdueTasks),
        Arc::new(deal_board::DealBoard),
        Arc::new(timeline::Timeline),
        Arc::new(field_completeness::FieldCompleteness),
        Arc::new(duplicate_candidates::DuplicateCandidates),
        Arc::new(search::Search),
    ]
}
