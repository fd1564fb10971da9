//! The audit trail: who did what, when, why and by which path, before and after; refusals, denials and reads beside it; and
//! the digest that proves that nothing was altered since.

use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use hyper::{Method, StatusCode};
use kvali_domain::access::Role;
use kvali_domain::pipeline::Policy;
use kvali_domain::{ActorId, SubjectId, TenantId};
use kvali_eventstore::Fault;
use kvali_eventstore::project::TIMER;
use kvali_projections::audit_trail::{self, Ask, Filter, Kind, Sees};
use kvali_tests::http::Server;
use kvali_tests::models::quiet;
use kvali_tests::office::Office;
use kvali_tests::samples::{LEAD, OFFER, Sales, move_to};
use kvali_tests::{Database, accepted, envelope, new_id, now, order, tenant};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// A pipeline, an admin, and an auditor who looks at what the admin does.
struct Firm {
    database: Database,
    server: Server,
    sales: Sales,
    admin: String,
    auditor: String,
}

impl Firm {
    async fn open() -> Self {
        let database = Database::create().await;
        let server = Server::start(database.connect().await).await;
        let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
        let admin = server.key(tenant(1), Role::Admin).await;
        let auditor = server.key(tenant(1), Role::Auditor).await;
        Self { database, server, sales, admin, auditor }
    }

    async fn tell(&self, path: &str, body: Value) {
        self.server.post(&self.admin, path, &[], &body).await.ok();
    }

    async fn contact(&self, given: &str) -> Uuid {
        let id = new_id();
        self.tell(&format!("/v1/contact/{id}/create-contact"), json!({ "given": given })).await;
        id
    }

    async fn deal(&self) -> Uuid {
        let id = new_id();
        self.tell(&format!("/v1/deal/{id}/open-deal"), json!({ "pipeline": self.sales.pipeline })).await;
        id
    }

    async fn audit(&self, query: &str) -> Vec<Value> {
        let body = self.server.get(&self.auditor, &format!("/v1/audit?{query}")).await.ok();
        body["entries"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
    }

    /// Page by page to the oldest, and how many pages that were.
    async fn pages(&self, query: &str) -> (Vec<Value>, usize) {
        let (mut entries, mut cursor) = (Vec::new(), String::new());
        for page in 1.. {
            let path = format!("/v1/audit?{query}{cursor}");
            let told = self.server.get(&self.auditor, &path).await.ok();
            entries.extend(told["entries"].as_array().unwrap_or_else(|| panic!("{told}")).clone());
            let Some(next) = told["cursor"].as_str() else { return (entries, page) };
            cursor = format!("&cursor={next}");
        }
        unreachable!("a log ends")
    }

    async fn close(self) {
        self.server.stop().await;
        self.database.drop().await;
    }
}

fn all<'a>(entries: &'a [Value], member: &str) -> Vec<&'a Value> {
    entries.iter().map(|entry| &entry[member]).collect()
}

