//! `POST /v1/commands`: many commands in order, each accepted or refused on its own.

use crate::Api;
use crate::answer::Asked;
use crate::commands::{Said, instant, word};
use crate::error::Problem;
use crate::principal::Principal;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use kvali_domain::access::Permission;
use kvali_eventstore::Plan;
use serde::Deserialize;
use serde_json::{Value, json};

/// Commands in one request, at most.
const MOST: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    aggregate: String,
    id: String,
    command: String,
    #[serde(default)]
    body: Option<Value>,
    idempotency_key: Option<String>,
    if_version: Option<i32>,
    reason: Option<String>,
    occurred_at: Option<String>,
}

/// `207`: the verdicts in the order of the items, each with the status that it would have had alone.
pub(crate) async fn carry_out(
    State(api): State<Api>,
    principal: Principal,
    items: Result<Json<Vec<Item>>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let Json(items) = items?;
    if items.len() > MOST {
        let detail =
            format!("{} commands were sent and at most {MOST} are taken; send them in parts", items.len());
        return Err(Problem::malformed("body", detail));
    }
    let mut prepared: Vec<Result<(Asked, Permission), Problem>> = Vec::with_capacity(items.len());
    let mut plans = Vec::with_capacity(items.len());
    for item in items {
        match prepare(&api, &principal, item).await {
            Ok((asked, plan)) => {
                prepared.push(Ok(asked));
                plans.push(plan);
            }
            Err(problem) => prepared.push(Err(problem)),
        }
    }
    let mut outcomes = api.store().handle_all(principal.tenant, &plans).await?.into_iter();
    let mut verdicts = Vec::with_capacity(prepared.len());
    for asked in prepared {
        let told = match asked {
            Ok((asked, permission)) => {
                let outcome = outcomes.next().expect("each plan has an outcome");
                api.told_of(&principal, permission, asked.command, &outcome).await?;
                api.inner.access.forget_after(asked.command, principal.tenant);
                asked.told(api.store(), outcome).await
            }
            Err(problem) => Err(problem),
        };
        verdicts.push(match told {
            Ok(told) => json!({ "status": StatusCode::OK.as_u16(), "answer": told.body }),
            Err(problem) => json!({ "status": problem.status.as_u16(), "problem": problem.body() }),
        });
    }
    Ok((StatusCode::MULTI_STATUS, Json(Value::Array(verdicts))))
}

async fn prepare(
    api: &Api,
    principal: &Principal,
    item: Item,
) -> Result<((Asked, Permission), Plan), Problem> {
    let name = word(&item.aggregate, &item.command)?;
    let said = Said {
        idempotency_key: item.idempotency_key,
        expected_version: item.if_version,
        reason_code: item.reason,
        occurred_at: item.occurred_at.map(|text| instant("occurred_at", &text)).transpose()?,
    };
    let fields = item.body.unwrap_or_else(|| json!({}));
    let (order, envelope) = said.checked()?.prepared(principal, name, &item.id, &fields)?;
    let permission = Permission::of(&order.command);
    api.demand(principal, permission, name).await?;
    let asked = Asked::of(principal.tenant, &order, envelope.command_id);
    Ok(((asked, permission), Plan::new(order, envelope)))
}
