//! The server as a service sees it: commands, keys and rights, what is told of mistakes, and how it bears rough clients.

use hyper::{Method, StatusCode};
use kvali_api::{Limits, Rates, Settings};
use kvali_domain::access::{self, Permission, Role};
use kvali_domain::pipeline::Policy;
use kvali_domain::{CompanyId, DealId, UserId, user};
use kvali_tests::http::Server;
use kvali_tests::samples::Sales;
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

async fn ground() -> (Database, Server) {
    let database = Database::create().await;
    let server = Server::start(database.connect().await).await;
    (database, server)
}

fn company() -> String {
    format!("/v1/company/{}", CompanyId(new_id()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_carried_out_and_its_history_read() {
    let (database, server) = ground().await;
    let key = server.key(tenant(1), Role::Admin).await;
    let path = company();
    let answer = server.post(&key, &format!("{path}/create-company"), &[], &json!({ "name": "Acme" })).await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
    let position = answer.header("kvali-position").unwrap().to_owned();
    let told = answer.ok();
    assert_eq!(told["outcome"], "accepted");
    assert_eq!(told["position"].to_string(), position);
    assert_eq!(told["events"][0]["type"], "company.created");
    let renamed = server
        .post(
            &key,
            &format!("{path}/rename-company"),
            &[("if-match", "\"1\"")],
            &json!({ "name": "Acme Ltd" }),
        )
        .await
        .ok();
    assert_eq!(renamed["version"], 2);
    let again = server.post(&key, &format!("{path}/restore-company"), &[], &json!({})).await;
    assert_eq!(again.ok()["outcome"], "already_so");
    let stream = path.replace("/v1/company/", "/v1/streams/");
    let history = server.get(&key, &stream).await;
    assert_eq!(history.header("etag"), Some("\"2\""));
    let history = history.ok();
    let words: Vec<&Value> =
        history["events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(words, ["company.created", "company.renamed"]);
    assert_eq!(history["events"][1]["personal"]["name"], "Acme Ltd");
    assert_eq!(history["events"][1]["channel"], "api");
    // What was just written can be read: the read model answers no earlier than its position.
    let found = server.get(&key, &format!("/v1/search?text=acme&after={}", renamed["position"])).await.ok();
    assert_eq!(found["answer"][0]["name"], "Acme Ltd");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_named_with_the_way_out() {
    let (database, server) = ground().await;
    let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
    let key = server.key(tenant(1), Role::Admin).await;
    let path = company();
    let create = format!("{path}/create-company");
    server.post(&key, &create, &[], &json!({ "name": "Acme" })).await.ok();
    let rename = format!("{path}/rename-company");
    let stale = server.post(&key, &rename, &[("if-match", "\"7\"")], &json!({ "name": "A" })).await;
    assert_eq!(stale.header("etag"), Some("\"1\""));
    assert_eq!(stale.refused(412, "stale_version")["version"], 1);
    let texts = ["about Nino, +995 555 12 34 56", &"x".repeat(65), "a\tb"];
    for text in texts {
        let told = server.post(&key, &rename, &[("kvali-reason", text)], &json!({ "name": "A" })).await;
        assert_eq!(told.refused(400, "malformed")["field"], "Kvali-Reason", "{text}");
    }
    let hook = json!({ "name": "none", "types": [] });
    let told = server.post(&key, "/v1/subscriptions", &[], &hook).await;
    assert_eq!(told.refused(400, "malformed")["field"], "types");
    let told = server.post(&key, &rename, &[("if-match", "7")], &json!({ "name": "A" })).await;
    assert_eq!(told.refused(400, "malformed")["field"], "If-Match");
    let told = server.post(&key, &rename, &[], &json!({ "nam": "A" })).await.refused(400, "malformed");
    assert_eq!(told["field"], "nam");
    assert!(told["detail"].as_str().unwrap().contains("expected `name`"), "{told}");
    let told = server.send(Method::POST, &rename, &key, &[], "{").await.refused(400, "malformed");
    assert_eq!(told["field"], "body");
    let told = server.post(&key, &rename, &[], &json!({ "name": " " })).await.refused(422, "blank_name");
    assert_eq!(told["field"], "name");
    let told = server.post(&key, &create, &[], &json!({ "name": "Acme Ltd" })).await;
    assert_eq!(told.refused(422, "already_created")["field"], "id");
    let late = [("kvali-occurred-at", "2999-01-01T00:00:00Z")];
    let told = server.post(&key, &rename, &late, &json!({ "name": "A" })).await.refused(422, "in_the_future");
    assert_eq!(told["field"], "Kvali-Occurred-At");
    let told = server.post(&key, &format!("{rename}?dry_run=true"), &[], &json!({ "name": "A" })).await;
    assert_eq!(told.refused(400, "malformed")["field"], "dry_run");
    for (body, field) in [
        (json!({ "nam": "x" }), "nam"),
        (json!({}), "name"),
        (json!({ "name": "x", "types": "deal.won" }), "types"),
        (json!([]), "body"),
    ] {
        let told = server.post(&key, "/v1/subscriptions", &[], &body).await.refused(400, "malformed");
        assert_eq!(told["field"], field, "{told}");
    }
    let told = server.post(&key, &format!("{path}/rename"), &[], &json!({})).await;
    assert!(told.refused(404, "unknown_command")["detail"].as_str().unwrap().contains("rename-company"));
    let told = server.post(&key, "/v1/company/7/rename-company", &[], &json!({ "name": "A" })).await;
    assert_eq!(told.refused(400, "malformed")["field"], "id");
    for (path, field) in [
        ("/v1/board?pipeline=Nix", "pipeline"),
        ("/v1/board?pipelin=Sales", "pipelin"),
        ("/v1/board", "pipeline"),
        ("/v1/board?pipeline=Sales&limit=ten", "limit"),
        ("/v1/board?pipeline=Sales&pipeline=Service", "pipeline"),
        ("/v1/funnel?pipeline=Sales&zone=Mars", "zone"),
        ("/v1/forecast?pipeline=Sales&from=today&to=2026-01-01", "from"),
        ("/v1/search?text=a&archived=perhaps", "archived"),
        ("/v1/audit?limit=-1", "limit"),
        ("/v1/jobs?limit=7", "limit"),
        ("/v1/board?pipeline=Sales&limit=0", "limit"),
        ("/v1/board?pipeline=Sales&as_of=yesterday", "as_of"),
        ("/v1/board?pipeline=Sales&clock=mine", "clock"),
        ("/v1/funnel?pipeline=Sales&rule=any", "rule"),
        ("/v1/funnel?pipeline=Sales&window=soon", "window"),
        ("/v1/funnel?pipeline=Sales&rule=passed&window=7d", "window"),
        ("/v1/funnel?pipeline=Nix", "pipeline"),
        ("/v1/funnel?pipeline=Sales&by=field:nix", "by"),
        ("/v1/forecast?pipeline=Sales&from=2026-02-01&to=2026-01-01", "to"),
        ("/v1/funnel?name=Nix", "name"),
        ("/v1/funnel", "pipeline"),
        ("/v1/completeness?rare=2", "rare"),
        ("/v1/duplicates?level=sure", "level"),
        ("/v1/events?types=deal.wonn", "types"),
        ("/v1/events?after=nowhere", "after"),
        ("/v1/events?limit=100000", "limit"),
        ("/v1/events?wait=1h", "wait"),
        ("/v1/events?stream=7", "stream"),
    ] {
        let told = server.get(&key, path).await.refused(400, "malformed");
        assert_eq!(told["field"], field, "{path}: {told}");
    }
    for (path, field) in
        [("/v1/board?pipeline=Sales&as_of=99999", "as_of"), ("/v1/events?after=99999", "after")]
    {
        assert_eq!(server.get(&key, path).await.refused(400, "no_such_position")["field"], field);
    }
    server.get(&key, "/v1/search?text=a&after=99999").await.refused(409, "position_not_reached");
    server.get(&key, "/v1/nothing").await.refused(404, "not_found");
    server.send(Method::DELETE, "/v1/me", &key, &[], "").await.refused(405, "method_not_allowed");
    let large = json!({ "name": "a".repeat(3_000_000) });
    server.post(&key, &rename, &[], &large).await.refused(413, "too_large");
    let one = format!("/v1/deal/{}/open-deal", DealId(new_id()));
    let open = json!({ "pipeline": sales.pipeline, "external": { "source": "shop", "id": "4711" } });
    server.post(&key, &one, &[], &open).await.ok();
    let two = format!("/v1/deal/{}/open-deal", DealId(new_id()));
    server.post(&key, &two, &[], &open).await.refused(409, "taken");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_with_one_idempotency_key_have_one_effect_and_equal_answers() {
    let (database, server) = ground().await;
    let key = server.key(tenant(1), Role::Integration).await;
    let path = format!("{}/create-company", company());
    let before = server.store.head(tenant(1)).await.unwrap();
    let server = std::sync::Arc::new(server);
    let mut requests = JoinSet::new();
    for _ in 0..1_000 {
        let (server, key, path) = (server.clone(), key.clone(), path.clone());
        requests.spawn(async move {
            server.post(&key, &path, &[("idempotency-key", "order 7")], &json!({ "name": "Acme" })).await.ok()
        });
    }
    let answers = requests.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{:?}", answers[0]);
    assert_eq!(server.store.head(tenant(1)).await.unwrap(), before + 1);
    let other = json!({ "name": "Globex" });
    let told = server.post(&key, &path, &[("idempotency-key", "order 7")], &other).await;
    told.refused(422, "idempotency_key_reused");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_again_is_answered_from_the_log_as_it_was_at_first() {
    let (database, server) = ground().await;
    let key = server.key(tenant(1), Role::Integration).await;
    let (company, contact) = (CompanyId(new_id()), new_id());
    let item = |aggregate: &str, id: Value, command: &str, body: Value, n: u32| {
        json!({
            "aggregate": aggregate, "id": id, "command": command, "body": body, "idempotency_key": format!("item {n}"),
        })
    };
    let items = json!([
        item("company", json!(company), "create-company", json!({ "name": "Acme" }), 0),
        item(
            "contact",
            json!(contact),
            "create-contact",
            json!({ "full": "Nino Beridze", "points": [{ "kind": "email", "value": "nino@acme.ge" }] }),
            1
        ),
        item("company", json!(company), "rename-company", json!({ "name": "" }), 2),
        item("company", json!(company), "rename-company", json!({ "name": "Acme" }), 3),
        item("company", json!(company), "restore-company", json!({}), 4),
        item("company", json!(company), "rename-company", json!({ "name": "Acme" }), 3),
    ]);
    let first = server.post(&key, "/v1/commands", &[], &items).await.body;
    let outcomes: Vec<&Value> =
        first.as_array().unwrap().iter().map(|item| &item["answer"]["outcome"]).collect();
    assert_eq!(
        json!(outcomes),
        json!(["accepted", "accepted", null, "accepted", "already_so", "accepted"]),
        "{first:#}"
    );
    assert!(!first[1]["answer"]["events"].as_array().unwrap().is_empty(), "{first:#}");
    assert_eq!(first[3], first[5], "one key, one effect");
    let head = server.store.head(tenant(1)).await.unwrap();
    let again = server.post(&key, "/v1/commands", &[], &items).await.body;
    assert_eq!(again, first);
    assert_eq!(server.store.head(tenant(1)).await.unwrap(), head);
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_batch_are_answered_one_by_one() {
    let (database, server) = ground().await;
    let key = server.key(tenant(1), Role::Sales).await;
    let id = CompanyId(new_id());
    let items = json!([
        { "aggregate": "company", "id": id, "command": "create-company", "body": { "name": "Acme" } },
        { "aggregate": "company", "id": id, "command": "rename-company", "body": { "name": "" } },
        { "aggregate": "company", "id": id, "command": "rename-company", "body": { "name": "Acme Ltd" }, "if_version": 1 },
        { "aggregate": "access", "id": "-", "command": "revoke-api-key", "body": { "key": new_id() } },
        { "aggregate": "company", "id": id, "command": "restore-company" },
        { "aggregate": "company", "id": id, "comand": "restore-company" },
        { "aggregate": "company", "id": 7, "command": "restore-company" },
        { "aggregate": "company", "id": id, "command": "rename-company", "body": { "nam": "Acme" } },
        "restore-company",
    ]);
    let answer = server.post(&key, "/v1/commands", &[], &items).await;
    assert_eq!(answer.status, StatusCode::MULTI_STATUS);
    let statuses: Vec<u64> =
        answer.body.as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses[..3], [200, 422, 200], "{:#}", answer.body);
    assert_eq!(statuses[3], 403, "{}", answer.body);
    assert_eq!(statuses[4], 200);
    assert_eq!(answer.body[4]["answer"]["outcome"], "already_so");
    for (at, field) in [(5, "comand"), (6, "id"), (7, "nam"), (8, "body")] {
        let told = &answer.body[at];
        assert_eq!((&told["status"], &told["problem"]["field"]), (&json!(400), &json!(field)), "{told}");
    }
    let many = json!(vec![json!({ "aggregate": "company", "id": id, "command": "restore-company" }); 1_001]);
    server.post(&key, "/v1/commands", &[], &many).await.refused(400, "malformed");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_wrong_or_revoked_is_answered_alike() {
    let (database, server) = ground().await;
    let admin = server.key(tenant(1), Role::Admin).await;
    let key = server.key(tenant(1), Role::Analyst).await;
    server.get(&key, "/v1/me").await.ok();
    let cut = &key[..key.len() - 1];
    let other_secret = format!("{cut}{}", if key.ends_with('0') { '1' } else { '0' });
    let other_tenant = key.replace(&tenant(1).0.simple().to_string(), &tenant(2).0.simple().to_string());
    let wrong = server.get("", "/v1/me").await;
    assert_eq!(wrong.header("www-authenticate"), Some("Bearer"));
    let wrong = wrong.refused(401, "unauthorized");
    for key in [cut, &other_secret, &other_tenant, "kvali_", "x"] {
        assert_eq!(server.get(key, "/v1/me").await.refused(401, "unauthorized"), wrong);
    }
    let me = server.get(&key, "/v1/me").await.ok();
    let revoke = json!({ "key": me["key"] });
    server.post(&admin, "/v1/access/-/revoke-api-key", &[], &revoke).await.ok();
    assert_eq!(server.get(&key, "/v1/me").await.refused(401, "unauthorized"), wrong);
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_key_is_worth_what_the_user_is() {
    let (database, server) = ground().await;
    let admin = server.key(tenant(1), Role::Admin).await;
    let nino = UserId(new_id());
    let register = user::Command::Register { user: nino, name: kvali_domain::Personal::new("Nino") };
    accepted(server.store.handle(order(nino.stream(), register), envelope(tenant(1))).await);
    let grant = json!({ "user": nino, "role": "sales" });
    server.post(&admin, "/v1/access/-/grant-role", &[], &grant).await.ok();
    let key = server.key_of(tenant(1), Role::Sales, Some(nino)).await;
    assert_eq!(server.get(&key, "/v1/me").await.ok()["actor"], json!(nino));
    server.post(&admin, "/v1/access/-/revoke-role", &[], &grant).await.ok();
    server.get(&key, "/v1/me").await.refused(401, "unauthorized");
    server.post(&admin, "/v1/access/-/grant-role", &[], &grant).await.ok();
    server.get(&key, "/v1/me").await.ok();
    server.post(&admin, &format!("/v1/user/{nino}/deactivate-user"), &[], &json!({})).await.ok();
    server.get(&key, "/v1/me").await.refused(401, "unauthorized");
    server.stop().await;
    database.drop().await;
}

/// What each operation takes, beside the table of who has it.
#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_the_table_says_and_a_denial_is_recorded() {
    let (database, server) = ground().await;
    Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
    let path = company();
    let admin = server.key(tenant(1), Role::Admin).await;
    server.post(&admin, &format!("{path}/create-company"), &[], &json!({ "name": "Acme" })).await.ok();
    let stream = path.replace("/v1/company/", "/v1/streams/");
    let reads = [
        (stream.as_str(), Permission::Read),
        ("/v1/funnel?pipeline=Sales", Permission::Read),
        ("/v1/completeness", Permission::Read),
        ("/v1/board?pipeline=Sales", Permission::ReadPersonal),
        ("/v1/search?text=acme", Permission::ReadPersonal),
        ("/v1/duplicates", Permission::ReadPersonal),
        ("/v1/events", Permission::Follow),
        ("/v1/audit", Permission::Audit),
    ];
    let commands = [
        (format!("{path}/restore-company"), json!({}), Permission::Work),
        (
            "/v1/duplicate/-/reject-duplicate".to_owned(),
            json!({ "one": { "company": new_id() }, "other": { "company": new_id() } }),
            Permission::Merge,
        ),
        (
            "/v1/pipeline/-/create-pipeline".to_owned(),
            json!({ "name": "", "stages": [] }),
            Permission::Configure,
        ),
        (format!("/v1/team/{}/create-team", new_id()), json!({ "name": "" }), Permission::Staff),
        ("/v1/access/-/revoke-api-key".to_owned(), json!({ "key": new_id() }), Permission::GrantAccess),
        ("/v1/subject/-/erase-subject".to_owned(), json!({ "subject": new_id() }), Permission::Erase),
    ];
    let mut denied = 0;
    for role in Role::ALL {
        let key = server.key(tenant(1), role).await;
        for (path, permission) in reads {
            let answer = server.get(&key, path).await;
            let expected = if role.may(permission) { 200 } else { 403 };
            assert_eq!(answer.status.as_u16(), expected, "{} {path}: {}", role.as_str(), answer.body);
            denied += i64::from(expected == 403);
        }
        for (path, body, permission) in &commands {
            let answer = server.post(&key, path, &[], body).await;
            // Whoever may is answered by the rules, whatever they say.
            assert_ne!(answer.status.as_u16(), 400, "{path}: {}", answer.body);
            let is_denied = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(is_denied, !role.may(*permission), "{} {path}: {}", role.as_str(), answer.body);
            denied += i64::from(is_denied);
        }
        let history = server.get(&key, &stream).await.ok();
        let name = &history["events"][0]["personal"]["name"];
        let expected = if role.may(Permission::ReadPersonal) { json!("Acme") } else { Value::Null };
        assert_eq!(*name, expected, "{}", role.as_str());
    }
    let mut look = database.admin().await;
    let recorded: i64 = sqlx::query_scalar("select count(*) from kvali.denial where tenant_id = $1")
        .bind(tenant(1).0)
        .fetch_one(&mut look)
        .await
        .unwrap();
    assert_eq!(recorded, denied);
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_tenants_looks_like_what_is_not_there() {
    let (database, server) = ground().await;
    let (ours, theirs) = (server.key(tenant(1), Role::Admin).await, server.key(tenant(2), Role::Admin).await);
    let path = company();
    server.post(&theirs, &format!("{path}/create-company"), &[], &json!({ "name": "Acme" })).await.ok();
    let missing = company();
    for part in ["/v1/streams/", "/v1/timeline/"] {
        let seen = server.get(&ours, &path.replace("/v1/company/", part)).await.refused(404, "not_found");
        let not_there = server.get(&ours, &missing.replace("/v1/company/", part)).await;
        assert_eq!(not_there.refused(404, "not_found"), seen);
    }
    let rename = async |path: &str| {
        let answer =
            server.post(&ours, &format!("{path}/rename-company"), &[], &json!({ "name": "Mine" })).await;
        (answer.status, answer.body)
    };
    assert_eq!(rename(&path).await, rename(&missing).await);
    let found = server.get(&ours, "/v1/search?text=acme").await.ok();
    assert_eq!(found["answer"], json!([]));
    let cursor = server.get(&theirs, "/v1/events?limit=1").await;
    let cursor = cursor.header("kvali-cursor").unwrap().to_owned();
    server.get(&ours, &format!("/v1/events?after={cursor}")).await.refused(410, "cursor_of_another_log");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_lose_no_acknowledged_command() {
    /// `.ci/long` sends twenty thousand.
    const REQUESTS: u64 = 1_000;
    let asked = std::env::var("KVALI_TEST_HANG_UPS").ok();
    let count = asked.map_or(REQUESTS, |count| count.parse().expect("KVALI_TEST_HANG_UPS is a number"));
    let (database, server) = ground().await;
    let key = server.key(tenant(1), Role::Integration).await;
    let server = std::sync::Arc::new(server);
    let mut acknowledged = Vec::new();
    let mut left = 0;
    for start in (0..count).step_by(50) {
        let mut requests = JoinSet::new();
        for n in start..count.min(start + 50) {
            let (server, key) = (server.clone(), key.clone());
            let id = new_id();
            requests.spawn(async move {
                let path = format!("/v1/company/{id}/create-company");
                // Most within what an answer takes; some longer, and some wait for it: there is something to be lost.
                let patience = match n % 6 {
                    0 => Duration::from_secs(60),
                    3 => Duration::from_micros(n * 97 % 200_000),
                    _ => Duration::from_micros(n * 97 % 5_000),
                };
                let body = json!({ "name": "Acme" });
                let answer = server.post(&key, &path, &[], &body);
                (id, tokio::time::timeout(patience, answer).await.ok())
            });
        }
        for (id, answer) in requests.join_all().await {
            match answer {
                Some(answer) => {
                    answer.ok();
                    acknowledged.push(id);
                }
                None => left += 1,
            }
        }
    }
    let answered = acknowledged.len();
    assert!(left > count / 10 && answered > 0, "{left} of {count} hung up, {answered} were acknowledged");
    // Somebody who waits is served as ever.
    let path = company();
    server.post(&key, &format!("{path}/create-company"), &[], &json!({ "name": "Acme" })).await.ok();
    let mut look = database.admin().await;
    let kept: i64 = sqlx::query_scalar(
        "select count(*) from kvali.event where tenant_id = $1 and stream_id = any($2) and version = 1",
    )
    .bind(tenant(1).0)
    .bind(&acknowledged)
    .fetch_one(&mut look)
    .await
    .unwrap();
    assert_eq!(usize::try_from(kept), Ok(acknowledged.len()), "each acknowledged command is in the log");
    let idle: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
    )
    .fetch_one(&mut look)
    .await
    .unwrap();
    assert_eq!(idle, 0);
    println!("{answered} of {count} were acknowledged, {left} hung up");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_finish_a_header_disturb_nobody() {
    let database = Database::create().await;
    let limits = Limits { header_timeout: Duration::from_millis(500), ..Limits::default() };
    let server = Server::within(database.connect().await, limits).await;
    let key = server.key(tenant(1), Role::Admin).await;
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        connection.write_all(b"GET /v1/me HTTP/1.1\r\nhost: kvali\r\n").await.unwrap();
        slow.push(connection);
    }
    for _ in 0..50 {
        server.get(&key, "/v1/me").await.ok();
    }
    // Each is ended by the server, with or without a word.
    for mut connection in slow {
        let mut rest = Vec::new();
        let _ended = connection.read_to_end(&mut rest).await;
    }
    server.get(&key, "/v1/me").await.ok();
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_too_much_is_told_so_though_he_reads_only_afterwards() {
    let (database, server) = ground().await;
    let key = server.key(tenant(1), Role::Admin).await;
    // More than the sockets hold between the two.
    let body = vec![b' '; 30_000_000];
    for (key, status) in [(&*key, "413 Payload Too Large"), ("kvali_nobody", "401 Unauthorized")] {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let length = body.len();
        let head = format!(
            "POST {}/create-company HTTP/1.1\r\nhost: kvali\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n",
            company()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(&body).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    // A client that asks first need not send it.
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {}/create-company HTTP/1.1\r\nhost: kvali\r\nexpect: 100-continue\r\ncontent-length: 30000000\r\nconnection: close\r\n\r\n",
        company()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 Unauthorized"), "{answer}");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_is_answered_or_told_what_is_wrong_with_it() {
    let (database, server) = ground().await;
    Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
    let key = server.key(tenant(1), Role::Admin).await;
    let values = [
        "",
        "%00",
        "%ff",
        "-1",
        "0",
        "1",
        "9223372036854775807",
        "99999999999999999999",
        "nan",
        "1e400",
        "'; drop table x; --",
        "null",
        "[]",
        "2026-02-30",
        "2026-03-31T18:00:00Z",
        "0001-01-01T00:00:00Z",
        "-262143-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0d",
        "1d",
        "99999999999d",
        "Mars/Phobos",
        "Asia/Tbilisi",
        "%F0%9F%8E%89",
        "sales",
        "deal",
        "true",
    ];
    let questions: [(&str, &[&str]); 11] = [
        ("/v1/forecast?pipeline=Sales&to=2026-02-01", &["from"]),
        ("/v1/forecast?pipeline=Sales&from=2026-02-01", &["to", "zone"]),
        ("/v1/board?pipeline=Sales", &["pipeline", "stage", "owner", "sort", "limit", "cursor"]),
        ("/v1/search?text=a", &["text", "kind", "archived", "limit", "cursor"]),
        ("/v1/completeness?rare=0.1", &["kind", "owner", "rare"]),
        ("/v1/duplicates?limit=5", &["kind", "level", "owner", "decided", "limit", "cursor"]),
        ("/v1/overdue?limit=5", &["kind", "of", "team", "cause", "sort", "cursor", "zone", "from", "to"]),
        ("/v1/funnels?clock=known", &[]),
        ("/v1/funnel?pipeline=Sales", &["pipeline", "name", "rule", "window", "by", "zone"]),
        ("/v1/events?limit=5", &["after", "types", "stream", "limit", "wait"]),
        (
            "/v1/audit?limit=5",
            &[
                "kind",
                "actor",
                "object",
                "field",
                "aggregate",
                "type",
                "category",
                "channel",
                "from",
                "to",
                "cursor",
            ],
        ),
    ];
    for (path, names) in questions {
        let clocks: &[&str] = if path.starts_with("/v1/events") || path.starts_with("/v1/audit") {
            &[]
        } else {
            &["as_of", "clock"]
        };
        for name in names.iter().chain(clocks) {
            for value in values {
                // A wait of a second is long enough here.
                if (*name, value) == ("wait", "1") {
                    continue;
                }
                let value = value.replace(' ', "%20");
                let base = path.split_once('?').map_or(path, |(base, _)| base);
                let asked = if path.contains(&format!("?{name}=")) {
                    format!("{base}?{name}={value}")
                } else {
                    format!("{path}&{name}={value}")
                };
                let answer = server.get(&key, &asked).await;
                assert!(answer.status.as_u16() < 500, "{asked}: {}", answer.body);
                let is_problem = answer.header("content-type") == Some("application/problem+json");
                assert!(answer.status.is_success() || is_problem, "{asked}: {}", answer.status);
            }
        }
    }
    for path in ["/v1/streams/%ff", "/v1/timeline/%ff", "/v1/streams/%00", "/v1/timeline/x"] {
        let answer = server.get(&key, path).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {}", answer.status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    for known in kvali_domain::command_types() {
        for id in ["-", "%ff", "0190d9c6-4a00-7000-8000-0000000000aa"] {
            for body in [known.example.clone(), json!({}), json!([]), json!(7), json!({ "\u{0}": "\u{0}" })] {
                let mut word = String::new();
                for letter in known.name.chars() {
                    if letter.is_ascii_uppercase() && !word.is_empty() {
                        word.push('-');
                    }
                    word.push(letter.to_ascii_lowercase());
                }
                let answer =
                    server.post(&key, &format!("/v1/{}/{id}/{word}", known.aggregate), &[], &body).await;
                assert!(answer.status.as_u16() < 500, "{} {body}: {}", known.name, answer.body);
            }
        }
    }
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_whether_the_database_answers() {
    let (database, server) = ground().await;
    assert_eq!(server.get("", "/healthz").await.status, StatusCode::OK);
    let ready = server.get("", "/readyz").await.ok();
    assert_eq!(ready["ready"], true);
    assert_eq!(server.get("", "/metrics").await.status, StatusCode::OK);
    let first: access::Access = server.store.aggregate(tenant(1), access::STREAM).await.unwrap();
    assert_eq!(first.keys().count(), 0);
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_key_has_the_rights_it_was_narrowed_to() {
    let (database, server) = ground().await;
    let scopes = Some([Permission::Read].into());
    let key = server.narrowed_key(tenant(1), Role::Sales, None, scopes).await;
    let me = server.get(&key, "/v1/me").await.ok();
    assert_eq!((&me["role"], &me["permissions"]), (&json!("sales"), &json!({ "read": "team" })));
    server.get(&key, "/v1/completeness?kind=contact").await.ok();
    let told =
        server.post(&key, &format!("{}/create-company", company()), &[], &json!({ "name": "A" })).await;
    let told = told.refused(403, "forbidden");
    assert!(told["detail"].as_str().unwrap().contains("narrowed"), "{told}");
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_not_ready_while_read_models_are_far_behind_or_the_schema_is_another() {
    let database = Database::create().await;
    let settings = Settings { ready_lag: Some(Duration::ZERO), ..Settings::default() };
    let server = Server::with(database.connect().await, Limits::default(), settings).await;
    let model = || std::sync::Arc::new(kvali_projections::search::Search);
    let catch_up = || server.store.catch_up(model(), tenant(1), &|_, _| {});
    catch_up().await.unwrap();
    assert_eq!(server.get("", "/readyz").await.ok()["lag"]["events"], 0);
    let key = server.key(tenant(1), Role::Sales).await;
    let behind = server.get("", "/readyz").await;
    assert_eq!(behind.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(behind.body["detail"].as_str().unwrap().contains("behind"), "{}", behind.body);
    catch_up().await.unwrap();
    assert_eq!(server.get("", "/readyz").await.ok()["ready"], true);
    sqlx::query(
        "insert into kvali.migration (version, description, success, checksum, execution_time) \
         values (9999, 'of a newer program', true, '', 0)",
    )
    .execute(&mut database.admin().await)
    .await
    .unwrap();
    let newer = server.get("", "/readyz").await;
    assert_eq!(newer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(newer.body["schema"]["applied"], 9999);
    assert!(newer.body["detail"].as_str().unwrap().contains("newer program"), "{}", newer.body);
    server.get(&key, "/v1/me").await.ok();
    server.stop().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_guesses_is_told_to_wait_and_known_keys_go_on() {
    let database = Database::create().await;
    let failures_per_minute = std::num::NonZeroU32::new(5).unwrap();
    let rates = Rates { failures_per_minute, ..Rates::default() };
    let settings = Settings { rates, ..Settings::default() };
    let server = Server::with(database.connect().await, Limits::default(), settings).await;
    let key = server.key(tenant(1), Role::Sales).await;
    server.get(&key, "/v1/me").await.ok();
    let mut statuses = Vec::new();
    for n in 0..12 {
        let guess = key.replace(&tenant(1).0.simple().to_string(), &tenant(100 + n).0.simple().to_string());
        let answer = server.get(&guess, "/v1/me").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=12).contains(&wait), "{wait}");
        }
        statuses.push(answer.status.as_u16());
        // Whoever is known from a moment ago is let in.
        let known = server.get(&key, "/v1/me").await;
        assert!(known.header("ratelimit").is_some_and(|left| left.starts_with("\"per-key\";r=")));
        known.ok();
    }
    assert_eq!(statuses[..6], [401; 6]);
    assert_eq!(statuses[6..], [429; 6], "{statuses:?}");
    server.stop().await;
    database.drop().await;
}
