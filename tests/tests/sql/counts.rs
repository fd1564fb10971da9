//! What analysts count by SQL is what the questions answer.

use crate::quiet;
use kvali_domain::funnel::{self, Corrections, PopulationKind, Rule, Start, Step};
use kvali_domain::pipeline::Policy;
use kvali_domain::{FunnelId, Personal, deal};
use kvali_eventstore::Store;
use kvali_eventstore::project::AsOf;
use kvali_projections::conversion_funnel::{Basis, Definition, Facts, Forecast, forecast, ground, standing};
use kvali_tests::analyst::Analyst;
use kvali_tests::random::Company;
use kvali_tests::samples::{CONTRACT, LEAD, OFFER, Sales, WON, move_to};
use kvali_tests::{Database, accepted, envelope, new_id, now, order, tenant};
use rust_decimal::Decimal;

#[tokio::test(flavor = "multi_thread")]
async fn the_views_count_what_the_questions_count() {
    for seed in 0..3 {
        let database = Database::create().await;
        let store = database.connect().await;
        let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
        let mut company = Company::found(&store, sales, seed + 11).await;
        let way = definition(&company, Rule::Ordered);
        let define = funnel::Command::Define { name: "Way".to_owned(), definition: way };
        accepted(store.handle(order(FunnelId(new_id()).stream(), define), envelope(tenant(1))).await);
        for _ in 0..250 {
            let (order, envelope) = company.click();
            store.handle(order, envelope).await.unwrap();
        }
        corrected_back(&store, &company).await;
        let mut analyst = Analyst::of(&database, &store, tenant(1)).await;
        entered_and_won(&store, &mut analyst).await;
        time_in_stage(&store, &mut analyst).await;
        standing_counts(&store, &mut analyst).await;
        expected(&store, &mut analyst).await;
        assert!(store.revoke_analyst(tenant(1), &analyst.role).await.unwrap());
        store.close().await;
        database.drop().await;
    }
}

/// A deal that was moved by mistake: all its time in the stage is one visit.
async fn corrected_back(store: &Store, company: &Company) {
    let deal = company.sales.open_deal(store).await;
    let correct = deal::Command::CorrectStage { visit: 2, to: LEAD, reason: Personal::new("by mistake") };
    for command in [move_to(OFFER), correct, move_to(CONTRACT)] {
        accepted(store.handle(order(deal.stream(), command), envelope(tenant(1))).await);
    }
}

fn steps() -> Vec<Step> {
    let steps = [("Lead", LEAD), ("Offer", OFFER), ("Contract", CONTRACT), ("Won", WON)];
    steps.map(|(name, stage)| Step { name: name.into(), stages: vec![stage] }).to_vec()
}

fn definition(company: &Company, rule: Rule) -> funnel::Definition {
    funnel::Definition {
        pipeline: company.sales.pipeline,
        steps: steps(),
        rule,
        window: None,
        start: Start::First,
        population: PopulationKind::All,
        corrections: Corrections::Effective,
        impute_lost: false,
    }
}

async fn facts(store: &Store) -> Facts {
    ground(store, tenant(1), "Sales", AsOf::NOW, Corrections::Effective, now(), &quiet).await.unwrap()
}

async fn entered_and_won(store: &Store, analyst: &mut Analyst) {
    let facts = facts(store).await;
    let answer = facts.funnel(Definition::new(steps(), Rule::Entered, facts.at)).unwrap();
    for (stage, asked) in answer.counts.stages.iter().zip(steps()) {
        let question = format!(
            "select count(distinct deal_id) from stage_visits where counts and pipeline = 'Sales' and stage_id = '{}'",
            asked.stages[0].0
        );
        assert_eq!(
            analyst.ask::<i64>(&question).await,
            i64::try_from(stage.count).unwrap(),
            "{}",
            stage.stage
        );
    }
    assert!(answer.counts.stages[0].count > 2 && answer.counts.stages[1].count > 0);
    let rate = facts.win_rate(Basis::Closed, &Definition::new(steps(), Rule::Entered, facts.at));
    let of = |outcome| {
        format!("select count(*) from deals where counts and pipeline = 'Sales' and outcome = '{outcome}'")
    };
    assert_eq!(analyst.ask::<i64>(&of("won")).await, i64::try_from(rate.won).unwrap());
    assert_eq!(analyst.ask::<i64>(&of("lost")).await, i64::try_from(rate.lost).unwrap());
}

