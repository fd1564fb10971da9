//! Whatever happens in all aggregates, in whatever order: every read model is the same live, rebuilt, and for pages of any
//! size; and the store decides as the rules alone do.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

// The stories that the domain's own properties are tried on.
#[path = "../../../crates/domain/tests/domain/configuring.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod configuring;
#[path = "../../../crates/domain/tests/domain/dealing.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod dealing;
#[path = "../../../crates/domain/tests/domain/given.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod given;
#[path = "../../../crates/domain/tests/domain/joining.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod joining;
#[path = "../../../crates/domain/tests/domain/leading.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod leading;
#[path = "../../../crates/domain/tests/domain/measuring.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod measuring;
#[path = "../../../crates/domain/tests/domain/party.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod party;
#[path = "../../../crates/domain/tests/domain/sales.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod sales;
#[path = "../../../crates/domain/tests/domain/staffing.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod staffing;
#[path = "../../../crates/domain/tests/domain/stories.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod stories;
#[path = "../../../crates/domain/tests/domain/talking.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod talking;
#[path = "../../../crates/domain/tests/domain/working.rs"]
#[allow(dead_code, reason = "shared with the domain's tests")]
mod working;

use crate::given::{Happened, World};
use crate::stories::{Step, a_policy, a_step, beginnings};
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::{CommandId, Occurred, TenantId};
use kvali_eventstore::{Options, Outcome, Store};
use kvali_tests::{Database, envelope, new_id, tenant};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Histories, and steps of each; `.ci/long` asks for more.
const HISTORIES: u128 = 5;
const STEPS: usize = 150;

fn histories() -> u128 {
    let asked = std::env::var("KVALI_TEST_HISTORIES").ok();
    asked.map_or(HISTORIES, |histories| histories.parse().expect("KVALI_TEST_HISTORIES is a number"))
}

fn drawn<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("nothing is filtered out").current()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_read_model_is_the_same_live_and_rebuilt_for_pages_of_any_size() {
    let database = Database::create().await;
    let store = database.connect().await;
    let mut runner = TestRunner::deterministic();
    let mut happened = 0;
    for n in 1..=histories() {
        let policies = drawn(&prop::array::uniform2(a_policy()), &mut runner);
        let steps = drawn(&prop::collection::vec(a_step(), STEPS), &mut runner);
        let mut history = History { store: &store, tenant: tenant(n), world: World::default(), events: 0 };
        let mut now = sales::NOW;
        let beginning: Vec<Step> = beginnings(policies).into_iter().map(Step::at_once).collect();
        for (at, step) in beginning.iter().chain(&steps).enumerate() {
            now += TimeDelta::minutes(step.minutes_later);
            history.take(step, now).await;
            // Sometimes after one event, sometimes after many.
            if at % 3 == 0 || (at / 20) % 3 == 0 {
                catch_up(&store, history.tenant).await;
            }
        }
        happened += history.events;
    }
    assert!(happened > usize::try_from(histories()).unwrap() * STEPS / 3, "{happened} events happened");
    for n in 1..=histories() {
        catch_up(&store, tenant(n)).await;
    }
    assert!(store.parked().await.unwrap().is_empty(), "nothing was parked");
    for model in kvali_projections::all() {
        let live = store.live(&*model).await.unwrap();
        let rows = database.rows(&live.schema_name).await;
        assert!(!rows.is_empty(), "{} has rows", model.name());
        for page in [1, 13, 10_000] {
            let store = Store::connect(Options { page, ..database.options() }).await.unwrap();
            let rebuilt = store.rebuild(model.clone(), &|_, _| {}).await.unwrap();
            let fresh = database.rows(&rebuilt.schema_name).await;
            let only_live: Vec<_> = rows.iter().filter(|row| !fresh.contains(row)).take(3).collect();
            let only_fresh: Vec<_> = fresh.iter().filter(|row| !rows.contains(row)).take(3).collect();
            assert!(
                rows == fresh,
                "{} with pages of {page}: only live {only_live:#?}, only rebuilt {only_fresh:#?}",
                model.name()
            );
        }
    }
    database.drop().await;
}

async fn catch_up(store: &Store, tenant: TenantId) {
    for model in kvali_projections::all() {
        store.catch_up(model, tenant, &|_, _| {}).await.unwrap();
    }
}

/// One tenant's, in the store and beside it in memory.
struct History<'a> {
    store: &'a Store,
    tenant: TenantId,
    world: World,
    events: usize,
}

impl History<'_> {
    async fn take(&mut self, step: &Step, now: DateTime<Utc>) {
        let occurred = step.when.occurred(now).unwrap_or(Occurred::Instant { at: now });
        let order = joining::looked_up(&step.order, &self.world);
        let decided = self.world.carry_out(&order, &step.sender(now, Some(&occurred)));
        let mut envelope = envelope(self.tenant).occurred(occurred);
        envelope.command_id = CommandId(new_id());
        envelope.actor = step.actor;
        envelope.reason_code = step.reason_code.map(str::to_owned);
        envelope.now = now;
        let outcome = self.store.handle(order.clone(), envelope).await.unwrap();
        match (decided, outcome) {
            (Ok(events), Outcome::Accepted(answer)) => {
                assert_eq!(usize::try_from(answer.event_count), Ok(events.len()), "{order:?}");
                self.events += events.len();
                for (stream, event) in events {
                    self.world.apply(&Happened { stream, event, occurred });
                }
            }
            // Beside the rules, the append sees who holds a key and what is left.
            (Ok(_) | Err(_), Outcome::Refused(_)) => {}
            (_, Outcome::Reused) => panic!("{order:?} bears a command id of its own"),
            (Err(refusal), Outcome::Accepted(_)) => panic!("{order:?} was accepted against {refusal}"),
        }
    }
}
