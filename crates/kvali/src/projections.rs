//! `kvali projections`: where the read models stand, and building one anew.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::progress;
use kvali_eventstore::project::Projection;
use serde_json::json;
use std::sync::Arc;

#[derive(clap::Subcommand)]
pub(crate) enum Projections {
    /// Where each read model stands, per generation and tenant
    Status,
    /// Build a read model anew from the log, beside the live one, then let it answer
    Rebuild {
        /// Its name; all if absent
        name: Option<String>,
    },
}

impl Projections {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        match self {
            Self::Status => status(&session).await?,
            Self::Rebuild { name } => rebuild(&session, name.as_deref()).await?,
        }
        .print(global.format)?;
        Ok(Done::Well)
    }
}

async fn status(session: &Session) -> Result<Answer, Failure> {
    let mut table = Table::new(
        "Read models",
        &["projection", "version", "generation", "live", "tenant", "position", "head", "lag_events"],
    );
    for row in session.store.projection_status().await? {
        table.row([
            json!(row.projection),
            json!(row.version),
            json!(row.generation),
            json!(row.live),
            json!(row.tenant_id),
            json!(row.position),
            json!(row.head),
            json!(row.head - row.position),
        ]);
    }
    Ok(Answer::of(table))
}

async fn rebuild(session: &Session, name: Option<&str>) -> Result<Answer, Failure> {
    let all = kvali_projections::all();
    let chosen: Vec<Arc<dyn Projection>> =
        all.iter().filter(|model| name.is_none_or(|name| name == model.name())).cloned().collect();
    if chosen.is_empty() {
        let known = all.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ");
        return Err(Failure::Impossible(format!(
            "there is no read model {:?}; there are {known}",
            name.unwrap_or_default()
        )));
    }
    let mut table = Table::new("Rebuilt", &["projection", "version", "generation"]);
    for model in chosen {
        let bar = progress::bar("rebuilding", 0);
        let progress = |at: i64, head: i64| {
            bar.set_length(head.unsigned_abs());
            bar.set_position(at.unsigned_abs());
        };
        let made = session.store.rebuild(model.clone(), &progress).await?;
        bar.finish_and_clear();
        table.row([json!(model.name()), json!(model.version()), json!(made.generation)]);
    }
    Ok(Answer::of(table))
}
