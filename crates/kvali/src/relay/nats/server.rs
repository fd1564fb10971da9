//! How to reach a NATS server. Secrets come from files or the environment: what stands on the command line is seen by
//! everybody on the machine.

use super::RelayError;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use kvali_eventstore::chain;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PASSWORD: &str = "KVALI_NATS_PASSWORD";
const TOKEN: &str = "KVALI_NATS_TOKEN";
/// For an answer of the server.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Before a server that is away is tried again; once connected, the client's own pauses count.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
#[command(next_help_heading = "Options of the connection")]
pub(super) struct Server {
    /// Where NATS is: nats://HOST:PORT, or tls://HOST:PORT; several of one cluster are parted by commas
    #[arg(long = "server", value_name = "URL", value_parser = address, value_delimiter = ',',
          default_value = "nats://127.0.0.1:4222", env = "KVALI_NATS_SERVER")]
    addresses: Vec<ServerAddr>,
    /// A file with a user's JWT and seed, as `nsc` writes it
    #[arg(long, value_name = "FILE", env = "KVALI_NATS_CREDS", conflicts_with = "user")]
    creds: Option<PathBuf>,
    /// A user, whose password is in `KVALI_NATS_PASSWORD` or in --password-file
    #[arg(long, value_name = "NAME", env = "KVALI_NATS_USER")]
    user: Option<String>,
    /// A file with the user's password
    #[arg(long, value_name = "FILE", env = "KVALI_NATS_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
    /// A file with a token [default: the token in `KVALI_NATS_TOKEN`, if there is one]
    #[arg(long, value_name = "FILE", env = "KVALI_NATS_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of whoever signed the server's, beside those of the system
    #[arg(long, value_name = "FILE", env = "KVALI_NATS_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// The certificate (PEM) that Kvali shows
    #[arg(long, value_name = "FILE", env = "KVALI_NATS_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", env = "KVALI_NATS_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn address(text: &str) -> Result<ServerAddr, String> {
    let address: ServerAddr =
        text.parse().map_err(|_| "say nats://HOST:PORT or tls://HOST:PORT".to_owned())?;
    if address.username().is_some() || address.password().is_some() {
        return Err(
            "an address has no user; give --user with KVALI_NATS_PASSWORD, or KVALI_NATS_TOKEN".to_owned()
        );
    }
    Ok(address)
}

impl Server {
    /// Reads what files hold, so that a wrong name is told before anything is connected to.
    pub(super) async fn options(&self) -> Result<ConnectOptions, RelayError> {
        let options = ConnectOptions::new().name("kvali relay").request_timeout(Some(PATIENCE));
        let options = options.event_callback(|event| async move { tell(&event) });
        let mut options = self.authenticated(options).await?;
        for (what, file) in
            [("certificates", &self.tls_ca), ("the certificate", &self.tls_cert), ("the key", &self.tls_key)]
        {
            file.as_deref().map(|file| text(what, file)).transpose()?;
        }
        if let Some(file) = &self.tls_ca {
            options = options.add_root_certificates(file.clone());
        }
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        Ok(options)
    }

    async fn authenticated(&self, options: ConnectOptions) -> Result<ConnectOptions, RelayError> {
        if let Some(file) = &self.creds {
            let read = |source| RelayError::File { what: "credentials", file: file.clone(), source };
            return options.credentials_file(file).await.map_err(read);
        }
        if let Some(user) = &self.user {
            let password = secret("the password", self.password_file.as_deref(), PASSWORD)?;
            let password = password.ok_or_else(|| RelayError::NoPassword { user: user.clone() })?;
            return Ok(options.user_and_password(user.clone(), password));
        }
        let token = secret("the token", self.token_file.as_deref(), TOKEN)?;
        Ok(match token {
            Some(token) => options.token(token),
            None => options,
        })
    }

    /// Waits for a server that is away; one that does not let Kvali in is an error.
    pub(super) async fn connect(&self, options: ConnectOptions) -> Result<Client, RelayError> {
        let servers = self.addresses.iter().map(ServerAddr::as_url_str).collect::<Vec<_>>().join(", ");
        loop {
            let source = match options.clone().connect(&self.addresses).await {
                Ok(client) => return Ok(client),
                Err(source) => source,
            };
            match source.kind() {
                ConnectErrorKind::Io if is_no_understanding(&source) => {
                    return Err(RelayError::Connect { servers, source });
                }
                ConnectErrorKind::Io | ConnectErrorKind::TimedOut | ConnectErrorKind::Dns => {
                    tracing::warn!(servers, error = chain(&source), "NATS is not reached; it is tried again");
                    tokio::time::sleep(PAUSE).await;
                }
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    return Err(RelayError::Denied { servers, source });
                }
                _ => return Err(RelayError::Connect { servers, source }),
            }
        }
    }
}

/// Whether the two met and found no common TLS, such as a certificate that nobody here vouches for.
fn is_no_understanding(error: &ConnectError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn secret(what: &'static str, file: Option<&Path>, variable: &str) -> Result<Option<String>, RelayError> {
    match file {
        Some(file) => text(what, file).map(|text| Some(text.trim_end().to_owned())),
        None => Ok(std::env::var(variable).ok().filter(|secret| !secret.is_empty())),
    }
}

fn text(what: &'static str, file: &Path) -> Result<String, RelayError> {
    std::fs::read_to_string(file).map_err(|source| RelayError::File { what, file: file.to_owned(), source })
}

fn tell(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("NATS is away; what it lacks is sent when it is back"),
        Event::Draining | Event::Closed => tracing::debug!("the connection to NATS ends"),
        other => tracing::warn!(told = %other, "NATS"),
    }
}
