//! Who may be given work: a registered, active user who is there. One rule wherever somebody is
//! given something to do or to look after.

use crate::{Given, Personal, UserId};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

/// A user who may be given work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignable {
    pub user: UserId,
    /// The user is absent and gets it nevertheless.
    pub forced: bool,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum AssigneeProblem {
    #[error("user {user} is not a registered, active user; name one who is")]
    OwnerNotActive { user: UserId },
    #[error("user {user} is absent and due back on {back}; {}", way_out(*.substitute))]
    OwnerAbsent { user: UserId, substitute: Option<UserId>, back: NaiveDate },
    #[error("giving work to the absent user {user} needs a reason; give a text in `reason` or a reason code")]
    ForceWithoutReason { user: UserId },
    #[error(
        "user {user}, whose this was, is not a registered, active user any more; name somebody who is in `{field}`"
    )]
    OwnerLeft { user: UserId, field: &'static str },
}

fn way_out(substitute: Option<UserId>) -> String {
    let instead = substitute.map_or_else(
        || "name somebody else".to_owned(),
        |substitute| format!("name the substitute {substitute}"),
    );
    format!("{instead}, wait until then, or force it with a reason where the command allows it")
}

/// Reads the user's state from `given.facts`; `force` carries the reason of a sender who insists on an absent user.
pub fn check(
    user: UserId,
    given: &Given<'_>,
    force: Option<&Personal>,
) -> Result<Assignable, AssigneeProblem> {
    let Some(known) = given.facts.user(user).filter(|known| known.is_active()) else {
        return Err(AssigneeProblem::OwnerNotActive { user });
    };
    match (known.is_absent(given.now), force) {
        (None, _) => Ok(Assignable { user, forced: false }),
        (Some(_), Some(reason)) if given.has_reason(reason) => Ok(Assignable { user, forced: true }),
        (Some(_), Some(_)) => Err(AssigneeProblem::ForceWithoutReason { user }),
        (Some(absence), None) => {
            let (substitute, back) = (absence.substitute, absence.back());
            Err(AssigneeProblem::OwnerAbsent { user, substitute, back })
        }
    }
}

/// Who gets back what was put away: whoever is named, else whoever had it. `field` is where the command names somebody.
pub fn back(
    named: Option<UserId>,
    before: UserId,
    field: &'static str,
    given: &Given<'_>,
    force: Option<&Personal>,
) -> Result<Assignable, AssigneeProblem> {
    match check(named.unwrap_or(before), given, force) {
        Err(AssigneeProblem::OwnerNotActive { user }) if named.is_none() => {
            Err(AssigneeProblem::OwnerLeft { user, field })
        }
        answer => answer,
    }
}
