//! Which records may be one, and why: pairs of leads, contacts and companies that share a key, scored field by field.
//!
//! `fold` to `compare` say what two records agree in, `weights` to `score` what that is worth, `fit` and `cluster` what
//! follows from decisions and pairs; all of it is pure. `facts` says what events make of records, `model` keeps them in
//! tables, `query` answers from them.

mod address;
mod birth_date;
mod cluster;
pub mod compare;
mod details;
mod facts;
mod fit;
pub(crate) mod fold;
pub mod judge;
mod keys;
mod level;
mod model;
mod name;
mod nicknames;
mod organisation;
mod pairing;
mod query;
mod rarity;
mod reach;
mod rule;
mod score;
pub(crate) mod sound;
mod tables;
#[cfg(test)]
mod tests;
mod weights;

pub use details::{Details, Profile};
pub use facts::RecordKind;
pub use fit::{Decision, HoldOut, NotFitted, fit};
pub use judge::{BLOCK_LIMIT, Judgement, Labelled, Quality, Share, Trial, judge};
pub use keys::{Hasher, keys};
pub use level::Level;
pub use model::DuplicateCandidates;
pub use query::{Ask, Candidate, Explain, Explained, Filter, Found, List, Named, Place};
pub use rarity::Rarity;
pub use rule::rule;
pub use score::{Addend, Model, Score, Verdict};
pub use weights::Weights;
