//! The query of a request. What does not fit is told by its name, with what is given and what is taken.

use crate::error::{self, Problem};
use crate::fields::Field;
use axum::extract::rejection::QueryRejection;
use axum::extract::{self, FromRequestParts, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + JsonSchema, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parsed(&parts.uri).map(Self)
    }
}

pub(crate) fn parsed<T: DeserializeOwned + JsonSchema>(uri: &Uri) -> Result<T, Problem> {
    let read = extract::Query::<T>::try_from_uri(uri);
    read.map(|extract::Query(asked)| asked)
        .map_err(|rejection| misfit(uri, schemars::schema_for!(T).as_value(), &rejection))
}

/// Of a route that takes no parameters.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

pub(crate) async fn none(request: Request, next: Next) -> Result<Response, Problem> {
    parsed::<Nothing>(request.uri())?;
    Ok(next.run(request).await)
}

fn misfit(uri: &Uri, schema: &serde_json::Value, rejection: &QueryRejection) -> Problem {
    let given = extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let given = given.map(|extract::Query(given)| given).unwrap_or_default();
    let all = Field::of(schema, schema);
    if let Some((name, _)) = given.iter().find(|(name, _)| all.step(name).is_none()) {
        let ways = all.ways();
        let known = if ways.is_empty() { "none".to_owned() } else { ways.join(", ") };
        return Problem::malformed(name, format!("there is no parameter {name:?} here; there are {known}"));
    }
    let takes = |name: &str| all.step(name).map(|field| field.takes()).unwrap_or_default();
    if let Some(name) = all.required().into_iter().find(|name| given.iter().all(|(given, _)| given != name)) {
        return Problem::malformed(name, format!("{name} is missing; it takes {}", takes(name)));
    }
    let twice =
        given.iter().enumerate().find(|(at, (name, _))| given[..*at].iter().any(|(other, _)| other == name));
    if let Some((_, (name, _))) = twice {
        return Problem::malformed(name, format!("{name} is given twice; give it once"));
    }
    let place = error::misfit::<serde::de::value::Error>(rejection).map(kvali_domain::place);
    let place = place.unwrap_or_default();
    match given.iter().find(|(name, _)| *name == place) {
        Some((name, value)) => {
            Problem::malformed(name, format!("{name} {value:?} does not fit; it takes {}", takes(name)))
        }
        None => Problem::malformed("query", rejection.body_text()),
    }
}
