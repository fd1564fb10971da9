//! Every row is carried out once, whatever happens to whoever carries it out.

use crate::{Desk, another_process, companies};
use kvali_eventstore::MasterKey;
use kvali_eventstore::archive::checked;
use kvali_tests::http::Server;
use kvali_tests::{Database, tenant};
use std::time::Duration;

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
