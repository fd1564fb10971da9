//! What is sent: refused at once, cut off, too large, sent again.

use crate::{COMPANIES, Desk, LINES, PATIENCE, TABLE, companies, id_of, story};
use kvali_api::jobs::Limits;
use kvali_domain::access::Role;
use kvali_tests::tenant;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_header_does_not_fit_is_refused_at_once() {
    let desk = Desk::open().await;
    let cases = [
        (COMPANIES, "name,nmae\nA,B\n", 400, "malformed", "nmae"),
        (COMPANIES, "domains\n[]\n", 400, "malformed", "name"),
        (COMPANIES, "name,name\nA,B\n", 400, "malformed", "name"),
        (COMPANIES, "", 400, "malformed", "body"),
        (COMPANIES, "name\n", 400, "malformed", "body"),
        ("/v1/jobs", "name\nA\n", 400, "malformed", "aggregate"),
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
