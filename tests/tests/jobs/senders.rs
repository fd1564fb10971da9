//! Whose a job is, what its rows may do, and what is left of their texts.

use crate::{COMPANIES, Desk, LINES, PATIENCE, TABLE, another_process, companies, id_of, line, verdicts};
use kvali_domain::access::Role;
use kvali_domain::{Personal, TenantId, UserId, access, user};
use kvali_tests::{accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};
use std::time::Duration;

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
