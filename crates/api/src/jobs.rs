//! `/v1/jobs`: many commands sent at once as lines or as a table, carried out in their order by whichever server has time, with a
//! verdict for each row.

mod columns;
mod lines;
mod row;
mod sheet;
mod upload;
mod verdict;
mod work;

pub(crate) use upload::{Asked, upload};
pub use work::{Work, Worker};

use crate::Api;
use crate::error::Problem;
use crate::format::{Format, Listed};
use crate::page::limited;
use crate::principal::Principal;
use crate::queries::said;
use crate::query::Query;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use kvali_domain::ActorId;
use kvali_domain::access::Permission;
use kvali_eventstore::job::{Job, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// What one job may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub bytes: usize,
    pub rows: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024, rows: 1_000_000 }
    }
}

/// Jobs that are listed.
const LISTED: i64 = 200;
/// Rows in one answer.
const USUAL: u16 = 100;

type Id = Result<Path<String>, PathRejection>;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRows {
    /// Those with this verdict alone: `accepted`, `already_so`, `refused` or `malformed`.
    verdict: Option<String>,
    /// Those after the row of this number.
    after: Option<i32>,
    limit: Option<u16>,
}

impl Api {
    /// A job of the sender's own or, for whoever may grant access, of anybody in the tenant.
    async fn job(&self, principal: &Principal, id: Id) -> Result<Job, Problem> {
        let Path(id) = id?;
        let no_such = || Problem::not_found("job");
        let id = id.parse().map_err(|_| no_such())?;
        let job = self.store().job(principal.tenant, id).await?.ok_or_else(no_such)?;
        let sees = sees_all(principal) || principal.actor == ActorId(job.actor);
        if sees { Ok(job) } else { Err(no_such()) }
    }
}

fn sees_all(principal: &Principal) -> bool {
    principal.may(Permission::GrantAccess)
}

fn told(job: &Job) -> Value {
    json!({
        "id": job.job_id,
        "state": job.state,
        "reason": job.reason,
        "format": job.format,
        "command": job.command,
        "dry_run": job.dry_run,
        "actor": job.actor,
        "request_id": job.request_id,
        "counts": {
            "rows": job.rows,
            "done": job.done(),
            "accepted": job.accepted,
            "already_so": job.already_so,
            "refused": job.refused,
            "malformed": job.malformed,
        },
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "kept_until": job.kept_until(),
    })
}

pub(crate) async fn list(State(api): State<Api>, principal: Principal) -> Result<Json<Value>, Problem> {
    let of = (!sees_all(&principal)).then_some(principal.actor);
    let jobs = api.store().jobs(principal.tenant, of, LISTED).await?;
    Ok(Json(jobs.iter().map(told).collect()))
}

pub(crate) async fn one(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
) -> Result<Json<Value>, Problem> {
    Ok(Json(told(&api.job(&principal, id).await?)))
}

/// `POST /v1/jobs/{id}/cancel`: rows that are being carried out at this moment are, and the others are not.
pub(crate) async fn cancel(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
) -> Result<Json<Value>, Problem> {
    let job = api.job(&principal, id).await?;
    api.store().cancel_job(principal.tenant, job.job_id).await?;
    let job =
        api.store().job(principal.tenant, job.job_id).await?.ok_or_else(|| Problem::not_found("job"))?;
    if ["finished", "stopped"].contains(&job.state.as_str()) {
        let detail = format!("the job is {}; there is nothing left to cancel", job.state);
        return Err(Problem::new(StatusCode::CONFLICT, "job_ended", detail));
    }
    Ok(Json(told(&job)))
}

/// `GET /v1/jobs/{id}/rows`: what became of each, in their order; those that are not done yet are not among them.
pub(crate) async fn rows(
    State(api): State<Api>,
    principal: Principal,
    id: Id,
    headers: HeaderMap,
    asked: Result<Query<OfRows>, Problem>,
) -> Result<Response, Problem> {
    let job = api.job(&principal, id).await?;
    let Query(OfRows { verdict, after, limit }) = asked?;
    let format = Format::of(&headers)?;
    let verdict: Option<Verdict> = said("verdict", verdict.as_deref())?;
    let (after, limit) = (after.unwrap_or(0), limited(limit, USUAL)?);
    let rows = api.store().job_rows(principal.tenant, job.job_id, verdict, after, i64::from(limit)).await?;
    let after = rows.last().map_or(after, |row| row.number);
    let more = rows.len() == usize::from(limit);
    let page = verdict::Page::of(&api, principal.tenant, rows, after, more).await?;
    let mut response = page.told(format);
    let headers = response.headers_mut();
    headers.insert("kvali-cursor", HeaderValue::from(after));
    headers.insert("kvali-more", HeaderValue::from_static(if more { "true" } else { "false" }));
    Ok(response)
}
