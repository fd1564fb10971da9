//! Who sends a request, and what that one may do.

use crate::error::Problem;
use crate::key::Token;
use crate::{Api, edge};
use axum::Json;
use axum::extract::{Extension, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use dashmap::DashMap;
use kvali_domain::access::{self, Access, Permission, Reach, Reaches, Role, Scope};
use kvali_domain::team::{self, Team};
use kvali_domain::user::User;
use kvali_domain::{ActorId, ApiKeyId, Claim, StreamId, TeamId, TenantId, UserId};
use kvali_eventstore::{Denial, Error};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Whose connection it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The bearer of a valid key.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) tenant: TenantId,
    pub(crate) actor: ActorId,
    pub(crate) role: Role,
    /// As whom it acts: its own records, and those of its teams.
    own: Reach,
    team: Reach,
    pub(crate) key: ApiKeyId,
    /// Of this request; also in its log lines and in the audit trail.
    pub(crate) request_id: String,
    pub(crate) peer: Option<SocketAddr>,
}

impl Principal {
    /// What proved who it is, as the audit trail has it.
    pub(crate) fn credential(&self) -> String {
        format!("api_key:{}", self.key)
    }

    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// Whose records the right reaches.
    pub(crate) fn reach(&self, permission: Permission) -> Reach {
        match self.role.scope(permission) {
            Some(Scope::All) => Reach::All,
            Some(Scope::Team) => self.team.clone(),
            Some(Scope::Own) => self.own.clone(),
            None => Reach::of([]),
        }
    }

    pub(crate) fn reaches(&self, permission: Permission) -> Reaches {
        Reaches { seeing: self.reach(Permission::Read), doing: self.reach(permission) }
    }
}

impl Api {
    /// A denial is recorded before it is told.
    pub(crate) async fn demand(
        &self,
        principal: &Principal,
        permission: Permission,
        what: &str,
    ) -> Result<(), Problem> {
        if principal.may(permission) {
            return Ok(());
        }
        self.record_denial(principal, permission, what).await?;
        let roles: Vec<&str> = permission.roles().map(Role::as_str).collect();
        let detail = format!(
            "role {} does not have the right {:?}; {} have it",
            principal.role.as_str(),
            permission.as_str(),
            roles.join(", ")
        );
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
    }

    pub(crate) async fn record_denial(
        &self,
        principal: &Principal,
        permission: Permission,
        what: &str,
    ) -> Result<(), Problem> {
        let denial = Denial {
            tenant: principal.tenant,
            id: edge::new_id(),
            actor: principal.actor,
            permission: permission.as_str(),
            what: what.to_owned(),
            credential: principal.credential(),
            request_id: principal.request_id.clone(),
            source_address: principal.peer.map(|peer| peer.ip().to_string()),
        };
        Ok(self.store().record_denial(&denial).await?)
    }
}

impl FromRequestParts<Api> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let said = parts.headers.get(header::AUTHORIZATION).ok_or_else(unknown)?;
        let said = said.to_str().map_err(|_| unknown())?;
        let (scheme, token) = said.split_once(' ').ok_or_else(unknown)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unknown());
        }
        let token: Token = token.trim().parse().map_err(|_| unknown())?;
        let mut access = api.inner.access.of(api, token.tenant).await?;
        if access.key(token.key).is_none() {
            // Another process may have issued it just now.
            access = api.inner.access.read(api, token.tenant).await?;
        }
        let key = access.key(token.key).filter(|key| {
            let digest = token.secret.digest();
            key.is_valid(edge::now()) && key.issued.digest == digest
        });
        let key = key.ok_or_else(unknown)?;
        if let Some(owner) = key.issued.owner {
            let stands = access.has(owner, key.issued.role)
                && api.inner.access.is_active(api, token.tenant, owner).await?;
            if !stands {
                return Err(unknown());
            }
        }
        let team = match key.issued.owner {
            Some(owner) if key.issued.role.is_bounded_by_team() => {
                api.inner.access.team(api, token.tenant, owner).await?
            }
            _ => Reach::of([]),
        };
        let peer = Extension::<Peer>::from_request_parts(parts, api).await.ok();
        Ok(Self {
            tenant: token.tenant,
            actor: key.actor(),
            role: key.issued.role,
            own: Reach::of(key.issued.owner),
            team,
            key: token.key,
            request_id: request_id(parts),
            peer: peer.map(|Extension(Peer(address))| address),
        })
    }
}

