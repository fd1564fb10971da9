//! Who sends a request, and what that one may do.

mod rights;

use crate::error::Problem;
use crate::key::Token;
use crate::oidc::Proven;
use crate::requests::Asked;
use crate::{Api, edge};
use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use dashmap::DashMap;
use kvali_domain::access::{self, Access, Permission, Reach, Reaches, Role, Scope};
use kvali_domain::fields::{self, Classification, Fields};
use kvali_domain::team::{self, Team};
use kvali_domain::user::User;
use kvali_domain::{ActorId, ApiKeyId, Claim, FieldId, StreamId, TeamId, TenantId, UserId};
use kvali_eventstore::{Denial, Error};
use kvali_projections::audit_trail::Sees;
use rights::Came;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::field::display;
use uuid::Uuid;

/// Whose connection it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The bearer of a valid key or token.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) tenant: TenantId,
    pub(crate) actor: ActorId,
    /// Of a key one; of a token all that its user has.
    pub(crate) roles: Vec<Role>,
    /// The rights of these roles that a key was narrowed to.
    scopes: Option<BTreeSet<Permission>>,
    /// As whom it acts: its own records, and those of its teams.
    own: Reach,
    team: Reach,
    /// The custom fields whose sealed values it may read, where not all of them.
    fields: Option<Arc<BTreeSet<FieldId>>>,
    pub(crate) bearer: Bearer,
    /// Of this request; also in its log lines and in the audit trail.
    pub(crate) request_id: String,
    pub(crate) peer: Option<SocketAddr>,
}

/// What proved who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Bearer {
    Key(ApiKeyId),
    Token { issuer: String, subject: String },
}

impl Principal {
    /// What proved who it is, as the audit trail has it.
    pub(crate) fn credential(&self) -> String {
        match &self.bearer {
            Bearer::Key(key) => format!("api_key:{key}"),
            Bearer::Token { issuer, subject } => format!("oidc:{issuer}:{subject}"),
        }
    }

    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.scope(permission).is_some()
    }

    /// The widest that any of its roles has.
    fn scope(&self, permission: Permission) -> Option<Scope> {
        let is_kept = self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&permission));
        self.roles.iter().filter(|_| is_kept).filter_map(|role| role.scope(permission)).max()
    }

    /// Whose records the right reaches.
    pub(crate) fn reach(&self, permission: Permission) -> Reach {
        match self.scope(permission) {
            Some(Scope::All) => Reach::All,
            Some(Scope::Team) => self.team.clone(),
            Some(Scope::Own) => self.own.clone(),
            None => Reach::of([]),
        }
    }

    pub(crate) fn reaches(&self, permission: Permission) -> Reaches {
        Reaches { seeing: self.reach(Permission::Read), doing: self.reach(permission) }
    }

    /// Which personal texts it is told.
    pub(crate) fn sees(&self) -> Sees<'_> {
        match &self.fields {
            _ if !self.may(Permission::ReadPersonal) => Sees::Masked,
            Some(fields) => Sees::Fields(fields),
            None => Sees::All,
        }
    }

    pub(crate) fn key(&self) -> Option<ApiKeyId> {
        match self.bearer {
            Bearer::Key(key) => Some(key),
            Bearer::Token { .. } => None,
        }
    }

    pub(crate) fn forbidden(&self, permission: Permission) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", self.lacks(permission))
    }

    /// Why it does not have a right.
    fn lacks(&self, permission: Permission) -> String {
        let right = permission.as_str();
        if self.roles.iter().any(|role| role.may(permission)) {
            return format!("this key was narrowed, and not to the right {right:?}; issue one with it");
        }
        let words = |roles: Vec<Role>| roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
        let have = words(permission.roles().collect());
        if self.roles.is_empty() {
            return format!("no role was granted to this user; {have} have the right {right:?}");
        }
        format!("role {} does not have the right {right:?}; {have} have it", words(self.roles.clone()))
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
        Err(principal.forbidden(permission))
    }

    pub(crate) async fn record_denial(
        &self,
        principal: &Principal,
        permission: Permission,
        what: &str,
    ) -> Result<(), Error> {
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
        self.store().record_denial(&denial).await
    }
}

impl Api {
    /// Nobody's, unless one of the roles asks for it.
    async fn team_of(&self, tenant: TenantId, user: Option<UserId>, roles: &[Role]) -> Result<Reach, Error> {
        match user.filter(|_| roles.iter().any(|role| role.is_bounded_by_team())) {
            Some(user) => self.inner.access.team(self, tenant, user).await,
            None => Ok(Reach::of([])),
        }
    }
}

