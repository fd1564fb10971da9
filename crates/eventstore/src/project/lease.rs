//! Leases: who folds a unit now, by the database's clock.

use super::fold::Unit;
use super::{Generation, Projection, wrote};
use crate::{Error, Store};
use chrono::{DateTime, Utc};
use kvali_domain::TenantId;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The right to fold a unit. It is refused once a later one was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lease {
    pub epoch: i64,
}

impl Lease {
    /// How long a lease lasts beyond the last sign of life: each page that is written renews it.
    pub(super) const TERM: Duration = Duration::from_secs(5);
    /// After failures in a row a unit rests for so long, doubled each time, up to the last.
    const FIRST_REST: Duration = Duration::from_millis(500);
    const LONGEST_REST: Duration = Duration::from_secs(60);
}

/// What a worker is given, as the checkpoint has it.
#[derive(sqlx::FromRow)]
struct Given {
    tenant_id: Uuid,
    projection: String,
    generation: i32,
    schema_name: String,
    epoch: i64,
    position: i64,
    head: i64,
    live: bool,
}

/// A unit that is this worker's for now.
pub(super) struct Leased {
    pub unit: Unit,
    pub position: i64,
    pub head: i64,
    /// Whether its generation is the one that answers.
    pub live: bool,
}

/// The unit that has waited longest, among those that lack events or have something due. Generations older than the
/// live one, and those of the past, rest.
const CLAIM: &str = "with due as (\
    select c.tenant_id, c.projection, c.version, c.generation, g.schema_name, l.head, \
           v.generation is not distinct from c.generation as live \
      from kvali.projection_checkpoint c \
      join kvali.ledger l on l.tenant_id = c.tenant_id \
      join unnest($2::text[], $3::int[]) k (projection, version) \
        on k.projection = c.projection and k.version = c.version \
      join kvali.projection_generation g \
        on g.projection = c.projection and g.version = c.version and g.generation = c.generation \
      left join kvali.projection_live v on v.projection = c.projection and v.version = c.version \
     where g.until is null \
       and c.generation >= coalesce(v.generation, 0) \
       and (c.position < l.head or (c.timer_at <= clock_timestamp() and v.generation = c.generation)) \
       and c.leased_until < clock_timestamp() \
       and c.retry_at <= clock_timestamp() \
     order by c.updated_at \
     limit 1 \
       for update of c skip locked) \
    update kvali.projection_checkpoint c \
       set holder = $1, epoch = c.epoch + 1, leased_until = clock_timestamp() + $4, updated_at = clock_timestamp() \
      from due \
     where c.tenant_id = due.tenant_id and c.projection = due.projection and c.version = due.version \
       and c.generation = due.generation \
    returning c.tenant_id, c.projection, c.generation, due.schema_name, c.epoch, c.position, due.head, due.live";

impl Store {
    /// Takes a unit that nobody else holds.
    pub(super) async fn lease(
        &self,
        worker: Uuid,
        models: &[Arc<dyn Projection>],
    ) -> Result<Option<Leased>, Error> {
        let (names, versions): (Vec<&str>, Vec<i32>) =
            models.iter().map(|model| (model.name(), model.version())).unzip();
        let given: Option<Given> = sqlx::query_as(CLAIM)
            .bind(worker)
            .bind(names)
            .bind(versions)
            .bind(Lease::TERM)
            .fetch_optional(&self.inner.projector)
            .await
            .map_err(Error::Read)?;
        let Some(given) = given else { return Ok(None) };
        let projection = models.iter().find(|model| model.name() == given.projection);
        let unit = Unit {
            projection: projection.expect("the statement asks for these alone").clone(),
            generation: Generation { generation: given.generation, schema_name: given.schema_name },
            tenant: TenantId(given.tenant_id),
            lease: Some(Lease { epoch: given.epoch }),
        };
        Ok(Some(Leased { unit, position: given.position, head: given.head, live: given.live }))
    }

    /// Lets go of a unit, which is then looked at again at `timer_at` or when there are events. Where somebody who asked
    /// has folded beyond `at` meanwhile, it is looked at again at once.
    pub(super) async fn release(
        &self,
        unit: &Unit,
        at: i64,
        timer_at: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        let statement = "update kvali.projection_checkpoint \
                set holder = null, leased_until = '-infinity', failure = null, failures = 0, \
                    timer_at = case when position = $6 then $7::timestamptz else '-infinity' end \
              where tenant_id = $1 and projection = $2 and version = $3 and generation = $4 and epoch = $5";
        let query = held(unit, statement.to_owned()).bind(at).bind(timer_at);
        query.execute(&self.inner.projector).await.map_err(wrote(&*unit.projection))?;
        Ok(())
    }

    /// Lets go of a unit after a failure; it rests for a while, longer with each failure in a row.
    pub(super) async fn rest(&self, unit: &Unit, failure: &Error) -> Result<(), Error> {
        let statement = format!(
            "update kvali.projection_checkpoint \
                set holder = null, leased_until = '-infinity', failure = $6, failures = failures + 1, \
                    retry_at = clock_timestamp() + least({} * power(2, least(failures, 20)), {}) * interval '1 ms' \
              where tenant_id = $1 and projection = $2 and version = $3 and generation = $4 and epoch = $5",
            Lease::FIRST_REST.as_millis(),
            Lease::LONGEST_REST.as_millis()
        );
        let query = held(unit, statement).bind(crate::chain(failure));
        query.execute(&self.inner.projector).await.map_err(wrote(&*unit.projection))?;
        Ok(())
    }

    /// Sees to it that every tenant is a unit of every generation that workers follow.
    pub(super) async fn make_units(&self, models: &[Arc<dyn Projection>]) -> Result<(), Error> {
        let (names, versions): (Vec<&str>, Vec<i32>) =
            models.iter().map(|model| (model.name(), model.version())).unzip();
        sqlx::query(
            "insert into kvali.projection_checkpoint (tenant_id, projection, version, generation, position) \
             select l.tenant_id, g.projection, g.version, g.generation, 0 \
               from kvali.projection_generation g \
               join unnest($1::text[], $2::int[]) k (projection, version) using (projection, version) \
               left join kvali.projection_live v using (projection, version) \
              cross join kvali.ledger l \
              where g.until is null and g.generation >= coalesce(v.generation, 0) \
                and not exists (select from kvali.projection_checkpoint c \
                                 where c.tenant_id = l.tenant_id and c.projection = g.projection \
                                   and c.version = g.version and c.generation = g.generation) \
             on conflict do nothing",
        )
        .bind(names)
        .bind(versions)
        .execute(&self.inner.projector)
        .await
        .map_err(Error::Read)?;
        Ok(())
    }
}

/// A statement on the unit's checkpoint, as long as its lease holds.
fn held(unit: &Unit, statement: String) -> Query<'static, Postgres, PgArguments> {
    // The statements are the two above; what varies in them is made of constants.
    sqlx::query(AssertSqlSafe(statement))
        .bind(unit.tenant.0)
        .bind(unit.projection.name())
        .bind(unit.projection.version())
        .bind(unit.generation.generation)
        .bind(unit.lease.as_ref().map(|lease| lease.epoch))
}
