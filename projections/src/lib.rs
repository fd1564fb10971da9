//! Read models: one folder per question that the CRM answers, one line here.

pub mod conversion_funnel;
mod sql;

use kvali_eventstore::project::Projection;
use std::sync::Arc;

/// Every read model.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![Arc::new(conversion_funnel::ConversionFunnel)]
}
