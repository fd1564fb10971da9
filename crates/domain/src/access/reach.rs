//! Whose records somebody may see, and whose he may change.

use crate::UserId;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// Up to where a right reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// One's own records, and those that are nobody's.
    Own,
    /// Those of one's team besides, and of the teams below a team that one manages.
    Team,
    All,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Team => "team",
            Self::All => "all",
        }
    }
}

/// The owners whose records a right reaches. A record that is nobody's is within everybody's reach.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Reach {
    #[default]
    All,
    Of(Arc<BTreeSet<UserId>>),
}

impl Reach {
    pub fn of(owners: impl IntoIterator<Item = UserId>) -> Self {
        Self::Of(Arc::new(owners.into_iter().collect()))
    }

    pub fn covers(&self, owner: Option<UserId>) -> bool {
        match (self, owner) {
            (Self::All, _) | (_, None) => true,
            (Self::Of(owners), Some(owner)) => owners.contains(&owner),
        }
    }

    /// As a statement takes it: `None` is everybody's.
    pub fn owners(&self) -> Option<Vec<Uuid>> {
        match self {
            Self::All => None,
            Self::Of(owners) => Some(owners.iter().map(|owner| owner.0).collect()),
        }
    }
}

/// How far the sender of a command reaches.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Reaches {
    /// What lies beyond looks as if it were not there.
    pub seeing: Reach,
    pub doing: Reach,
}
