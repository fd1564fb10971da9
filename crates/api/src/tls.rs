//! How this server trusts others: by the certificates that browsers trust.

use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

pub(crate) fn of_the_web() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of these versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
