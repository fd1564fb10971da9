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

#[cfg(test)]
mod tests {
    use super::{Failed, Loopback, Message, Sender};
    use kvali_eventstore::webhook::SigningSecret;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;
    use tokio_rustls::TlsAcceptor;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Authority {
        let mut params = CertificateParams::new([]).expect("it names nothing");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("ring has keys"))
            .expect("it may sign")
    }

    /// A receiver on this machine that shows a certificate for `name`: its port, and what it is sent if somebody speaks to it.
    async fn receiver(authority: &Authority, name: &str) -> (u16, JoinHandle<Option<String>>) {
        let key = KeyPair::generate().expect("ring has keys");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let shown: CertificateDer<'static> = params.signed_by(&key, authority).expect("it may sign").into();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it was just made");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of these versions")
            .with_no_client_auth()
            .with_single_cert(vec![shown], key)
            .expect("the key is that of the certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let heard = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.ok()?;
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
            let mut sent = Vec::new();
            while !sent.ends_with(b"{}") {
                if stream.read_buf(&mut sent).await.ok()? == 0 {
                    return None;
                }
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.ok()?;
            String::from_utf8(sent).ok()
        });
        (port, heard)
    }

    #[tokio::test]
    async fn only_a_receiver_that_proves_its_name_is_told() {
        let (trusted, unknown) = (authority(), authority());
        let mut sender = Sender::new(Loopback::Allowed, Duration::from_secs(20));
        let mut roots = RootCertStore::empty();
        roots.add(trusted.der().clone()).expect("it is an authority");
        sender.tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of these versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        for (authority, name, is_told) in [
            (&trusted, "localhost", true),
            (&trusted, "other.example", false),
            (&unknown, "localhost", false),
        ] {
            let (port, heard) = receiver(authority, name).await;
            let message = Message { id: "msg_1", timestamp: 7, body: b"{}".to_vec() };
            let url = format!("https://localhost:{port}/hook");
            let outcome = sender.deliver(&url, &[SigningSecret([7; 32])], message).await;
            let heard = heard.await.expect("it does not panic");
            if is_told {
                assert_eq!(outcome.expect("it is taken").as_u16(), 204);
                assert!(heard.expect("it was told").contains("webhook-signature: v1,"), "signed");
            } else {
                assert!(matches!(outcome, Err(Failed::NoAnswer(_))), "{name}: {outcome:?}");
                assert_eq!(heard, None, "{name}");
            }
        }
    }
}
