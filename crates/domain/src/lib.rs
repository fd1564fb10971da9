//! The rules of the CRM: what a command may do, and what its events make of the state.
//!
//! Pure: no I/O, no clock, no randomness. All that a decision needs is an argument.

pub mod absence;
pub mod access;
pub mod activity_types;
pub mod assignee;
pub mod calendar;
pub mod call;
pub mod canonical;
pub mod claim;
pub mod company;
pub mod contact;
pub mod contact_point;
pub mod content_hash;
pub mod conversation;
pub mod country;
pub mod deal;
pub mod decider;
pub mod dictionary;
pub mod due;
pub mod duplicate;
mod example;
pub mod exchange_rates;
pub mod field_changes;
pub mod fields;
pub mod free_mail;
pub mod funnel;
pub mod handover;
pub mod history;
pub mod ids;
pub mod label;
pub mod lead;
pub mod legal_id;
pub mod loss_reasons;
pub mod match_rule;
pub mod meeting;
pub mod merge;
pub mod money;
pub mod note;
pub mod occurred;
pub mod personal;
pub mod pipeline;
pub mod recorded;
mod refusal;
mod registry;
pub mod sources;
mod stage_names;
pub mod subject;
pub mod tags;
pub mod target;
pub mod task;
pub mod task_templates;
pub mod team;
pub mod text;
pub mod user;

pub use claim::{Claim, Condition};
pub use content_hash::ContentHash;
pub use decider::{Decider, Facts, Given, Version};
pub use due::Due;
pub use ids::*;
pub use money::Money;
pub use occurred::Occurred;
pub use personal::{Personal, PersonalField};
pub use recorded::{Channel, Recorded};
pub use refusal::RefusalType;
pub use registry::{
    Aggregate, Command, CommandError, CommandType, DecodeError, Event, General, Order, Reads, Refusal, State,
    command_types, event_types, place, refusal_types,
};