async fn time_in_stage(store: &Store, analyst: &mut Analyst) {
    let facts = facts(store).await;
    let mut seen = 0;
    let times = facts.time_in_stage(&Definition::new(steps(), Rule::Entered, facts.at)).unwrap();
    for (time, asked) in times.iter().zip(steps()).take(3) {
        let of = format!(
            "from stage_visits where counts and pipeline = 'Sales' and stage_class = 'process' and stage_id = '{}'",
            asked.stages[0].0
        );
        let n = analyst.ask::<i64>(&format!("select count(seconds) {of}")).await;
        assert_eq!(n, i64::try_from(time.per_visit.n).unwrap(), "{}", time.stage);
        let median = format!("select percentile_cont(0.5) within group (order by seconds::float8) {of}");
        let median: Option<f64> = analyst.ask(&median).await;
        let told = time.per_visit.median_seconds;
        assert!(median.zip(told).is_none_or(|(sql, told)| (sql - told).abs() < 0.001), "{median:?} {told:?}");
        assert_eq!(median.is_some(), told.is_some());
        seen += n;
    }
    assert!(seen > 3, "only {seen} visits were left");
}

async fn standing_counts(store: &Store, analyst: &mut Analyst) {
    let answer = standing(store, tenant(1), "Way", AsOf::NOW, now(), &quiet).await.unwrap();
    let sum = |column: &str, step: usize| {
        format!(
            "select coalesce(sum({column}), 0)::bigint from funnel_counts where funnel = 'Way' and step = {step}"
        )
    };
    for (at, stage) in answer.counts.stages.iter().enumerate() {
        assert_eq!(analyst.ask::<i64>(&sum("count", at + 1)).await, stage.count, "{}", stage.stage);
        assert_eq!(analyst.ask::<i64>(&sum("visits", at + 1)).await, stage.visits, "{}", stage.stage);
        let lost = stage.dropped.map_or(0, |dropped| i64::try_from(dropped.lost).unwrap());
        assert_eq!(analyst.ask::<i64>(&sum("lost", at + 1)).await, lost, "{}", stage.stage);
        assert_eq!(analyst.ask::<i64>(&sum("timed", at + 1)).await, stage.n_from_previous.unwrap_or(0));
        let mean = format!(
            "select (sum(seconds) / nullif(sum(timed), 0))::float8 from funnel_counts where funnel = 'Way' and step = {}",
            at + 1
        );
        let mean: Option<f64> = analyst.ask(&mean).await;
        let told = stage.mean_seconds_from_previous;
        assert!(mean.zip(told).is_none_or(|(sql, told)| (sql - told).abs() < 0.001), "{mean:?} {told:?}");
        assert_eq!(mean.is_some(), told.is_some());
    }
    assert_eq!(analyst.ask::<i64>(&sum("cases", 1)).await, answer.counts.cases);
    assert!(answer.counts.cases > 2);
}

async fn expected(store: &Store, analyst: &mut Analyst) {
    let question = Forecast {
        pipeline: "Sales".to_owned(),
        from: "2020-01-01".parse().unwrap(),
        to: "2040-01-01".parse().unwrap(),
        zone: chrono_tz::UTC,
        reach: kvali_domain::access::Reach::All,
    };
    let answer = forecast(store, tenant(1), &question, AsOf::NOW, now(), &quiet).await.unwrap();
    for currency in &answer.currencies {
        let of = format!(
            "from forecast_inputs where pipeline = 'Sales' and currency = '{}' \
              and (outcome = 'open' and expected_close is not null or outcome = 'won' and closed_at is not null)",
            currency.currency
        );
        let deals = format!("select count(*) {of} and category <> 'omitted'");
        assert_eq!(analyst.ask::<i64>(&deals).await, i64::try_from(currency.deals).unwrap());
        let closed = format!("select coalesce(sum(amount), 0) {of} and category = 'closed'");
        assert_eq!(analyst.ask::<Decimal>(&closed).await.normalize(), currency.rollup.closed.normalize());
    }
}
