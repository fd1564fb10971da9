//! `GET /v1/audit`: who did what, when, why and by which path; refused commands, denials and reads of personal texts.

use crate::commands::uuid;
use crate::error::Problem;
use crate::format::{Format, Listed, Table};
use crate::page::{limited, with_cursor};
use crate::principal::Principal;
use crate::queries::said;
use crate::query::Query;
use crate::{Api, commands, edge};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use kvali_domain::access::Permission;
use kvali_domain::{ActorId, StreamId};
use kvali_projections::audit_trail::{self, COLUMNS, Entry, Filter, Place, Sees, Trail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    kind: Option<String>,
    actor: Option<String>,
    object: Option<String>,
    field: Option<String>,
    aggregate: Option<String>,
    r#type: Option<String>,
    category: Option<String>,
    channel: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn audit(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    asked: Result<Query<Asked>, Problem>,
) -> Result<Response, Problem> {
    api.demand(&principal, Permission::Audit, "the audit trail").await?;
    let Query(asked) = asked?;
    let format = Format::of(&headers)?;
    let ask = asked.ask()?;
    let trail = audit_trail::trail(api.store(), principal.tenant, ask, edge::now(), &|_, _| {}).await?;
    let sees = principal.sees();
    let shown = trail.entries.iter().flat_map(|entry| entry.told_of(sees));
    api.shows(&principal, "the audit trail", shown).await?;
    let told = Told { trail, sees };
    let next = told.trail.next.map(|next| next.to_string());
    Ok(with_cursor(told.told(format), next.as_deref()))
}

impl Asked {
    fn ask(self) -> Result<audit_trail::Ask, Problem> {
        let limit = limited(self.limit, 100)?;
        let instant =
            |field, text: Option<String>| text.map(|text| commands::instant(field, &text)).transpose();
        let filter = Filter {
            kind: said("kind", self.kind.as_deref())?,
            actor: uuid("actor", self.actor.as_deref())?.map(ActorId),
            object: uuid("object", self.object.as_deref())?.map(StreamId),
            field: self.field,
            aggregate: self.aggregate,
            event_type: self.r#type,
            category: said("category", self.category.as_deref())?,
            channel: self.channel,
            from: instant("from", self.from)?,
            to: instant("to", self.to)?,
        };
        let after = said::<Place>("cursor", self.cursor.as_deref())?;
        Ok(audit_trail::Ask { filter, after, limit })
    }
}

#[cfg(fuzzing)]
pub(crate) fn fuzzed(query: &str) {
    let _problem = crate::fuzz::parsed::<Asked>(query).map(Asked::ask);
}

struct Told<'a> {
    trail: Trail,
    sees: Sees<'a>,
}

impl Listed for Told<'_> {
    fn whole(&self) -> Value {
        let next = self.trail.next.map(|next| next.to_string());
        json!({ "entries": self.items(), "cursor": next, "parked_streams": self.trail.parked })
    }

    fn items(&self) -> Vec<Value> {
        self.trail.entries.iter().map(|entry: &Entry| entry.json(self.sees)).collect()
    }

    fn table(&self) -> Table {
        let rows = self.trail.entries.iter().flat_map(|entry| entry.rows(self.sees)).collect();
        Table { columns: COLUMNS.map(str::to_owned).to_vec(), rows }
    }
}
