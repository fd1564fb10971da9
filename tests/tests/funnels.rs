//! Funnels over whole systems: what deals are grouped by, revived deals, named funnels and their standing counters.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test's own preparations fails the test")]

use kvali_domain::access::Reach;
use kvali_domain::funnel::{self, Corrections, PopulationKind, Rule, Start, Step};
use kvali_domain::pipeline::Policy;
use kvali_domain::{Command, DealId, FunnelId, PipelineId, StreamId, UserId, fields, sources};
use kvali_eventstore::project::{AsOf, Projection};
use kvali_eventstore::{Options, Store};
use kvali_projections::conversion_funnel::{
    Breakdown, ConversionFunnel, Counts, Facts, Group, Only, Population, Question, StandingCounts,
    funnel_named, funnels, ground, standing,
};
use kvali_tests::random::Company;
use kvali_tests::samples::{CONTRACT, LEAD, OFFER, Sales, WON, create_pipeline};
use kvali_tests::{Database, accepted, envelope, new_id, now, order, tenant};
use serde_json::{Value, json};
use sqlx::Executor;
use std::sync::Arc;

fn model() -> Arc<dyn Projection> {
    Arc::new(ConversionFunnel)
}

fn quiet(_: i64, _: i64) {}

/// A company whose commands are told in JSON, as `kvali do` takes them.
struct Desk {
    store: Store,
    sales: Sales,
    nino: UserId,
    giorgi: UserId,
}

impl Desk {
    async fn open(store: Store) -> Self {
        let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
        let desk = Self { store, sales, nino: UserId(new_id()), giorgi: UserId(new_id()) };
        for (user, name) in [(desk.nino, "Nino"), (desk.giorgi, "Giorgi")] {
            desk.tell(user.stream(), "RegisterUser", json!({ "user": user, "name": name })).await;
        }
        desk
    }

    #[track_caller]
    fn tell(&self, stream: StreamId, name: &str, body: impl Into<Value>) -> impl Future<Output = ()> {
        let command = Command::decode(name, &body.into()).unwrap();
        let handled = self.store.handle(order(stream, command), envelope(self.sales.tenant));
        async move {
            accepted(handled.await);
        }
    }

    async fn deal(&self, body: Value) -> DealId {
        let deal = DealId(new_id());
        let mut open = json!({ "pipeline": self.sales.pipeline });
        open.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.tell(deal.stream(), "OpenDeal", open).await;
        deal
    }

    async fn facts(&self, question: Question) -> Facts {
        let (store, corrections) = (&self.store, Corrections::Effective);
        ground(store, self.sales.tenant, question, AsOf::NOW, corrections, now(), &quiet).await.unwrap()
    }

    /// Deals that entered Lead and Offer, by group; the group's name, or its JSON where it has none.
    async fn by(&self, by: &str) -> Vec<(Value, [u64; 2])> {
        let by: Breakdown = by.parse().unwrap();
        let facts = self.facts(Question { by: by.clone(), .."Sales".into() }).await;
        let mut definition = named(&steps()[..2], Rule::Entered).asked(Population::All, facts.at);
        definition.by = by.clone();
        let groups = facts.funnel(definition).unwrap().by.unwrap();
        let name = |group: &Group| match facts.group_name(group) {
            Some(name) => json!(name),
            None => json!(group)[by.word()].clone(),
        };
        let counts = |counts: &Counts| [counts.stages[0].count, counts.stages[1].count];
        groups.iter().map(|group| (name(&group.group), counts(&group.counts))).collect()
    }
}

fn steps() -> Vec<Step> {
    let steps = [("Lead", LEAD), ("Offer", OFFER), ("Contract", CONTRACT), ("Won", WON)];
    steps.map(|(name, stage)| Step { name: name.into(), stages: vec![stage] }).to_vec()
}

fn named(steps: &[Step], rule: Rule) -> kvali_projections::conversion_funnel::Named {
    let definition = definition(PipelineId(new_id()), steps, rule);
    kvali_projections::conversion_funnel::Named {
        funnel: FunnelId(new_id()),
        name: "Way".into(),
        version: 1,
        definition,
    }
}

