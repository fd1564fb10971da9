//! The keys of an identity provider: read from a file or a URL, kept for an hour, and read anew when a token names one that
//! is not among them.

use crate::tls;
use axum::body::Bytes;
use axum::http::Uri;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Where a provider's JSON Web Key Set is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    Url(Uri),
    File(PathBuf),
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{0:?} is neither an https:// URL, nor an http:// URL of this machine, nor the path of a file")]
pub struct NotAKeySource(String);

impl std::str::FromStr for KeySource {
    type Err = NotAKeySource;

    /// Keys that came over the network in clear could be anybody's.
    fn from_str(text: &str) -> Result<Self, NotAKeySource> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::File(text.into())) };
        let wrong = || NotAKeySource(text.to_owned());
        let url: Uri = text.parse().map_err(|_| wrong())?;
        let here = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if scheme == "https" || scheme == "http" && here { Ok(Self::Url(url)) } else { Err(wrong()) }
    }
}

/// Older keys are read anew.
const FRESH: Duration = Duration::from_secs(600);
/// So long they are good while their source is out of reach; withdrawn keys are not taken for longer.
const KEPT: Duration = Duration::from_secs(3_600);
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST: usize = 256 * 1024;
/// RSA keys with fewer bits can be broken.
const LEAST_RSA_BITS: usize = 2_048;

pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) verifies: DecodingKey,
}

#[derive(thiserror::Error, Debug)]
pub(super) enum NoKey {
    #[error("it names none of its issuer's keys")]
    NotThere,
    #[error("the keys of its issuer cannot be read: {0}")]
    OutOfReach(String),
}

pub(super) struct Keys {
    source: KeySource,
    at_most_every: Duration,
    known: RwLock<Arc<Known>>,
    /// When they were last asked for. Held meanwhile, so that one of many who wait asks for all.
    asking: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    keys: Vec<Arc<Key>>,
    read: Option<Instant>,
}

impl Known {
    /// The key of that id; without an id, the only one.
    fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        match id {
            Some(id) => self.keys.iter().find(|key| key.id.as_deref() == Some(id)).cloned(),
            None if self.keys.len() == 1 => self.keys.first().cloned(),
            None => None,
        }
    }

    fn is_younger_than(&self, age: Duration) -> bool {
        self.read.is_some_and(|read| read.elapsed() < age)
    }
}

impl Keys {
    pub(super) fn new(source: KeySource, at_most_every: Duration) -> Self {
        Self { source, at_most_every, known: RwLock::default(), asking: Mutex::default() }
    }

    pub(super) async fn find(&self, id: Option<&str>) -> Result<Arc<Key>, NoKey> {
        let known = self.known();
        if let Some(key) = known.find(id).filter(|_| known.is_younger_than(FRESH)) {
            return Ok(key);
        }
        let asked = self.ask().await;
        let known = self.known();
        match (known.find(id).filter(|_| known.is_younger_than(KEPT)), asked) {
            (Some(key), _) => Ok(key),
            (None, Err(error)) => Err(NoKey::OutOfReach(error)),
            (None, Ok(())) => Err(NoKey::NotThere),
        }
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Unless somebody did a moment ago.
    async fn ask(&self) -> Result<(), String> {
        let mut asked = self.asking.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < self.at_most_every) {
            let is_known = self.known().is_younger_than(KEPT);
            return if is_known { Ok(()) } else { Err("the attempt a moment ago failed".to_owned()) };
        }
        *asked = Some(Instant::now());
        let keys = usable(&read(&self.source).await?)?;
        let known = Arc::new(Known { keys, read: Some(Instant::now()) });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

async fn read(source: &KeySource) -> Result<Bytes, String> {
    match source {
        KeySource::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
            read.map_err(|error| error.to_string())?.map(Bytes::from).map_err(|error| error.to_string())
        }
        KeySource::Url(url) => {
            let fetched = tokio::time::timeout(TIMEOUT, fetch(url.clone())).await;
            fetched.unwrap_or_else(|_| Err(format!("{url} did not answer within {TIMEOUT:?}")))
        }
    }
}

/// Of a longer answer no more is read.
async fn fetch(url: Uri) -> Result<Bytes, String> {
    let told = |error: reqwest::Error| kvali_eventstore::chain(&error);
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls::of_the_web()).no_proxy();
    let client = client.redirect(reqwest::redirect::Policy::none()).build().map_err(told)?;
    let mut answer = client.get(url.to_string()).send().await.map_err(told)?;
    if !answer.status().is_success() {
        return Err(format!("{url} answers {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(told)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(format!("{url} answers with more than {LONGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// Those that this server can use; a set may have others.
fn usable(text: &[u8]) -> Result<Vec<Arc<Key>>, String> {
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("no JSON Web Key Set: {error}"))?;
    let known = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    Ok(known.filter_map(|key| usable_key(&key)).map(Arc::new).collect())
}

fn usable_key(key: &Jwk) -> Option<Key> {
    let algorithm = match &key.algorithm {
        AlgorithmParameters::RSA(rsa) if bits(&rsa.n) >= LEAST_RSA_BITS => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    let for_signatures = key.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let of_algorithm = key.common.key_algorithm.is_none_or(|of| of.to_string() == format!("{algorithm:?}"));
    if !for_signatures || !of_algorithm {
        return None;
    }
    let read = DecodingKey::from_jwk(key).ok()?;
    Some(Key { id: key.common.key_id.clone(), algorithm, verifies: read })
}

/// Of a number in base64url.
fn bits(number: &str) -> usize {
    number.trim_end_matches('=').len() * 6 / 8 * 8
}

#[cfg(test)]
mod tests {
    use super::{KeySource, bits, usable};

    #[test]
    fn keys_come_over_tls_from_this_machine_or_from_a_file() {
        for text in ["https://id.example/jwks", "http://127.0.0.1:8080/jwks", "http://localhost/jwks"] {
            assert!(matches!(text.parse(), Ok(KeySource::Url(_))), "{text}");
        }
        assert_eq!("/etc/jwks.json".parse(), Ok(KeySource::File("/etc/jwks.json".into())));
        for text in ["http://id.example/jwks", "ftp://id.example/jwks", "https://"] {
            let told = text.parse::<KeySource>().expect_err(text).to_string();
            assert!(told.contains("https://"), "{told}");
        }
    }

    #[test]
    fn a_set_may_have_keys_that_are_of_no_use() {
        let set = r#"{"keys": [
            {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"},
            {"kty": "XYZ"},
            {"kty": "OKP", "crv": "Ed25519", "use": "enc", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        ]}"#;
        let keys = usable(set.as_bytes()).expect("a set");
        assert_eq!(keys.iter().map(|key| key.id.as_deref()).collect::<Vec<_>>(), [Some("1")]);
        assert!(usable(b"[]").err().is_some_and(|why| why.contains("no JSON Web Key Set")));
        assert_eq!(bits(&"A".repeat(342)), 2_048);
    }
}
