//! The table of rights: which role may do what, and which right a command takes.

use super::{Role, Scope};
use crate::{Command, note};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Commands to records of customers and to work.
    Work,
    /// Taking records for one, or for two.
    Merge,
    /// Pipelines, dictionaries, calendars, funnels, match rules.
    Configure,
    /// Users, teams, hand-overs.
    Staff,
    /// Roles and keys.
    GrantAccess,
    /// Destroying personal data for good.
    Erase,
    /// Records, and the answers of read models.
    Read,
    /// Names, contact points, texts. Who may not sees that there is one.
    ReadPersonal,
    /// Besides, values of custom fields that are classed as sensitive.
    ReadSensitive,
    /// The feed of all events.
    Follow,
    /// Who did what, refused commands included.
    Audit,
}

use Role::{Admin, Analyst, Auditor, HeadOfSales, Integration, Sales, Support};
use Scope::{All, Own, Team};

/// One row per right: who has it, and up to whose records it reaches.
const TABLE: [(Permission, &[(Role, Scope)]); 11] = [
    (Permission::Work, &[(Admin, All), (HeadOfSales, All), (Sales, Own), (Support, All), (Integration, All)]),
    (Permission::Merge, &[(Admin, All), (HeadOfSales, All), (Sales, Own), (Integration, All)]),
    (Permission::Configure, &[(Admin, All), (HeadOfSales, All)]),
    (Permission::Staff, &[(Admin, All), (HeadOfSales, All)]),
    (Permission::GrantAccess, &[(Admin, All)]),
    (Permission::Erase, &[(Admin, All)]),
    (
        Permission::Read,
        &[
            (Admin, All),
            (HeadOfSales, All),
            (Sales, Team),
            (Support, All),
            (Analyst, All),
            (Auditor, All),
            (Integration, All),
        ],
    ),
    (
        Permission::ReadPersonal,
        &[(Admin, All), (HeadOfSales, All), (Sales, Team), (Support, All), (Auditor, All)],
    ),
    (Permission::ReadSensitive, &[(Admin, All), (HeadOfSales, All), (Auditor, All)]),
    (Permission::Follow, &[(Admin, All), (Analyst, All), (Auditor, All), (Integration, All)]),
    (Permission::Audit, &[(Admin, All), (Auditor, All)]),
];

impl Permission {
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(permission, _)| permission)
    }

    fn row(self) -> &'static [(Role, Scope)] {
        TABLE.into_iter().find(|(permission, _)| *permission == self).map_or(&[], |(_, roles)| roles)
    }

    pub fn roles(self) -> impl Iterator<Item = Role> {
        self.row().iter().map(|(role, _)| *role)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Merge => "merge",
            Self::Configure => "configure",
            Self::Staff => "staff",
            Self::GrantAccess => "grant_access",
            Self::Erase => "erase",
            Self::Read => "read",
            Self::ReadPersonal => "read_personal",
            Self::ReadSensitive => "read_sensitive",
            Self::Follow => "follow",
            Self::Audit => "audit",
        }
    }

    /// The right that a command takes.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::Access(_) => Self::GrantAccess,
            Command::Subject(_) | Command::Note(note::Command::Redact { .. }) => Self::Erase,
            Command::User(_) | Command::Team(_) | Command::Handover(_) => Self::Staff,
            Command::Pipeline(_)
            | Command::LossReasons(_)
            | Command::Fields(_)
            | Command::Sources(_)
            | Command::Tags(_)
            | Command::ActivityTypes(_)
            | Command::TaskTemplates(_)
            | Command::ExchangeRates(_)
            | Command::Calendar(_)
            | Command::MatchRule(_)
            | Command::Funnel(_) => Self::Configure,
            Command::Duplicate(_) => Self::Merge,
            Command::Contact(_)
            | Command::Company(_)
            | Command::Lead(_)
            | Command::Deal(_)
            | Command::Task(_)
            | Command::Call(_)
            | Command::Conversation(_)
            | Command::Note(_)
            | Command::Meeting(_) => {
                let word = command.command_type();
                if word.starts_with("Merge") || word.starts_with("Unmerge") {
                    Self::Merge
                } else {
                    Self::Work
                }
            }
        }
    }
}

impl Role {
    pub fn may(self, permission: Permission) -> bool {
        self.scope(permission).is_some()
    }

    /// Whether it matters with whom its bearer is in a team.
    pub fn is_bounded_by_team(self) -> bool {
        Permission::all().any(|permission| self.scope(permission) == Some(Team))
    }

    /// How far the right reaches; `None` without it.
    pub fn scope(self, permission: Permission) -> Option<Scope> {
        permission.row().iter().find(|(role, _)| *role == self).map(|(_, scope)| *scope)
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error(
    "{0:?} is no right; the rights are work, merge, configure, staff, grant_access, erase, read, read_personal, \
     read_sensitive, follow, audit"
)]
pub struct NotARight(pub String);

impl std::str::FromStr for Permission {
    type Err = NotARight;
    fn from_str(text: &str) -> Result<Self, NotARight> {
        Self::all().find(|right| right.as_str() == text).ok_or_else(|| NotARight(text.to_owned()))
    }
}
