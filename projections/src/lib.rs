//! Read models: one folder per question that the CRM answers, one line here.

pub mod conversion_funnel;
pub mod duplicate_candidates;

use kvali_eventstore::project::Projection;
use std::sync::Arc;

/// Every read model.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![Arc::new(conversion_funnel::ConversionFunnel), Arc::new(duplicate_candidates::DuplicateCandidates)]
}
