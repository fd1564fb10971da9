//! Webhooks: signed as the standard says, tried again, replayed; whatever the receiver does.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use kvali_api::webhooks::{Dispatch, Dispatcher, Loopback};
use kvali_domain::access::Role;
use kvali_tests::http::Server;
use kvali_tests::{Database, new_id, tenant};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(60);

/// What was sent to a receiver.
struct Got {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }
}

/// How the receiver answers; `None`: not at all.
type Manners = Arc<Mutex<Option<&'static str>>>;

/// Somebody's server, which answers as it likes.
struct Receiver {
    url: String,
    manners: Manners,
    got: mpsc::UnboundedReceiver<Got>,
    accepted: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start(answer: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let manners: Manners = Arc::new(Mutex::new(answer));
        let (tell, got) = mpsc::unbounded_channel();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (answers, count) = (manners.clone(), accepted.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(receive(stream, answers.clone(), tell.clone()));
            }
        });
        Self { url, manners, got, accepted }
    }

    fn answer(&self, answer: Option<&'static str>) {
        *self.manners.lock().unwrap() = answer;
    }

    async fn next(&mut self) -> Got {
        tokio::time::timeout(PATIENCE, self.got.recv()).await.expect("something is sent").unwrap()
    }
}

async fn receive(stream: TcpStream, manners: Manners, tell: mpsc::UnboundedSender<Got>) {
    let mut stream = BufReader::new(stream);
    let mut headers = HeaderMap::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        line.clear();
    }
    let length = headers["content-length"].to_str().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer = *manners.lock().unwrap();
    tell.send(Got { headers, body }).ok();
    match answer {
        Some(answer) => {
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.ok();
        }
        None => std::future::pending().await,
    }
}

struct Desk {
    database: Database,
    server: Server,
    admin: String,
    dispatcher: Dispatcher,
}

impl Desk {
    async fn open() -> Self {
        let database = Database::create().await;
        let server = Server::start(database.connect().await).await;
        let admin = server.key(tenant(1), Role::Admin).await;
        let how = Dispatch { loopback: Loopback::Allowed, patience: Duration::from_millis(700) };
        let dispatcher = Dispatcher::start(database.connect().await, how);
        Self { database, server, admin, dispatcher }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.server.post(&self.admin, &format!("/v1{path}"), &[], body).await;
        assert!(answer.status.is_success(), "{}", answer.body);
        answer.body
    }

