//! Jobs: many commands sent at once. Every row is carried out once, whatever happens to whoever carries it out, and has a verdict.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

mod once;
mod rows;
mod senders;
mod uploads;

use hyper::Method;
use kvali_api::jobs::{Limits, Work, Worker};
use kvali_api::{Api, Settings};
use kvali_domain::access::Role;
use kvali_tests::http::{Answer, Server};
use kvali_tests::{Database, tenant};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

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
        tokio::time::timeout(PATIENCE, asked).await.expect("the job comes to that")
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
