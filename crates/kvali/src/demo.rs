//! `kvali demo`: a sample company in a tenant of its own, made of ordinary commands.

mod absence;
mod company;
mod customers;
mod dice;
mod leads;
mod life;
mod scene;
mod setup;
mod story;
mod work;

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::ids::Fingerprint;
use crate::output::Table;
use crate::serve::Settings;
use crate::{funnel, key, output, progress};
use clap::Args;
use kvali_domain::{Channel, Order};
use kvali_eventstore::{Envelope, Error, Outcome, Plan};
use scene::Scene;
use serde_json::json;
use sqlx::Row;

/// Commands that travel together.
const CHUNK: usize = 1_000;

const NEXT_STEPS: &str = "\
What to try next:
  kvali --tenant demo funnel --pipeline Sales --rule ordered --window 30d --by owner
  kvali --tenant demo funnel --name \"Won within a quarter\" --by source
  kvali --tenant demo deal history D-00004
  kvali --tenant demo lead capture --name \"Nino Abashidze\" --email nino@acme.ge --source site
  kvali --tenant demo log tail --limit 10
  kvali import history YOURS.csv --pipeline Sales --dry-run";

/// What is asked of it over HTTP to begin with.
const TRIED: [&str; 3] = [
    "/v1/funnel?pipeline=Sales&rule=ordered&window=30d",
    "/v1/search?text=beridze&limit=5",
    "/v1/events?after=0&types=deal.won&limit=3",
];

#[derive(Args)]
pub(crate) struct Demo {
    /// How many deals the company has had; more of them later are added to those there are
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    deals: u32,
    /// Then answer over HTTP, until told to stop, with a key of the demo's admin
    #[arg(long)]
    serve: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Demo {
    pub(crate) fn serves(&self) -> bool {
        self.serve
    }

    pub(crate) async fn run(
        self,
        global: &Global,
        told_to_stop: impl Future<Output = ()>,
    ) -> Result<Done, Failure> {
        let mut told_to_stop = std::pin::pin!(told_to_stop);
        let door = if self.serve { Some(self.settings.open().await?) } else { None };
        let session = tokio::select! {
            ready = self.made_ready(global) => ready?,
            () = &mut told_to_stop => return Err(Failure::Interrupted),
        };
        let Some(door) = door else { return Ok(Done::Well) };
        let key = key::of_demo(&session).await?;
        let told = format!(
            "A key of the demo's admin, valid for {} days, shown this once:\n  {key}",
            key::DEMO_DAYS
        );
        let welcome = door.welcome(&told, Some(&key), &TRIED);
        door.answer(session, &welcome, told_to_stop).await
    }

    /// The company is there, and was looked at.
    async fn made_ready(&self, global: &Global) -> Result<Session, Failure> {
        let session = self.settings.session(global, "demo").await?;
        let plans: Vec<Plan> = story::tell(self.deals).iter().map(|scene| plan(&session, scene)).collect();
        if self.serve && is_told(&session, &plans).await? {
            output::write(b"The sample company is there already.\n")?;
        } else {
            tell(&session, &plans).await?;
            let mut answer = funnel::summary(&session, company::PIPELINE, NEXT_STEPS).await?;
            answer.tables.insert(0, contents(&session).await?);
            answer.print(global.format)?;
        }
        Ok(session)
    }
}

/// Whether every command of the story is in the log.
async fn is_told(session: &Session, plans: &[Plan]) -> Result<bool, Failure> {
    let ids: Vec<_> = plans.iter().map(|plan| plan.envelope.command_id.0).collect();
    let known: i64 = sqlx::query_scalar(
        "select count(*) from unnest($2::uuid[]) x (id) cross join lateral \
         (select from kvali.command c where c.tenant_id = $1 and c.command_id = x.id limit 1) known",
    )
    .bind(session.tenant.0)
    .bind(&ids)
    .fetch_one(&mut *session.connection().await?)
    .await
    .map_err(Failure::LookUp)?;
    Ok(usize::try_from(known).is_ok_and(|known| known == plans.len()))
}

async fn tell(session: &Session, plans: &[Plan]) -> Result<(), Failure> {
    let bar = progress::bar("living through two years", plans.len() as u64);
    for plans in plans.chunks(CHUNK) {
        let outcomes = session.store.handle_all(session.tenant, plans).await?;
        for (plan, outcome) in plans.iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted(_) => {}
                Outcome::Refused(refusal) => {
                    let step = "a step of the demo's story".to_owned();
                    return Err(Failure::Refused { step, refusal });
                }
                Outcome::Reused => return Err(Error::CommandIdReused(plan.envelope.command_id).into()),
            }
        }
        bar.inc(plans.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// What the log holds, aggregate by aggregate.
async fn contents(session: &Session) -> Result<Table, Failure> {
    let rows = sqlx::query(
        "select split_part(event_type, '.', 1) as aggregate, count(distinct stream_id) as streams, \
         count(distinct event_type) as kinds_of_event, count(*) as events \
         from kvali.event where tenant_id = $1 group by 1 order by events desc, aggregate",
    )
    .bind(session.tenant.0)
    .fetch_all(&mut *session.connection().await?)
    .await
    .map_err(Failure::LookUp)?;
    let mut table = Table::new("What the log holds", &["aggregate", "streams", "kinds_of_event", "events"]);
    for row in rows {
        let number = |column| row.try_get::<i64, _>(column).map(|number| json!(number));
        let cells = || {
            let aggregate: String = row.try_get("aggregate")?;
            Ok([json!(aggregate), number("streams")?, number("kinds_of_event")?, number("events")?])
        };
        table.row(cells().map_err(Failure::LookUp)?);
    }
    Ok(table)
}

/// The same scene told again is the same command.
fn plan(session: &Session, scene: &Scene) -> Plan {
    let Scene { at, actor, stream, command, nth } = scene;
    let json = serde_json::to_vec(command).expect("commands hold no fallible values");
    let identity = Fingerprint::of(&[b"demo", stream.0.as_bytes(), &nth.to_be_bytes(), &json]);
    // The story has a clock of its own: reminders, absences and holds are in its future, not in ours.
    let envelope = Envelope::new(session.tenant, identity.command_id(), *actor, Channel::Cli, *at);
    let order = Order { stream: *stream, command: command.clone() };
    Plan::new(order, envelope.occurred(kvali_domain::Occurred::Instant { at: *at }))
}
