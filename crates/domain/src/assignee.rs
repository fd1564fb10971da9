//! Who may be given work: a registered, active user who is there. One rule for deals, leads and tasks.

use crate::{Given, Personal, UserId};
use chrono::NaiveDate;
use serde::Serialize;

/// A user who may be given work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignable {
    pub user: UserId,
    /// The user is absent and gets it nevertheless.
    pub forced: bool,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum AssigneeProblem {
    #[error("user {user} is not a registered, active user; name one who is")]
    OwnerNotActive { user: UserId },
    #[error("user {user} is absent and due back on {back}; {}", way_out(*.substitute))]
    OwnerAbsent { user: UserId, substitute: Option<UserId>, back: NaiveDate },
    #[error("giving work to the absent user {user} needs a reason; give a text in `reason` or a reason code")]
    ForceWithoutReason { user: UserId },
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
