//! Identity providers, as a settings file has them: `[[oidc]]`.

use crate::ids;
use kvali_api::{Issuer, KeySource, TenantOf, UserBy};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// An `https` URL or a file.
    jwks: String,
    /// Whose data its tokens open: this one's, or whose the claim names.
    tenant: Option<String>,
    tenant_claim: Option<String>,
    #[serde(default)]
    user: By,
    /// In which claim the user stands: `email` for mail, `sub` for id.
    user_claim: Option<String>,
}

#[derive(Clone, Copy, Default, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    #[default]
    Mail,
    Id,
}

impl Provider {
    /// Or what is wrong with it.
    pub(crate) fn checked(&self) -> Result<Issuer, String> {
        let keys: KeySource = self.jwks.parse().map_err(|error| format!("jwks {error}"))?;
        let tenant = match (&self.tenant, &self.tenant_claim) {
            (Some(name), None) => TenantOf::Fixed(ids::tenant(name)),
            (None, Some(claim)) => TenantOf::Claim(claim.clone(), ids::tenant),
            _ => {
                let issuer = &self.issuer;
                return Err(format!(
                    "{issuer} has either tenant, a name, or tenant_claim, where the name stands"
                ));
            }
        };
        let claim = |usual: &str| self.user_claim.clone().unwrap_or_else(|| usual.to_owned());
        let user = match self.user {
            By::Mail => UserBy::Mail(claim("email")),
            By::Id => UserBy::Id(claim("sub")),
        };
        let (issuer, audience) = (self.issuer.clone(), self.audience.clone());
        let asked_at_most_every = Issuer::ASKED_AT_MOST_EVERY;
        Ok(Issuer { issuer, audience, keys, tenant, user, asked_at_most_every })
    }
}
