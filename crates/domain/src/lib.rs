//! The rules of the CRM: what a command may do, and what its events make of the state.
//!
//! Pure: no I/O, no clock, no randomness. All that a decision needs is an argument.

pub mod canonical;
pub mod claim;
pub mod deal;
pub mod decider;
mod example;
pub mod history;
pub mod ids;
pub mod loss_reasons;
pub mod money;
pub mod occurred;
pub mod personal;
pub mod pipeline;
pub mod recorded;
mod registry;
pub mod subject;
pub mod user;

pub use claim::{Claim, Condition};
pub use decider::{Decider, Facts, Given, Version};
pub use ids::*;
pub use money::Money;
pub use occurred::Occurred;
pub use personal::{Personal, PersonalField};
pub use recorded::{Channel, Recorded};
pub use registry::{
    Aggregate, Command, CommandError, CommandType, DecodeError, Event, General, Order, Reads, Refusal, State,
    command_types, event_types,
};
