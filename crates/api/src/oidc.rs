//! Tokens of identity providers: who signed, for whom, about whom. What its bearer may do is never read from a token.

mod keys;

pub use keys::KeySource;

use crate::Api;
use crate::error::Problem;
use axum::http::StatusCode;
use jsonwebtoken::{Validation, dangerous};
use keys::{Keys, NoKey};
use kvali_domain::{TenantId, UserId, user};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

/// An identity provider whose tokens are taken.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// As the claim `iss` has it.
    pub issuer: String,
    /// What the claim `aud` must have.
    pub audience: String,
    pub keys: KeySource,
    pub tenant: TenantOf,
    pub user: UserBy,
    /// Keys are not asked for more often, whatever ids tokens make up.
    pub asked_at_most_every: Duration,
}

impl Issuer {
    pub const ASKED_AT_MOST_EVERY: Duration = Duration::from_secs(5);
}

/// Whose data its tokens open.
#[derive(Clone, Debug)]
pub enum TenantOf {
    Fixed(TenantId),
    /// A claim that names the tenant, and what a name stands for.
    Claim(String, fn(&str) -> TenantId),
}

/// How a token names a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserBy {
    /// A claim has the e-mail address that the user was invited with, and `email_verified` is true.
    Mail(String),
    /// A claim has the user's id.
    Id(String),
}

/// Seconds that clocks may differ.
const LEEWAY: u64 = 30;
/// Longer ones are nobody's token.
const LONGEST: usize = 16 * 1024;

/// What a token proves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Proven {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) issuer: String,
    pub(crate) subject: String,
}

/// Why a token is none; for the log, where whoever set up the provider looks.
#[derive(thiserror::Error, Debug)]
enum NotProven {
    #[error("the token cannot be read")]
    Unreadable(#[source] jsonwebtoken::errors::Error),
    #[error("its issuer is none of those that are set up")]
    Issuer,
    #[error("its algorithm is not that of the key it names")]
    Algorithm,
    #[error(transparent)]
    Key(#[from] NoKey),
    #[error("it is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    #[error("its claim {0} is missing or no text")]
    Claim(String),
    #[error("its e-mail address is not verified")]
    MailNotVerified,
    #[error("its claim {0} names no user")]
    NoSuchUser(String),
}

/// The providers that are set up.
pub(crate) struct Issuers(Vec<(Issuer, Keys)>);

impl Issuers {
    pub(crate) fn new(issuers: Vec<Issuer>) -> Self {
        let with_keys = |issuer: Issuer| {
            let keys = Keys::new(issuer.keys.clone(), issuer.asked_at_most_every);
            (issuer, keys)
        };
        Self(issuers.into_iter().map(with_keys).collect())
    }

    /// Whether a text may be a token of one of them.
    pub(crate) fn may_have_signed(&self, text: &str) -> bool {
        !self.0.is_empty() && text.len() <= LONGEST && text.matches('.').count() == 2
    }

    /// The claims, once everything about them was checked.
    async fn claims(&self, token: &str) -> Result<(&Issuer, Map<String, Value>), NotProven> {
        let header = jsonwebtoken::decode_header(token).map_err(NotProven::Unreadable)?;
        let said: Map<String, Value> =
            dangerous::insecure_decode_claims(token).map_err(NotProven::Unreadable)?;
        let said = said.get("iss").and_then(Value::as_str);
        let (issuer, keys) =
            self.0.iter().find(|(issuer, _)| said == Some(&*issuer.issuer)).ok_or(NotProven::Issuer)?;
        let key = keys.find(header.kid.as_deref()).await?;
        // The key says by which algorithm; a token that could choose would choose a weak one.
        if header.alg != key.algorithm {
            return Err(NotProven::Algorithm);
        }
        let mut validation = Validation::new(key.algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&issuer.issuer]);
        validation.set_audience(&[&issuer.audience]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let read = jsonwebtoken::decode(token, &key.verifies, &validation).map_err(NotProven::Invalid)?;
        Ok((issuer, read.claims))
    }
}

fn text<'c>(claims: &'c Map<String, Value>, claim: &str) -> Result<&'c str, NotProven> {
    let said = claims.get(claim).and_then(Value::as_str).filter(|said| !said.trim().is_empty());
    said.ok_or_else(|| NotProven::Claim(claim.to_owned()))
}

impl Api {
    /// Whom a token proves to be there. `None`: it proves nothing, and the log says why.
    pub(crate) async fn proven_by(&self, token: &str) -> Result<Option<Proven>, Problem> {
        let proven = async {
            let (issuer, claims) = self.inner.issuers.claims(token).await?;
            let tenant = match &issuer.tenant {
                TenantOf::Fixed(tenant) => *tenant,
                TenantOf::Claim(claim, named) => named(text(&claims, claim)?),
            };
            let subject = text(&claims, "sub")?.to_owned();
            let user = self.user_of(tenant, &issuer.user, &claims).await?;
            Ok::<_, Failed>(Proven { tenant, user, issuer: issuer.issuer.clone(), subject })
        };
        match proven.await {
            Ok(proven) => Ok(Some(proven)),
            Err(Failed::Store(error)) => Err(error.into()),
            Err(Failed::Not(NotProven::Key(NoKey::OutOfReach(error)))) => {
                tracing::error!(error, "the keys of an identity provider cannot be read");
                let detail = "the identity provider's keys cannot be read; try again";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
            }
            Err(Failed::Not(why)) => {
                tracing::info!(why = kvali_eventstore::chain(&why), "a token proves nothing");
                Ok(None)
            }
        }
    }

    async fn user_of(
        &self,
        tenant: TenantId,
        by: &UserBy,
        claims: &Map<String, Value>,
    ) -> Result<UserId, Failed> {
        match by {
            UserBy::Id(claim) => {
                let id: Uuid =
                    text(claims, claim)?.parse().map_err(|_| NotProven::NoSuchUser(claim.clone()))?;
                Ok(UserId(id))
            }
            UserBy::Mail(claim) => {
                if claims.get("email_verified") != Some(&Value::Bool(true)) {
                    return Err(NotProven::MailNotVerified.into());
                }
                let mail = text(claims, claim)?.trim().to_lowercase();
                let key = self.store().personal_key(tenant, &mail).await?;
                let holder = self.store().holder(tenant, user::MAIL_CLAIM, &key).await?;
                let stream = holder.ok_or_else(|| NotProven::NoSuchUser(claim.clone()))?;
                Ok(UserId(stream.0))
            }
        }
    }
}

enum Failed {
    Not(NotProven),
    Store(kvali_eventstore::Error),
}

impl From<NotProven> for Failed {
    fn from(why: NotProven) -> Self {
        Self::Not(why)
    }
}

impl From<kvali_eventstore::Error> for Failed {
    fn from(error: kvali_eventstore::Error) -> Self {
        Self::Store(error)
    }
}
