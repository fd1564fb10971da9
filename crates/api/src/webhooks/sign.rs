//! Signatures of Standard Webhooks (<https://www.standardwebhooks.com>): HMAC-SHA256 of id, time and body.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use kvali_eventstore::webhook::SigningSecret;
use sha2::Sha256;

/// As it is shown once.
pub fn reveal(secret: &SigningSecret) -> String {
    format!("whsec_{}", STANDARD.encode(secret.0))
}

/// One signature by each secret.
pub(crate) fn signatures(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed = secrets.iter().map(|secret| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    });
    signed.collect::<Vec<_>>().join(" ")
}
