//! Duplicate candidates: the same when rebuilt, whatever the pages and whoever was erased; dismissals stick.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use kvali_domain::contact_point::{ContactPoint, Kind};
use kvali_domain::match_rule::{self, Key};
use kvali_domain::{
    Command, CompanyId, ContactId, LeadId, Personal, StreamId, SubjectId, Target, TenantId, company, contact,
    duplicate, lead, merge,
};
use kvali_eventstore::Store;
use kvali_eventstore::project::Projection;
use kvali_projections::duplicate_candidates::{
    Ask, BLOCK_LIMIT, Candidate, Details, DuplicateCandidates, Filter, Hasher, Rarity, Weights, rule,
};
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use sqlx::Connection;
use std::sync::Arc;

fn model() -> Arc<dyn Projection> {
    Arc::new(DuplicateCandidates)
}

fn quiet(_: i64, _: i64) {}

fn point(kind: Kind, value: &str) -> ContactPoint {
    ContactPoint { kind, value: Personal::new(value), region: None }
}

fn person(name: &str, points: Vec<ContactPoint>) -> contact::Command {
    contact::Command::Create(contact::Create {
        full: Personal::new(name),
        points,
        override_duplicate: true,
        reason: Personal::new("one phone for all"),
        ..contact::Create::default()
    })
}

struct Scene<'a> {
    store: &'a Store,
    tenant: TenantId,
}

impl Scene<'_> {
    async fn send(&self, stream: StreamId, command: impl Into<Command>) {
        accepted(self.store.handle(order(stream, command), envelope(self.tenant)).await);
    }

    async fn contact(&self, name: &str, points: Vec<ContactPoint>) -> ContactId {
        let id = ContactId(new_id());
        self.send(id.stream(), person(name, points)).await;
        id
    }

    async fn ask<T>(&self, question: impl AsyncFnOnce(Ask<'_>) -> Result<T, sqlx::Error>) -> T {
        let (generation, _) = self.store.catch_up(model(), self.tenant, &quiet).await.unwrap();
        let keyed = self.store.keyed_ids(self.tenant).await.unwrap();
        let mut connection = self.store.connection(self.tenant).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let ask = Ask {
            connection: &mut transaction,
            tenant: self.tenant,
            schema: &generation.schema_name,
            hasher: Hasher::new(move |bytes| keyed.number(bytes)),
        };
        question(ask).await.unwrap()
    }

    async fn candidates(&self) -> Vec<Candidate> {
        self.ask(async |mut ask| ask.candidates(&Filter::default(), None, 100_000).await).await
    }

    async fn reject(&self, one: Target, other: Target) {
        let command = duplicate::Command::Reject { one, other, reason: Personal::new("mother and daughter") };
        self.send(duplicate::pair(one, other), command).await;
    }

    async fn version(&self, stream: StreamId) -> i32 {
        self.store.state(self.tenant, stream).await.unwrap().unwrap().0
    }

    async fn merge(&self, survivor: ContactId, loser: ContactId) {
        let mut seen = Vec::new();
        for id in [survivor, loser] {
            seen.push(merge::Seen { id, version: self.version(id.stream()).await });
        }
        let choices = vec![merge::Choice { field: "name".into(), from: loser }];
        let command = contact::Command::Merge(merge::Merge { losers: vec![loser], seen, choices });
        self.send(survivor.stream(), command).await;
    }
}

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

const NAMES: &[&str] = &[
    "Nino Abashidze",
    "Nina Abashidze",
    "ნინო აბაშიძე",
    "Abashidze, N.",
    "Giorgi Beridze",
    "Georgi Beridze",
    "გიორგი ბერიძე",
    "Yuri Petrov",
    "Юрий Петров",
    "Iurii Petrov",
    "Mohammed Hassan",
    "محمد حسن",
];
const PHONES: &[&str] = &["+995555123456", "+995555123457", "+995599000001", "+995599000002"];
const ADDRESSES: &[&str] = &[
    "6 Rustaveli Avenue\n0108 Tbilisi",
    "6 Rustaveli Ave, 0108 Tbilisi",
    "12 Chavchavadze St\n0179 Tbilisi",
];

