//! The timeline: everything about one customer, across streams and aliases.

use kvali_domain::StreamId;
use kvali_eventstore::Store;
use kvali_eventstore::project::{AsOf, Projection};
use kvali_projections::timeline::{Ask, Kind, Page, Timeline};
use kvali_tests::models::{self, quiet};
use kvali_tests::office::Office;
use kvali_tests::{Database, new_id, now, tenant};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

fn model() -> Arc<dyn Projection> {
    Arc::new(Timeline)
}

fn ask(customer: Uuid) -> Ask {
    Ask { customer: StreamId(customer), kind: None, before: None, limit: 1_000 }
}

async fn timeline(store: &Store, ask: Ask) -> Page {
    models::now(store, model(), tenant(1), ask).await
}

fn types(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.event_type.as_str()).collect()
}

async fn contact(office: &mut Office, name: &str) -> Uuid {
    let id = new_id();
    office.must(id, "CreateContact", json!({ "full": name })).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_the_same_live_and_rebuilt_for_any_page() {
    for seed in 0..3 {
        models::rows_are_the_same_for_any_page(model(), seed, 250).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_of_what_is_linked_to_it_from_its_beginning_on() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let (deal, task, pipeline, user) = (new_id(), new_id(), office.sales.pipeline, office.users[0]);
    office.must(deal, "OpenDeal", json!({ "pipeline": pipeline })).await;
    let due = json!({ "day": { "date": "2031-05-01", "zone": "Asia/Tbilisi" } });
    let about = json!([{ "deal": deal }]);
    let body = json!({ "subject": "Call", "due": due, "assignee": user, "targets": about });
    office.must(task, "CreateTask", body).await;
    let nino = contact(&mut office, "Nino").await;
    office.must(deal, "AddDealContact", json!({ "contact": nino, "role": "payer" })).await;
    office.must(task, "CompleteTask", json!({ "result": "reached" })).await;
    let told = ["task.completed", "deal.contact_added", "contact.created", "task.created", "deal.opened"];
    assert_eq!(types(&timeline(&store, ask(nino)).await), told);

    office.must(deal, "RemoveDealContact", json!({ "contact": nino })).await;
    office.must(deal, "RenameDeal", json!({ "name": "Roof" })).await;
    let after = timeline(&store, ask(nino)).await;
    assert_eq!(after.entries[0].event_type, "deal.contact_removed", "no more is told of it after that");
    let tasks = timeline(&store, Ask { kind: Some(Kind::Task), ..ask(nino) }).await;
    assert_eq!(types(&tasks), ["task.completed", "task.created"]);
    let deals = types(&timeline(&store, ask(deal)).await).len();
    assert_eq!(deals, 6, "the deal itself is told of all but the contact's own beginning");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converted_lead_is_part_of_the_contact_that_it_became() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let (lead, user) = (new_id(), office.users[0]);
    let points = json!([{ "kind": "email", "value": "nino@example.com" }]);
    office.must(lead, "CaptureLead", json!({ "full": "Nino", "owner": user, "points": points })).await;
    office.must(lead, "QualifyLead", json!({})).await;
    let nino = contact(&mut office, "Nino").await;
    office.must(lead, "ConvertLead", json!({ "contact": { "link": nino } })).await;
    let page = timeline(&store, ask(nino)).await;
    assert!(types(&page).contains(&"lead.captured"), "{:?}", types(&page));
    assert!(types(&page).contains(&"lead.converted"), "{:?}", types(&page));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_customers_have_one_timeline_and_after_an_unmerge_two_again() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let (nino, twin) = (contact(&mut office, "Nino").await, contact(&mut office, "Nino B.").await);
    let note = json!({ "about": { "contact": twin }, "text": "prefers mornings", "visibility": "team" });
    office.must(new_id(), "AddNote", note).await;
    let apart = timeline(&store, ask(twin)).await;
    office.merge("MergeContacts", nino, twin).await;
    let (one, other) = (timeline(&store, ask(nino)).await, timeline(&store, ask(twin)).await);
    assert_eq!(one, other, "whoever asks for the one gets the other");
    assert_eq!((one.customer.0, one.aliases.as_slice()), (nino, [StreamId(twin)].as_slice()));
    assert!(types(&one).contains(&"note.added"));

    office.must(nino, "UnmergeContacts", json!({ "merge": 1 })).await;
    let (one, other) = (timeline(&store, ask(nino)).await, timeline(&store, ask(twin)).await);
    assert!(!types(&one).contains(&"note.added"));
    assert_eq!(other.entries[2..], apart.entries, "what was told before, then merged_into and separated");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_entry_once_newest_first() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 3).await;
    for _ in 0..200 {
        office.click().await;
    }
    for customer in office.contacts.clone().into_iter().take(5) {
        let whole = timeline(&store, ask(customer)).await.entries;
        assert!(whole.windows(2).all(|pair| pair[0].position > pair[1].position));
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = timeline(&store, Ask { before, limit: 3, ..ask(customer) }).await;
            paged.extend(page.entries);
            before = page.before;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole);
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_position_answers_as_the_live_timeline_did_then() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 9).await;
    let mut then = Vec::new();
    for n in 0..120 {
        office.click().await;
        if n % 40 == 39 {
            let position = store.head(tenant(1)).await.unwrap();
            for customer in office.contacts.clone().into_iter().take(4) {
                then.push((position, customer, timeline(&store, ask(customer)).await));
            }
        }
    }
    assert!(then.iter().any(|(.., page)| page.entries.len() > 5));
    for (position, customer, expected) in then {
        let page = models::then(&store, model(), tenant(1), position, ask(customer)).await;
        assert_eq!(page, expected, "at {position}");
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_customer_is_named() {
    let database = Database::create().await;
    let store = database.connect().await;
    let office = Office::open(&store, tenant(1), 1).await;
    let user = office.users[0];
    let answer = store.ask(model(), tenant(1), AsOf::NOW, now(), &quiet, ask(user)).await;
    let said = answer.unwrap_err().to_string();
    assert_eq!(said, format!("there is no contact, company, lead or deal {user}"));
    assert!("visit".parse::<Kind>().unwrap_err().to_string().contains("none of contact, company"));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_kept_so_an_erasure_leaves_every_row() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let nino = contact(&mut office, "Unmistakable").await;
    let rows = async |store: &Store| {
        let (live, _) = store.catch_up(model(), tenant(1), &quiet).await.unwrap();
        database.rows(&live.schema_name).await
    };
    let before = rows(&store).await;
    assert!(before.iter().all(|row| !row.contains("Unmistakable")));
    office.erase(nino).await;
    let after = rows(&store).await;
    assert!(before.iter().all(|row| after.contains(row)));
    assert_eq!(types(&timeline(&store, ask(nino)).await), ["subject.erased", "contact.created"]);
    database.drop().await;
}
