//! A tenant leaves as a file and comes in elsewhere: the same log, byte for byte, or nothing at all.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

use kvali_domain::access::Role;
use kvali_domain::{CompanyId, Personal, canonical, company};
use kvali_eventstore::archive::{ArchiveError, Manifest, checked};
use kvali_eventstore::{MasterKey, Store};
use kvali_projections::deal_board::DealBoard;
use kvali_projections::search::Search;
use kvali_projections::timeline::Timeline;
use kvali_tests::http::Server;
use kvali_tests::office::Office;
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use std::sync::Arc;

struct Archive {
    bytes: Vec<u8>,
    key: MasterKey,
}

impl Archive {
    async fn of(store: &Store) -> Self {
        let (mut bytes, key) = (Vec::new(), MasterKey::generate());
        store.export(tenant(1), &key, &mut bytes).await.unwrap();
        Self { bytes, key }
    }

    fn manifest(&self) -> Manifest {
        checked(&mut &self.bytes[..]).unwrap()
    }

    async fn brought_into(&self, store: &Store) -> Result<(), ArchiveError> {
        store.import(&self.manifest(), &self.key, &mut &self.bytes[..]).await
    }
}

/// Every row of the log's tables, but for those that tell where it is.
async fn rows(database: &Database) -> Vec<String> {
    let of_the_place = ["ledger", "tenant_key", "migration", "projection_"];
    let rows = database.rows("kvali").await.into_iter();
    rows.filter(|row| !of_the_place.iter().any(|table| row.starts_with(table))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_tenant_is_the_exported_one_in_an_epoch_of_its_own() {
    let (here, there) = (Database::create().await, Database::create().await);
    let server = Server::start(here.connect().await).await;
    let store = &server.store;
    let mut office = Office::open(store, tenant(1), 7).await;
    for _ in 0..150 {
        office.click().await;
    }
    let key = server.key(tenant(1), Role::Admin).await;
    let page = server.get(&key, "/v1/events?after=0&limit=5").await;
    let cursor = page.header("kvali-cursor").unwrap().to_owned();
    let name = Personal::new("Acme");
    let create = order(
        CompanyId(new_id()).stream(),
        company::Command::Create(company::Create { name, ..company::Create::default() }),
    );
    let sent = envelope(tenant(1));
    accepted(store.handle(create.clone(), sent.clone()).await);

    let archive = Archive::of(store).await;
    let text = String::from_utf8_lossy(&archive.bytes);
    assert!(!text.contains("Acme") && !text.contains("Nino"), "names stay sealed");
    let other = Server::start(there.connect().await).await;
    archive.brought_into(&other.store).await.unwrap();

    let (ours, theirs) = (store.read(tenant(1), 0, 100_000), other.store.read(tenant(1), 0, 100_000));
    let (ours, theirs) = (ours.await.unwrap(), theirs.await.unwrap());
    assert!(ours.len() > 150);
    let bytes = |events: &[kvali_domain::Recorded]| events.iter().map(canonical::bytes).collect::<Vec<_>>();
    assert_eq!(bytes(&ours), bytes(&theirs));
    assert_eq!(rows(&here).await, rows(&there).await);
    let opened = |store: &Store, events| {
        let store = store.clone();
        async move { store.open(tenant(1), events).await.unwrap() }
    };
    let (ours, theirs) = (opened(store, ours).await, opened(&other.store, theirs).await);
    assert!(ours.iter().zip(&theirs).all(|(ours, theirs)| ours.event == theirs.event), "texts open there");

    let again = accepted(other.store.handle(create, sent).await);
    assert!(again.known, "a command of before is known there");
    other.get(&key, "/v1/me").await.ok();
    other.get(&key, &format!("/v1/events?after={cursor}")).await.refused(410, "cursor_of_another_log");
    assert_eq!(other.get(&key, "/v1/events?after=5&limit=5").await.ok().as_array().unwrap().len(), 5);
    for model in [
        Arc::new(Search) as Arc<dyn kvali_eventstore::project::Projection>,
        Arc::new(Timeline),
        Arc::new(DealBoard),
    ] {
        let (ours, _) = store.catch_up(model.clone(), tenant(1), &|_, _| {}).await.unwrap();
        let (theirs, _) = other.store.catch_up(model, tenant(1), &|_, _| {}).await.unwrap();
        assert_eq!(here.rows(&ours.schema_name).await, there.rows(&theirs.schema_name).await);
    }

    let told = archive.brought_into(&other.store).await.unwrap_err();
    assert!(matches!(told, ArchiveError::NotEmpty { .. }), "{told}");
    server.stop().await;
    other.stop().await;
    here.drop().await;
    there.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_or_altered_archive_leaves_nothing_behind() {
    let (here, there) = (Database::create().await, Database::create().await);
    let (store, other) = (here.connect().await, there.connect().await);
    let mut office = Office::open(&store, tenant(1), 8).await;
    for _ in 0..40 {
        office.click().await;
    }
    let archive = Archive::of(&store).await;
    let manifest = archive.manifest();
    let length = archive.bytes.len();
    for cut in (0..length).step_by(length / 97).chain([length - 1, length - 2]) {
        assert!(checked(&mut &archive.bytes[..cut]).is_err(), "cut after {cut} of {length} bytes");
    }
    let nothing = rows(&there).await;
    for at in (0..length).step_by(length / 61) {
        let mut altered = archive.bytes.clone();
        altered[at] ^= 1;
        assert!(checked(&mut &altered[..]).is_err(), "byte {at} of {length} was changed");
        // As if it were changed after it was checked.
        assert!(other.import(&manifest, &archive.key, &mut &altered[..]).await.is_err());
        assert_eq!(rows(&there).await, nothing, "byte {at}");
    }
    let told = other.import(&manifest, &MasterKey::generate(), &mut &archive.bytes[..]).await.unwrap_err();
    assert!(matches!(told, ArchiveError::WrongKey), "{told}");
    assert_eq!(other.head(tenant(1)).await.unwrap(), 0);
    archive.brought_into(&other).await.unwrap();
    assert_eq!(other.head(tenant(1)).await.unwrap(), manifest.head);
    store.close().await;
    other.close().await;
    here.drop().await;
    there.drop().await;
}