impl FromRequestParts<Api> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Peer>().copied();
        let proven = proven(parts, api, peer).await;
        if proven.as_ref().is_err_and(|problem| problem.status == StatusCode::UNAUTHORIZED) {
            api.inner.limiters.failed(peer);
        }
        let mut principal = proven?;
        if principal.may(Permission::ReadPersonal) && !principal.may(Permission::ReadSensitive) {
            principal.fields = Some(api.inner.access.personal_fields(api, principal.tenant).await?);
        }
        let rate = api.inner.limiters.admit(principal.key().map_or(principal.actor.0, |key| key.0))?;
        let span = tracing::Span::current();
        span.record("tenant", display(principal.tenant)).record("actor", display(principal.actor));
        if let Some(key) = principal.key() {
            span.record("key", display(key));
            api.key_is_used(principal.tenant, key);
        }
        if let Some(asked) = parts.extensions.get::<Asked>() {
            asked.leaves(rate);
        }
        Ok(principal)
    }
}

/// Whose key or token the request bears.
async fn proven(parts: &Parts, api: &Api, peer: Option<Peer>) -> Result<Principal, Problem> {
    let said = parts.headers.get(header::AUTHORIZATION).ok_or_else(unknown)?;
    let said = said.to_str().map_err(|_| unknown())?;
    let (scheme, token) = said.split_once(' ').ok_or_else(unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unknown());
    }
    let token = token.trim();
    if api.inner.issuers.may_have_signed(token) {
        return proven_by_token(parts, api, peer, token).await;
    }
    let token: Token = token.parse().map_err(|_| unknown())?;
    let access = match api.inner.access.fresh(token.tenant) {
        Some(access) if access.key(token.key).is_some() => access,
        // Another process may have issued it just now.
        _ => {
            api.inner.limiters.may_ask(peer)?;
            api.inner.access.read(api, token.tenant).await?
        }
    };
    let key = access.key(token.key).filter(|key| {
        let digest = token.secret.digest();
        key.is_valid(edge::now()) && key.issued.digest == digest
    });
    let key = key.ok_or_else(unknown)?;
    let came = Came { request_id: request_id(parts), peer: peer.map(|Peer(address)| address) };
    Principal::of_key(api, &access, token.tenant, key, came).await?.ok_or_else(unknown)
}

/// A user, with the roles that were granted to the user here.
async fn proven_by_token(
    parts: &Parts,
    api: &Api,
    peer: Option<Peer>,
    token: &str,
) -> Result<Principal, Problem> {
    api.inner.limiters.may_ask(peer)?;
    let Proven { tenant, user, issuer, subject } = api.proven_by(token).await?.ok_or_else(unknown)?;
    let came = Came { request_id: request_id(parts), peer: peer.map(|Peer(address)| address) };
    let bearer = Bearer::Token { issuer, subject };
    Principal::of_user(api, tenant, user, bearer, came).await?.ok_or_else(unknown)
}

fn request_id(parts: &Parts) -> String {
    let asked = parts.extensions.get::<Asked>();
    asked.map_or_else(|| edge::new_id().to_string(), |asked| asked.id().to_owned())
}

/// The same for no key or token, a wrong one, and one that was revoked or has expired.
fn unknown() -> Problem {
    let detail = "no valid key; send Authorization: Bearer kvali_ID_SECRET";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

/// Rights are looked up anew after so long, so a key that is revoked by another process is refused by this one then.
const FRESH: Duration = Duration::from_secs(2);
/// More than this many tenants and users are not remembered.
const REMEMBERED: usize = 10_000;

/// What was last read of who may do what.
#[derive(Default)]
pub(crate) struct KnownAccess {
    tenants: Remembered<TenantId, Arc<Access>>,
    active: Remembered<(TenantId, UserId), bool>,
    teams: Remembered<(TenantId, UserId), Reach>,
    fields: Remembered<TenantId, Arc<BTreeSet<FieldId>>>,
}

/// Values with when each was read; they are good for a moment.
struct Remembered<K, V>(DashMap<K, (Instant, V)>);

impl<K: Eq + Hash, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    fn fresh(&self, key: &K) -> Option<V> {
        let known = self.0.get(key)?;
        let (read, value) = &*known;
        (read.elapsed() < FRESH).then(|| value.clone())
    }

    /// `read`: when reading began, for what is told may be as old.
    fn keep(&self, key: K, read: Instant, value: V) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(key, (read, value));
    }
}

