//! The table of rights: which role may do what, and which right a command takes.

use super::Role;
use crate::{Command, note};
use serde::Serialize;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
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
    /// The feed of all events.
    Follow,
    /// Who did what, refused commands included.
    Audit,
}

use Role::{Admin, Analyst, Auditor, HeadOfSales, Integration, Sales, Support};

/// One row per right.
const TABLE: [(Permission, &[Role]); 10] = [
    (Permission::Work, &[Admin, HeadOfSales, Sales, Support, Integration]),
    (Permission::Merge, &[Admin, HeadOfSales, Sales, Integration]),
    (Permission::Configure, &[Admin, HeadOfSales]),
    (Permission::Staff, &[Admin, HeadOfSales]),
    (Permission::GrantAccess, &[Admin]),
    (Permission::Erase, &[Admin]),
    (Permission::Read, &[Admin, HeadOfSales, Sales, Support, Analyst, Auditor, Integration]),
    (Permission::ReadPersonal, &[Admin, HeadOfSales, Sales, Support, Auditor]),
    (Permission::Follow, &[Admin, Analyst, Auditor, Integration]),
    (Permission::Audit, &[Admin, Auditor]),
];

impl Permission {
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.into_iter().map(|(permission, _)| permission)
    }

    pub fn roles(self) -> &'static [Role] {
        TABLE.into_iter().find(|(permission, _)| *permission == self).map_or(&[], |(_, roles)| roles)
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
        permission.roles().contains(&self)
    }
}
