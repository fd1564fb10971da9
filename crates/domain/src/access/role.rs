//! What somebody is in the organisation, as far as rights go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    HeadOfSales,
    Sales,
    Support,
    Analyst,
    Auditor,
    /// Another system.
    Integration,
}

impl Role {
    pub const ALL: [Self; 7] = [
        Self::Admin,
        Self::HeadOfSales,
        Self::Sales,
        Self::Support,
        Self::Analyst,
        Self::Auditor,
        Self::Integration,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::HeadOfSales => "head_of_sales",
            Self::Sales => "sales",
            Self::Support => "support",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
            Self::Integration => "integration",
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error(
    "{0:?} is no role; the roles are admin, head_of_sales, sales, support, analyst, auditor, integration"
)]
pub struct NotARole(pub String);

impl std::str::FromStr for Role {
    type Err = NotARole;
    fn from_str(text: &str) -> Result<Self, NotARole> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or_else(|| NotARole(text.to_owned()))
    }
}
