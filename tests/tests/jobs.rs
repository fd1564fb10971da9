//! Jobs: many commands sent at once. Every row is carried out once, whatever happens to whoever carries it out, and has a verdict.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use hyper::Method;
use kvali_api::jobs::{Limits, Work, Worker};
use kvali_api::{Api, Settings};
use kvali_domain::access::Role;
use kvali_domain::{Personal, TenantId, UserId, access, user};
use kvali_eventstore::MasterKey;
use kvali_eventstore::archive::checked;
use kvali_tests::http::{Answer, Server};
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(120);
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
const TABLE: (&str, &str) = ("content-type", "text/csv");
const COMPANIES: &str = "/v1/jobs?aggregate=company&command=create-company";

/// A server without workers, so that a test says when there are any.
struct Desk {
    database: Database,
    server: Server,
    admin: String,
}

/// A worker in a process of its own: its own pools, caches and rights that it knows of.
async fn another_process(database: &Database, lease: Duration) -> Worker {
    let api = Api::new(database.connect().await, Settings::default(), String::new);
    Worker::start(&api, Work { at_once: 2, lease })
}

impl Desk {
    async fn open() -> Self {
        Self::within(Limits::default()).await
    }

    async fn within(jobs: Limits) -> Self {
        let database = Database::create().await;
        let settings = Settings { jobs, ..Settings::default() };
        let server = Server::with(database.connect().await, kvali_api::Limits::default(), settings).await;
        let admin = server.key(tenant(1), Role::Admin).await;
        Self { database, server, admin }
    }

    fn worker(&self) -> Worker {
        Worker::start(&self.server.api, Work::default())
    }

    async fn send(&self, key: &str, path: &str, headers: &[(&str, &str)], body: impl Into<String>) -> Answer {
        self.server.send(Method::POST, path, key, headers, body.into()).await
    }

    /// The id of a job that is taken.
    async fn lines(&self, body: impl Into<String>) -> String {
        id_of(&self.send(&self.admin, "/v1/jobs", &[LINES], body).await)
    }

    async fn table(&self, body: impl Into<String>) -> String {
        id_of(&self.send(&self.admin, COMPANIES, &[TABLE], body).await)
    }

    async fn job(&self, id: &str) -> Value {
        self.server.get(&self.admin, &format!("/v1/jobs/{id}")).await.ok()
    }

    async fn until(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let asked = async {
            loop {
                let job = self.job(id).await;
                if is_so(&job) {
                    return job;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(job) => job,
            Err(_) => panic!("it comes to nothing: {}", self.job(id).await),
        }
    }

    async fn ended(&self, id: &str, as_what: &str) -> Value {
        let job = self.until(id, |job| job["finished_at"].is_string()).await;
        assert_eq!(job["state"], as_what, "{job}");
        job
    }

    async fn rows(&self, id: &str, query: &str) -> Vec<Value> {
        let told = self.server.get(&self.admin, &format!("/v1/jobs/{id}/rows?limit=1000&{query}")).await.ok();
        told["rows"].as_array().unwrap().clone()
    }

    /// All of them, by pages.
    async fn all_rows(&self, id: &str) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self
                .server
                .get(&self.admin, &format!("/v1/jobs/{id}/rows?limit=1000&after={after}"))
                .await
                .ok();
            all.extend(page["rows"].as_array().unwrap().iter().cloned());
            after = page["after"].as_i64().unwrap();
            if page["more"] == false {
                return all;
            }
        }
    }

    async fn count(&self, statement: &'static str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.database.admin().await).await.unwrap()
    }

    async fn created(&self) -> i64 {
        self.count("select count(*) from kvali.event where event_type = 'company.created'").await
    }

    async fn parts(&self) -> i64 {
        self.count("select count(*) from kvali.job_part").await
    }

