//! Questions to the funnel's facts: how many came how far, and what will be won.

use super::{Asked, Told, When, said, stands, told};
use crate::error::Problem;
use crate::principal::Principal;
use crate::query::Query;
use crate::{Api, edge};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use chrono::NaiveDate;
use chrono_tz::Tz;
use kvali_domain::access::Permission;
use kvali_domain::funnel::{Corrections, Rule, Window};
use kvali_projections::conversion_funnel::{
    self as model, Breakdown, ConversionFunnel, Definition, Population, StandingAsk,
};
use schemars::JsonSchema;
use serde::Deserialize;

question!(Funnel {
    pipeline: Option<String>,
    /// A named funnel in place of pipeline, rule and window.
    name: Option<String>,
    rule: Option<String>,
    window: Option<String>,
    by: Option<String>,
    #[schemars(with = "Option<String>")]
    zone: Option<Tz>,
});

pub(crate) async fn funnel(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    asked: Asked<Funnel>,
) -> Told {
    api.demand(&principal, Permission::Read, "a funnel").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let as_of = when.as_of()?;
    api.reached(&principal, &when).await?;
    let (store, tenant, now) = (api.store(), principal.tenant, edge::now());
    let by: Breakdown = said("by", asked.by.as_deref())?.unwrap_or_default();
    let rule = said::<Rule>("rule", asked.rule.as_deref())?.unwrap_or(Rule::Entered);
    let window = said::<Window>("window", asked.window.as_deref())?;
    let named = match &asked.name {
        Some(name) => Some(model::funnel_named(store, tenant, name, None, now, &|_, _| {}).await?),
        None => None,
    };
    let pipeline = named.as_ref().map(|named| named.pipeline().to_string()).or(asked.pipeline);
    let pipeline = pipeline
        .ok_or_else(|| Problem::malformed("pipeline", "name a pipeline, or a named funnel with name"))?;
    let corrections = named.as_ref().map_or(Corrections::Effective, |named| named.definition.corrections);
    let reach = principal.reach(Permission::Read);
    let question = model::Question { pipeline, by: by.clone(), reach, ..model::Question::default() };
    let facts = model::ground(store, tenant, question, as_of, corrections, now, &|_, _| {}).await?;
    let definition = match &named {
        Some(named) => named.asked(Population::All, facts.at),
        None => Definition { window, ..Definition::new(facts.default_steps(), rule, facts.at) },
    };
    let zone = asked.zone.unwrap_or(Tz::UTC);
    let stands = stands(facts.position, facts.at, facts.parked);
    told(&headers, &facts.funnel(Definition { by, zone, ..definition })?, stands, "/stages")
}

question!(Forecast {
    pipeline: String,
    /// The first day.
    from: NaiveDate,
    /// The day after the last.
    to: NaiveDate,
    #[schemars(with = "Option<String>")]
    zone: Option<Tz>,
});

pub(crate) async fn forecast(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    asked: Asked<Forecast>,
) -> Told {
    api.demand(&principal, Permission::Read, "a forecast").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let as_of = when.as_of()?;
    api.reached(&principal, &when).await?;
    let question = model::Forecast {
        pipeline: asked.pipeline,
        from: asked.from,
        to: asked.to,
        zone: asked.zone.unwrap_or(Tz::UTC),
        reach: principal.reach(Permission::Read),
    };
    let (store, tenant) = (api.store(), principal.tenant);
    let answer = model::forecast(store, tenant, &question, as_of, edge::now(), &|_, _| {}).await?;
    let stands = stands(answer.position, answer.at, answer.parked);
    told(&headers, &answer, stands, "/currencies")
}

question!(Funnels {});

/// Those that have a name.
pub(crate) async fn funnels(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    asked: Asked<Funnels>,
) -> Told {
    api.demand(&principal, Permission::Read, "funnels").await?;
    let Query(asked) = asked?;
    let (answer, stands) = api.ask(&principal, ConversionFunnel, &asked.when(), model::Funnels).await?;
    told(&headers, &answer, stands, "")
}

question!(Standing {});

/// What the standing counters say, without a look at any deal.
pub(crate) async fn standing(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    asked: Asked<Standing>,
) -> Told {
    api.demand(&principal, Permission::Read, "a funnel").await?;
    let (Path(name), Query(asked)) = (name?, asked?);
    let question = StandingAsk { name, reach: principal.reach(Permission::Read) };
    let answered = api.ask(&principal, ConversionFunnel, &asked.when(), question).await;
    // A query that names nothing is malformed; a path that does leads to nothing.
    let none = |problem: Problem| match problem.field.as_deref() {
        Some("name") => Problem::not_found("funnel"),
        _ => problem,
    };
    let (answer, stands) = answered.map_err(none)?;
    told(&headers, &answer, stands, "/stages")
}