fn change<'a>(entry: &'a Value, field: &str) -> (&'a Value, &'a Value) {
    let changes = entry["changes"].as_array().unwrap_or_else(|| panic!("{entry}"));
    let change = changes.iter().find(|change| change["field"] == field);
    let change = change.unwrap_or_else(|| panic!("no {field} in {entry}"));
    (&change["before"], &change["after"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_with_who_why_when_by_which_path_and_what_was_before() {
    let firm = Firm::open().await;
    let nino = firm.contact("Nino").await;
    let rename = format!("/v1/contact/{nino}/rename-contact");
    let headers = [
        ("kvali-reason", "typo"),
        ("x-request-id", "ticket-7"),
        ("kvali-occurred-at", "2026-01-02T03:04:05Z"),
    ];
    let body = json!({ "given": "Nina", "family": "Beridze" });
    let answer = firm.server.post(&firm.admin, &rename, &headers, &body).await.ok();
    let me = firm.server.get(&firm.admin, "/v1/me").await.ok();

    let entries = firm.audit(&format!("object={nino}&kind=event")).await;
    assert_eq!(all(&entries, "type"), ["contact.renamed", "contact.created"]);
    let entry = &entries[0];
    assert_eq!(change(entry, "given"), (&json!("Nino"), &json!("Nina")));
    assert_eq!(change(entry, "family"), (&Value::Null, &json!("Beridze")));
    assert_eq!(entry["changes"].as_array().map(Vec::len), Some(2), "{entry}");
    assert_eq!(entry["actor"], me["actor"]);
    assert_eq!(entry["credential"], json!(format!("api_key:{}", me["key"].as_str().unwrap())));
    assert_eq!((&entry["what"], &entry["channel"]), (&json!("RenameContact"), &json!("api")));
    assert_eq!((&entry["reason_code"], &entry["request_id"]), (&json!("typo"), &json!("ticket-7")));
    assert_eq!(entry["source_address"], "127.0.0.1");
    assert_eq!(entry["occurred_at"], "2026-01-02T03:04:05Z");
    assert!(entry["recorded_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap() <= now());
    assert_eq!(entry["command_id"], answer["command_id"]);
    assert_eq!(entry["correlation_id"], answer["command_id"]);
    assert_eq!((&entry["position"], &entry["version"]), (&answer["position"], &json!(2)));
    assert_eq!(change(&entries[1], "given"), (&Value::Null, &json!("Nino")));
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_happened_to_a_deal_includes_what_names_it() {
    let firm = Firm::open().await;
    let (deal, other, user) = (firm.deal().await, firm.deal().await, new_id());
    firm.tell(&format!("/v1/user/{user}/register-user"), json!({ "user": user, "name": "Tamar" })).await;
    firm.tell(&format!("/v1/deal/{deal}/move-deal"), json!({ "to": OFFER })).await;
    let about = json!({ "deal": deal });
    let note = json!({ "about": about, "text": "wants a discount", "visibility": "team" });
    firm.tell(&format!("/v1/note/{}/add-note", new_id()), note).await;
    let task = new_id();
    let due = json!({ "day": { "date": "2031-05-01", "zone": "Asia/Tbilisi" } });
    let create = json!({ "subject": "Call", "due": due, "assignee": user, "targets": [about] });
    firm.tell(&format!("/v1/task/{task}/create-task"), create).await;
    firm.tell(&format!("/v1/task/{task}/complete-task"), json!({ "result": "they agree" })).await;
    firm.tell(&format!("/v1/deal/{other}/move-deal"), json!({ "to": OFFER })).await;

    let entries = firm.audit(&format!("object={deal}&kind=event")).await;
    let expected = ["task.completed", "task.created", "note.added", "deal.stage_changed", "deal.opened"];
    assert_eq!(all(&entries, "type"), expected);
    assert_eq!(change(&entries[0], "state"), (&json!("open"), &json!("completed")));
    assert_eq!(change(&entries[0], "result"), (&Value::Null, &json!("they agree")));
    assert_eq!(change(&entries[3], "stage"), (&json!(LEAD), &json!(OFFER)));
    let moved = firm.audit(&format!("object={deal}&field=stage")).await;
    assert_eq!(all(&moved, "type"), ["deal.stage_changed", "deal.opened"]);
    let tasks = firm.audit(&format!("object={deal}&aggregate=task&type=task.completed")).await;
    assert_eq!(all(&tasks, "type"), ["task.completed"]);
    let pipeline = firm.audit(&format!("object={}", firm.sales.pipeline)).await;
    assert_eq!(all(&pipeline, "type"), ["pipeline.created"], "what is no customer has its own stream");
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_denials_and_reads_stand_among_the_events_in_order_of_time() {
    let firm = Firm::open().await;
    let (server, nino) = (&firm.server, firm.contact("Nino").await);
    let path = format!("/v1/contact/{nino}/rename-contact");
    server
        .post(&firm.admin, &path, &[("x-request-id", "r-1")], &json!({ "given": " " }))
        .await
        .refused(422, "blank_name");
    let analyst = server.key(tenant(1), Role::Analyst).await;
    server
        .post(&analyst, &path, &[("x-request-id", "d-1")], &json!({ "given": "X" }))
        .await
        .refused(403, "forbidden");
    server
        .send(Method::GET, "/v1/search?text=nino", &firm.admin, &[("x-request-id", "s-1")], Bytes::new())
        .await
        .ok();
    firm.tell(&path, json!({ "given": "Nina" })).await;

    let entries = firm.audit("limit=5").await;
    assert_eq!(all(&entries, "kind"), ["event", "read", "denied", "event", "refused"]);
    assert_eq!(entries[3]["type"], "access.api_key_issued");
    let [_, read, denied, _, refused] = entries.as_slice() else { unreachable!("five were asked for") };
    assert_eq!((&refused["what"], &refused["code"]), (&json!("RenameContact"), &json!("blank_name")));
    assert_eq!((&refused["stream"], &refused["request_id"]), (&json!(nino), &json!("r-1")));
    assert_eq!((&denied["what"], &denied["permission"]), (&json!("RenameContact"), &json!("work")));
    assert_eq!(denied["request_id"], "d-1");
    assert_eq!(
        (&read["what"], &read["shown"], &read["count"]),
        (&json!("search"), &json!([nino]), &json!(1))
    );
    assert_eq!(read["request_id"], "s-1");
    // What was refused and denied changed nothing.
    let given = firm.audit(&format!("object={nino}&field=given")).await;
    assert_eq!(given.len(), 2);
    assert_eq!(change(&given[0], "given"), (&json!("Nino"), &json!("Nina")));

    for (kind, count) in [("refused", 1), ("denied", 1)] {
        assert_eq!(firm.audit(&format!("kind={kind}")).await.len(), count, "{kind}");
        assert_eq!(firm.audit(&format!("kind={kind}&type=contact.renamed")).await.len(), count, "{kind}");
        assert_eq!(firm.audit(&format!("kind={kind}&category=configuration")).await.len(), 0, "{kind}");
    }
    assert_eq!(firm.audit(&format!("kind=refused&object={nino}")).await.len(), 1);
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shown_personal_texts_is_recorded_before_he_sees_them() {
    let firm = Firm::open().await;
    let (server, nino) = (&firm.server, firm.contact("Nino").await);
    let seller = server.key(tenant(1), Role::Sales).await;
    let analyst = server.key(tenant(1), Role::Analyst).await;
    let integration = server.key(tenant(1), Role::Integration).await;
    let seen = format!("kind=read&object={nino}");
    for (key, path, what) in [
        (&seller, format!("/v1/streams/{nino}"), Some("a stream")),
        (&analyst, format!("/v1/streams/{nino}"), None),
        (&seller, "/v1/search?text=nino".to_owned(), Some("search")),
        (&seller, "/v1/search?text=giorgi".to_owned(), None),
        (&seller, "/v1/board?pipeline=Sales".to_owned(), None),
        (&firm.admin, "/v1/events".to_owned(), Some("the feed of events")),
        (&integration, "/v1/events".to_owned(), None),
        (&firm.admin, "/v1/events?types=pipeline.*".to_owned(), None),
        (&firm.auditor, format!("/v1/audit?object={nino}&kind=event"), Some("the audit trail")),
    ] {
        let before = firm.audit(&seen).await.len();
        let answer = server.get(key, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let reads = firm.audit(&seen).await;
        assert_eq!(reads.len() - before, usize::from(what.is_some()), "{path}");
        if let Some(what) = what {
            assert_eq!(reads[0]["what"], what, "{path}");
            let me = server.get(key, "/v1/me").await.ok();
            assert_eq!(reads[0]["actor"], me["actor"], "{path}");
        }
    }
    let feed = firm.audit("kind=read").await;
    let feed = feed.iter().find(|read| read["what"] == "the feed of events").unwrap();
    assert_eq!(
        (&feed["from_position"], &feed["to_position"]),
        (&json!(1), &json!(server.store.head(tenant(1)).await.unwrap()))
    );
    let me = server.get(&seller, "/v1/me").await.ok();
    let mine = firm.audit(&format!("kind=read&actor={}", me["actor"].as_str().unwrap())).await;
    assert_eq!(all(&mine, "what"), ["search", "a stream"]);
    // Not by the service's role, and by nobody else either.
    let mut admin = firm.database.admin().await;
    for statement in [
        "delete from kvali.personal_read",
        "update kvali.personal_read set what = ''",
        "truncate kvali.personal_read",
    ] {
        for role in ["kvali_app", "kvali_owner"] {
            let acting = format!("set role {role}; set kvali.tenant = '{}'", tenant(1));
            admin.execute(AssertSqlSafe(acting)).await.unwrap();
            let refused = admin.execute(statement).await.unwrap_err();
            let code = refused.as_database_error().and_then(|error| error.code().map(Cow::into_owned));
            assert_eq!(code.as_deref(), Some("42501"), "{role}: {statement}");
        }
    }
    drop(admin);
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_the_feed_leaves_a_record_for_each_page_before_it_comes() {
    let firm = Firm::open().await;
    let nino = firm.contact("Nino").await;
    let bearer = format!("Bearer {}", firm.admin);
    let headers = [("authorization", &*bearer), ("accept", "text/event-stream")];
    let path = "/v1/events?after=0&types=contact.*";
    let response = firm.server.begin(Method::GET, path, &headers, Bytes::new()).await.unwrap();
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains("Nino") {
        let frame = http_body_util::BodyExt::frame(&mut body).await.expect("it goes on").unwrap();
        text.push_str(&String::from_utf8_lossy(frame.data_ref().expect("data")));
    }
    let reads = firm.audit(&format!("kind=read&object={nino}")).await;
    assert_eq!(all(&reads, "what"), ["the feed of events"]);
    drop(body);
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_pass_what_they_name_and_nothing_else() {
    let firm = Firm::open().await;
    let deal = firm.deal().await;
    let before = now();
    let seller = firm.server.key(tenant(1), Role::Sales).await;
    let path = format!("/v1/deal/{deal}/move-deal");
    firm.server.post(&seller, &path, &[], &json!({ "to": OFFER })).await.ok();
    let me = firm.server.get(&seller, "/v1/me").await.ok();
    let actor = me["actor"].as_str().unwrap();
    let hers = firm.audit(&format!("actor={actor}")).await;
    assert_eq!(all(&hers, "type"), ["deal.stage_changed"]);
    // On her behalf counts as hers, too.
    let mut sent = envelope(tenant(1));
    sent.actor = TIMER;
    sent.on_behalf_of = Some(ActorId(actor.parse().unwrap()));
    accepted(firm.server.store.handle(order(kvali_domain::StreamId(deal), move_to(LEAD)), sent).await);
    let hers = firm.audit(&format!("actor={actor}")).await;
    assert_eq!(all(&hers, "on_behalf_of"), [&json!(actor), &Value::Null]);
    assert_eq!(firm.audit(&format!("actor={actor}&type=deal.stage_changed")).await.len(), 2);
    assert_eq!(firm.audit(&format!("actor={actor}&channel=api")).await.len(), 2);
    assert_eq!(firm.audit(&format!("actor={actor}&channel=automation")).await.len(), 0);

    let configured = firm.audit("category=configuration").await;
    assert_eq!(all(&configured, "type"), ["loss_reason.defined", "pipeline.created"]);
    let access = firm.audit("category=access&kind=event").await;
    assert!(access.iter().all(|entry| entry["type"] == "access.api_key_issued") && access.len() == 3);
    assert!(!access[0].to_string().contains("digest"), "{}", access[0]);
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let (since, until) = (firm.audit(&format!("kind=event&from={}", instant(before))).await, now());
    assert_eq!(since.len(), 3);
    let earlier = firm.audit(&format!("kind=event&to={}", instant(before))).await;
    let whole = firm.audit(&format!("kind=event&to={}", instant(until))).await;
    assert_eq!([since, earlier].concat(), whole);

    for (query, field) in [
        ("kind=seen", "kind"),
        ("actor=nino", "actor"),
        ("object=7", "object"),
        ("aggregate=deals", "aggregate"),
        ("type=deal.wonn", "type"),
        ("category=config", "category"),
        ("channel=fax", "channel"),
        ("from=yesterday", "from"),
        ("cursor=0", "cursor"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("who=me", "who"),
    ] {
        let told = firm.server.get(&firm.auditor, &format!("/v1/audit?{query}")).await;
        assert_eq!(told.refused(400, "malformed")["field"], field, "{query}");
    }
    firm.server.get(&seller, "/v1/audit").await.refused(403, "forbidden");
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_entry_once_while_others_write() {
    let firm = Firm::open().await;
    let nino = firm.contact("Nino").await;
    for n in 0..40 {
        let path = format!("/v1/contact/{nino}/rename-contact");
        firm.tell(&path, json!({ "given": format!("Nino {n}") })).await;
        firm.server.post(&firm.admin, &path, &[], &json!({ "given": "" })).await.refused(422, "blank_name");
        firm.server.get(&firm.admin, &format!("/v1/streams/{nino}")).await.ok();
    }
    let whole = firm.audit("limit=1000").await;
    assert!(whole.len() > 120);
    let writing = Arc::new(AtomicBool::new(true));
    let writer = {
        let Sales { tenant, pipeline, reason } = firm.sales;
        let sales = Sales { tenant, pipeline, reason };
        let (store, writing) = (firm.server.store.clone(), Arc::clone(&writing));
        tokio::spawn(async move {
            while writing.load(Ordering::Relaxed) {
                sales.open_deal(&store).await;
            }
        })
    };
    let (told, pages) = firm.pages("limit=7").await;
    writing.store(false, Ordering::Relaxed);
    writer.await.unwrap();
    assert!(pages > 3, "{pages} pages");
    let ids: BTreeSet<&str> = told.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), told.len(), "none came twice");
    // The reader's own reads came in between, and what was written since stands before.
    let begun = told.iter().position(|entry| entry["id"] == whole[0]["id"]).expect("nothing was lost");
    assert_eq!(told[begun..], whole);
    let times: Vec<&str> = told.iter().map(|entry| entry["recorded_at"].as_str().unwrap()).collect();
    let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    assert!(times.windows(2).all(|pair| time(pair[0]) >= time(pair[1])), "newest first");

    for query in ["field=given", "kind=refused", "kind=event&aggregate=contact"] {
        let (told, pages) = firm.pages(&format!("{query}&limit=3")).await;
        assert!(pages > 10, "{query}: {pages} pages");
        assert_eq!(told, firm.audit(&format!("{query}&limit=1000")).await, "{query}");
    }
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_erased_person_it_is_told_that_something_was_there() {
    let firm = Firm::open().await;
    let nino = firm.contact("Unmistakable").await;
    firm.tell(&format!("/v1/contact/{nino}/rename-contact"), json!({ "given": "Unmistakable too" })).await;
    firm.tell("/v1/subject/-/erase-subject", json!({ "subject": nino })).await;
    let entries = firm.audit(&format!("object={nino}&kind=event")).await;
    assert_eq!(all(&entries, "type"), ["subject.erased", "contact.renamed", "contact.created"]);
    let given = &entries[1]["changes"][0];
    assert_eq!(*given, json!({ "field": "given", "before": null, "after": null, "withheld": "erased" }));
    let whole = firm.server.get(&firm.auditor, "/v1/audit?limit=1000").await;
    assert!(!whole.text.contains("Unmistakable"));
    assert_eq!(firm.audit(&format!("kind=read&object={nino}")).await.len(), 0, "nobody was shown anything");
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_read_personal_texts_sees_that_there_are_some() {
    let firm = Firm::open().await;
    let nino = firm.contact("Nino").await;
    let filter =
        Filter { object: Some(kvali_domain::StreamId(nino)), kind: Some(Kind::Event), ..Filter::default() };
    let ask = Ask { filter, after: None, limit: 10 };
    let trail = audit_trail::trail(&firm.server.store, tenant(1), ask, now(), &quiet).await.unwrap();
    let [entry] = trail.entries.as_slice() else { panic!("{:?}", trail.entries) };
    let masked = entry.json(Sees::Masked);
    assert!(!masked.to_string().contains("Nino"), "{masked}");
    assert_eq!(
        masked["changes"][0],
        json!({ "field": "given", "before": null, "after": null, "withheld": "masked" })
    );
    assert_eq!(entry.told_of(Sees::Masked).count(), 0);
    assert_eq!(entry.told_of(Sees::All).collect::<Vec<_>>(), [nino]);
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_records_are_never_shown() {
    let firm = Firm::open().await;
    let nino = firm.contact("Nino").await;
    firm.server.get(&firm.admin, &format!("/v1/streams/{nino}")).await.ok();
    let page = firm.server.get(&firm.auditor, "/v1/audit?limit=2").await.ok();
    let theirs = firm.server.key(tenant(2), Role::Auditor).await;
    let told = firm.server.get(&theirs, "/v1/audit").await.ok();
    assert_eq!(all(told["entries"].as_array().unwrap(), "type"), ["access.api_key_issued"]);
    for query in [
        format!("object={nino}"),
        format!("object={nino}&kind=read"),
        format!("kind=event&actor={}", page["entries"][0]["actor"].as_str().unwrap()),
        "category=configuration".to_owned(),
        "kind=refused".to_owned(),
    ] {
        let told = firm.server.get(&theirs, &format!("/v1/audit?{query}")).await.ok();
        assert_eq!(told["entries"], json!([]), "{query}");
    }
    let cursor = page["cursor"].as_str().unwrap();
    let told = firm.server.get(&theirs, &format!("/v1/audit?cursor={cursor}")).await.ok();
    assert!(!told.to_string().contains(&nino.to_string()));
    firm.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_comes_as_json_as_lines_and_as_a_table() {
    let firm = Firm::open().await;
    let nino = firm.contact("=HYPERLINK(\"http://x\")").await;
    firm.tell(&format!("/v1/contact/{nino}/rename-contact"), json!({ "given": "Nina", "family": "Beridze" }))
        .await;
    let get = async |accept: &str| {
        let path = format!("/v1/audit?object={nino}&kind=event&limit=1000");
        firm.server.send(Method::GET, &path, &firm.auditor, &[("accept", accept)], Bytes::new()).await
    };
    let json = get("application/json").await.ok();
    let lines = get("application/x-ndjson").await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let told: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(told), json["entries"]);
    let csv = get("text/csv").await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let rows: Vec<&str> = csv.text.lines().collect();
    assert!(
        rows[0].starts_with("kind,recorded_at,occurred_at,position,stream,version,type,actor,"),
        "{}",
        rows[0]
    );
    assert_eq!(rows.len(), 4, "a row per field, of two entries: {}", csv.text);
    assert!(
        rows.iter().any(|row| row.contains("given,\"'=HYPERLINK(\"\"http://x\"\")\",Nina,")),
        "{}",
        csv.text
    );
    let page = firm
        .server
        .send(Method::GET, "/v1/audit?limit=1", &firm.auditor, &[("accept", "text/csv")], Bytes::new())
        .await;
    let cursor = page.header("kvali-cursor").expect("there is more").to_owned();
    assert!(!firm.audit(&format!("cursor={cursor}")).await.is_empty());
    get("text/html").await.refused(406, "not_acceptable");
    firm.close().await;
}

/// Whatever happens: each record's changes, put one upon the other, say what was before as the change before said it.
#[tokio::test(flavor = "multi_thread")]
async fn before_is_what_the_change_before_left() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 5).await;
    for _ in 0..400 {
        office.click().await;
    }
    let (mut after, mut entries) = (None, Vec::new());
    loop {
        let filter = Filter { kind: Some(Kind::Event), ..Filter::default() };
        let page = audit_trail::trail(&store, tenant(1), Ask { filter, after, limit: 97 }, now(), &quiet)
            .await
            .unwrap();
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(i64::try_from(entries.len()).unwrap(), store.head(tenant(1)).await.unwrap());
    let (mut standing, mut merged, mut compared) = (HashMap::new(), BTreeSet::new(), 0);
    for entry in entries.iter().rev().map(|entry| entry.json(Sees::All)) {
        let stream = entry["stream"].to_string();
        if entry["type"].as_str().is_some_and(|word| word.contains("merged")) {
            merged.insert(stream.clone());
        }
        for change in entry["changes"].as_array().unwrap() {
            let field = (stream.clone(), change["field"].to_string());
            let Some(before) = standing.insert(field.clone(), change["after"].clone()) else { continue };
            // What comes and goes has no one value, and what a merge leaves is told by the merge.
            let comes_and_goes = ["\"tags\"", "\"followers\"", "\"relations\"", "\"targets\""];
            if !comes_and_goes.contains(&&*field.1)
                && !merged.contains(&stream)
                && change.get("withheld").is_none()
            {
                assert_eq!(change["before"], before, "{field:?} of {entry:#}");
                compared += 1;
            }
        }
    }
    assert!(compared > 50, "{compared} were compared");
    database.drop().await;
}

async fn break_in(database: &Database, statement: &str) {
    let mut admin = database.admin().await;
    admin.execute("set session_replication_role = replica").await.expect("a superuser may");
    let broken = sqlx::query(AssertSqlSafe(statement.to_owned()))
        .bind(tenant(1).0)
        .execute(&mut admin)
        .await
        .expect("nothing stops him");
    assert!(broken.rows_affected() > 0, "{statement}");
}

async fn some_deals() -> (Database, kvali_eventstore::Store) {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    for _ in 0..10 {
        let deal = sales.open_deal(&store).await;
        accepted(store.handle(order(deal.stream(), move_to(OFFER)), envelope(tenant(1))).await);
    }
    (database, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_byte_is_another_digest_and_a_deleted_row_a_gap() {
    for column in [
        "data = replace(data::text, '\"visit\":2', '\"visit\":3')::json",
        "actor = gen_random_uuid()",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "reason_code = ''",
    ] {
        let (database, store) = some_deals().await;
        let noted = store.digest(tenant(1), Some(12), &quiet).await.unwrap();
        assert_eq!(noted.position, 12);
        let whole = store.digest(tenant(1), None, &quiet).await.unwrap();
        assert_ne!(noted.digest, whole.digest);
        let again = database.connect().await;
        assert_eq!(
            again.digest(tenant(1), Some(12), &quiet).await.unwrap().digest,
            noted.digest,
            "read anew"
        );
        break_in(
            &database,
            &format!("update kvali.event set {column} where tenant_id = $1 and position = 14"),
        )
        .await;
        assert_eq!(
            store.digest(tenant(1), Some(12), &quiet).await.unwrap().digest,
            noted.digest,
            "it came later"
        );
        assert_ne!(store.digest(tenant(1), None, &quiet).await.unwrap().digest, whole.digest, "{column}");
        database.drop().await;
    }
    let (database, store) = some_deals().await;
    break_in(&database, "delete from kvali.event where tenant_id = $1 and position = 14").await;
    let told = store.digest(tenant(1), None, &quiet).await.unwrap_err().to_string();
    assert!(told.contains("position 14 is missing"), "{told}");
    let head = store.head(tenant(1)).await.unwrap();
    break_in(
        &database,
        &format!(
            "delete from kvali.event where tenant_id = $1 and position in (14, {head}) or position = {head}"
        ),
    )
    .await;
    let told = store.digest(tenant(1), Some(head + 1), &quiet).await.unwrap_err().to_string();
    assert!(told.contains("is not in the log"), "{told}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_log_has_no_faults_and_a_broken_one_names_them() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 2).await;
    for _ in 0..120 {
        office.click().await;
    }
    let erased = office.contacts[0];
    accepted(store.erase(SubjectId(erased), envelope(tenant(1))).await);
    let sound = store.inspect(tenant(1), None, &quiet).await.unwrap();
    assert!(sound.faults.is_empty(), "{:?}", sound.faults);
    assert_eq!(sound.digest, store.digest(tenant(1), None, &quiet).await.unwrap().digest);
    let nobody = store.inspect(TenantId(Uuid::nil()), None, &quiet).await.unwrap();
    assert_eq!((nobody.position, nobody.digest.to_string()), (0, "0".repeat(64)));

    break_in(&database, "update kvali.event set version = version + 7 where tenant_id = $1 and position = 3")
        .await;
    break_in(
        &database,
        "update kvali.event set data = '{\"what\": 1}' where tenant_id = $1 and position = 1",
    )
    .await;
    break_in(&database, "update kvali.event set recorded_at = 'epoch', occurred_at = 'epoch' where tenant_id = $1 and position = 2").await;
    break_in(
        &database,
        "update kvali.event set command_id = gen_random_uuid() where tenant_id = $1 and position = 4",
    )
    .await;
    let faults = store.inspect(tenant(1), None, &quiet).await.unwrap().faults;
    let at = |fault: &Fault| match fault {
        Fault::Version { position, .. } => ("version", *position),
        Fault::BackInTime { position, .. } => ("time", *position),
        Fault::Unreadable { position, .. } => ("unreadable", *position),
        Fault::NoCommand { position, .. } => ("command", *position),
    };
    let told: BTreeSet<(&str, i64)> = faults.iter().map(at).collect();
    for expected in [("version", 3), ("unreadable", 1), ("time", 2), ("command", 4)] {
        assert!(told.contains(&expected), "{expected:?} in {faults:?}");
    }
    database.drop().await;
}
