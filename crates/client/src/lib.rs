//! A client of Kvali for services: send commands, ask read models, follow the log.
//!
//! It knows the protocol and not the rules: commands are named as in `docs/commands.md`, and their fields are whatever
//! serialises to the JSON that `schemas/commands` describes.

mod command;
mod event;
mod feed;
mod subscription;

pub use command::{Command, Outcome};
pub use event::Event;
pub use feed::{Feed, Page};
pub use subscription::{Batch, Subscription};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Speaks to one server with one key. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

#[derive(thiserror::Error, Debug)]
pub enum Error {
    #[error("{0:?} is no address of a server; one looks like https://crm.example.com")]
    Address(String),
    #[error("this is no key; one looks like kvali_ID_SECRET")]
    Key,
    #[error("the server was not reached")]
    Transport(#[from] reqwest::Error),
    /// RFC 9457, as the server told it.
    #[error("{code}: {detail}")]
    Problem {
        status: u16,
        /// Stable, such as `stale_version`.
        code: String,
        detail: String,
        /// Which part of the request is meant.
        field: Option<String>,
    },
    #[error("the answer is not what this client knows")]
    Answer(#[source] serde_json::Error),
}

impl Error {
    /// Whether the same request may succeed later, and does no harm if the first one arrived.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Transport(error) => !error.is_builder(),
            Self::Problem { status, code, .. } => matches!(status, 429 | 502..=504) || code == "contended",
            _ => false,
        }
    }
}

/// What a server says of a request that it does not carry out.
#[derive(Deserialize)]
struct Told {
    code: String,
    detail: String,
    field: Option<String>,
}

impl Client {
    pub fn new(address: &str, key: &str) -> Result<Self, Error> {
        let base: Url = address.parse().map_err(|_| Error::Address(address.to_owned()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(Error::Address(address.to_owned()));
        }
        let mut bearer = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| Error::Key)?;
        bearer.set_sensitive(true);
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls())
            .default_headers([(AUTHORIZATION, bearer)].into_iter().collect())
            .connect_timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self { http, base })
    }

    /// A question to a read model, such as `ask("board", &[("pipeline", "Sales")])`.
    pub async fn ask<T: DeserializeOwned>(&self, question: &str, with: &[(&str, &str)]) -> Result<T, Error> {
        let request = self.request(Method::GET, &["v1", question]).query(with).timeout(SHORT);
        read(answered(request).await?).await
    }

    /// The history of one record, with its version.
    pub async fn stream<T: DeserializeOwned>(&self, id: uuid::Uuid) -> Result<T, Error> {
        let request = self.request(Method::GET, &["v1", "streams", &id.to_string()]).timeout(SHORT);
        read(answered(request).await?).await
    }

    /// The log from a place on: `0`, a position, or a cursor that was kept.
    pub fn feed(&self, after: impl Into<String>) -> Feed {
        Feed::new(self.clone(), after.into())
    }

    /// A durable subscription, which may have to be created.
    pub fn subscription(&self, name: impl Into<String>) -> Subscription {
        Subscription::new(self.clone(), name.into())
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("it was checked to be a base").pop_if_empty().extend(path);
        self.http.request(method, url)
    }
}

/// For what a service says to others: the same roots and no other provider.
pub fn http() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().tls_backend_preconfigured(tls()).timeout(SHORT).build()
}

/// What does not wait for events takes no longer.
const SHORT: Duration = Duration::from_secs(30);

/// Mozilla's roots and *ring*: nothing of it is built by a C compiler that is not there anyway.
fn tls() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of these versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn answered(request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let bytes = response.bytes().await?;
    let told = serde_json::from_slice(&bytes).unwrap_or_else(|_| Told {
        code: status.as_str().to_owned(),
        detail: String::from_utf8_lossy(&bytes).into_owned(),
        field: None,
    });
    let Told { code, detail, field } = told;
    Err(Error::Problem { status: status.as_u16(), code, detail, field })
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    serde_json::from_slice(&response.bytes().await?).map_err(Error::Answer)
}

/// Pauses between tries: doubled each time, up to the last.
struct BackOff(Duration);

impl BackOff {
    const FIRST: Duration = Duration::from_millis(200);
    const LAST: Duration = Duration::from_secs(10);

    fn new() -> Self {
        Self(Self::FIRST)
    }

    async fn rest(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::LAST);
    }
}
