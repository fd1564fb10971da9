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
    /// Where each read model stands, per generation and tenant, and how far behind the log
    Status,
    /// Streams that a read model does not follow any more, since an event of theirs cannot be folded, and why
    Parked,
    /// Build a read model anew from the log, beside the live one, then let it answer
    ///
    /// The one before is kept for `rollback`. This is also how parked streams come back once their cause is mended:
    /// every event is folded in its place.
    #[command(alias = "replay")]
    Rebuild {
        /// Its name; all if absent
        name: Option<String>,
    },
    /// Let the generation before the live one answer again
    Rollback {
        /// The read model
        name: String,
    },
}

impl Projections {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        match self {
            Self::Status => status(&session).await?,
            Self::Parked => parked(&session).await?,
            Self::Rebuild { name } => rebuild(&session, name.as_deref()).await?,
            Self::Rollback { name } => roll_back(&session, &name).await?,
        }
        .print(global.format)?;
        Ok(Done::Well)
    }
}

/// The read model of that name.
pub(crate) fn named(name: &str) -> Result<Arc<dyn Projection>, Failure> {
    let all = kvali_projections::all();
    let known = all.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ");
    let found = all.into_iter().find(|model| model.name() == name);
    found.ok_or_else(|| Failure::Impossible(format!("there is no read model {name:?}; there are {known}")))
}

async fn status(session: &Session) -> Result<Answer, Failure> {
    let mut table = Table::new(
        "Read models",
        &[
            "projection",
            "version",
            "generation",
            "live",
            "tenant",
            "position",
            "head",
            "lag_events",
            "lag_seconds",
            "parked",
            "worker",
            "failure",
        ],
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
            json!(row.lag_seconds),
            json!(row.parked),
            json!(row.holder),
            json!(row.failure),
        ]);
    }
    Ok(Answer::of(table))
}

async fn parked(session: &Session) -> Result<Answer, Failure> {
    let mut table = Table::new(
        "Parked streams",
        &[
            "projection",
            "version",
            "generation",
            "live",
            "tenant",
            "stream",
            "position",
            "error",
            "parked_at",
        ],
    );
    for row in session.store.parked().await? {
        table.row([
            json!(row.projection),
            json!(row.version),
            json!(row.generation),
            json!(row.live),
            json!(row.tenant_id),
            json!(row.stream_id),
            json!(row.position),
            json!(row.error),
            json!(row.parked_at),
        ]);
    }
    let mut answer = Answer::of(table);
    if !answer.tables[0].rows.is_empty() {
        let way_out = "What these streams say from that position on is missing in the answers. Mend the cause, then run \
                       `kvali projections rebuild NAME`: it folds every event in its place.";
        answer.notes.push(way_out.to_owned());
    }
    Ok(answer)
}

async fn rebuild(session: &Session, name: Option<&str>) -> Result<Answer, Failure> {
    let chosen = match name {
        Some(name) => vec![named(name)?],
        None => kvali_projections::all(),
    };
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

async fn roll_back(session: &Session, name: &str) -> Result<Answer, Failure> {
    let model = named(name)?;
    let before = session.store.roll_back(&*model).await?;
    let mut table = Table::new("Answers again", &["projection", "version", "generation"]);
    table.row([json!(model.name()), json!(model.version()), json!(before.generation)]);
    Ok(Answer::of(table))
}