fn definition(pipeline: PipelineId, steps: &[Step], rule: Rule) -> funnel::Definition {
    funnel::Definition {
        pipeline,
        steps: steps.to_vec(),
        rule,
        window: None,
        start: Start::First,
        population: PopulationKind::All,
        corrections: Corrections::Effective,
        impute_lost: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_broken_down_by_what_is_known_of_deals_and_their_owners() {
    let database = Database::create().await;
    let desk = Desk::open(database.connect().await).await;
    let (north, south, web, region) = (new_id(), new_id(), new_id(), new_id());
    for (team, name) in [(north, "North"), (south, "South")] {
        desk.tell(StreamId(team), "CreateTeam", json!({ "name": name })).await;
    }
    for team in [north, south] {
        desk.tell(StreamId(team), "AddTeamMember", json!({ "member": desk.nino })).await;
    }
    let source = json!({ "source": web, "code": "web", "label": "Web site", "channel": "web_form" });
    desk.tell(sources::STREAM, "DefineSource", source).await;
    let field =
        json!({ "field": region, "entity": "deal", "key": "region", "label": "Region", "type": "text" });
    desk.tell(fields::STREAM, "DefineField", field).await;

    let value = |amount: &str| json!({ "amount": amount, "currency": "GEL" });
    let first = desk.deal(json!({ "owner": desk.nino, "value": value("900") })).await;
    let second = desk.deal(json!({ "owner": desk.giorgi })).await;
    let lead = StreamId(new_id());
    desk.tell(lead, "CaptureLead", json!({
        "full": "Anna", "source": web, "owner": desk.giorgi, "points": [{ "kind": "email", "value": "anna@example.org" }],
    })).await;
    desk.tell(lead, "QualifyLead", json!({})).await;
    let (contact, third) = (new_id(), DealId(new_id()));
    let convert = json!({
        "contact": { "create": { "id": contact, "with": { "full": "Anna" } } },
        "deal": { "id": third, "with": { "pipeline": desk.sales.pipeline } },
    });
    desk.tell(lead, "ConvertLead", convert).await;

    let (mill, press) = (new_id(), new_id());
    let added = |product, price: &str| json!({ "line": { "product": product, "quantity": "1", "unit_price": value(price) } });
    for (deal, product, price) in [(first, mill, "900"), (first, press, "200"), (second, press, "40")] {
        desk.tell(deal.stream(), "AddDealLine", added(product, price)).await;
    }
    let set = json!({ "fields": [{ "field": region, "value": { "text": "Imereti" } }] });
    desk.tell(second.stream(), "SetDealFields", set).await;
    desk.tell(first.stream(), "MoveDeal", json!({ "to": OFFER })).await;
    desk.tell(second.stream(), "CloseLost", json!({ "reason": desk.sales.reason })).await;

    assert_eq!(
        desk.by("owner").await,
        [(json!(null), [1, 0]), (json!("Nino"), [1, 1]), (json!("Giorgi"), [1, 0])]
    );
    assert_eq!(
        desk.by("team").await,
        [(json!(null), [2, 0]), (json!("North"), [1, 1])],
        "the first one joined"
    );
    assert_eq!(desk.by("source").await, [(json!(null), [2, 1]), (json!("web"), [1, 0])]);
    assert_eq!(desk.by("loss_reason").await, [(json!(null), [2, 1]), (json!("Too expensive"), [1, 0])]);
    assert_eq!(desk.by("field:Region").await, [(json!(null), [2, 1]), (json!("Imereti"), [1, 0])]);
    let products = desk.by("product").await;
    assert_eq!(products, [(json!(null), [1, 0]), (json!(mill), [1, 1]), (json!(press), [2, 1])]);
    assert_eq!(
        desk.by("value").await,
        [(json!(null), [1, 0]), (json!("10–100 GEL"), [1, 0]), (json!("1000–10000 GEL"), [1, 1])]
    );
    assert_eq!(desk.by("value_at_entry").await, [(json!(null), [2, 0]), (json!("100–1000 GEL"), [1, 1])]);

    desk.tell(StreamId(north), "RemoveTeamMember", json!({ "member": desk.nino })).await;
    desk.tell(first.stream(), "RemoveDealLine", json!({ "number": 1 })).await;
    let clear = json!({ "fields": [{ "field": region }] });
    desk.tell(second.stream(), "SetDealFields", clear).await;
    assert_eq!(desk.by("team").await, [(json!(null), [2, 0]), (json!("South"), [1, 1])]);
    assert_eq!(desk.by("product").await, [(json!(null), [1, 0]), (json!(press), [2, 1])]);
    assert_eq!(desk.by("field:region").await, [(json!(null), [3, 1])]);

    let (live, _) = desk.store.catch_up(model(), desk.sales.tenant, &quiet).await.unwrap();
    let before = database.rows(&live.schema_name).await;
    let rebuilt = desk.store.rebuild(model(), &quiet).await.unwrap();
    assert_eq!(database.rows(&rebuilt.schema_name).await, before);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breakdown_by_what_is_unknown_or_sealed_says_what_there_is() {
    let database = Database::create().await;
    let desk = Desk::open(database.connect().await).await;
    for (id, key, class) in [(new_id(), "region", "none"), (new_id(), "hobby", "personal")] {
        let field = json!({
            "field": id, "entity": "deal", "key": key, "label": key, "type": "text", "class": class,
        });
        desk.tell(fields::STREAM, "DefineField", field).await;
        let deal = desk.deal(json!({})).await;
        let set = json!({ "fields": [{ "field": id, "value": { "text": "chess" } }] });
        desk.tell(deal.stream(), "SetDealFields", set).await;
    }
    let ask = async |by: &str| {
        let question = Question { by: by.parse().unwrap(), .."Sales".into() };
        let (store, corrections) = (&desk.store, Corrections::Effective);
        let facts = ground(store, desk.sales.tenant, question, AsOf::NOW, corrections, now(), &quiet).await;
        facts.unwrap_err().to_string()
    };
    let unknown = "deals have no custom field \"colour\"; they have \"hobby\", \"region\"";
    assert_eq!(ask("field:colour").await, unknown);
    assert!(ask("field:hobby").await.starts_with("the values of field \"hobby\" are sealed"));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_deal_is_followed_through_its_revival_to_the_win() {
    let database = Database::create().await;
    let desk = Desk::open(database.connect().await).await;
    let recycling = PipelineId(new_id());
    let create = order(recycling.stream(), create_pipeline("Recycling", Policy::PERMISSIVE));
    accepted(desk.store.handle(create, envelope(desk.sales.tenant)).await);
    desk.tell(desk.sales.pipeline.stream(), "LinkRecyclePipeline", json!({ "to": recycling })).await;
    let value = json!({ "amount": "250", "currency": "GEL" });
    let lost = desk.deal(json!({ "owner": desk.nino, "value": value })).await;
    let given_up = desk.deal(json!({ "value": value })).await;
    let (again, never, back) = (DealId(new_id()), DealId(new_id()), DealId(new_id()));
    for (deal, recycled) in [(lost, again), (given_up, never)] {
        desk.tell(deal.stream(), "CloseLost", json!({ "reason": desk.sales.reason })).await;
        desk.tell(deal.stream(), "ReviveLostDeal", json!({ "recycled": recycled })).await;
    }
    desk.tell(again.stream(), "CloseWon", json!({})).await;
    desk.tell(again.stream(), "HandBackToSales", json!({ "deal": back, "owner": desk.nino })).await;
    let cases = async |pipeline: &str, only: Only| {
        let facts = desk.facts(Question { only, ..pipeline.into() }).await;
        facts.funnel(named(&steps(), Rule::Entered).asked(Population::All, facts.at)).unwrap().counts.cases
    };
    assert_eq!(cases("Sales", Only::All).await, 3);
    assert_eq!(cases("Sales", Only::Revived).await, 1);
    assert_eq!(cases("Sales", Only::First).await, 2);
    assert_eq!(cases("Recycling", Only::Revived).await, 2);

    let revival = async || {
        let facts = desk.facts("Sales".into()).await;
        facts.revival(&named(&steps(), Rule::Entered).asked(Population::All, facts.at))
    };
    let before = revival().await;
    assert_eq!((before.lost_deals_revived, before.revivals, before.handed_back, before.won), (2, 2, 1, 0));
    assert_eq!(before.n_days_to_revival, 2);
    assert_eq!(before.values[0].handed_back.to_string(), "250 GEL");
    desk.tell(back.stream(), "CloseWon", json!({})).await;
    let after = revival().await;
    assert_eq!((after.handed_back, after.won), (1, 1));
    assert_eq!(after.values[0].won.to_string(), "250 GEL");
    database.drop().await;
}

async fn define(store: &Store, sales: &Sales, name: &str, definition: funnel::Definition) -> FunnelId {
    let funnel = FunnelId(new_id());
    let define = funnel::Command::Define { name: name.to_owned(), definition };
    accepted(store.handle(order(funnel.stream(), define), envelope(sales.tenant)).await);
    funnel
}

async fn redefine(store: &Store, sales: &Sales, funnel: FunnelId, definition: funnel::Definition) {
    let redefine = funnel::Command::Redefine { definition };
    accepted(store.handle(order(funnel.stream(), redefine), envelope(sales.tenant)).await);
}

/// Numbers that the standing counters and an answer both give.
fn numbers(stage: &Value) -> Value {
    let keys =
        ["stage", "count", "step_conversion", "cumulative_conversion", "visits", "reentered", "dropped"];
    let times = ["n_from_previous", "mean_seconds_from_previous"];
    keys.iter().chain(&times).map(|key| stage[key].clone()).collect()
}

fn standing_numbers(counts: &StandingCounts) -> Value {
    let stages = json!(counts.stages);
    let stages: Value = stages.as_array().unwrap().iter().map(numbers).collect();
    json!([counts.cases, counts.open_cases, stages])
}

fn answered_numbers(counts: &Counts) -> Value {
    let stages = json!(counts.stages);
    let stages: Value = stages.as_array().unwrap().iter().map(numbers).collect();
    json!([counts.cases, counts.open_cases, stages])
}

/// The counters of the funnel equal an answer to its question, as a whole and for every owner.
async fn stand_as_answered(store: &Store, sales: &Sales, name: &str) {
    let found = standing(store, sales.tenant, name, AsOf::NOW, now(), &quiet).await.unwrap();
    let named = funnel_named(store, sales.tenant, name, None, now(), &quiet).await.unwrap();
    assert_eq!((&found.definition, found.version), (&named.definition, named.version));
    let corrections = named.definition.corrections;
    let facts = ground(store, sales.tenant, "Sales", AsOf::NOW, corrections, now(), &quiet).await.unwrap();
    let mut asked = named.asked(Population::All, facts.at);
    asked.by = Breakdown::Owner;
    let answer = facts.funnel(asked).unwrap();
    assert_eq!(standing_numbers(&found.counts), answered_numbers(&answer.counts), "{name}");
    let by = answer.by.unwrap();
    assert_eq!(found.by.len(), by.len(), "{name}");
    for (standing, answered) in found.by.iter().zip(&by) {
        assert_eq!(Group::Owner(standing.owner), answered.group, "{name}");
        assert_eq!(standing_numbers(&standing.counts), answered_numbers(&answered.counts), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn standing_counters_equal_answers_after_any_history_live_and_rebuilt_by_pages_of_any_size() {
    for seed in 0..2 {
        let database = Database::create().await;
        let store = database.connect().await;
        let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
        let mut company = Company::found(&store, sales, seed + 40).await;
        let of = |rule| definition(company.sales.pipeline, &steps(), rule);
        let windowed = funnel::Definition { window: "2h".parse().ok(), ..of(Rule::Ordered) };
        let ever = funnel::Definition { corrections: Corrections::Ever, ..of(Rule::Entered) };
        let grouped = Step { name: "Offer or contract".into(), stages: vec![OFFER, CONTRACT] };
        let grouped = [steps()[0].clone(), grouped, steps()[3].clone()];
        let grouped = definition(company.sales.pipeline, &grouped, Rule::Strict);
        let names = ["entered", "ordered", "grouped", "passed"];
        let entered = define(&store, &company.sales, names[0], of(Rule::Entered)).await;
        define(&store, &company.sales, names[1], windowed).await;
        for n in 0..160 {
            let (order, envelope) = company.click();
            store.handle(order, envelope).await.unwrap();
            match n {
                60 => {
                    define(&store, &company.sales, names[2], grouped.clone()).await;
                }
                100 => redefine(&store, &company.sales, entered, ever.clone()).await,
                130 => {
                    let imputed = funnel::Definition {
                        impute_lost: true,
                        ..definition(company.sales.pipeline, &steps(), Rule::Passed)
                    };
                    define(&store, &company.sales, names[3], imputed).await;
                }
                _ => {}
            }
            if n % 31 == 0 {
                stand_as_answered(&store, &company.sales, names[0]).await;
            }
        }
        for name in names {
            stand_as_answered(&store, &company.sales, name).await;
        }
        let (live, _) = store.catch_up(model(), company.sales.tenant, &quiet).await.unwrap();
        let rows = database.rows(&live.schema_name).await;
        assert!(
            rows.iter().filter(|row| row.contains("funnel_count")).count() > 4,
            "there is something to compare"
        );
        for page in [1, 7, 10_000] {
            let store = Store::connect(Options { page, ..database.options() }).await.unwrap();
            let rebuilt = store.rebuild(model(), &quiet).await.unwrap();
            assert_eq!(database.rows(&rebuilt.schema_name).await, rows, "seed {seed}, pages of {page}");
        }
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redefinition_counts_all_of_history_and_the_older_version_can_still_be_asked() {
    let database = Database::create().await;
    let desk = Desk::open(database.connect().await).await;
    let (store, sales) = (&desk.store, &desk.sales);
    let deal = desk.deal(json!({})).await;
    desk.tell(deal.stream(), "MoveDeal", json!({ "to": CONTRACT })).await;
    let way = define(store, sales, "Way", definition(sales.pipeline, &steps()[..2], Rule::Entered)).await;
    let counts = async || {
        let answer = standing(store, sales.tenant, "way", AsOf::NOW, now(), &quiet).await.unwrap();
        (answer.version, answer.counts.stages.iter().map(|stage| stage.count).collect::<Vec<_>>())
    };
    assert_eq!(counts().await, (1, vec![1, 0]));
    let offer = Step { name: "Offer".into(), stages: vec![OFFER, CONTRACT] };
    let wider = [steps()[0].clone(), offer];
    redefine(store, sales, way, definition(sales.pipeline, &wider, Rule::Entered)).await;
    assert_eq!(counts().await, (2, vec![1, 1]));
    let older = funnel_named(store, sales.tenant, "Way", Some(1), now(), &quiet).await.unwrap();
    assert_eq!(older.definition.steps, steps()[..2]);

    let error = async |name: &str, version| {
        funnel_named(store, sales.tenant, name, version, now(), &quiet).await.unwrap_err().to_string()
    };
    assert_eq!(error("Road", None).await, "there is no funnel \"Road\"; there are \"Way\"");
    assert_eq!(error("Way", Some(3)).await, "funnel \"Way\" has no version 3; it has 1 to 2");

    accepted(store.handle(order(way.stream(), funnel::Command::Retire {}), envelope(sales.tenant)).await);
    assert_eq!(funnels(store, sales.tenant, now(), &quiet).await.unwrap(), []);
    define(store, sales, "WAY", definition(sales.pipeline, &steps()[..2], Rule::Entered)).await;
    assert_eq!(counts().await, (1, vec![1, 0]), "the name is free, and counted anew");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_merged_is_taken_out_of_the_counters_and_put_back_when_told_apart() {
    let database = Database::create().await;
    let desk = Desk::open(database.connect().await).await;
    let (store, sales) = (&desk.store, &desk.sales);
    define(store, sales, "Way", definition(sales.pipeline, &steps(), Rule::Entered)).await;
    let survivor = desk.deal(json!({ "owner": desk.nino })).await;
    let loser = desk.deal(json!({ "owner": desk.giorgi })).await;
    desk.tell(loser.stream(), "MoveDeal", json!({ "to": OFFER })).await;
    stand_as_answered(store, sales, "Way").await;
    let seen = json!([{ "id": survivor, "version": 1 }, { "id": loser, "version": 2 }]);
    let choices = json!([{ "field": "owner", "from": survivor }]);
    let merge = json!({ "losers": [loser], "seen": seen, "choices": choices });
    desk.tell(survivor.stream(), "MergeDeals", merge).await;
    stand_as_answered(store, sales, "Way").await;
    let merged = standing(store, sales.tenant, "Way", AsOf::NOW, now(), &quiet).await.unwrap();
    assert_eq!((merged.counts.cases, merged.by.len()), (1, 1));
    desk.tell(survivor.stream(), "UnmergeDeals", json!({ "merge": 1 })).await;
    stand_as_answered(store, sales, "Way").await;
    let apart = standing(store, sales.tenant, "Way", AsOf::NOW, now(), &quiet).await.unwrap();
    assert_eq!((apart.counts.cases, apart.by.len()), (2, 2));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_rolls_up_by_category_and_is_compared_with_what_was_won() {
    use kvali_projections::conversion_funnel::{Forecast, accuracy, forecast};
    let database = Database::create().await;
    let desk = Desk::open(database.connect().await).await;
    let (store, sales) = (&desk.store, &desk.sales);
    for (stage, probability, category) in
        [(LEAD, 10, "pipeline"), (OFFER, 50, "best_case"), (CONTRACT, 80, "commit")]
    {
        let set = json!({ "stage": stage, "probability": probability, "category": category });
        desk.tell(sales.pipeline.stream(), "SetStageForecast", set).await;
    }
    let today = now().date_naive();
    let deal = async |amount: &str, currency: &str, stage, owner| {
        let value = json!({ "amount": amount, "currency": currency });
        let deal = desk.deal(json!({ "value": value, "owner": owner, "expected_close": today })).await;
        if stage != LEAD {
            desk.tell(deal.stream(), "MoveDeal", json!({ "to": stage })).await;
        }
        deal
    };
    deal("1000", "GEL", LEAD, desk.nino).await;
    deal("200", "GEL", OFFER, desk.nino).await;
    deal("70", "EUR", CONTRACT, desk.nino).await;
    let likely = deal("40", "GEL", LEAD, desk.giorgi).await;
    desk.tell(likely.stream(), "OverrideProbability", json!({ "probability": 75, "reason": "they called" }))
        .await;
    desk.tell(likely.stream(), "SetDealForecastCategory", json!({ "category": "most_likely" })).await;
    let omitted = deal("5000", "GEL", OFFER, desk.giorgi).await;
    desk.tell(omitted.stream(), "SetDealForecastCategory", json!({ "category": "omitted" })).await;
    let lost = deal("6000", "GEL", OFFER, desk.giorgi).await;
    desk.tell(lost.stream(), "CloseLost", json!({ "reason": sales.reason })).await;
    let won = deal("300", "GEL", CONTRACT, desk.giorgi).await;
    desk.tell(won.stream(), "CloseWon", json!({})).await;
    let (yesterday, tomorrow) = (today.pred_opt().unwrap(), today.succ_opt().unwrap());
    let question = Forecast {
        pipeline: "sales".into(),
        from: today,
        to: tomorrow,
        zone: chrono_tz::UTC,
        reach: Reach::All,
    };
    let found = forecast(store, sales.tenant, &question, AsOf::NOW, now(), &quiet).await.unwrap();
    let found = json!(found);
    assert_eq!(
        found["currencies"],
        json!([
            { "currency": "EUR", "deals": 1, "pipeline": "70", "best_case": "70", "most_likely": "70", "commit": "70",
              "closed": "0", "weighted": "56" },
            { "currency": "GEL", "deals": 4, "pipeline": "1540", "best_case": "540", "most_likely": "340", "commit": "300",
              "closed": "300", "weighted": "530" },
        ])
    );
    assert_eq!(found["by_owner"].as_array().unwrap().len(), 2);
    let other = Forecast { from: yesterday, to: today, ..question.clone() };
    let other = forecast(store, sales.tenant, &other, AsOf::NOW, now(), &quiet).await.unwrap();
    assert_eq!(other.currencies, [], "expected on the last day, which does not belong to the period");

    let near = accuracy(store, sales.tenant, &question, 1, now(), &quiet).await.unwrap();
    let near = json!(near);
    let gel = near.as_array().unwrap().iter().find(|one| one["currency"] == "GEL").unwrap();
    assert_eq!(gel["actual"], "300");
    assert_eq!(gel["accuracy"]["commit"], "0", "nothing was known the day before: all of it was missed");
    assert_eq!(gel["bias"]["commit"], "-1");
    let unknown = Forecast { pipeline: "Service".into(), ..question };
    let error = forecast(store, sales.tenant, &unknown, AsOf::NOW, now(), &quiet).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no pipeline \"Service\"; there are \"Sales\"");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_of_the_day_before_is_held_against_what_was_won() {
    use kvali_projections::conversion_funnel::{Forecast, accuracy};
    let database = Database::create().await;
    let desk = Desk::open(database.connect().await).await;
    let (store, sales) = (&desk.store, &desk.sales);
    for (stage, probability, category) in [(OFFER, 50, "best_case"), (CONTRACT, 80, "commit")] {
        let set = json!({ "stage": stage, "probability": probability, "category": category });
        desk.tell(sales.pipeline.stream(), "SetStageForecast", set).await;
    }
    let today = now().date_naive();
    let deal = async |amount: &str, currency: &str, stage| {
        let value = json!({ "amount": amount, "currency": currency });
        let deal = desk.deal(json!({ "value": value, "expected_close": today })).await;
        desk.tell(deal.stream(), "MoveDeal", json!({ "to": stage })).await;
        deal
    };
    let offer = deal("200", "GEL", OFFER).await;
    let contract = deal("300", "GEL", CONTRACT).await;
    deal("70", "EUR", CONTRACT).await;
    // What was said so far was said three days ago.
    let aged = "update kvali.event set recorded_at = recorded_at - interval '3 days', occurred_at = occurred_at - interval '3 days'";
    let mut admin = database.admin().await;
    admin.execute("alter table kvali.event disable trigger all").await.unwrap();
    admin.execute(aged).await.unwrap();
    admin.execute("alter table kvali.event enable trigger all").await.unwrap();
    desk.tell(offer.stream(), "CloseLost", json!({ "reason": sales.reason })).await;
    let more = json!({ "value": { "amount": "400", "currency": "GEL" } });
    desk.tell(contract.stream(), "SetDealValue", more).await;
    desk.tell(contract.stream(), "CloseWon", json!({})).await;

    let to = today.succ_opt().unwrap();
    let question =
        Forecast { pipeline: "Sales".into(), from: today, to, zone: chrono_tz::UTC, reach: Reach::All };
    let found = json!(accuracy(store, sales.tenant, &question, 1, now(), &quiet).await.unwrap());
    let told = |currency: &str, what: &str| {
        let rows = found.as_array().unwrap();
        rows.iter().find(|row| row["currency"] == currency).unwrap()[what].clone()
    };
    assert_eq!(told("GEL", "actual"), "400");
    let rollup = |pipeline: &str,
                  best_case: &str,
                  most_likely: &str,
                  commit: &str,
                  closed: &str,
                  weighted: &str| {
        json!({ "pipeline": pipeline, "best_case": best_case, "most_likely": most_likely, "commit": commit,
                "closed": closed, "weighted": weighted })
    };
    assert_eq!(told("GEL", "forecast"), rollup("500", "500", "300", "300", "0", "340"));
    assert_eq!(told("GEL", "accuracy"), rollup("0.75", "0.75", "0.75", "0.75", "0", "0.85"));
    assert_eq!(told("GEL", "bias"), rollup("0.25", "0.25", "-0.25", "-0.25", "-1", "-0.15"));
    assert_eq!(told("EUR", "forecast")["commit"], "70");
    assert_eq!(
        (told("EUR", "actual"), told("EUR", "accuracy")),
        (json!("0"), Value::Null),
        "nothing was won"
    );
    let earlier = json!(accuracy(store, sales.tenant, &question, 4, now(), &quiet).await.unwrap());
    assert_eq!(earlier[0]["forecast"]["pipeline"], "0", "four days before nothing was known");
    database.drop().await;
}
