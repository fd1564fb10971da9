//! A server of the test's own, and requests to it as a service sends them.

use crate::{accepted, envelope, new_id, order};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kvali_api::webhooks::Loopback;
use kvali_api::{Api, Limits, Secret, Settings, Token};
use kvali_domain::access::{self, ApiKeyIssued, Permission, Role};
use kvali_domain::{ApiKeyId, TenantId, UserId};
use kvali_eventstore::Store;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Answers until it is stopped.
pub struct Server {
    pub store: Store,
    pub address: SocketAddr,
    pub api: Api,
    client: Client<HttpConnector, Full<Bytes>>,
    stop: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    serving: JoinHandle<()>,
}

/// What was answered.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Null for what is no JSON.
    pub body: Value,
    /// The same as it came.
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        self.body
    }
}

impl Server {
    pub async fn start(store: Store) -> Self {
        Self::within(store, Limits::default()).await
    }

    pub async fn within(store: Store, limits: Limits) -> Self {
        Self::with(store, limits, Settings::default()).await
    }

    pub async fn with(store: Store, limits: Limits, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let settings = Settings { loopback: Loopback::Allowed, ..settings };
        let api = Api::new(store.clone(), settings, || "# nothing is measured\n".to_owned());
        let told = async move {
            let _told_or_dropped = stopped.await;
        };
        let serving = tokio::spawn(kvali_api::serve(listener, api.clone(), limits, told));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { store, address, api, client, stop: Some(stop).into(), serving }
    }

    pub fn tell_to_stop(&self) {
        if let Some(stop) = self.stop.lock().expect("nobody panics with it").take() {
            let _is_gone = stop.send(());
        }
    }

    /// Waits until what is under way has been answered.
    pub async fn stop(self) {
        self.tell_to_stop();
        self.serving.await.expect("the server ends well");
    }

    /// A key of that role, which is nobody's.
    pub async fn key(&self, tenant: TenantId, role: Role) -> String {
        self.key_of(tenant, role, None).await
    }

    pub async fn key_of(&self, tenant: TenantId, role: Role, owner: Option<UserId>) -> String {
        self.narrowed_key(tenant, role, owner, None).await
    }

    pub async fn narrowed_key(
        &self,
        tenant: TenantId,
        role: Role,
        owner: Option<UserId>,
        scopes: Option<BTreeSet<Permission>>,
    ) -> String {
        let (key, mut random) = (ApiKeyId(new_id()), [0; 32]);
        random[..16].copy_from_slice(new_id().as_bytes());
        let token = Token { tenant, key, secret: Secret::new(random) };
        let issued = ApiKeyIssued {
            key,
            name: role.as_str().to_owned(),
            role,
            owner,
            digest: token.secret.digest(),
            expires: None,
            scopes,
        };
        let order = order(access::STREAM, access::Command::IssueApiKey(issued));
        accepted(self.store.handle(order, envelope(tenant)).await);
        token.reveal()
    }

    /// A request, whose answer may go on for as long as its reader reads.
    pub async fn begin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.client.request(request.body(Full::new(body.into())).expect("a request")).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let bearer = format!("Bearer {key}");
        let mut all = vec![("authorization", &*bearer)];
        all.extend_from_slice(headers);
        let response = self.begin(method, path, &all, body).await.expect("the server answers");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the answer is whole").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, body, text }
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.send(Method::GET, path, key, &[], Bytes::new()).await
    }

    pub async fn post(&self, key: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, key, &all, body.to_string()).await
    }
}