    async fn hook(&self, url: &str) -> (String, String) {
        let made = self.post("/webhooks", &json!({ "url": url, "types": ["company.*"] })).await;
        (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }

    async fn create_company(&self, name: &str) -> String {
        let id = new_id();
        self.post(&format!("/company/{id}/create-company"), &json!({ "name": name })).await;
        id.to_string()
    }

    /// Waits until a failure is followed by a pause, and ends it.
    async fn make_haste(&self) {
        let over = "update kvali.subscription_stream set retry_at = '-infinity' \
                    where parked_at is null and retry_at > clock_timestamp()";
        let mut admin = self.database.admin().await;
        let hurried = async {
            while sqlx::query(over).execute(&mut admin).await.unwrap().rows_affected() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, hurried).await.expect("it fails and pauses");
    }

    /// Waits until what is told of the webhook is as it should be.
    async fn until(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let asked = async {
            loop {
                let told = self.server.get(&self.admin, &format!("/v1/webhooks/{id}")).await.ok();
                if is_so(&told) {
                    return told;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("it becomes so")
    }

    async fn deliveries(&self, id: &str) -> Vec<Value> {
        let told = self.server.get(&self.admin, &format!("/v1/webhooks/{id}/deliveries")).await.ok();
        told.as_array().unwrap().clone()
    }

    async fn close(self) {
        self.dispatcher.stop().await;
        self.server.stop().await;
        self.database.drop().await;
    }
}

fn is_settled(told: &Value) -> bool {
    told["lag"]["events"] == 0 && told["behind_streams"] == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_signed_as_the_standard_says_and_by_two_secrets_while_one_is_replaced() {
    let desk = Desk::open().await;
    let mut receiver = Receiver::start(Some("204 No Content")).await;
    let (id, secret) = desk.hook(&receiver.url).await;
    let company = desk.create_company("Acme").await;
    let got = receiver.next().await;
    Webhook::new(&secret)
        .unwrap()
        .verify(&got.body, &got.headers)
        .expect("an independent library verifies it");
    let mut altered = got.body.clone();
    altered[0] = b'[';
    assert!(Webhook::new(&secret).unwrap().verify(&altered, &got.headers).is_err());
    let event = got.event();
    assert_eq!((&event["type"], &event["subject"]), (&json!("company.created"), &json!(company)));
    assert_eq!(got.headers["content-type"], "application/cloudevents+json");
    let renewed = desk.post(&format!("/webhooks/{id}/rotate"), &json!({ "keep": "3600s" })).await;
    let renewed = renewed["secret"].as_str().unwrap();
    assert_ne!(renewed, secret);
    desk.create_company("Beta").await;
    let got = receiver.next().await;
    for secret in [&secret, renewed] {
        Webhook::new(secret).unwrap().verify(&got.body, &got.headers).expect("both sign");
    }
    desk.post(&format!("/webhooks/{id}/rotate"), &json!({ "keep": "0s" })).await;
    desk.create_company("Gamma").await;
    let got = receiver.next().await;
    assert!(Webhook::new(renewed).unwrap().verify(&got.body, &got.headers).is_err());
    // Neither secret stands in the database as it was shown.
    for row in desk.database.rows("kvali").await {
        assert!(!row.contains(secret.trim_start_matches("whsec_")), "{row}");
    }
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_tried_ten_times_in_order_and_the_rest_is_delivered() {
    let desk = Desk::open().await;
    let mut receiver = Receiver::start(Some("500 Internal Server Error")).await;
    let (id, _) = desk.hook(&receiver.url).await;
    let sick = desk.create_company("Acme").await;
    let first = receiver.next().await;
    let pause =
        "select extract(epoch from retry_at - clock_timestamp())::float8 from kvali.subscription_stream";
    desk.until(&id, |told| told["behind_streams"] == 1).await;
    let failed = async {
        loop {
            let pause: Option<f64> =
                sqlx::query_scalar(pause).fetch_optional(&mut desk.database.admin().await).await.unwrap();
            if let Some(pause) = pause.filter(|pause| *pause > 0.0) {
                return pause;
            }
        }
    };
    let pause = tokio::time::timeout(PATIENCE, failed).await.unwrap();
    assert!((3.0..=5.0).contains(&pause), "{pause}");
    desk.post(&format!("/company/{sick}/rename-company"), &json!({ "name": "Acme Ltd" })).await;
    for _ in 1..10 {
        desk.make_haste().await;
        let again = receiver.next().await;
        assert_eq!(again.id(), first.id(), "the same message, and nothing later of its stream");
    }
    let told = desk.until(&id, |told| told["parked_streams"] == 1).await;
    assert!(is_settled(&told), "{told}");
    receiver.answer(Some("200 OK"));
    let well = desk.create_company("Beta").await;
    assert_eq!(receiver.next().await.event()["subject"], json!(well));
    assert_eq!(desk.post(&format!("/webhooks/{id}/replay"), &json!({})).await["replayed"], 1);
    for version in [1, 2] {
        let got = receiver.next().await;
        assert_eq!((&got.event()["subject"], &got.event()["streamversion"]), (&json!(sick), &json!(version)));
    }
    desk.until(&id, is_settled).await;
    let attempts = desk.deliveries(&id).await;
    assert_eq!(attempts.len(), 13);
    assert_eq!(attempts.iter().filter(|attempt| attempt["status"] == 500).count(), 10);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_stalls_or_redirects_has_not_taken_it_and_is_not_followed() {
    let desk = Desk::open().await;
    let mut receiver = Receiver::start(None).await;
    let elsewhere = Receiver::start(Some("200 OK")).await;
    let (id, _) = desk.hook(&receiver.url).await;
    desk.create_company("Acme").await;
    receiver.next().await;
    let attempts = async {
        while desk.deliveries(&id).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, attempts).await.unwrap();
    let stalled = desk.deliveries(&id).await;
    assert_eq!(stalled[0]["status"], Value::Null);
    assert!(stalled[0]["failure"].as_str().unwrap().contains("no answer"), "{stalled:?}");
    let redirect = format!("307 Temporary Redirect\r\nlocation: {}", elsewhere.url);
    receiver.answer(Some(Box::leak(redirect.into_boxed_str())));
    desk.until(&id, |told| told["behind_streams"] == 1).await;
    desk.make_haste().await;
    receiver.next().await;
    receiver.answer(Some("200 OK"));
    let redirected = async {
        while desk.deliveries(&id).await.len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, redirected).await.unwrap();
    assert_eq!(desk.deliveries(&id).await[0]["status"], 307);
    assert_eq!(elsewhere.accepted.load(Ordering::SeqCst), 0);
    desk.until(&id, |told| told["behind_streams"] == 1).await;
    desk.make_haste().await;
    receiver.next().await;
    desk.until(&id, is_settled).await;
    let attempts = async {
        while desk.deliveries(&id).await.len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, attempts).await.unwrap();
    let (all, path) = (desk.deliveries(&id).await, format!("/v1/webhooks/{id}/deliveries"));
    let first = desk.server.get(&desk.admin, &format!("{path}?limit=2")).await;
    let cursor = first.header("kvali-cursor").expect("there are more").to_owned();
    let rest = desk.server.get(&desk.admin, &format!("{path}?limit=2&cursor={cursor}")).await;
    assert_eq!(rest.header("kvali-cursor"), None, "there are no more");
    let paged = [first.ok().as_array().unwrap().clone(), rest.ok().as_array().unwrap().clone()].concat();
    assert_eq!(paged, all);
    let told = desk.server.get(&desk.admin, &format!("{path}?limit=0")).await.refused(400, "malformed");
    assert_eq!(told["field"], "limit");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_disabled_until_it_is_enabled() {
    let desk = Desk::open().await;
    let mut receiver = Receiver::start(Some("410 Gone")).await;
    let (id, _) = desk.hook(&receiver.url).await;
    let first = desk.create_company("Acme").await;
    receiver.next().await;
    let told = desk.until(&id, |told| !told["disabled_at"].is_null()).await;
    assert!(told["disabled_reason"].as_str().unwrap().contains("410"));
    let second = desk.create_company("Beta").await;
    receiver.answer(Some("200 OK"));
    assert!(receiver.got.try_recv().is_err(), "nothing is sent while it is disabled");
    let enabled = desk.server.post(&desk.admin, &format!("/v1/webhooks/{id}/enable"), &[], &json!({})).await;
    assert_eq!(enabled.status.as_u16(), 204);
    let mut got = [receiver.next().await, receiver.next().await].map(|got| got.event()["subject"].clone());
    got.sort_by_key(ToString::to_string);
    let mut expected = [json!(first), json!(second)];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(got, expected);
    desk.until(&id, is_settled).await;
    let gone = desk.server.send(Method::DELETE, &format!("/v1/webhooks/{id}"), &desk.admin, &[], "").await;
    assert_eq!(gone.status.as_u16(), 204);
    desk.server.get(&desk.admin, &format!("/v1/webhooks/{id}")).await.refused(404, "not_found");
    assert_eq!(desk.server.get(&desk.admin, "/v1/webhooks").await.ok(), json!([]));
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_dispatchers_deliver_each_event_once() {
    let desk = Desk::open().await;
    let how = Dispatch { loopback: Loopback::Allowed, ..Dispatch::default() };
    let other = Dispatcher::start(desk.database.connect().await, how);
    let mut receiver = Receiver::start(Some("200 OK")).await;
    let (id, _) = desk.hook(&receiver.url).await;
    for n in 0..30 {
        desk.create_company(&format!("Acme {n}")).await;
    }
    desk.until(&id, is_settled).await;
    let mut ids: Vec<String> = Vec::new();
    while let Ok(got) = receiver.got.try_recv() {
        ids.push(got.id().to_owned());
    }
    ids.sort_unstable();
    let sent = ids.len();
    ids.dedup();
    assert_eq!((sent, ids.len()), (30, 30));
    other.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_sends_and_only_to_where_it_is_allowed() {
    let desk = Desk::open().await;
    let other = desk.server.key(tenant(1), Role::Integration).await;
    let stranger = desk.server.key(tenant(2), Role::Admin).await;
    let hook = json!({ "url": "https://example.com/" });
    desk.server.post(&other, "/v1/webhooks", &[], &hook).await.refused(403, "forbidden");
    let (id, _) = desk.hook("https://example.com/").await;
    desk.server.get(&stranger, &format!("/v1/webhooks/{id}")).await.refused(404, "not_found");
    let bad = [
        (json!({ "url": "https://10.0.0.1/" }), "url"),
        (json!({ "url": "https://169.254.169.254/" }), "url"),
        (json!({ "url": "http://example.com/" }), "url"),
        (json!({ "url": "nothing" }), "url"),
        (json!({ "url": format!("https://example.com/{}", "x".repeat(2_000)) }), "url"),
        (json!({ "url": "https://example.com/", "types": ["deal.closed"] }), "types"),
        (json!({ "url": "https://example.com/", "from": "never" }), "from"),
        (json!({}), "url"),
    ];
    for (body, field) in bad {
        let told = desk.server.post(&desk.admin, "/v1/webhooks", &[], &body).await.refused(400, "malformed");
        assert_eq!(told["field"], field, "{told}");
    }
    desk.close().await;
}