/// One more thing happens to a company of people who resemble each other.
async fn something(scene: &Scene<'_>, dice: &mut Dice, contacts: &mut Vec<ContactId>, nth: u64) {
    let some = (!contacts.is_empty()).then(|| dice.one(contacts));
    let command = match (dice.below(14), some) {
        (0..=4, _) | (_, None) => {
            let phone = point(Kind::Phone, dice.one(PHONES));
            let email = point(Kind::Email, &format!("someone{}@acme.ge", dice.below(6)));
            let points = if dice.below(2) == 0 { vec![phone, email] } else { vec![phone] };
            contacts.push(scene.contact(dice.one(NAMES), points).await);
            return;
        }
        (5, Some(_)) => {
            let lead = lead::Capture {
                full: Personal::new(dice.one(NAMES)),
                company_name: Personal::new("Vake Clinic LLC"),
                points: vec![point(Kind::Phone, dice.one(PHONES))],
                override_duplicate: true,
                reason: Personal::new("asked again"),
                ..lead::Capture::default()
            };
            return scene.send(LeadId(new_id()).stream(), lead::Command::Capture(lead)).await;
        }
        (6, Some(_)) => {
            let company = company::Create {
                name: Personal::new(dice.one(&[
                    "Vake Clinic",
                    "Vake Clinic LLC",
                    "ვაკე კლინიკა",
                    "Didube Motors",
                ])),
                domains: vec![format!("vake{nth}.ge")],
                ..company::Create::default()
            };
            return scene.send(CompanyId(new_id()).stream(), company::Command::Create(company)).await;
        }
        (7, Some(_)) => contact::Command::Rename {
            given: Personal::default(),
            family: Personal::default(),
            full: Personal::new(dice.one(NAMES)),
        },
        (8, Some(_)) => contact::Command::ChangeAddress {
            country: serde_json::from_str("\"GE\"").unwrap(),
            lines: Personal::new(dice.one(ADDRESSES)),
        },
        (9, Some(_)) => contact::Command::Archive {},
        (10, Some(_)) => contact::Command::Restore {},
        (11, Some(id)) => {
            let other = dice.one(contacts);
            if other != id {
                let (one, other) = (Target::Contact(id), Target::Contact(other));
                let reject = duplicate::Command::Reject { one, other, reason: Personal::new("two people") };
                // Who was merged with the other is refused, which changes nothing.
                scene
                    .store
                    .handle(order(duplicate::pair(one, other), reject), envelope(scene.tenant))
                    .await
                    .unwrap();
            }
            return;
        }
        (12, Some(id)) => {
            let other = dice.one(contacts);
            let (one, two) = (scene.version(id.stream()).await, scene.version(other.stream()).await);
            let seen = vec![merge::Seen { id, version: one }, merge::Seen { id: other, version: two }];
            let choices =
                ["name", "address"].map(|field| merge::Choice { field: field.into(), from: other }).to_vec();
            for choices in [choices.clone(), choices[..1].to_vec(), choices[1..].to_vec(), Vec::new()] {
                let merge = merge::Merge { losers: vec![other], seen: seen.clone(), choices };
                let command = order(id.stream(), contact::Command::Merge(merge));
                scene.store.handle(command, envelope(scene.tenant)).await.unwrap();
            }
            return;
        }
        (_, Some(id)) => {
            let undo = contact::Command::Unmerge(merge::Unmerge { merge: 1, chain: true });
            scene.store.handle(order(id.stream(), undo), envelope(scene.tenant)).await.unwrap();
            return;
        }
    };
    let id = some.expect("there is one");
    // What is archived refuses most of it.
    scene.store.handle(order(id.stream(), command), envelope(scene.tenant)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilt_pairs_keys_and_clusters_equal_the_live_ones_whatever_the_pages() {
    for seed in 0..3 {
        let database = Database::create().await;
        let store = database.connect().await;
        let scene = Scene { store: &store, tenant: tenant(1) };
        let (mut dice, mut contacts) = (Dice(seed), Vec::new());
        for nth in 0..160 {
            something(&scene, &mut dice, &mut contacts, nth).await;
            if nth % (1 + seed * 9) == 0 {
                store.catch_up(model(), scene.tenant, &quiet).await.unwrap();
            }
            if nth == 60 {
                let mut weights = Weights::shipped();
                weights.likely = 2_000;
                let rule = rule(&weights, &Rarity::default(), None);
                scene.send(match_rule::STREAM, match_rule::Command::Define(rule)).await;
            }
            if nth % 50 == 49 {
                let erased = dice.one(&contacts);
                accepted(store.erase(SubjectId(erased.0), envelope(scene.tenant)).await);
                contacts.retain(|contact| *contact != erased);
            }
        }
        let (live, _) = store.catch_up(model(), scene.tenant, &quiet).await.unwrap();
        let before = database.rows(&live.schema_name).await;
        let of = |table: &str| before.iter().filter(|row| row.starts_with(table)).count();
        assert!(
            of("pair:") > 5 && of("cluster:") > 2 && of("decision:") > 2,
            "there is something to compare: {before:?}"
        );
        let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
        let after = database.rows(&rebuilt.schema_name).await;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "seed {seed}");
        }
        assert_eq!(before.len(), after.len());
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_too_many_share_brings_nobody_together_until_it_is_none_any_more() {
    let database = Database::create().await;
    let store = database.connect().await;
    let scene = Scene { store: &store, tenant: tenant(1) };
    let mut contacts = Vec::new();
    for nth in 0..BLOCK_LIMIT + 2 {
        contacts.push(scene.contact("Anna Smith", Vec::new()).await);
        if nth == 20 {
            assert_eq!(scene.candidates().await.len(), 21 * 20 / 2);
        }
    }
    assert_eq!(scene.candidates().await.len(), 0);
    for contact in &contacts[..3] {
        scene.send(contact.stream(), contact::Command::Archive {}).await;
    }
    assert_eq!(scene.candidates().await.len(), (BLOCK_LIMIT - 1) * (BLOCK_LIMIT - 2) / 2);
    let (live, _) = store.catch_up(model(), scene.tenant, &quiet).await.unwrap();
    let before = database.rows(&live.schema_name).await;
    let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
    assert!(database.rows(&rebuilt.schema_name).await == before);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissed_pair_comes_back_only_with_new_evidence() {
    let database = Database::create().await;
    let store = database.connect().await;
    let scene = Scene { store: &store, tenant: tenant(1) };
    let phone = || vec![point(Kind::Phone, "+995555123456")];
    let one = scene.contact("Nino Abashidze", phone()).await;
    let other = scene.contact("Nino Abashidze", phone()).await;
    assert_eq!(scene.candidates().await.len(), 1);
    scene.reject(Target::Contact(other), Target::Contact(one)).await;
    assert_eq!(scene.candidates().await.len(), 0);
    let tag = contact::Command::SetLifecycleStage {
        stage: contact::LifecycleStage::Customer,
        reason: Personal::default(),
    };
    scene.send(one.stream(), tag).await;
    assert_eq!(scene.candidates().await.len(), 0, "nothing that is compared has changed");
    for contact in [one, other] {
        let add = contact::Command::AddPoint {
            contact_point: point(Kind::Email, "nino@vake.ge"),
            override_duplicate: true,
            reason: Personal::new("both use it"),
        };
        scene.send(contact.stream(), add).await;
    }
    assert_eq!(scene.candidates().await.len(), 1, "now they share an address too");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_record_is_no_candidate_and_the_survivor_is_known_by_what_it_brought() {
    let database = Database::create().await;
    let store = database.connect().await;
    let scene = Scene { store: &store, tenant: tenant(1) };
    let phone = |number: &str| vec![point(Kind::Phone, number)];
    let survivor = scene.contact("Nino Abashidze", phone("+995555123456")).await;
    let loser = scene.contact("Nino Abashidze-Beridze", phone("+995599000001")).await;
    scene.merge(survivor, loser).await;
    assert_eq!(scene.candidates().await.len(), 0);
    let third = scene.contact("Nino Abashidze-Beridze", phone("+995599000001")).await;
    let found = scene.candidates().await;
    assert_eq!(found.len(), 1, "{found:?}");
    let ids = [found[0].a.id, found[0].b.id];
    assert!(ids.contains(&survivor.0) && ids.contains(&third.0), "{found:?}");
    let undo = contact::Command::Unmerge(merge::Unmerge { merge: 1, chain: false });
    scene.send(survivor.stream(), undo).await;
    let ids: Vec<_> = scene.candidates().await.iter().flat_map(|pair| [pair.a.id, pair.b.id]).collect();
    assert!(ids.contains(&loser.0), "it stands for itself again");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leads_contacts_and_companies_meet_and_somebody_new_is_known_before_being_written() {
    let database = Database::create().await;
    let store = database.connect().await;
    let scene = Scene { store: &store, tenant: tenant(1) };
    let contact = scene.contact("გიორგი ბერიძე", vec![point(Kind::Phone, "+995555123456")]).await;
    let lead = LeadId(new_id());
    let capture = lead::Capture {
        full: Personal::new("Giorgi Beridze"),
        points: vec![point(Kind::Phone, "+995555123456")],
        ..lead::Capture::default()
    };
    scene.send(lead.stream(), lead::Command::Capture(capture)).await;
    let found = scene.candidates().await;
    let mut ids = [found[0].a.id, found[0].b.id];
    ids.sort_unstable();
    let mut expected = [contact.0, lead.0];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let head = store.head(scene.tenant).await.unwrap();
    let asked = Details {
        full: "Beridze, Georgi".into(),
        phones: ["555 12 34 56".to_owned()].into(),
        ..Details::default()
    };
    let known = scene.ask(async |mut ask| ask.who(&asked).await).await;
    assert_eq!(known.len(), 2, "{known:?}");
    assert!(known.iter().all(|found| found.score.total
        == found.score.start + found.score.addends.iter().map(|a| a.adds).sum::<i32>()));
    assert_eq!(store.head(scene.tenant).await.unwrap(), head, "nothing was written");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_without_keys_of_names_compares_no_namesakes() {
    let database = Database::create().await;
    let store = database.connect().await;
    let scene = Scene { store: &store, tenant: tenant(1) };
    scene.contact("Anna Smith", Vec::new()).await;
    scene.contact("Anna Smith", Vec::new()).await;
    assert_eq!(scene.candidates().await.len(), 1);
    let mut narrow = rule(&Weights::shipped(), &Rarity::default(), None);
    narrow.keys = [Key::Email].into();
    scene.send(match_rule::STREAM, match_rule::Command::Define(narrow)).await;
    assert_eq!(scene.candidates().await.len(), 0);
    database.drop().await;
}
