//! Which groups the deals of a pipeline fall into, where it takes more than the deal itself to tell.

use super::breakdown::{Breakdown, Group};
use super::query::QueryError;
use crate::sql::sql;
use kvali_domain::pipeline::folded;
use kvali_domain::{DealId, LossReasonId, PipelineId, ProductId, TeamId};
use kvali_eventstore::project::Look;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::HashMap;
use uuid::Uuid;

/// Of several teams the one that the owner joined first.
const TEAMS: &str = "select d.deal_id, m.team_id as id from {schema}.deal d join \
    (select distinct on (user_id) user_id, team_id from {schema}.member where tenant_id = $1 \
      order by user_id, joined_position) m on m.user_id = d.owner where d.tenant_id = $1";

const SOURCES: &str = "select d.deal_id, coalesce(n.name, d.source) as word from {schema}.deal d \
    left join {schema}.converted c on c.tenant_id = $1 and c.deal_id = d.deal_id \
    left join {schema}.lead l on l.tenant_id = $1 and l.lead_id = c.lead_id \
    left join {schema}.name n on n.tenant_id = $1 and n.id = l.source_id \
    where d.tenant_id = $1 and coalesce(n.name, d.source) is not null";

const PRODUCTS: &str = "select distinct deal_id, product_id as id from {schema}.line where tenant_id = $1";

/// A reason is one of the pipeline that the deal was lost in.
const LOSS_REASONS: &str = "select deal_id, loss_reason as id from {schema}.deal \
    where tenant_id = $1 and pipeline_id = $2 and loss_reason is not null";

const FIELDS: &str =
    "select id, name from {schema}.name where tenant_id = $1 and kind = 'field' order by name";

const VALUES: &str =
    "select deal_id, value as word from {schema}.deal_field where tenant_id = $1 and field_id = $2";

pub(super) type Groups = HashMap<DealId, Vec<Group>>;

/// The groups of the deals that are in any; what the case itself tells is left to it.
pub(super) async fn groups(
    look: &mut Look<'_>,
    by: &Breakdown,
    pipeline: PipelineId,
) -> Result<Groups, QueryError> {
    let (statement, key) = match by {
        by if !by.is_read() => return Ok(Groups::new()),
        Breakdown::Team => (TEAMS, pipeline.0),
        Breakdown::Product => (PRODUCTS, pipeline.0),
        Breakdown::LossReason => (LOSS_REASONS, pipeline.0),
        Breakdown::Field(key) => (VALUES, field(look, key).await?),
        _ => (SOURCES, pipeline.0),
    };
    let query = sqlx::query(sql(look.schema, statement)).bind(look.tenant.0).bind(key);
    let mut groups = Groups::new();
    for row in query.fetch_all(&mut *look.connection).await? {
        let deal = DealId(row.try_get("deal_id")?);
        groups.entry(deal).or_default().push(group(by, &row)?);
    }
    Ok(groups)
}

fn group(by: &Breakdown, row: &PgRow) -> Result<Group, QueryError> {
    let id = || row.try_get::<Uuid, _>("id");
    let word = || row.try_get::<Option<String>, _>("word");
    Ok(match by {
        Breakdown::Team => Group::Team(Some(TeamId(id()?))),
        Breakdown::Product => Group::Product(Some(ProductId(id()?))),
        Breakdown::LossReason => Group::LossReason(Some(LossReasonId(id()?))),
        Breakdown::Field(key) => {
            let value = word()?.ok_or_else(|| QueryError::SealedField { key: key.clone() })?;
            Group::Field(Some(value))
        }
        _ => Group::Source(word()?),
    })
}

/// The deals' custom field of that key, whatever its case.
async fn field(look: &mut Look<'_>, key: &str) -> Result<Uuid, QueryError> {
    let known: Vec<(Uuid, String)> =
        sqlx::query_as(sql(look.schema, FIELDS)).bind(look.tenant.0).fetch_all(&mut *look.connection).await?;
    let found = known.iter().find(|(_, name)| folded(name) == folded(key)).map(|(id, _)| *id);
    found.ok_or_else(|| QueryError::NoSuchField {
        key: key.to_owned(),
        known: known.into_iter().map(|(_, name)| name).collect(),
    })
}
