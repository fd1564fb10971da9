//! The pointer to the generation that answers. What analysts see moves with it, in the same transaction.

use super::views::{PATIENCE, Views, are_held};
use super::{Generation, Projection, detached, wrote};
use crate::{Error, Store};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use std::sync::Arc;

/// A generation is as good as caught up when it lacks no more events than this.
const ALL_BUT: i64 = 1_000;

/// Ten minutes of [`PATIENCE`]: longer than analysts' statements may take unless they say otherwise.
const ATTEMPTS: u32 = 1_200;

/// Forward only, and only to a generation that still stands: another rebuild may have been quicker.
const FORWARD: &str = "insert into kvali.projection_live (projection, version, generation) \
     select projection, version, generation from kvali.projection_generation \
      where projection = $1 and version = $2 and generation = $3 \
     on conflict (projection, version) do update set generation = excluded.generation \
      where projection_live.generation < excluded.generation \
     returning generation";

const BACK: &str = "update kvali.projection_live l set generation = b.generation \
       from (select max(g.generation) as generation from kvali.projection_generation g \
              join kvali.projection_live l using (projection, version) \
             where g.projection = $1 and g.version = $2 and g.until is null \
               and g.generation < l.generation) b \
      where l.projection = $1 and l.version = $2 and b.generation is not null \
     returning l.generation";

const READY: &str = "select g.projection, max(g.generation) from kvali.projection_generation g \
       join unnest($1::text[], $2::int[]) k (projection, version) using (projection, version) \
      where g.until is null \
        and not exists (select from kvali.projection_live l \
                         where l.projection = g.projection and l.version = g.version) \
      group by g.projection, g.version \
     having not exists ( \
        select from kvali.ledger d left join kvali.projection_checkpoint c \
            on c.tenant_id = d.tenant_id and c.projection = g.projection and c.version = g.version \
           and c.generation = max(g.generation) \
         where coalesce(c.position, 0) + $3 < d.head)";

#[derive(Clone, Copy)]
enum Move {
    To(i32),
    /// To the generation before the live one.
    Back,
}

impl Store {
    pub(super) async fn find_live(&self, projection: &dyn Projection) -> Result<Option<Generation>, Error> {
        sqlx::query_as(
            "select generation, schema_name from kvali.projection_live \
               join kvali.projection_generation using (projection, version, generation) \
              where projection = $1 and version = $2",
        )
        .bind(projection.name())
        .bind(projection.version())
        .fetch_optional(&self.inner.projector)
        .await
        .map_err(Error::Read)
    }

    pub(super) async fn make_live(
        &self,
        projection: &dyn Projection,
        next: &Generation,
    ) -> Result<(), Error> {
        self.move_pointer(projection, Move::To(next.generation), ATTEMPTS).await.map(drop)
    }

    /// Lets the generation before the live one answer again.
    pub async fn roll_back(&self, projection: &dyn Projection) -> Result<Generation, Error> {
        let before = self.move_pointer(projection, Move::Back, ATTEMPTS).await?;
        let answers = if before.is_some() { self.find_live(projection).await? } else { None };
        answers.ok_or(Error::NothingBefore { projection: projection.name() })
    }

    /// Lets the newest generation of a version that none answers for yet answer, once it has all but caught up. The
    /// last events are folded when it is asked. Where analysts hold the views it is tried again at the next look.
    pub(super) async fn let_ready_answer(&self, models: &[Arc<dyn Projection>]) -> Result<(), Error> {
        let (names, versions): (Vec<&str>, Vec<i32>) =
            models.iter().map(|model| (model.name(), model.version())).unzip();
        let ready: Vec<(String, i32)> = sqlx::query_as(READY)
            .bind(names)
            .bind(versions)
            .bind(ALL_BUT)
            .fetch_all(&self.inner.projector)
            .await
            .map_err(Error::Read)?;
        for (name, generation) in ready {
            let Some(model) = models.iter().find(|model| model.name() == name) else { continue };
            match self.move_pointer(&**model, Move::To(generation), 1).await {
                Ok(_) | Err(Error::ViewsHeld { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The generation that the pointer moved to; none if it did not move.
    async fn move_pointer(
        &self,
        projection: &dyn Projection,
        how: Move,
        attempts: u32,
    ) -> Result<Option<i32>, Error> {
        let (pool, views) = (self.inner.projector.clone(), Views::of(projection));
        let moved = detached(async move {
            for _ in 0..attempts {
                match moved(&pool, views, how).await {
                    Err(error) if are_held(&error) => {}
                    done => return done.map(Some),
                }
            }
            Ok(None)
        });
        let moved = moved.await?.map_err(wrote(projection))?;
        moved.ok_or(Error::ViewsHeld { projection: projection.name() })
    }
}

async fn moved(pool: &PgPool, views: Views, how: Move) -> Result<Option<i32>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin().await?;
    tx.execute(PATIENCE).await?;
    let moved = point(&mut tx, views, how).await?;
    if moved.is_some() {
        views.follow(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(moved)
}

async fn point(tx: &mut PgConnection, views: Views, how: Move) -> Result<Option<i32>, sqlx::Error> {
    let statement = match how {
        Move::To(generation) => {
            sqlx::query_scalar(FORWARD).bind(views.model).bind(views.version).bind(generation)
        }
        Move::Back => sqlx::query_scalar(BACK).bind(views.model).bind(views.version),
    };
    statement.fetch_optional(tx).await
}
