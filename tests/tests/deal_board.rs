//! The board: what stands where, per owner, with age and next task.

use kvali_domain::access::Reach;
use kvali_domain::money::Currency;
use kvali_eventstore::Store;
use kvali_eventstore::project::{AsOf, Projection};
use kvali_projections::deal_board::{Ask, Board, Card, DealBoard, Sort};
use kvali_tests::models::{self, quiet};
use kvali_tests::office::Office;
use kvali_tests::samples::{LEAD, OFFER};
use kvali_tests::{Database, new_id, now, tenant};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

fn model() -> Arc<dyn Projection> {
    Arc::new(DealBoard)
}

fn ask() -> Ask {
    Ask {
        pipeline: "sales".into(),
        stage: None,
        owner: None,
        reach: Reach::All,
        sort: Sort::Age,
        limit: 100,
        after: None,
    }
}

async fn board(store: &Store, ask: Ask) -> Board {
    models::now(store, model(), tenant(1), ask).await
}

fn deals(board: &Board) -> Vec<Uuid> {
    board.cards.iter().map(|card| card.deal.0).collect()
}

fn card(board: &Board, deal: Uuid) -> &Card {
    board.cards.iter().find(|card| card.deal.0 == deal).expect("the deal is on the board")
}

/// A deal of the first or second user, worth so much.
async fn open(office: &mut Office, owner: usize, value: Value) -> Uuid {
    let (id, pipeline, owner) = (new_id(), office.sales.pipeline, office.users[owner]);
    office.must(id, "OpenDeal", json!({ "pipeline": pipeline, "owner": owner, "value": value })).await;
    id
}

