//! Completeness: which fields are filled, how often, since when, and whose records they are.

use kvali_domain::access::Reach;
use kvali_domain::fields::Entity;
use kvali_domain::{StreamId, UserId};
use kvali_eventstore::Store;
use kvali_eventstore::project::Projection;
use kvali_projections::field_completeness::{Ask, FieldCompleteness, OfEntity, OfField, Standing};
use kvali_tests::models::{self, quiet};
use kvali_tests::office::{COLOUR, DIAGNOSIS, Office, VIP};
use kvali_tests::{Database, new_id, tenant};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

fn model() -> Arc<dyn Projection> {
    Arc::new(FieldCompleteness)
}

fn ask(entity: Entity) -> Ask {
    Ask { entity: Some(entity), owner: None, reach: Reach::All, rare: 0.4 }
}

async fn of(store: &Store, entity: Entity) -> OfEntity {
    models::now(store, model(), tenant(1), ask(entity)).await.remove(0)
}

fn field<'a>(of: &'a OfEntity, name: &str) -> &'a OfField {
    of.fields.iter().find(|field| field.field == name).expect("the field is known")
}

async fn contact(office: &mut Office, owner: usize, points: serde_json::Value) -> Uuid {
    let (id, owner) = (new_id(), office.users[owner]);
    office.must(id, "CreateContact", json!({ "full": "Nino", "owner": owner, "points": points })).await;
    id
}

