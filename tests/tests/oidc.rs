//! Tokens of an identity provider: whom they prove to be there, and what proves nothing.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

use ed25519_dalek::pkcs8::EncodePrivateKey;
use hyper::StatusCode;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use kvali_api::{Issuer, Limits, Settings, TenantOf, UserBy};
use kvali_domain::access::{self, Role};
use kvali_domain::{Personal, TenantId, UserId, user};
use kvali_tests::http::Server;
use kvali_tests::{Database, accepted, envelope, new_id, now, order, tenant};
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::rand_core::OsRng;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ISSUER: &str = "https://id.example";
const MAIL: &str = "nino@kvali.example";

/// A key of the provider, and by which algorithm it signs.
struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn ed(id: &'static str) -> Self {
        let key = ed25519_dalek::SigningKey::generate(&mut OsRng).to_pkcs8_der().unwrap();
        // The version of PKCS #8 without the public key, which is what a provider's tool writes.
        let seed = ed25519_dalek::pkcs8::KeypairBytes::try_from(key.as_bytes()).unwrap().secret_key;
        let bare = ed25519_dalek::pkcs8::KeypairBytes { secret_key: seed, public_key: None };
        let key = EncodingKey::from_ed_der(bare.to_pkcs8_der().unwrap().as_bytes());
        Self { id, algorithm: Algorithm::EdDSA, key }
    }

    fn ec(id: &'static str) -> Self {
        let key = p256::SecretKey::random(&mut OsRng);
        let der = key.to_pkcs8_der().unwrap();
        Self { id, algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(der.as_bytes()) }
    }

    fn rsa(id: &'static str) -> Self {
        let der = rsa::RsaPrivateKey::new(&mut OsRng, 2_048).unwrap().to_pkcs1_der().unwrap();
        Self { id, algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(der.as_bytes()) }
    }

    fn public(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        key.common.key_id = Some(self.id.to_owned());
        json!(key)
    }

    fn signs(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

/// Tells its keys to whoever asks.
struct Provider {
    url: String,
    set: Arc<Mutex<Value>>,
    asked: Arc<AtomicU32>,
}

impl Provider {
    async fn start(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let (set, asked) = (Arc::new(Mutex::new(json!({}))), Arc::new(AtomicU32::new(0)));
        let provider = Self { url, set, asked };
        provider.tells(signers);
        let (set, asked) = (Arc::clone(&provider.set), Arc::clone(&provider.asked));
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = [0; 4_096];
                let _read = connection.read(&mut request).await;
                asked.fetch_add(1, Ordering::SeqCst);
                let body = set.lock().unwrap().to_string();
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                let _sent = connection.write_all(answer.as_bytes()).await;
            }
        });
        provider
    }

    fn tells(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.public()).collect();
        *self.set.lock().unwrap() = json!({ "keys": keys });
    }

    fn issuer(&self) -> Issuer {
        Issuer {
            issuer: ISSUER.to_owned(),
            audience: "kvali".to_owned(),
            keys: self.url.parse().unwrap(),
            tenant: TenantOf::Fixed(tenant(1)),
            user: UserBy::Mail("email".to_owned()),
            asked_at_most_every: Duration::ZERO,
        }
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "kvali", "sub": "u-17", "email": MAIL, "email_verified": true,
        "exp": now().timestamp() + 600, "iat": now().timestamp(),
    })
}

/// Those claims with one of them changed.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

async fn ground(issuers: Vec<Issuer>) -> (Database, Server, UserId) {
    let database = Database::create().await;
    let settings = Settings { issuers, ..Settings::default() };
    let server = Server::with(database.connect().await, Limits::default(), settings).await;
    let user = UserId(new_id());
    let invite = user::Command::Invite {
        user,
        name: Personal::new("Nino"),
        mail: Personal::new("Nino@kvali.example"),
    };
    accepted(server.store.handle(order(user.stream(), invite), envelope(tenant(1))).await);
    let activate = order(user.stream(), user::Command::Activate {});
    accepted(server.store.handle(activate, envelope(tenant(1))).await);
    (database, server, user)
}

