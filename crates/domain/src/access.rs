//! Who may do what: the roles of users and the keys of services. One stream per tenant, so that it is one look.

mod permission;
mod reach;
mod role;

pub use permission::Permission;
pub use reach::{Reach, Reaches, Scope};
pub use role::Role;

use crate::decider::{Describe, commands, events};
use crate::label::{LabelProblem, label};
use crate::{ActorId, ApiKeyId, ContentHash, Decider, Given, Occurred, Reads, StreamId, UserId, Version};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The stream of roles and keys.
pub const STREAM: StreamId = StreamId(Uuid::from_u128(0x0d1c_acce_5500_4a00_9000_0000_0000_0001));

commands! {
    /// The user is registered and active; nobody grants a role to himself.
    "GrantRole" = GrantRole { user: UserId, role: Role } => [RoleGranted],
    /// Nobody revokes a role of his own; somebody else is admin still.
    "RevokeRole" = RevokeRole { user: UserId, role: Role } => [RoleRevoked],
    /// The name is not blank; the key's id is new; an owner is active and has the role; it expires later than now; its
    /// scopes are some of the rights of the role.
    "IssueApiKey" = IssueApiKey(ApiKeyIssued) => [ApiKeyIssued],
    /// The key was issued.
    "RevokeApiKey" = RevokeApiKey { key: ApiKeyId } => [ApiKeyRevoked],
}

events! {
    RoleGranted = "access.role_granted",
    RoleRevoked = "access.role_revoked",
    ApiKeyIssued = "access.api_key_issued",
    ApiKeyRevoked = "access.api_key_revoked",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RoleGranted {
    pub user: UserId,
    pub role: Role,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RoleRevoked {
    pub user: UserId,
    pub role: Role,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyIssued {
    pub key: ApiKeyId,
    /// What it is for.
    pub name: String,
    pub role: Role,
    /// Who acts when it is used; without one, the key itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<UserId>,
    /// Of the secret, which is shown once and kept nowhere.
    pub digest: ContentHash,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<DateTime<Utc>>,
    /// The rights of the role that the key has; absent: all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scopes: Option<BTreeSet<Permission>>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyRevoked {
    pub key: ApiKeyId,
}

impl Describe for Event {}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("user {user} is not a registered, active user; name one who is")]
    UserNotActive { user: UserId },
    #[error("nobody changes roles of his own; another admin can")]
    OwnRole,
    #[error("{user} is the last admin; make another user admin first")]
    LastAdmin { user: UserId },
    #[error("API key {key} exists already; draw another id")]
    KeyExists { key: ApiKeyId },
    #[error("API key {key} was never issued; name one that was")]
    NoSuchKey { key: ApiKeyId },
    #[error("owner {owner} does not have role {}; the owner has {}", .role.as_str(), list(.has))]
    NotTheOwnersRole { owner: UserId, role: Role, has: Vec<Role> },
    #[error("the key would have expired at {expires}; name a later time than {now}")]
    ExpiresInThePast { expires: DateTime<Utc>, now: DateTime<Utc> },
    #[error(
        "role {} does not have the right {:?}; a key of it may have {}",
        .role.as_str(), .scope.as_str(), rights(*.role)
    )]
    ScopeBeyondRole { role: Role, scope: Permission },
    #[error("a key without any scope could do nothing; leave scopes out for all rights of the role")]
    NoScopes,
    #[error(transparent)]
    #[serde(untagged)]
    Label(#[from] LabelProblem),
}