/// The same for no key, a wrong one, and one that was revoked or has expired.
fn unknown() -> Problem {
    let detail = "no valid key; send Authorization: Bearer kvali_ID_SECRET";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

/// The sender's own, if it can be kept; else a new one.
fn request_id(parts: &Parts) -> String {
    const LONGEST: usize = 128;
    let said = parts.headers.get("x-request-id").and_then(|said| said.to_str().ok());
    let fits = |said: &&str| !said.is_empty() && said.len() <= LONGEST;
    said.filter(fits).map_or_else(|| edge::new_id().to_string(), str::to_owned)
}

/// Rights are looked up anew after so long, so a key that is revoked by another process is refused by this one then.
const FRESH: Duration = Duration::from_secs(2);
/// More than this many tenants and users are not remembered.
const REMEMBERED: usize = 10_000;

/// What was last read of who may do what.
#[derive(Default)]
pub(crate) struct KnownAccess {
    tenants: DashMap<TenantId, (Instant, Arc<Access>)>,
    active: DashMap<(TenantId, UserId), (Instant, bool)>,
    teams: DashMap<(TenantId, UserId), (Instant, Reach)>,
}

impl KnownAccess {
    async fn of(&self, api: &Api, tenant: TenantId) -> Result<Arc<Access>, Error> {
        let known = self.tenants.get(&tenant).map(|known| known.clone());
        if let Some((_, access)) = known.filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(access);
        }
        self.read(api, tenant).await
    }

    async fn read(&self, api: &Api, tenant: TenantId) -> Result<Arc<Access>, Error> {
        let read = Instant::now();
        let access = Arc::new(api.store().aggregate::<Access>(tenant, access::STREAM).await?);
        if self.tenants.len() >= REMEMBERED {
            self.tenants.clear();
        }
        // Tenants that nobody ever gave a key are not remembered: anybody may make up ids.
        if access.keys().next().is_some() {
            self.tenants.insert(tenant, (read, Arc::clone(&access)));
        }
        Ok(access)
    }

    async fn is_active(&self, api: &Api, tenant: TenantId, user: UserId) -> Result<bool, Error> {
        let known = self.active.get(&(tenant, user)).map(|known| *known);
        if let Some((_, active)) = known.filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(active);
        }
        let read = Instant::now();
        let active = api.store().aggregate::<User>(tenant, user.stream()).await?.is_active();
        if self.active.len() >= REMEMBERED {
            self.active.clear();
        }
        self.active.insert((tenant, user), (read, active));
        Ok(active)
    }

    /// The user, and whoever is in a team with him or in one that he manages, or below it.
    async fn team(&self, api: &Api, tenant: TenantId, user: UserId) -> Result<Reach, Error> {
        let known = self.teams.get(&(tenant, user)).map(|known| known.clone());
        if let Some((_, team)) = known.filter(|(read, _)| read.elapsed() < FRESH) {
            return Ok(team);
        }
        let (read, store) = (Instant::now(), api.store());
        let claim = |kind: &'static str, key: String| Claim::join(kind, key);
        let asked =
            [claim(team::MEMBER_CLAIM, user.to_string()), claim(team::MANAGER_CLAIM, user.to_string())];
        let mut found = store.holders(tenant, &asked).await?.into_iter();
        let (own, mut managed) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
        let mut teams: BTreeSet<StreamId> = own.into_iter().collect();
        while let Some(team) = managed.pop() {
            let below =
                store.holders(tenant, &[claim(team::PARENT_CLAIM, TeamId(team.0).to_string())]).await?;
            managed.extend(below.into_iter().flatten().filter(|below| !teams.contains(below)));
            teams.insert(team);
        }
        let mut people = BTreeSet::from([user]);
        for team in teams {
            let team = store.aggregate::<Team>(tenant, team).await?;
            people.extend(team.record().into_iter().flat_map(|team| &team.members));
        }
        let reach = Reach::of(people);
        if self.teams.len() >= REMEMBERED {
            self.teams.clear();
        }
        self.teams.insert((tenant, user), (read, reach.clone()));
        Ok(reach)
    }

    /// After a command of this process, if it may have changed it.
    pub(crate) fn forget_after(&self, command: &str, tenant: TenantId) {
        const CHANGING: [&str; 6] =
            ["GrantRole", "RevokeRole", "IssueApiKey", "RevokeApiKey", "ActivateUser", "DeactivateUser"];
        if CHANGING.contains(&command) {
            self.tenants.remove(&tenant);
            self.active.retain(|(of, _), _| *of != tenant);
        }
        if ["AddTeamMember", "RemoveTeamMember", "SetManager", "SetParentTeam", "CreateTeam"]
            .contains(&command)
        {
            self.teams.retain(|(of, _), _| *of != tenant);
        }
    }
}

/// `GET /v1/me`: whose key this is, and what it may do.
pub(crate) async fn me(principal: Principal) -> Json<Value> {
    let reaches =
        |permission: Permission| Some((permission.as_str(), principal.role.scope(permission)?.as_str()));
    let permissions: BTreeMap<&str, &str> = Permission::all().filter_map(reaches).collect();
    Json(json!({
        "tenant": principal.tenant,
        "actor": principal.actor,
        "key": principal.key,
        "role": principal.role,
        "permissions": permissions,
    }))
}

/// A number made of what the sender calls a request, so that the same name is the same command and nobody else's.
pub(crate) fn command_id(principal: &Principal, idempotency_key: &str) -> Uuid {
    let name = format!("idempotency\u{1f}{}\u{1f}{idempotency_key}", principal.actor);
    Uuid::new_v5(&principal.tenant.0, name.as_bytes())
}