async fn grant(server: &Server, user: UserId, role: Role) {
    let grant = order(access::STREAM, access::Command::GrantRole { user, role });
    accepted(server.store.handle(grant, envelope(tenant(1))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_worth_what_its_user_is_here() {
    let signers = [Signer::ed("1"), Signer::ec("2"), Signer::rsa("3")];
    let provider = Provider::start(&signers.each_ref()).await;
    let (database, server, user) = ground(vec![provider.issuer()]).await;
    let admin = server.key(tenant(1), Role::Admin).await;
    let token = signers[0].signs(&with("roles", json!(["admin"])));
    let me = server.get(&token, "/v1/me").await.ok();
    assert_eq!(me["permissions"], json!({}), "what a token says of roles counts for nothing");
    let told = server.get(&token, "/v1/events?after=0").await.refused(403, "forbidden");
    assert!(told["detail"].as_str().unwrap().contains("no role was granted"), "{told}");
    let path = "/v1/access/-/grant-role";
    for role in ["sales", "auditor"] {
        server.post(&admin, path, &[], &json!({ "user": user, "role": role })).await.ok();
    }
    for signer in &signers {
        let me = server.get(&signer.signs(&claims()), "/v1/me").await.ok();
        assert_eq!(me["roles"], json!(["sales", "auditor"]));
        assert_eq!((&me["actor"], &me["key"]), (&json!(user), &Value::Null));
        assert_eq!(me["credential"], "oidc:https://id.example:u-17");
        let may = |right: &str| me["permissions"].get(right).is_some();
        assert!(may("work") && may("audit") && !may("configure"), "the union of both roles: {me}");
    }
    let create = "/v1/company/-/create-company";
    let told = server.post(&token, create, &[], &json!({ "name": "Acme" })).await.ok();
    let company = format!("/v1/streams/{}", told["id"].as_str().unwrap());
    assert_eq!(server.get(&token, &company).await.ok()["events"][0]["actor"], json!(user));
    let deactivate = format!("/v1/user/{user}/deactivate-user");
    server.post(&admin, &deactivate, &[], &json!({})).await.ok();
    server.get(&token, "/v1/me").await.refused(401, "unauthorized");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_nothing_is_answered_like_no_key() {
    let (known, stranger, rsa) = (Signer::ec("1"), Signer::ec("1"), Signer::rsa("2"));
    let provider = Provider::start(&[&known, &rsa]).await;
    let (database, server, user) = ground(vec![provider.issuer()]).await;
    grant(&server, user, Role::Sales).await;
    let nothing = server.get("", "/v1/me").await.refused(401, "unauthorized");
    let without = |claim: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(claim);
        claims
    };
    let past = now().timestamp() - 120;
    let mut tokens: Vec<(&str, String)> = vec![
        ("expired", known.signs(&with("exp", json!(past)))),
        ("not valid yet", known.signs(&with("nbf", json!(past + 400)))),
        ("no text for a time", known.signs(&with("nbf", json!("soon")))),
        ("for another audience", known.signs(&with("aud", json!("billing")))),
        ("by another issuer", known.signs(&with("iss", json!("https://id.example.evil")))),
        ("for ever", known.signs(&without("exp"))),
        ("for nobody", known.signs(&without("aud"))),
        ("about nobody", known.signs(&without("sub"))),
        ("by a key of the same id", stranger.signs(&claims())),
        ("by a key that is not told", Signer::ec("9").signs(&claims())),
        ("a mail that is not verified", known.signs(&with("email_verified", json!(false)))),
        ("a mail of nobody", known.signs(&with("email", json!("tamar@kvali.example")))),
    ];
    let valid = known.signs(&claims());
    let (head, signature) = valid.rsplit_once('.').unwrap();
    let (head, _) = head.split_once('.').unwrap();
    let other = known.signs(&with("sub", json!("u-1")));
    let payload = other.split('.').nth(1).unwrap();
    tokens.push(("of two tokens", format!("{head}.{payload}.{signature}")));
    tokens.push(("without a signature", format!("{head}.{payload}.")));
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    tokens.push(("by no algorithm", format!("{none}.{payload}.")));
    // Whoever checks an RSA key as if it were a shared secret takes what anybody can sign.
    let public = rsa.public()["n"].as_str().unwrap().to_owned();
    let shared =
        Signer { id: "2", algorithm: Algorithm::HS256, key: EncodingKey::from_secret(public.as_bytes()) };
    tokens.push(("by the public key as a secret", shared.signs(&claims())));
    let confused = Header { kid: Some("2".to_owned()), ..Header::new(Algorithm::ES256) };
    tokens.push(("by the algorithm of another key", encode(&confused, &claims(), &known.key).unwrap()));
    for (what, token) in &tokens {
        let answer = server.get(token, "/v1/me").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.body);
        assert_eq!(answer.body, nothing, "{what}");
    }
    server.get(&valid, "/v1/me").await.ok();
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_and_made_up_ids_do_not_make_the_server_ask() {
    let (old, new) = (Signer::ed("old"), Signer::ed("new"));
    let provider = Provider::start(&[&old]).await;
    let (database, server, _) = ground(vec![provider.issuer()]).await;
    server.get(&old.signs(&claims()), "/v1/me").await.ok();
    server.get(&old.signs(&claims()), "/v1/me").await.ok();
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "known keys are not asked for again");
    provider.tells(&[&new]);
    server.get(&new.signs(&claims()), "/v1/me").await.ok();
    server.get(&old.signs(&claims()), "/v1/me").await.refused(401, "unauthorized");
    server.stop().await;

    let patient = Issuer { asked_at_most_every: Duration::from_secs(3_600), ..provider.issuer() };
    let settings = Settings { issuers: vec![patient], ..Settings::default() };
    let server = Server::with(database.connect().await, Limits::default(), settings).await;
    let before = provider.asked.load(Ordering::SeqCst);
    for _ in 0..20 {
        server.get(&Signer::ed("made-up").signs(&claims()), "/v1/me").await.refused(401, "unauthorized");
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), before + 1);
    server.get(&new.signs(&claims()), "/v1/me").await.ok();
    server.stop().await;
    database.drop().await;
}

fn named(name: &str) -> TenantId {
    if name == "acme" { tenant(1) } else { tenant(2) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_may_name_the_tenant_and_the_users_id() {
    let signer = Signer::ec("1");
    let provider = Provider::start(&[&signer]).await;
    let issuer = Issuer {
        tenant: TenantOf::Claim("org".to_owned(), named),
        user: UserBy::Id("sub".to_owned()),
        ..provider.issuer()
    };
    let (database, server, user) = ground(vec![issuer]).await;
    let mut said = with("sub", json!(user));
    said["org"] = json!("acme");
    assert_eq!(server.get(&signer.signs(&said), "/v1/me").await.ok()["tenant"], json!(tenant(1)));
    said["org"] = json!("globex");
    server.get(&signer.signs(&said), "/v1/me").await.refused(401, "unauthorized");
    server.get(&signer.signs(&with("sub", json!(user))), "/v1/me").await.refused(401, "unauthorized");
    server.stop().await;
    database.drop().await;
}
