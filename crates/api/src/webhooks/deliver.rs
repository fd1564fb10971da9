//! One attempt: a connection to a checked address, no redirect, no proxy, little time, and nothing read of the answer but
//! its status.

use super::address::{Forbidden, Loopback, checked, resolved};
use super::sign::signatures;
use crate::tls;
use kvali_eventstore::webhook::SigningSecret;
use reqwest::StatusCode;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// To connect, and for all of it.
const CONNECT: Duration = Duration::from_secs(5);

#[derive(thiserror::Error, Debug)]
pub(crate) enum Failed {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    #[error("answered {0}; only 2xx means that it is taken")]
    Status(StatusCode),
}

impl Failed {
    pub(crate) fn status(&self) -> Option<StatusCode> {
        if let Self::Status(status) = self { Some(*status) } else { None }
    }
}

/// Whatever the name, these are its addresses: those that were checked.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// What is sent.
pub(crate) struct Message<'a> {
    /// The same in every attempt.
    pub id: &'a str,
    /// When this attempt is made, in seconds since 1970.
    pub timestamp: i64,
    pub body: Vec<u8>,
}

pub(crate) struct Sender {
    pub loopback: Loopback,
    /// An endpoint that takes longer has not taken it.
    pub patience: Duration,
    tls: rustls::ClientConfig,
}

impl Sender {
    pub(crate) fn new(loopback: Loopback, patience: Duration) -> Self {
        Self { loopback, patience, tls: tls::of_the_web() }
    }

    pub(crate) async fn deliver(
        &self,
        url: &str,
        secrets: &[SigningSecret],
        message: Message<'_>,
    ) -> Result<StatusCode, Failed> {
        let url = checked(url, self.loopback)?;
        let addresses = resolved(&url, self.loopback).await?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT.min(self.patience))
            .timeout(self.patience)
            .dns_resolver(Arc::new(Pinned(addresses)))
            .build()
            .map_err(Failed::NoAnswer)?;
        let Message { id, timestamp, body } = message;
        let request = http
            .post(url)
            .header("content-type", "application/cloudevents+json")
            .header("user-agent", concat!("kvali/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures(secrets, id, timestamp, &body));
        let answer = request.body(body).send().await.map_err(Failed::NoAnswer)?;
        let status = answer.status();
        if status.is_success() { Ok(status) } else { Err(Failed::Status(status)) }
    }
}
