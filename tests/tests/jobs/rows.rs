//! What becomes of rows: carried out in their order, tried out, told.

use crate::{Desk, LINES, another_process, id_of, line, story, verdicts};
use hyper::Method;
use kvali_tests::{Database, new_id};
use serde_json::{Value, json};
use std::time::Duration;

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
