//! `PUT /v1/external/{aggregate}/{source}/{id}`: a record by the id that another system knows it by. Where there is none it is
//! created; else what differs from what is said becomes ordinary commands. All of them are tried out before any is sent.

mod records;

pub(crate) use records::{Company, Contact, Deal, Lead};

use crate::answer::{Asked, Told, of_before};
use crate::commands::Said;
use crate::error::Problem;
use crate::principal::Principal;
use crate::{Api, edge};
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use kvali_domain::access::Permission;
use kvali_domain::deal::External;
use kvali_domain::{Claim, Command, Order, StreamId};
use kvali_eventstore::{Outcome, Plan, Rehearsal};
use kvali_projections::audit_trail::{Held, standing};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What can be said of a record by its external id.
pub(crate) trait Record: DeserializeOwned + Send {
    /// The claim that keeps an external id to one record.
    const CLAIM: &'static str;

    /// The command that creates it, with what else the creation does not carry.
    fn created(&self, external: External) -> Result<Vec<Command>, Problem>;

    /// What makes the record hold what is said.
    fn changed(&self, known: &Known) -> Result<Vec<Command>, Problem>;
}

/// What the fields of a record hold.
pub(crate) struct Known(BTreeMap<String, Held>);

impl Known {
    fn value(&self, field: &str) -> Option<&Value> {
        match self.0.get(field)? {
            Held::Clear(value) | Held::Personal(value) => Some(value),
            Held::Erased => None,
        }
    }

    fn get<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        serde_json::from_value(self.value(field)?.clone()).ok()
    }

    /// Whether the field holds that already.
    fn is<T: DeserializeOwned + PartialEq>(&self, field: &str, value: &T) -> bool {
        self.get::<T>(field).as_ref() == Some(value)
    }

    fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcomes {
    Created,
    Changed,
    Unchanged,
}

/// Points are added one by one, by commands of their own.
fn of_record(problem: Problem) -> Problem {
    match problem.field.as_deref() {
        Some("contact_point") => problem.about("points"),
        _ => problem,
    }
}

/// How often a record is looked up again that somebody else creates or takes away at the same moment.
const TRIES: usize = 3;

pub(crate) async fn put<R: Record>(
    State(api): State<Api>,
    principal: Principal,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Json<R>, JsonRejection>,
) -> Result<Response, Problem> {
    api.demand(&principal, Permission::Work, "a record by its external id").await?;
    let Path((source, id)) = path?;
    let Json(record) = body?;
    let said = Said::of(&headers)?;
    if said.expected_version.is_some() {
        let detail = "a version is of a stream; send the command itself to its path with If-Match";
        return Err(Problem::malformed("If-Match", detail));
    }
    let external = External { source, id };
    let mut tries = 1;
    loop {
        let is_last = tries == TRIES;
        match api.put_once(&principal, &record, &external, &said, is_last).await {
            Err(problem) if problem.code == "taken" && !is_last => tries += 1,
            answered => return answered,
        }
    }
}

impl Api {
    async fn put_once<R: Record>(
        &self,
        principal: &Principal,
        record: &R,
        external: &External,
        said: &Said,
        is_last: bool,
    ) -> Result<Response, Problem> {
        let found = self.by_external(principal, R::CLAIM, external).await?;
        let (stream, commands) = match found {
            Some(stream) => (stream, record.changed(&self.known(principal, stream).await?)?),
            None => (StreamId(edge::new_id()), record.created(external.clone())?),
        };
        let mut asked = Vec::with_capacity(commands.len());
        let mut plans = Vec::with_capacity(commands.len());
        for command in commands {
            let permission = Permission::of(&command);
            let name = command.command_type();
            self.demand(principal, permission, name).await?;
            let order = Order { stream, command };
            let envelope = said.clone().envelope(principal, edge::new_id(), permission);
            asked.push((Asked::of(&order, envelope.command_id), permission));
            plans.push(Plan::new(order, envelope));
        }
        let tried = self.store().rehearse(principal.tenant, &mut Rehearsal::default(), &plans).await?;
        let refused = plans.iter().zip(&tried).find_map(|(plan, outcome)| match outcome {
            Outcome::Refused(refusal) => Some((plan, refusal)),
            _ => None,
        });
        if let Some((plan, refusal)) = refused
            && (is_last || refusal.code() != "taken")
        {
            self.store().refuse(plan, refusal).await?;
        }
        self.taken(principal, &asked, tried).await?;
        let outcomes = self.store().handle_all(principal.tenant, &plans).await?;
        let told = self.taken(principal, &asked, outcomes).await?;
        Ok(answered(found.is_some(), stream, told))
    }

    /// The answers to all of the commands, or the first refusal.
    async fn taken(
        &self,
        principal: &Principal,
        asked: &[(Asked, Permission)],
        outcomes: Vec<Outcome>,
    ) -> Result<Vec<Told>, Problem> {
        let before = of_before(self.store(), principal.tenant, &outcomes).await?;
        let mut told = Vec::with_capacity(asked.len());
        for ((asked, permission), outcome) in asked.iter().zip(outcomes) {
            self.told_of(principal, *permission, asked.command, &outcome).await?;
            told.push(asked.told(outcome, &before).map_err(of_record)?);
        }
        Ok(told)
    }

    /// The record that holds the external id, or the one that it was merged into.
    async fn by_external(
        &self,
        principal: &Principal,
        claim: &'static str,
        external: &External,
    ) -> Result<Option<StreamId>, Problem> {
        let claim = Claim::take(claim, external.key());
        let holders = self.store().holders(principal.tenant, &[claim]).await?;
        let Some(mut stream) = holders.into_iter().flatten().next() else { return Ok(None) };
        self.sees(principal, Permission::Read, stream, "record").await?;
        while let Some((_, state)) = self.store().state(principal.tenant, stream).await? {
            let Some(survivor) = state.merged_into() else { break };
            stream = survivor;
        }
        Ok(Some(stream))
    }

    async fn known(&self, principal: &Principal, stream: StreamId) -> Result<Known, Problem> {
        let events = self.store().stream(principal.tenant, stream).await?;
        Ok(Known(standing(&self.store().open(principal.tenant, events).await?)))
    }
}

fn answered(is_known: bool, stream: StreamId, told: Vec<Told>) -> Response {
    let position = told.iter().filter_map(|told| told.position).next_back();
    let version = told.iter().filter_map(|told| told.version).next_back();
    let (status, outcome) = match (is_known, position) {
        (false, _) => (StatusCode::CREATED, Outcomes::Created),
        (true, Some(_)) => (StatusCode::OK, Outcomes::Changed),
        (true, None) => (StatusCode::OK, Outcomes::Unchanged),
    };
    let commands: Vec<Value> = told.into_iter().map(|told| told.body).collect();
    let body = json!({
        "id": stream, "outcome": outcome, "version": version, "position": position, "commands": commands,
    });
    let mut response = (status, Json(body)).into_response();
    if let Some(position) = position {
        response.headers_mut().insert("kvali-position", HeaderValue::from(position));
    }
    response
}
