//! Views for analysts: they stand on the generation that answers, in the words of this program.
//!
//! What they stand on is kept beside the pointer, so that a program of other words, or one that moved the pointer and knew of
//! no views, is noticed.

use super::{Projection, detached, wrote};
use crate::{Error, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::sync::Arc;

/// A transaction that touches views waits so long for statements of analysts under way, who wait behind it as long; shorter
/// than Postgres takes to look for a deadlock, so it is never an analyst's statement that gives way.
pub(super) const PATIENCE: &str = "set local lock_timeout = '500ms'";

/// Of the newest version that answers alone: programs of two versions may run side by side.
const ASTRAY: &str = "select g.schema_name from kvali.projection_live l \
       join kvali.projection_generation g using (projection, version, generation) \
      where l.projection = $1 and l.version = $2 and l.views is distinct from l.generation || ':' || $3 \
        and not exists (select from kvali.projection_live n \
                         where n.projection = l.projection and n.version > l.version) \
        for update of l";

/// The same without a lock, of all models.
const ANY_ASTRAY: &str = "select k.projection from unnest($1::text[], $2::int[], $3::text[]) k (projection, version, digest) \
       join kvali.projection_live l using (projection, version) \
      where l.views is distinct from l.generation || ':' || k.digest \
        and not exists (select from kvali.projection_live n \
                         where n.projection = l.projection and n.version > l.version)";

const FOLLOWED: &str = "update kvali.projection_live set views = generation || ':' || $3 \
     where projection = $1 and version = $2";

/// What a read model shows to analysts.
#[derive(Clone, Copy)]
pub(super) struct Views {
    pub(super) model: &'static str,
    pub(super) version: i32,
    words: &'static str,
}

impl Views {
    pub(super) fn of(projection: &dyn Projection) -> Self {
        Self { model: projection.name(), version: projection.version(), words: projection.views() }
    }

    fn digest(self) -> String {
        blake3::hash(self.words.as_bytes()).to_hex().to_string()
    }

    /// Lets the views stand on the generation that answers, unless they do.
    pub(super) async fn follow(self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Self { model, version, words } = self;
        if words.is_empty() {
            return Ok(());
        }
        let astray: Option<String> = sqlx::query_scalar(ASTRAY)
            .bind(model)
            .bind(version)
            .bind(self.digest())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(schema) = astray else { return Ok(()) };
        // A schema's name cannot be bound; `draw` made it.
        tx.execute(AssertSqlSafe(words.replace("{schema}", &schema))).await?;
        sqlx::query("call kvali.open_to_analysts($1)").bind(&schema).execute(&mut *tx).await?;
        sqlx::query(FOLLOWED).bind(model).bind(version).bind(self.digest()).execute(tx).await?;
        Ok(())
    }
}

/// Whether a statement gave up because analysts read a view at that time.
pub(super) fn are_held(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some("55P03"))
}

impl Store {
    /// Lets views that stand elsewhere, or say it in other words, follow: of a database that was there before this
    /// program. `false`: analysts are reading some of them, so these have not followed yet.
    pub async fn let_views_follow(&self, models: &[Arc<dyn Projection>]) -> Result<bool, Error> {
        let all = models.iter().map(|model| Views::of(&**model)).filter(|views| !views.words.is_empty());
        let all: Vec<Views> = all.collect();
        let astray: Vec<String> = sqlx::query_scalar(ANY_ASTRAY)
            .bind(all.iter().map(|views| views.model).collect::<Vec<_>>())
            .bind(all.iter().map(|views| views.version).collect::<Vec<_>>())
            .bind(all.iter().map(|views| views.digest()).collect::<Vec<_>>())
            .fetch_all(&self.inner.projector)
            .await
            .map_err(Error::Read)?;
        let mut follow = true;
        for views in all.into_iter().filter(|views| astray.iter().any(|model| model == views.model)) {
            follow &= self.follow(views).await?;
        }
        Ok(follow)
    }

    /// Counts what is in the tables that views stand on. Until Postgres has done so by itself, a minute after they were filled, it
    /// takes them for nearly empty, and plans questions over all of them accordingly.
    pub async fn count_for_views(&self, models: &[Arc<dyn Projection>]) -> Result<(), Error> {
        for model in models.iter().filter(|model| !model.views().is_empty()) {
            let generation = self.live(&**model).await?;
            let count = "select 'analyze ' || string_agg(format('%I.%I', schemaname, tablename), ', ') \
                 from pg_tables where schemaname = $1";
            let count: String = sqlx::query_scalar(count)
                .bind(&generation.schema_name)
                .fetch_one(&self.inner.projector)
                .await
                .map_err(Error::Read)?;
            // Names come from the catalogue.
            self.inner.projector.execute(AssertSqlSafe(count)).await.map_err(wrote(&**model))?;
        }
        Ok(())
    }

    async fn follow(&self, views: Views) -> Result<bool, Error> {
        let pool = self.inner.projector.clone();
        let followed = detached(async move {
            let mut connection = pool.acquire().await?;
            let mut tx = connection.begin().await?;
            tx.execute(PATIENCE).await?;
            views.follow(&mut tx).await?;
            tx.commit().await
        });
        match followed.await? {
            Err(error) if are_held(&error) => Ok(false),
            followed => {
                let done = followed.map(|()| true);
                done.map_err(|source| Error::ReadModel { projection: views.model, source })
            }
        }
    }
}