impl KnownAccess {
    /// What was read a moment ago.
    fn fresh(&self, tenant: TenantId) -> Option<Arc<Access>> {
        self.tenants.fresh(&tenant)
    }

    async fn read(&self, api: &Api, tenant: TenantId) -> Result<Arc<Access>, Error> {
        let read = Instant::now();
        let access = Arc::new(api.store().aggregate::<Access>(tenant, access::STREAM).await?);
        // Tenants that nobody ever gave a key or a role are not remembered: anybody may make up ids.
        if *access != Access::default() {
            self.tenants.keep(tenant, read, Arc::clone(&access));
        }
        Ok(access)
    }

    async fn is_active(&self, api: &Api, tenant: TenantId, user: UserId) -> Result<bool, Error> {
        if let Some(active) = self.active.fresh(&(tenant, user)) {
            return Ok(active);
        }
        let read = Instant::now();
        let active = api.store().aggregate::<User>(tenant, user.stream()).await?.is_active();
        self.active.keep((tenant, user), read, active);
        Ok(active)
    }

    /// The custom fields that are classed as personal, and so not as sensitive.
    async fn personal_fields(&self, api: &Api, tenant: TenantId) -> Result<Arc<BTreeSet<FieldId>>, Error> {
        if let Some(fields) = self.fields.fresh(&tenant) {
            return Ok(fields);
        }
        let read = Instant::now();
        let known = api.store().aggregate::<Fields>(tenant, fields::STREAM).await?;
        let fields: Arc<BTreeSet<FieldId>> = Arc::new(known.classed(Classification::Personal).collect());
        self.fields.keep(tenant, read, Arc::clone(&fields));
        Ok(fields)
    }

    /// The user, and whoever is in a team with him or in one that he manages, or below it.
    async fn team(&self, api: &Api, tenant: TenantId, user: UserId) -> Result<Reach, Error> {
        if let Some(team) = self.teams.fresh(&(tenant, user)) {
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
        self.teams.keep((tenant, user), read, reach.clone());
        Ok(reach)
    }

    /// Who may do what there is read anew.
    fn forget(&self, tenant: TenantId) {
        self.tenants.0.remove(&tenant);
        self.active.0.retain(|(of, _), _| *of != tenant);
    }

    /// After a command of this process, if it may have changed it.
    pub(crate) fn forget_after(&self, command: &str, tenant: TenantId) {
        const CHANGING: [&str; 6] =
            ["GrantRole", "RevokeRole", "IssueApiKey", "RevokeApiKey", "ActivateUser", "DeactivateUser"];
        if CHANGING.contains(&command) {
            self.forget(tenant);
        }
        if ["AddTeamMember", "RemoveTeamMember", "SetManager", "SetParentTeam", "CreateTeam"]
            .contains(&command)
        {
            self.teams.0.retain(|(of, _), _| *of != tenant);
        }
        if ["DefineField", "ClassifyField"].contains(&command) {
            self.fields.0.remove(&tenant);
        }
    }
}

/// `GET /v1/me`: whose key this is, and what it may do.
pub(crate) async fn me(State(api): State<Api>, principal: Principal) -> Result<Json<Value>, Problem> {
    let last_used = match principal.key() {
        Some(key) => api.store().key_uses(principal.tenant).await?.remove(&key),
        None => None,
    };
    let reaches = |permission: Permission| Some((permission.as_str(), principal.scope(permission)?.as_str()));
    let permissions: BTreeMap<&str, &str> = Permission::all().filter_map(reaches).collect();
    Ok(Json(json!({
        "tenant": principal.tenant,
        "actor": principal.actor,
        "key": principal.key(),
        "credential": principal.credential(),
        "role": principal.roles.first(),
        "roles": principal.roles,
        "permissions": permissions,
        "last_used": last_used,
    })))
}

/// A number made of what the sender calls a request, so that the same name is the same command and nobody else's.
pub(crate) fn command_id(principal: &Principal, idempotency_key: &str) -> Uuid {
    let name = format!("idempotency\u{1f}{}\u{1f}{idempotency_key}", principal.actor);
    Uuid::new_v5(&principal.tenant.0, name.as_bytes())
}