fn gel(amount: &str) -> Value {
    json!({ "amount": amount, "currency": "GEL" })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_the_same_live_and_rebuilt_for_any_page() {
    for seed in 0..3 {
        models::rows_are_the_same_for_any_page(model(), seed, 250).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_count_and_sum_and_cards_follow_the_deals() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let first = open(&mut office, 0, gel("100.25")).await;
    let second = open(&mut office, 1, gel("50")).await;
    let third = open(&mut office, 1, json!({ "amount": "7", "currency": "EUR" })).await;
    office.must(third, "MoveDeal", json!({ "to": OFFER })).await;
    office.must(third, "RenameDeal", json!({ "name": "Roof" })).await;

    let whole = board(&store, ask()).await;
    let columns: Vec<_> = whole.columns.iter().map(|column| (column.stage.as_str(), column.deals)).collect();
    assert_eq!(columns, [("Lead", 2), ("Offer", 1), ("Contract", 0)]);
    assert_eq!(whole.columns[0].sums[0].to_string(), "150.25 GEL");
    assert_eq!(whole.columns[1].sums[0].currency, Currency::parse("EUR").unwrap());
    assert_eq!(card(&whole, third).title.as_deref(), Some("Roof"));
    assert_eq!(card(&whole, first).owner_name.as_deref(), Some("Tamar"));

    let of_levan = board(&store, Ask { owner: Some("levan".into()), ..ask() }).await;
    assert_eq!(of_levan.columns.iter().map(|column| column.deals).sum::<i64>(), 2);
    let of_lead = board(&store, Ask { stage: Some("LEAD".into()), sort: Sort::Value, ..ask() }).await;
    assert_eq!(deals(&of_lead), [first, second]);
    assert_eq!(of_lead.columns.len(), 1);

    office.must(first, "CloseWon", json!({})).await;
    assert!(!deals(&board(&store, ask()).await).contains(&first));
    office.must(first, "ReopenDeal", json!({ "to": LEAD, "reason": "they came back" })).await;
    assert_eq!(card(&board(&store, ask()).await, first).value.unwrap().to_string(), "100.25 GEL");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_every_card_once_in_every_order() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 5).await;
    while office.deals.len() < 25 {
        office.click().await;
    }
    for sort in [Sort::Age, Sort::Value, Sort::Close, Sort::Activity, Sort::Task] {
        let whole = deals(&board(&store, Ask { sort, ..ask() }).await);
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = board(&store, Ask { sort, limit: 4, after, ..ask() }).await;
            paged.extend(deals(&page));
            after = page.next;
            assert_eq!(page.more, after.is_some());
            if !page.more {
                break;
            }
        }
        assert!(whole.len() > 8, "{} cards", whole.len());
        assert_eq!(paged, whole, "{sort:?}");
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_task_is_the_open_one_due_first_also_of_a_merged_deal() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let (deal, twin) = (open(&mut office, 0, gel("1")).await, open(&mut office, 0, gel("1")).await);
    let mut tasks = Vec::new();
    for (about, due) in [(deal, "2031-05-01"), (twin, "2031-03-01")] {
        let (task, user) = (new_id(), office.users[0]);
        let due = json!({ "day": { "date": due, "zone": "Asia/Tbilisi" } });
        let targets = json!([{ "deal": about }]);
        let body = json!({ "subject": "Call", "due": due, "assignee": user, "targets": targets });
        office.must(task, "CreateTask", body).await;
        tasks.push(task);
    }
    let next = async |store: &Store, deal| {
        let board = board(store, ask()).await;
        card(&board, deal).next_task.map(|next| next.task.0)
    };
    assert_eq!(next(&store, deal).await, Some(tasks[0]));
    office.merge("MergeDeals", deal, twin).await;
    assert_eq!(next(&store, deal).await, Some(tasks[1]));
    assert_eq!(deals(&board(&store, ask()).await), [deal], "a merged deal is not on the board");
    office.must(tasks[1], "CompleteTask", json!({ "result": "reached" })).await;
    assert_eq!(next(&store, deal).await, Some(tasks[0]));
    office.must(tasks[1], "ReopenTask", json!({ "reason": "no answer" })).await;
    office.must(deal, "UnmergeDeals", json!({ "merge": 1 })).await;
    assert_eq!(next(&store, deal).await, Some(tasks[0]));
    assert_eq!(next(&store, twin).await, Some(tasks[1]));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_position_answers_as_the_live_board_did_then() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 9).await;
    let mut then = Vec::new();
    for n in 0..160 {
        office.click().await;
        if n % 40 == 39 {
            then.push((store.head(tenant(1)).await.unwrap(), board(&store, ask()).await));
        }
    }
    assert!(then.last().unwrap().1.cards.len() > 3);
    for (position, expected) in then {
        assert_eq!(
            models::then(&store, model(), tenant(1), position, ask()).await,
            expected,
            "at {position}"
        );
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_named_with_what_there_is() {
    let database = Database::create().await;
    let store = database.connect().await;
    let _office = Office::open(&store, tenant(1), 1).await;
    let said = async |ask: Ask, as_of: AsOf| {
        store.ask(model(), tenant(1), as_of, now(), &quiet, ask).await.unwrap_err().to_string()
    };
    let pipeline = Ask { pipeline: "Service".into(), ..ask() };
    assert_eq!(said(pipeline, AsOf::NOW).await, "there is no pipeline \"Service\"; there are \"Sales\"");
    let stage = Ask { stage: Some("Ofer".into()), ..ask() };
    assert_eq!(
        said(stage, AsOf::NOW).await,
        "there is no stage \"Ofer\"; there are \"Contract\", \"Lead\", \"Lost\", \"Offer\", \"Won\""
    );
    let owner = Ask { owner: Some("Nobody".into()), ..ask() };
    assert_eq!(said(owner, AsOf::NOW).await, "there is no owner \"Nobody\"; there are \"Levan\", \"Tamar\"");
    assert_eq!(
        said(ask(), AsOf::position(99)).await,
        format!(
            "position 99 is not in the log, which reaches from 0 to {}",
            store.head(tenant(1)).await.unwrap()
        )
    );
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_name_is_gone_and_the_card_stays() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let contact = new_id();
    office.must(contact, "CreateContact", json!({ "given": "Ketevan", "family": "Unmistakable" })).await;
    let (deal, pipeline) = (new_id(), office.sales.pipeline);
    let body = json!({ "pipeline": pipeline, "party": { "contact": contact }, "party_name": "Ketevan Unmistakable" });
    office.must(deal, "OpenDeal", body).await;
    let name = async |store: &Store| card(&board(store, ask()).await, deal).contact_name.clone();
    assert_eq!(name(&store).await.as_deref(), Some("Ketevan Unmistakable"));
    office.erase(contact).await;
    assert_eq!(name(&store).await, None);
    let (live, _) = store.catch_up(model(), tenant(1), &quiet).await.unwrap();
    let rows = database.rows(&live.schema_name).await;
    assert!(rows.iter().all(|row| !row.contains("Unmistakable")));
    let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
    assert_eq!(database.rows(&rebuilt.schema_name).await, rows);
    database.drop().await;
}
