//! What the bearer of a key or a token may do: as of now, also for what was sent a while ago.

use super::{Bearer, Principal};
use crate::{Api, edge};
use kvali_domain::access::{Access, ApiKey, Reach, Role};
use kvali_domain::{ActorId, TenantId, UserId};
use kvali_eventstore::Error;
use kvali_eventstore::job::{Proof, Sender};
use std::net::SocketAddr;
use std::sync::Arc;

/// The request that something came with.
pub(super) struct Came {
    pub(super) request_id: String,
    pub(super) peer: Option<SocketAddr>,
}

impl Principal {
    /// Of a valid key; `None`, if the user that it belongs to is not active or has its role no more.
    pub(super) async fn of_key(
        api: &Api,
        access: &Access,
        tenant: TenantId,
        key: &ApiKey,
        came: Came,
    ) -> Result<Option<Self>, Error> {
        if let Some(owner) = key.issued.owner {
            let stands =
                access.has(owner, key.issued.role) && api.inner.access.is_active(api, tenant, owner).await?;
            if !stands {
                return Ok(None);
            }
        }
        let roles = vec![key.issued.role];
        Ok(Some(Self {
            tenant,
            actor: key.actor(),
            own: Reach::of(key.issued.owner),
            team: api.team_of(tenant, key.issued.owner, &roles).await?,
            roles,
            scopes: key.issued.scopes.clone(),
            fields: None,
            bearer: Bearer::Key(key.issued.key),
            request_id: came.request_id,
            peer: came.peer,
        }))
    }

    /// Of a token that names a user; `None`, if that one is not active.
    pub(super) async fn of_user(
        api: &Api,
        tenant: TenantId,
        user: UserId,
        bearer: Bearer,
        came: Came,
    ) -> Result<Option<Self>, Error> {
        if !api.inner.access.is_active(api, tenant, user).await? {
            return Ok(None);
        }
        let roles: Vec<Role> = api.access(tenant).await?.roles(user).collect();
        Ok(Some(Self {
            tenant,
            actor: ActorId(user.0),
            own: Reach::of([user]),
            team: api.team_of(tenant, Some(user), &roles).await?,
            roles,
            scopes: None,
            fields: None,
            bearer,
            request_id: came.request_id,
            peer: came.peer,
        }))
    }

    /// Who sends this, for later.
    pub(crate) fn sender(&self) -> Sender {
        let proof = match &self.bearer {
            Bearer::Key(key) => Proof::Key(*key),
            Bearer::Token { issuer, subject } => {
                Proof::Token { issuer: issuer.clone(), subject: subject.clone() }
            }
        };
        Sender {
            actor: self.actor,
            proof,
            request_id: self.request_id.clone(),
            source_address: self.peer.map(|peer| peer.ip().to_string()),
        }
    }

    /// Whoever sent something before, with what that one may do now; `None`: nothing any more.
    pub(crate) async fn again(api: &Api, tenant: TenantId, sender: &Sender) -> Result<Option<Self>, Error> {
        if let Some(principal) = Self::known_again(api, tenant, sender).await? {
            return Ok(Some(principal));
        }
        // What was remembered may be older than the key, or than the role.
        api.inner.access.forget(tenant);
        Self::known_again(api, tenant, sender).await
    }

    async fn known_again(api: &Api, tenant: TenantId, sender: &Sender) -> Result<Option<Self>, Error> {
        let Proof::Key(key) = &sender.proof else {
            let user = UserId(sender.actor.0);
            return Self::of_user(api, tenant, user, bearer(sender), came(sender)).await;
        };
        let access = api.access(tenant).await?;
        match access.key(*key).filter(|key| key.is_valid(edge::now())) {
            Some(key) => Self::of_key(api, &access, tenant, key, came(sender)).await,
            None => Ok(None),
        }
    }

    /// Whoever sent something before, without any right.
    pub(crate) fn bare(tenant: TenantId, sender: &Sender) -> Self {
        let Came { request_id, peer } = came(sender);
        Self {
            tenant,
            actor: sender.actor,
            roles: Vec::new(),
            scopes: None,
            fields: None,
            own: Reach::of([]),
            team: Reach::of([]),
            bearer: bearer(sender),
            request_id,
            peer,
        }
    }
}

impl Api {
    /// Who may do what, as it was a moment ago.
    async fn access(&self, tenant: TenantId) -> Result<Arc<Access>, Error> {
        match self.inner.access.fresh(tenant) {
            Some(access) => Ok(access),
            None => self.inner.access.read(self, tenant).await,
        }
    }
}

fn bearer(sender: &Sender) -> Bearer {
    match &sender.proof {
        Proof::Key(key) => Bearer::Key(*key),
        Proof::Token { issuer, subject } => {
            Bearer::Token { issuer: issuer.clone(), subject: subject.clone() }
        }
    }
}

/// Of an address its port is not kept.
fn came(sender: &Sender) -> Came {
    let address = sender.source_address.as_ref().and_then(|address| address.parse().ok());
    Came { request_id: sender.request_id.clone(), peer: address.map(|ip| SocketAddr::new(ip, 0)) }
}
