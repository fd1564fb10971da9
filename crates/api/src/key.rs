//! API keys as they are shown once: `kvali_ID_SECRET`. The id says whose key it is; only a digest of the secret is kept.

use kvali_domain::{ApiKeyId, ContentHash, TenantId};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::str::FromStr;
use uuid::Uuid;

/// 256 random bits. Not `Debug` and not `Display`: it is shown as part of a token and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// `random` comes from the operating system.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// SHA-256 of the secret's bytes: it has as many random bits as the digest, so it needs no slow hash.
    pub fn digest(&self) -> ContentHash {
        let digest = hex(&Sha256::digest(self.0));
        ContentHash::parse(&digest).expect("SHA-256 has 64 hexadecimal digits")
    }
}

/// What a request bears.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    pub tenant: TenantId,
    pub key: ApiKeyId,
    pub secret: Secret,
}

impl Token {
    /// As it is shown once.
    pub fn reveal(&self) -> String {
        let (tenant, key) = (self.tenant.0.simple(), self.key.0.simple());
        format!("kvali_{tenant}{key}_{}", hex(&self.secret.0))
    }
}

#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("this is no key of Kvali; one looks like kvali_ID_SECRET")]
pub struct NotAToken;

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let (id, secret) =
            text.strip_prefix("kvali_").and_then(|text| text.split_once('_')).ok_or(NotAToken)?;
        let (tenant, key) = id.split_at_checked(32).ok_or(NotAToken)?;
        let uuid = |text: &str| bytes::<16>(text).map(Uuid::from_bytes);
        let (tenant, key) = (uuid(tenant).ok_or(NotAToken)?, uuid(key).ok_or(NotAToken)?);
        let secret = Secret(bytes(secret).ok_or(NotAToken)?);
        Ok(Self { tenant: TenantId(tenant), key: ApiKeyId(key), secret })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
        text
    })
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut found = [0; N];
    for (at, byte) in found.iter_mut().enumerate() {
        *byte = digit(2 * at)? << 4 | digit(2 * at + 1)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::{NotAToken, Secret, Token};
    use kvali_domain::{ApiKeyId, TenantId};
    use uuid::Uuid;

    fn token() -> Token {
        let (tenant, key) = (TenantId(Uuid::from_u128(7)), ApiKeyId(Uuid::from_u128(u128::MAX - 8)));
        Token {
            tenant,
            key,
            secret: Secret::new(std::array::from_fn(|at| u8::try_from(7 * at).unwrap_or(9))),
        }
    }

    #[test]
    fn a_token_reads_as_it_was_shown() {
        let shown = token().reveal();
        assert_eq!(shown.len(), 6 + 64 + 1 + 64);
        assert!(shown.parse::<Token>() == Ok(token()));
    }

    #[test]
    fn anything_else_is_none() {
        let shown = token().reveal();
        let cut = &shown[..shown.len() - 1];
        let odd = shown.replace("kvali_0", "kvali_g");
        let wide = format!("kvali_{}_{}", "é".repeat(32), "0".repeat(64));
        for text in ["", "kvali_", "kvali__", "Bearer", cut, &odd, &wide, &format!("{shown}0")] {
            assert!(text.parse::<Token>() == Err(NotAToken), "{text}");
        }
    }
}
