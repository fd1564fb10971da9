//! `POST /v1/commands`: many commands in order, each accepted or refused on its own.

use crate::Api;
use crate::answer::{Asked, of_before};
use crate::commands::{Said, instant, word};
use crate::error::{Problem, of_misfit};
use crate::principal::Principal;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use kvali_domain::Order;
use kvali_domain::access::Permission;
use kvali_eventstore::{Envelope, Plan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// Commands in one request, at most.
const MOST: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    pub(crate) aggregate: String,
    pub(crate) id: String,
    pub(crate) command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) if_version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) occurred_at: Option<String>,
}

/// `207`: the verdicts in the order of the items, each with the status that it would have had alone.
pub(crate) async fn carry_out(
    State(api): State<Api>,
    principal: Principal,
    items: Result<Json<Vec<Value>>, JsonRejection>,
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
    let outcomes = api.store().handle_all(principal.tenant, &plans).await?;
    let before = of_before(api.store(), principal.tenant, &outcomes).await?;
    let mut outcomes = outcomes.into_iter();
    let mut verdicts = Vec::with_capacity(prepared.len());
    for asked in prepared {
        let told = match asked {
            Ok((asked, permission)) => {
                let outcome = outcomes.next().expect("each plan has an outcome");
                api.told_of(&principal, permission, asked.command, &outcome).await?;
                api.inner.access.forget_after(asked.command, principal.tenant);
                asked.told(outcome, &before)
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
    item: Value,
) -> Result<((Asked, Permission), Plan), Problem> {
    let (order, envelope) = Item::read(item)?.order(principal, None)?;
    let permission = Permission::of(&order.command);
    api.demand(principal, permission, order.command.command_type()).await?;
    let asked = Asked::of(&order, envelope.command_id);
    Ok(((asked, permission), Plan::new(order, envelope)))
}

impl Item {
    fn read(item: Value) -> Result<Self, Problem> {
        serde_path_to_error::deserialize(item).map_err(|misfit| of_misfit(&misfit))
    }

    /// What it asks for, if it is well-formed. `otherwise` is its command id where its sender has no name for it.
    pub(crate) fn order(
        &self,
        principal: &Principal,
        otherwise: Option<Uuid>,
    ) -> Result<(Order, Envelope), Problem> {
        let name = word(&self.aggregate, &self.command)?;
        let nothing = json!({});
        let fields = self.body.as_ref().unwrap_or(&nothing);
        self.said(otherwise)?.prepared(principal, name, &self.id, fields)
    }

    fn said(&self, otherwise: Option<Uuid>) -> Result<Said, Problem> {
        let said = Said {
            idempotency_key: self.idempotency_key.clone(),
            expected_version: self.if_version,
            reason_code: self.reason.clone(),
            occurred_at: self.occurred_at.as_ref().map(|text| instant("occurred_at", text)).transpose()?,
            otherwise,
        };
        said.checked()
    }
}

#[cfg(fuzzing)]
pub(crate) fn fuzzed(body: &[u8]) -> usize {
    use crate::commands::stream;
    use kvali_domain::Command;
    let sound = |item: Value| -> Option<()> {
        let item = Item::read(item).ok()?;
        let name = word(&item.aggregate, &item.command).ok()?;
        item.said(None).ok()?;
        let command = Command::decode(name, &item.body.unwrap_or_else(|| json!({}))).ok()?;
        stream(name, &command, &item.id, Uuid::nil()).ok().map(drop)
    };
    let items: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    items.into_iter().take(MOST).filter_map(sound).count()
}
