//! What the funnel takes from the domain.

pub use kvali_domain::money::{Currency, Money};
pub use kvali_domain::{DealId, StageId, UserId};