    /// Waits until rows were carried out whose verdicts are not written down yet.
    async fn until_in_the_middle(&self, beyond: i64) {
        let moved = "select (select count(*) from kvali.event where event_type = 'company.created') \
                          - (select count(*) from kvali.job_row)";
        let looked = async {
            let mut admin = self.database.admin().await;
            loop {
                let ahead: i64 = sqlx::query_scalar(moved).fetch_one(&mut admin).await.unwrap();
                if ahead > 0 && self.created().await > beyond {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, looked).await.expect("rows are carried out");
    }

    async fn close(self) {
        self.server.stop().await;
        self.database.drop().await;
    }
}

#[track_caller]
fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.body);
    let id = answer.body["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(&*format!("/v1/jobs/{id}")));
    id
}

fn line(aggregate: &str, command: &str, id: &str, body: &Value) -> String {
    json!({ "aggregate": aggregate, "command": command, "id": id, "body": body }).to_string() + "\n"
}

/// A table of so many companies.
fn companies(name: &str, count: usize) -> String {
    (0..count).fold("name\n".to_owned(), |mut text, n| {
        writeln!(text, "{name} {n}").unwrap();
        text
    })
}

/// Row, verdict, status.
fn verdicts(rows: &[Value]) -> Vec<(i64, String, i64)> {
    let told = |row: &Value| {
        let verdict = row["verdict"].as_str().unwrap().to_owned();
        (row["row"].as_i64().unwrap(), verdict, row["status"].as_i64().unwrap())
    };
    rows.iter().map(told).collect()
}

/// A company is created, renamed, restored though it was never archived; and what is no such thing.
fn story(id: &str) -> String {
    let broken = "{\"aggregate\": \"company\" \"command\": 7}\n\n";
    [
        line("company", "create-company", id, &json!({ "name": "Acme" })),
        line("company", "rename-company", id, &json!({ "name": "Acme Georgia" })),
        broken.to_owned(),
        line("company", "restore-company", id, &json!({})),
        line("company", "create-company", id, &json!({ "name": "Acme" })),
        line("company", "rename-company", id, &json!({ "name": ["Nino Secret"] })),
        line("company", "paint-company", id, &json!({})),
        line("company", "create-company", "Nino Secret", &json!({ "name": "Acme" })),
        line("company", "archive-company", id, &json!({})),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_carried_out_in_their_order_each_with_a_verdict() {
    let desk = Desk::open().await;
    let (worker, company) = (desk.worker(), new_id().to_string());
    let id = desk.lines(story(&company)).await;
    let job = desk.ended(&id, "finished").await;
    let counts =
        json!({ "rows": 9, "done": 9, "accepted": 3, "already_so": 1, "refused": 1, "malformed": 4 });
    assert_eq!(job["counts"], counts);
    assert!(job["started_at"].is_string() && job["kept_until"].is_string(), "{job}");
    let rows = desk.rows(&id, "").await;
    let told = verdicts(&rows);
    let told: Vec<_> = told.iter().map(|(row, verdict, status)| (*row, verdict.as_str(), *status)).collect();
    let expected = [
        (1, "accepted", 200),
        (2, "accepted", 200),
        (3, "malformed", 400),
        (4, "already_so", 200),
        (5, "refused", 422),
        (6, "malformed", 400),
        (7, "malformed", 404),
        (8, "malformed", 400),
        (9, "accepted", 200),
    ];
    assert_eq!(told, expected);
    // As the batch tells it: the events, where they stand, and what they are.
    let events = |row: &Value| row["answer"]["events"].as_array().unwrap().clone();
    assert_eq!(events(&rows[1])[0]["type"], "company.renamed");
    assert_eq!((rows[1]["answer"]["version"].as_i64(), &rows[1]["answer"]["id"]), (Some(2), &json!(company)));
    assert!(rows[0]["answer"]["position"].as_i64() < rows[1]["answer"]["position"].as_i64());
    assert_eq!((&rows[3]["answer"]["outcome"], events(&rows[3]).len()), (&json!("already_so"), 0));
    // A broken line is named by line and column; lines count on over empty ones.
    let (broken, misfit) = (&rows[2]["problem"], &rows[5]["problem"]);
    assert_eq!((&broken["line"], &broken["column"], &rows[3]["line"]), (&json!(3), &json!(25), &json!(5)));
    assert!(broken["detail"].as_str().unwrap().starts_with("line 3: column 25: expected"), "{broken}");
    assert_eq!((&misfit["field"], &misfit["code"]), (&json!("name"), &json!("malformed")));
    assert!(rows[6]["problem"]["detail"].as_str().unwrap().contains("rename-company"), "{}", rows[6]);
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_read_by_pages_by_verdict_and_in_each_format() {
    let desk = Desk::open().await;
    let worker = desk.worker();
    let id = desk.lines(story(&new_id().to_string())).await;
    desk.ended(&id, "finished").await;
    let all = desk.rows(&id, "").await;
    let some = desk.rows(&id, "verdict=malformed&after=3").await;
    assert_eq!(some.iter().map(|row| row["row"].as_i64().unwrap()).collect::<Vec<_>>(), [6, 7, 8]);
    let path = format!("/v1/jobs/{id}/rows?limit=4");
    let page = desk.server.get(&desk.admin, &path).await;
    assert_eq!((page.header("kvali-cursor"), page.header("kvali-more")), (Some("4"), Some("true")));
    assert_eq!(page.ok()["rows"], json!(all[..4]));
    let accept =
        async |media| desk.server.send(Method::GET, &path, &desk.admin, &[("accept", media)], "").await;
    let (lines, csv) = (accept("application/x-ndjson").await, accept("text/csv").await);
    let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, all[..4]);
    let mut csv = csv.text.lines();
    let header = "row,line,verdict,status,command,id,command_id,version,position,events,code,field,detail";
    assert_eq!(csv.next(), Some(header));
    assert!(csv.next().unwrap().starts_with("1,1,accepted,200,CreateCompany,"));
    assert!(csv.nth(1).unwrap().starts_with("3,3,malformed,400,,,,,,,malformed,row,"));
    for (query, code) in
        [("verdict=good", "malformed"), ("limit=0", "malformed"), ("limit=1001", "malformed")]
    {
        desk.server.get(&desk.admin, &format!("/v1/jobs/{id}/rows?{query}")).await.refused(400, code);
    }
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_table_become_commands_by_the_names_of_its_columns() {
    let desk = Desk::open().await;
    let (worker, company) = (desk.worker(), new_id());
    let table = format!(
        "id,name,domains,legal_ids.country,legal_ids.tax_id,override_duplicate,idempotency_key,occurred_at\r\n\
         {company},\"Acme, Ltd\",\"[\"\"acme.ge\"\"]\",GE,204567890,,first,2026-01-31T10:00:00Z\r\n\
         ,\"Two\nLines\",,,,FALSE,,\r\n\
         ,Maybe,,,,perhaps,,\r\n\
         ,Short\r\n\
         ,\"Acme, Ltd\",,,,,first,\r\n"
    );
    let id = desk.table(table).await;
    let job = desk.ended(&id, "finished").await;
    assert_eq!((&job["format"], &job["command"]), (&json!("csv"), &json!("CreateCompany")));
    let rows = desk.rows(&id, "").await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (row["line"].as_i64().unwrap(), row["verdict"].as_str().unwrap(), row["status"].as_i64().unwrap())
        })
        .collect();
    let expected = [
        (2, "accepted", 200),
        (3, "accepted", 200),
        (5, "malformed", 400),
        (6, "malformed", 400),
        // The key is that of the first row, and the request another.
        (7, "refused", 422),
    ];
    assert_eq!(told, expected, "{rows:?}");
    assert_eq!(rows[0]["answer"]["id"], json!(company));
    assert_eq!(rows[2]["problem"]["field"], "override_duplicate");
    let said = rows[2]["problem"]["detail"].as_str().unwrap();
    assert!(said.contains("line 5: column \"override_duplicate\"") && !said.contains("perhaps"), "{said}");
    assert_eq!(rows[4]["problem"]["code"], "idempotency_key_reused");
    let history = desk.server.get(&desk.admin, &format!("/v1/streams/{company}")).await.ok();
    assert_eq!(history["events"][0]["personal"]["name"], "Acme, Ltd");
    assert!(history["events"][0]["occurred"].to_string().contains("2026-01-31T10:00:00Z"), "{history}");
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_header_does_not_fit_is_refused_at_once() {
    let desk = Desk::open().await;
    let cases = [
        (COMPANIES, "name,nmae\nA,B\n", 400, "malformed", "nmae"),
        (COMPANIES, "domains\n[]\n", 400, "malformed", "name"),
        (COMPANIES, "name,name\nA,B\n", 400, "malformed", "name"),
        (COMPANIES, "", 400, "malformed", "body"),
        (COMPANIES, "name\n", 400, "malformed", "body"),
        ("/v1/jobs", "name\nA\n", 400, "malformed", "query"),
        ("/v1/jobs?aggregate=company&command=paint", "name\nA\n", 404, "unknown_command", ""),
    ];
    for (path, table, status, code, field) in cases {
        let told = desk.send(&desk.admin, path, &[TABLE], table).await.refused(status, code);
        assert_eq!(told["field"].as_str().unwrap_or_default(), field, "{told}");
    }
    let told = desk.send(&desk.admin, COMPANIES, &[TABLE], "name,nmae\nA,B\n").await.body;
    let accepted = told["accepted"].as_array().unwrap();
    assert!(
        ["id", "reason", "name", "legal_ids.tax_id"].iter().all(|name| accepted.contains(&json!(name))),
        "{told}"
    );
    desk.send(&desk.admin, COMPANIES, &[LINES], "{}").await.refused(400, "malformed");
    let other = ("content-type", "application/json");
    desk.send(&desk.admin, "/v1/jobs", &[other], "[]").await.refused(415, "unsupported_media_type");
    assert_eq!(desk.count("select count(*) from kvali.job").await + desk.parts().await, 0);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_rows_of_several_jobs_at_once_are_each_carried_out_once_and_in_order() {
    let desk = Desk::open().await;
    let workers = [desk.worker(), another_process(&desk.database, Duration::from_secs(15)).await];
    let names = ["North", "South", "East", "West"];
    let sent = names.map(|name| desk.table(companies(name, 5_000)));
    let jobs = futures_util::future::join_all(sent).await;
    for id in &jobs {
        let job = desk.ended(id, "finished").await;
        assert_eq!(
            (job["counts"]["accepted"].as_i64(), job["counts"]["rows"].as_i64()),
            (Some(5_000), Some(5_000))
        );
        let rows = desk.all_rows(id).await;
        let numbers: Vec<i64> = rows.iter().map(|row| row["row"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (1..=5_000).collect::<Vec<_>>());
        let positions: Vec<i64> =
            rows.iter().map(|row| row["answer"]["position"].as_i64().unwrap()).collect();
        assert!(positions.is_sorted_by(|one, other| one < other));
    }
    assert_eq!((desk.created().await, desk.parts().await), (20_000, 0));
    for worker in workers {
        worker.stop().await;
    }
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_in_the_middle_leave_every_row_to_be_carried_out_once() {
    let desk = Desk::open().await;
    let id = desk.table(companies("Acme", 8_000)).await;
    let mut killed = 0;
    while killed < 3 {
        let worker = another_process(&desk.database, Duration::from_millis(400)).await;
        desk.until_in_the_middle(desk.created().await).await;
        drop(worker);
        killed += 1;
    }
    assert_eq!(desk.job(&id).await["state"], "running", "it was killed before the end");
    let worker = desk.worker();
    let job = desk.ended(&id, "finished").await;
    assert_eq!((desk.created().await, job["counts"]["accepted"].as_i64()), (8_000, Some(8_000)));
    assert_eq!(desk.count("select count(distinct first_position) from kvali.job_row").await, 8_000);
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_lose_their_lease_to_each_other_carry_out_every_row_once() {
    let desk = Desk::open().await;
    let id = desk.table(companies("Acme", 5_000)).await;
    let workers = [desk.worker(), another_process(&desk.database, Duration::from_secs(15)).await];
    let mut admin = desk.database.admin().await;
    let mut taken = 0;
    while desk.job(&id).await["finished_at"].is_null() {
        let take = "update kvali.job set leased_until = '-infinity' where held and finished_at is null";
        taken += sqlx::query(take).execute(&mut admin).await.unwrap().rows_affected();
    }
    let job = desk.ended(&id, "finished").await;
    assert!(taken > 0);
    assert_eq!((desk.created().await, job["counts"]["accepted"].as_i64()), (5_000, Some(5_000)));
    assert_eq!(desk.count("select count(distinct first_position) from kvali.job_row").await, 5_000);
    for worker in workers {
        worker.stop().await;
    }
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_begins_nothing_more_and_what_is_done_stays_done() {
    let desk = Desk::open().await;
    let id = desk.table(companies("Acme", 20_000)).await;
    let worker = desk.worker();
    desk.until(&id, |job| job["counts"]["done"].as_i64() > Some(0)).await;
    let cancel = format!("/v1/jobs/{id}/cancel");
    desk.send(&desk.admin, &cancel, &[], "").await.ok();
    let job = desk.ended(&id, "cancelled").await;
    let done = job["counts"]["accepted"].as_i64().unwrap();
    assert!(0 < done && done < 20_000, "{job}");
    assert_eq!((desk.created().await, desk.parts().await), (done, 0));
    assert_eq!(desk.send(&desk.admin, &cancel, &[], "").await.ok(), job);
    // One that nobody has begun ends at once.
    worker.stop().await;
    let id = desk.table(companies("Other", 10)).await;
    let told = desk.send(&desk.admin, &format!("/v1/jobs/{id}/cancel"), &[], "").await.ok();
    assert_eq!((told["state"].as_str(), desk.parts().await), (Some("cancelled"), 0));
    let worker = desk.worker();
    let id = desk.table(companies("Third", 10)).await;
    desk.ended(&id, "finished").await;
    desk.send(&desk.admin, &format!("/v1/jobs/{id}/cancel"), &[], "").await.refused(409, "job_ended");
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_carried_out_before_a_crash_are_told_though_the_job_was_cancelled_after_it() {
    let desk = Desk::open().await;
    let id = desk.table(companies("Acme", 5_000)).await;
    let worker = another_process(&desk.database, Duration::from_millis(400)).await;
    desk.until_in_the_middle(0).await;
    drop(worker);
    let told = desk.send(&desk.admin, &format!("/v1/jobs/{id}/cancel"), &[], "").await.ok();
    assert_eq!(told["state"], "cancelling");
    let worker = desk.worker();
    let job = desk.ended(&id, "cancelled").await;
    let done = job["counts"]["accepted"].as_i64().unwrap();
    assert!(0 < done && done < 5_000, "{job}");
    assert_eq!((desk.created().await, desk.parts().await), (done, 0));
    worker.stop().await;
    desk.close().await;
}

/// What a dry run must leave as it was.
async fn written(database: &Database) -> Vec<String> {
    let kept = ["event:", "command:", "refusal:", "denial:", "claim:", "tally:", "subject_key:", "ledger:"];
    let rows = database.rows("kvali").await;
    rows.into_iter().filter(|row| kept.iter().any(|table| row.starts_with(table))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_become_of_each_row_and_writes_nothing() {
    let desk = Desk::open().await;
    let (worker, company) = (desk.worker(), new_id().to_string());
    let (before, rows) = (written(&desk.database).await, story(&company));
    let tried = id_of(&desk.send(&desk.admin, "/v1/jobs?dry_run=true", &[LINES], rows.clone()).await);
    let job = desk.ended(&tried, "finished").await;
    assert_eq!((&job["dry_run"], desk.parts().await), (&json!(true), 0));
    assert_eq!(written(&desk.database).await, before);
    let tried = desk.rows(&tried, "").await;
    assert_eq!(tried[0]["answer"]["events"], json!([]));
    let done = desk.lines(rows).await;
    desk.ended(&done, "finished").await;
    assert_eq!(verdicts(&tried), verdicts(&desk.rows(&done, "").await));
    assert!(written(&desk.database).await.len() > before.len());
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_that_is_taken_over_begins_anew_and_tells_each_row_once() {
    let desk = Desk::open().await;
    let company = new_id().to_string();
    // Every row builds on the ones before it, also across parts.
    let renames = (0..3_000)
        .map(|n| line("company", "rename-company", &company, &json!({ "name": format!("Acme {n}") })));
    let rows: String = [line("company", "create-company", &company, &json!({ "name": "Acme" }))]
        .into_iter()
        .chain(renames)
        .collect();
    let id = id_of(&desk.send(&desk.admin, "/v1/jobs?dry_run=true", &[LINES], rows).await);
    let worker = another_process(&desk.database, Duration::from_millis(400)).await;
    desk.until(&id, |job| job["counts"]["done"].as_i64() > Some(0)).await;
    drop(worker);
    let worker = desk.worker();
    let job = desk.ended(&id, "finished").await;
    assert_eq!(job["counts"]["accepted"], 3_001);
    assert_eq!(desk.all_rows(&id).await.len(), 3_001);
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_upload_twice_is_one_job() {
    let desk = Desk::open().await;
    let worker = desk.worker();
    let named = [TABLE, ("idempotency-key", "march")];
    let first = desk.send(&desk.admin, COMPANIES, &named, companies("Acme", 1_500)).await;
    let id = id_of(&first);
    desk.ended(&id, "finished").await;
    let again = desk.send(&desk.admin, COMPANIES, &named, companies("Acme", 1_500)).await;
    assert_eq!((id_of(&again), again.header("idempotent-replayed")), (id.clone(), Some("true")));
    assert_eq!(again.body["state"], "finished");
    let other = [
        desk.send(&desk.admin, COMPANIES, &named, companies("Acme", 1_501)).await,
        desk.send(&desk.admin, &format!("{COMPANIES}&dry_run=true"), &named, companies("Acme", 1_500)).await,
        desk.send(&desk.admin, "/v1/jobs", &[LINES, named[1]], story("-")).await,
    ];
    for other in other {
        other.refused(422, "idempotency_key_reused");
    }
    assert_eq!(desk.created().await, 1_500);
    // Somebody else's name is another one.
    let colleague = desk.server.key(tenant(1), Role::Admin).await;
    assert_ne!(id_of(&desk.send(&colleague, COMPANIES, &named, companies("Acme", 1)).await), id);
    worker.stop().await;
    desk.close().await;
}

/// An upload in chunks, which does not say how long it is.
struct Chunks(TcpStream);

impl Chunks {
    async fn begin(desk: &Desk, key: &str) -> Self {
        let mut stream = TcpStream::connect(desk.server.address).await.unwrap();
        let head = format!(
            "POST {COMPANIES} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
             content-type: text/csv\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
            desk.admin
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// It may have been refused by now.
    async fn send(mut self, chunk: &str) -> Self {
        let _refused = self.0.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).await;
        self
    }

    /// The head of the answer.
    async fn end(mut self) -> String {
        let _refused = self.0.write_all(b"0\r\n\r\n").await;
        let mut told = String::new();
        let _reset = self.0.read_to_string(&mut told).await;
        told.lines().next().unwrap_or_default().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_nothing_of_it_is_kept() {
    let desk = Desk::within(Limits { bytes: 50_000, rows: 2_000 }).await;
    desk.send(&desk.admin, COMPANIES, &[TABLE], companies("Acme", 6_000)).await.refused(413, "too_large");
    desk.send(&desk.admin, COMPANIES, &[TABLE], companies("A", 2_001)).await.refused(413, "too_many_rows");
    let rows = companies("Acme", 1_500);
    let large = Chunks::begin(&desk, "large").await.send(&rows).await.send(&rows).await.send(&rows).await;
    let told = large.end().await;
    assert!(told.starts_with("HTTP/1.1 413"), "{told}");
    assert_eq!(desk.count("select count(*) from kvali.job").await + desk.parts().await, 0);
    let small = Chunks::begin(&desk, "large").await.send("na").await.send("me\nAc").await.send("me\n").await;
    let told = small.end().await;
    assert!(told.starts_with("HTTP/1.1 202"), "{told}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_or_hangs_is_no_job_and_is_forgotten() {
    let desk = Desk::open().await;
    let rows = companies("Acme", 1_500);
    let is_kept = async |kept: bool| {
        let looked = async { while (desk.parts().await > 0) != kept {} };
        tokio::time::timeout(PATIENCE, looked).await.expect("it is kept, or no more");
    };
    let cut = Chunks::begin(&desk, "cut").await.send(&rows).await;
    is_kept(true).await;
    assert_eq!(desk.server.get(&desk.admin, "/v1/jobs").await.ok(), json!([]));
    drop(cut);
    is_kept(false).await;
    let hangs = Chunks::begin(&desk, "hangs").await.send(&rows).await;
    is_kept(true).await;
    // While it may go on, nobody else sends it; as soon as it may not, it is forgotten.
    let told = Chunks::begin(&desk, "hangs").await.end().await;
    assert!(told.starts_with("HTTP/1.1 409"), "{told}");
    let over = "update kvali.job set leased_until = '-infinity' where received_at is null";
    let over = sqlx::query(over).execute(&mut desk.database.admin().await).await.unwrap();
    assert_eq!(over.rows_affected(), 1);
    let worker = desk.worker();
    is_kept(false).await;
    worker.stop().await;
    // Sent again, it is taken; and what hung is not put behind it.
    let told = Chunks::begin(&desk, "hangs").await.send(&rows).await.end().await;
    assert!(told.starts_with("HTTP/1.1 202"), "{told}");
    let told = hangs.send("Late\n").await.end().await;
    assert!(told.starts_with("HTTP/1.1 409"), "{told}");
    let jobs = desk.server.get(&desk.admin, "/v1/jobs").await.ok();
    assert_eq!((jobs.as_array().unwrap().len(), &jobs[0]["counts"]["rows"]), (1, &json!(1_500)));
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_stops_its_job_and_says_why() {
    let desk = Desk::open().await;
    let key = desk.server.key(tenant(1), Role::Integration).await;
    let of_key = desk.server.get(&key, "/v1/me").await.ok()["key"].clone();
    let early = id_of(&desk.send(&key, COMPANIES, &[TABLE], companies("Early", 15_000)).await);
    let worker = desk.worker();
    desk.until(&early, |job| job["counts"]["done"].as_i64() > Some(0)).await;
    let revoke = json!({ "key": of_key });
    desk.server.post(&desk.admin, "/v1/access/-/revoke-api-key", &[], &revoke).await.ok();
    let job = desk.ended(&early, "stopped").await;
    assert!(job["reason"].as_str().unwrap().contains("revoked"), "{job}");
    let done = job["counts"]["done"].as_i64().unwrap();
    assert!(0 < done && done < 15_000, "{job}");
    assert_eq!((desk.created().await, desk.parts().await), (done, 0));
    worker.stop().await;
    // One that was revoked before anybody began.
    let key = desk.server.key(tenant(1), Role::Integration).await;
    let of_key = desk.server.get(&key, "/v1/me").await.ok()["key"].clone();
    let late = id_of(&desk.send(&key, COMPANIES, &[TABLE], companies("Late", 10)).await);
    desk.server.post(&desk.admin, "/v1/access/-/revoke-api-key", &[], &json!({ "key": of_key })).await.ok();
    let worker = another_process(&desk.database, Duration::from_secs(15)).await;
    let job = desk.ended(&late, "stopped").await;
    assert_eq!((&job["counts"]["done"], desk.created().await, desk.parts().await), (&json!(0), done, 0));
    worker.stop().await;
    desk.close().await;
}

async fn colleague(desk: &Desk, of: TenantId, role: Role) -> (UserId, String) {
    let user = UserId(new_id());
    let register = user::Command::Register { user, name: Personal::new("Somebody") };
    accepted(desk.server.store.handle(order(user.stream(), register), envelope(of)).await);
    let grant = access::Command::GrantRole { user, role };
    accepted(desk.server.store.handle(order(access::STREAM, grant), envelope(of)).await);
    (user, desk.server.key_of(of, role, Some(user)).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_may_do_what_its_sender_may_and_what_it_may_not_is_recorded() {
    let desk = Desk::open().await;
    let worker = desk.worker();
    let (me, mine) = colleague(&desk, tenant(1), Role::Sales).await;
    let (other, _) = colleague(&desk, tenant(1), Role::Sales).await;
    let (own, others) = (new_id().to_string(), new_id().to_string());
    for (id, owner) in [(&own, me), (&others, other)] {
        let create = json!({ "name": "Acme", "owner": owner });
        desk.server.post(&desk.admin, &format!("/v1/company/{id}/create-company"), &[], &create).await.ok();
    }
    let rows = [
        line("company", "rename-company", &own, &json!({ "name": "Mine" })),
        line("company", "rename-company", &others, &json!({ "name": "Mine too" })),
        line("pipeline", "rename-pipeline", &own, &json!({ "name": "Sales" })),
    ];
    let headers = [LINES, ("x-request-id", "upload-of-march")];
    let id = id_of(&desk.send(&mine, "/v1/jobs", &headers, rows.concat()).await);
    desk.ended(&id, "finished").await;
    let rows = desk.rows(&id, "").await;
    let told: Vec<_> = verdicts(&rows).into_iter().map(|(_, verdict, status)| (verdict, status)).collect();
    // What is somebody else's, and not to be seen, looks as it would to this sender alone.
    let alone = desk
        .server
        .post(&mine, &format!("/v1/company/{others}/rename-company"), &[], &json!({ "name": "Mine too" }))
        .await;
    let refused = |status| ("refused".to_owned(), status);
    assert_eq!(told, [("accepted".to_owned(), 200), refused(i64::from(alone.status.as_u16())), refused(403)]);
    assert_eq!(rows[1]["problem"], alone.body);
    let denied =
        "select count(*) from kvali.denial where request_id = 'upload-of-march' and permission = 'configure'";
    assert_eq!(desk.count(denied).await, 1);
    // What was done, was done by the credential and the request that it was sent with.
    let done: (String, String, String) = sqlx::query_as(
        "select c.credential, c.request_id, e.correlation_id::text from kvali.command c join kvali.event e \
            on e.tenant_id = c.tenant_id and e.position = c.first_position where c.command_type = 'RenameCompany'",
    )
    .fetch_one(&mut desk.database.admin().await)
    .await
    .unwrap();
    let credential = desk.server.get(&mine, "/v1/me").await.ok()["credential"].as_str().unwrap().to_owned();
    assert_eq!(done, (credential, "upload-of-march".to_owned(), id));
    // Of a table it is known at once.
    let (_, analyst) = colleague(&desk, tenant(1), Role::Analyst).await;
    desk.send(&analyst, COMPANIES, &[TABLE], companies("Acme", 1)).await.refused(403, "forbidden");
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_its_senders_and_the_admins_and_nobody_elses() {
    let desk = Desk::open().await;
    let worker = desk.worker();
    let (_, mine) = colleague(&desk, tenant(1), Role::Support).await;
    let (_, other) = colleague(&desk, tenant(1), Role::HeadOfSales).await;
    let stranger = desk.server.key(tenant(2), Role::Admin).await;
    let id = id_of(&desk.send(&mine, COMPANIES, &[TABLE], companies("Acme", 3)).await);
    desk.ended(&id, "finished").await;
    for (key, sees) in [(&mine, true), (&desk.admin, true), (&other, false), (&stranger, false)] {
        for path in ["", "/rows"] {
            let answer = desk.server.get(key, &format!("/v1/jobs/{id}{path}")).await;
            let missing =
                desk.server.get(key, &format!("/v1/jobs/{}{path}", new_id())).await.refused(404, "not_found");
            if sees {
                answer.ok();
            } else {
                assert_eq!(answer.refused(404, "not_found"), missing);
            }
        }
        let cancelled = desk.send(key, &format!("/v1/jobs/{id}/cancel"), &[], "").await;
        let expected = if sees { (409, "job_ended") } else { (404, "not_found") };
        assert_eq!((cancelled.status.as_u16(), cancelled.code()), expected);
        let listed = desk.server.get(key, "/v1/jobs").await.ok();
        assert_eq!(listed.as_array().unwrap().len(), usize::from(sees));
    }
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_texts_are_sealed_while_they_wait_and_gone_when_they_are_done() {
    let desk = Desk::open().await;
    let secret = "Zurab Secret";
    let table = format!(
        "name,override_duplicate,owner\n{secret},,\n{secret},{secret},\n{secret},,{secret}\n{secret}\n"
    );
    let lines = [
        line("company", "create-company", secret, &json!({ "name": secret })),
        line(secret, secret, "-", &json!({ secret: secret })),
        line("company", "create-company", "-", &json!({ "name": secret, secret: secret })),
        line("company", "rename-company", &new_id().to_string(), &json!({ "name": secret })),
        json!({ "aggregate": "company", "command": "create-company", "id": "-", "body": { "name": "A" }, "occurred_at": secret })
            .to_string(),
        format!("\n{{\"{secret}\": 7}}\n{{\"aggregate\": \"{secret}\", {secret}"),
    ];
    let jobs = [desk.table(table).await, desk.lines(lines.concat()).await];
    assert_eq!(desk.parts().await, 2);
    let hidden = |rows: &[String]| {
        // Bytes are told in hexadecimal digits.
        let digits = secret.bytes().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        rows.iter()
            .filter(|row| row.contains(secret) || row.contains("Secret") || row.contains(&digits))
            .count()
    };
    assert_eq!(hidden(&desk.database.rows("kvali").await), 0);
    let worker = desk.worker();
    for id in &jobs {
        let job = desk.ended(id, "finished").await;
        assert_eq!(job["counts"]["done"], job["counts"]["rows"]);
        assert!(job["counts"]["malformed"].as_i64() > Some(2), "{job}");
        let told = desk.rows(id, "").await;
        assert_eq!(hidden(&told.iter().map(Value::to_string).collect::<Vec<_>>()), 0, "{told:?}");
    }
    assert_eq!((desk.parts().await, hidden(&desk.database.rows("kvali").await)), (0, 0));
    worker.stop().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_under_way_goes_on_where_its_tenant_moves_to() {
    let (desk, there) = (Desk::open().await, Database::create().await);
    let id = desk.table(companies("Acme", 4_000)).await;
    let worker = another_process(&desk.database, Duration::from_millis(400)).await;
    desk.until_in_the_middle(0).await;
    drop(worker);
    let (mut archive, key) = (Vec::new(), MasterKey::generate());
    desk.server.store.export(tenant(1), &key, &mut archive).await.unwrap();
    assert!(!String::from_utf8_lossy(&archive).contains("Acme"), "texts are sealed");
    let other = Server::start(there.connect().await).await;
    other.store.import(&checked(&mut &archive[..]).unwrap(), &key, &mut &archive[..]).await.unwrap();
    let moved = Desk { database: there, server: other, admin: desk.admin.clone() };
    let worker = moved.worker();
    let job = moved.ended(&id, "finished").await;
    assert_eq!((moved.created().await, job["counts"]["accepted"].as_i64()), (4_000, Some(4_000)));
    worker.stop().await;
    moved.close().await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_kept_for_thirty_days_and_then_forgotten() {
    let desk = Desk::open().await;
    let worker = desk.worker();
    let (old, young) = (desk.table(companies("Old", 3)).await, desk.table(companies("Young", 3)).await);
    for id in [&old, &young] {
        desk.ended(id, "finished").await;
    }
    worker.stop().await;
    let age = "update kvali.job set finished_at = finished_at - $2 where job_id = $1::uuid";
    for (id, days) in [(&old, 31), (&young, 29)] {
        let by = Duration::from_secs(days * 86_400);
        sqlx::query(age).bind(id).bind(by).execute(&mut desk.database.admin().await).await.unwrap();
    }
    let worker = desk.worker();
    let forgotten = async { while desk.count("select count(*) from kvali.job").await > 1 {} };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("it is forgotten");
    desk.server.get(&desk.admin, &format!("/v1/jobs/{old}")).await.refused(404, "not_found");
    assert_eq!(desk.rows(&young, "").await.len(), 3);
    assert_eq!(desk.count("select count(*) from kvali.job_row").await, 3);
    worker.stop().await;
    desk.close().await;
}