fn email(at: &str) -> serde_json::Value {
    json!([{ "kind": "email", "value": format!("{at}@example.com") }])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_the_same_live_and_rebuilt_for_any_page() {
    for seed in 0..4 {
        models::rows_are_the_same_for_any_page(model(), seed, 250).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_filled_never_rarely_no_longer_or_often() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let first = contact(&mut office, 0, email("one")).await;
    contact(&mut office, 0, json!([])).await;
    contact(&mut office, 1, json!([])).await;
    office.must(first, "TagContact", json!({ "tag": VIP })).await;
    office.must(first, "UntagContact", json!({ "tag": VIP })).await;
    let red = json!({ "text": "red" });
    let fields =
        json!({ "fields": [{ "field": COLOUR, "value": red }, { "field": DIAGNOSIS, "value": red }] });
    office.must(first, "SetContactFields", fields).await;

    let of = of(&store, Entity::Contact).await;
    assert_eq!(of.records, 3);
    let standing = |name| (field(&of, name).filled, field(&of, name).standing);
    assert_eq!(standing("name"), (3, Standing::Filled));
    assert_eq!(standing("email"), (1, Standing::Rarely));
    assert_eq!(standing("phone"), (0, Standing::Never));
    assert_eq!(standing("tags"), (0, Standing::NoLonger));
    assert_eq!(standing("colour"), (1, Standing::Rarely));
    assert_eq!(standing("diagnosis"), (1, Standing::Rarely), "a sealed value counts as any other");
    let records: Vec<_> = of.owners.iter().map(|owner| (owner.owner, owner.records)).collect();
    let [tamar, levan] = [UserId(office.users[0]), UserId(office.users[1])];
    assert_eq!(records, [(Some(levan), 1), (Some(tamar), 2)], "the least complete first");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_an_archive_and_an_erasure_take_back_what_a_record_counted_for() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 1).await;
    let (one, other) =
        (contact(&mut office, 0, json!([])).await, contact(&mut office, 1, email("other")).await);
    let counts = async |office: &Office| {
        let of = of(&office.store, Entity::Contact).await;
        let of_owner = |owner: usize| {
            let owner = Some(UserId(office.users[owner]));
            of.owners.iter().find(|of| of.owner == owner).map_or(0, |of| of.records)
        };
        (of.records, field(&of, "email").filled, of_owner(0), of_owner(1))
    };
    assert_eq!(counts(&office).await, (2, 1, 1, 1));
    office.merge("MergeContacts", one, other).await;
    assert_eq!(counts(&office).await, (1, 1, 1, 0), "the survivor is reached where the other was");
    office.must(one, "UnmergeContacts", json!({ "merge": 1 })).await;
    assert_eq!(counts(&office).await, (2, 1, 1, 1));
    office.must(other, "ArchiveContact", json!({})).await;
    assert_eq!(counts(&office).await, (1, 0, 1, 0));
    office.must(other, "RestoreContact", json!({})).await;
    office.erase(other).await;
    assert_eq!(counts(&office).await, (1, 0, 1, 0));
    database.drop().await;
}

/// What the states of the domain say is filled.
async fn by_states(office: &Office) -> (i64, BTreeMap<&'static str, i64>) {
    let (mut records, mut filled) = (0, BTreeMap::new());
    let events = office.store.read(office.tenant(), 0, 100_000).await.expect("the log is read");
    let erased: Vec<String> = events
        .iter()
        .filter(|event| event.event_type == "subject.erased")
        .map(|event| event.data.clone())
        .collect();
    for id in &office.contacts {
        let state = office.store.state(office.tenant(), StreamId(*id)).await.expect("the log is read");
        let Some((_, state)) = state else { continue };
        let kvali_domain::State::Contact(contact) = &*state else { continue };
        let Some(record) = contact.record() else { continue };
        let is_erased = erased.iter().any(|data| data.contains(&id.to_string()));
        if record.archived || record.merging.into.is_some() || is_erased {
            continue;
        }
        records += 1;
        let has = [
            ("owner", record.owner.is_some()),
            ("tags", !record.tags.is_empty()),
            ("address", record.address.is_some()),
            ("lifecycle_stage", record.lifecycle_stage.is_some()),
            ("affiliations", !record.affiliations.is_empty()),
            ("name", record.name_of.is_some()),
        ];
        for (name, is_filled) in has {
            *filled.entry(name).or_default() += i64::from(is_filled);
        }
    }
    (records, filled)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_are_those_of_the_records_themselves() {
    for seed in 0..3 {
        let database = Database::create().await;
        let store = database.connect().await;
        let mut office = Office::open(&store, tenant(1), seed).await;
        for _ in 0..300 {
            office.click().await;
        }
        let of = of(&store, Entity::Contact).await;
        let (records, filled) = by_states(&office).await;
        assert!(records > 10);
        assert_eq!(of.records, records, "seed {seed}");
        for (name, filled) in filled {
            assert_eq!(field(&of, name).filled, filled, "{name}, seed {seed}");
        }
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_position_answers_as_the_live_counts_did_then() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 9).await;
    let question = Ask { entity: None, owner: None, reach: Reach::All, rare: 0.1 };
    let mut then = Vec::new();
    for n in 0..120 {
        office.click().await;
        if n % 40 == 39 {
            let position = store.head(tenant(1)).await.unwrap();
            then.push((position, models::now(&store, model(), tenant(1), question.clone()).await));
        }
    }
    for (position, expected) in then {
        let answer = models::then(&store, model(), tenant(1), position, question.clone()).await;
        assert_eq!(answer, expected, "at {position}");
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counts_of_owners_sum_to_the_whole() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut office = Office::open(&store, tenant(1), 4).await;
    for _ in 0..150 {
        office.click().await;
    }
    store.catch_up(model(), tenant(1), &quiet).await.unwrap();
    for of in models::now(
        &store,
        model(),
        tenant(1),
        Ask { entity: None, owner: None, reach: Reach::All, rare: 0.1 },
    )
    .await
    {
        assert_eq!(of.owners.iter().map(|owner| owner.records).sum::<i64>(), of.records);
        for owner in of.owners.iter().filter_map(|owner| owner.owner) {
            let question = Ask { owner: Some(owner), ..ask(of.entity) };
            let own = models::now(&store, model(), tenant(1), question).await.remove(0);
            assert_eq!(own.owners.len(), 1);
            assert_eq!(own.records, own.owners[0].records);
        }
    }
    database.drop().await;
}