fn list(roles: &[Role]) -> String {
    let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn rights(role: Role) -> String {
    let rights: Vec<&str> =
        Permission::all().filter(|right| role.may(*right)).map(Permission::as_str).collect();
    rights.join(", ")
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Access {
    roles: BTreeMap<UserId, BTreeSet<Role>>,
    keys: BTreeMap<ApiKeyId, ApiKey>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    pub issued: ApiKeyIssued,
    pub revoked: bool,
}

impl ApiKey {
    /// Who is on record for what is done with it.
    pub fn actor(&self) -> ActorId {
        ActorId(self.issued.owner.map_or(self.issued.key.0, |owner| owner.0))
    }

    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        !self.revoked && self.issued.expires.is_none_or(|expires| now < expires)
    }
}

impl Access {
    pub fn roles(&self, user: UserId) -> impl Iterator<Item = Role> {
        self.roles.get(&user).into_iter().flatten().copied()
    }

    pub fn has(&self, user: UserId, role: Role) -> bool {
        self.roles(user).any(|held| held == role)
    }

    pub fn key(&self, key: ApiKeyId) -> Option<&ApiKey> {
        self.keys.get(&key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.values()
    }

    /// Whether nobody else is admin.
    fn is_last_admin(&self, user: UserId) -> bool {
        let others = self.roles.iter().filter(|(other, _)| **other != user);
        self.has(user, Role::Admin) && !others.into_iter().any(|(_, roles)| roles.contains(&Role::Admin))
    }

    fn issue(&self, wanted: &ApiKeyIssued, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        let issued = ApiKeyIssued { name: label("name", &wanted.name)?, ..wanted.clone() };
        if let Some(known) = self.key(wanted.key) {
            let same = known.issued == issued && !known.revoked;
            return if same { Ok(Vec::new()) } else { Err(Refusal::KeyExists { key: wanted.key }) };
        }
        if let Some(owner) = wanted.owner {
            active(owner, given)?;
            if !self.has(owner, wanted.role) {
                let has = self.roles(owner).collect();
                return Err(Refusal::NotTheOwnersRole { owner, role: wanted.role, has });
            }
        }
        scopes_within(wanted)?;
        match wanted.expires {
            Some(expires) if expires <= given.now => {
                Err(Refusal::ExpiresInThePast { expires, now: given.now })
            }
            _ => Ok(vec![Event::ApiKeyIssued(issued)]),
        }
    }
}

fn scopes_within(wanted: &ApiKeyIssued) -> Result<(), Refusal> {
    let Some(scopes) = &wanted.scopes else { return Ok(()) };
    if scopes.is_empty() {
        return Err(Refusal::NoScopes);
    }
    match scopes.iter().find(|scope| !wanted.role.may(**scope)) {
        Some(scope) => Err(Refusal::ScopeBeyondRole { role: wanted.role, scope: *scope }),
        None => Ok(()),
    }
}

fn active(user: UserId, given: &Given<'_>) -> Result<(), Refusal> {
    if given.is_active(user) { Ok(()) } else { Err(Refusal::UserNotActive { user }) }
}

/// Whoever could change roles of his own would have every one of them.
fn of_another(user: UserId, given: &Given<'_>) -> Result<(), Refusal> {
    if given.actor.0 == user.0 { Err(Refusal::OwnRole) } else { Ok(()) }
}

impl Decider for Access {
    const AGGREGATE: &'static str = "access";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn home(_: &Command) -> Option<StreamId> {
        Some(STREAM)
    }

    fn begins(_: &Command) -> bool {
        false
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        match command {
            Command::GrantRole { user, .. } => vec![Reads::User(user.stream())],
            Command::IssueApiKey(issued) => {
                issued.owner.map(|owner| Reads::User(owner.stream())).into_iter().collect()
            }
            Command::RevokeRole { .. } | Command::RevokeApiKey { .. } => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::GrantRole { user, role } if self.has(*user, *role) => Ok(Vec::new()),
            Command::GrantRole { user, role } => {
                of_another(*user, given)?;
                active(*user, given)?;
                Ok(vec![Event::RoleGranted(RoleGranted { user: *user, role: *role })])
            }
            Command::RevokeRole { user, role } if !self.has(*user, *role) => Ok(Vec::new()),
            Command::RevokeRole { user, role } => {
                of_another(*user, given)?;
                if *role == Role::Admin && self.is_last_admin(*user) {
                    return Err(Refusal::LastAdmin { user: *user });
                }
                Ok(vec![Event::RoleRevoked(RoleRevoked { user: *user, role: *role })])
            }
            Command::IssueApiKey(wanted) => self.issue(wanted, given),
            Command::RevokeApiKey { key } => match self.key(*key) {
                None => Err(Refusal::NoSuchKey { key: *key }),
                Some(known) if known.revoked => Ok(Vec::new()),
                Some(_) => Ok(vec![Event::ApiKeyRevoked(ApiKeyRevoked { key: *key })]),
            },
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match event {
            Event::RoleGranted(event) => {
                self.roles.entry(event.user).or_default().insert(event.role);
            }
            Event::RoleRevoked(event) => {
                if let Some(roles) = self.roles.get_mut(&event.user) {
                    roles.remove(&event.role);
                }
            }
            Event::ApiKeyIssued(issued) => {
                self.keys.insert(issued.key, ApiKey { issued: issued.clone(), revoked: false });
            }
            Event::ApiKeyRevoked(event) => {
                if let Some(key) = self.keys.get_mut(&event.key) {
                    key.revoked = true;
                }
            }
        }
    }
}
