//! `kvali demo`: a sample company in a tenant of its own, made of ordinary commands.

mod company;
mod dice;
mod story;

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::ids::Fingerprint;
use crate::{funnel, progress};
use clap::Args;
use kvali_domain::{Channel, Order};
use kvali_eventstore::{Envelope, Outcome, Plan};
use story::Scene;

/// Commands that travel together.
const CHUNK: usize = 1_000;

const NEXT_STEPS: &str = "\
What to try next:
  kvali --tenant demo funnel --pipeline Sales --rule ordered --window 30d --by owner
  kvali --tenant demo funnel --pipeline Sales --as-of 2025-06-30 --clock happened --all
  kvali --tenant demo deal history D-00001
  kvali --tenant demo log tail --limit 10
  kvali import history YOURS.csv --pipeline Sales --dry-run";

#[derive(Args)]
pub(crate) struct Demo {
    /// How many deals the company has had; more of them later are added to those there are
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    deals: u32,
}

impl Demo {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "demo").await?;
        let scenes = story::tell(self.deals);
        let bar = progress::bar("living through two years", scenes.len() as u64);
        for scenes in scenes.chunks(CHUNK) {
            let plans: Vec<Plan> = scenes.iter().map(|scene| plan(&session, scene)).collect();
            let outcomes = session.store.handle_all(session.tenant, &plans).await?;
            if let Some(Outcome::Refused(refusal)) =
                outcomes.into_iter().find(|outcome| matches!(outcome, Outcome::Refused(_)))
            {
                let step = "a step of the demo's story".to_owned();
                return Err(Failure::Refused { step, refusal });
            }
            bar.inc(scenes.len() as u64);
        }
        bar.finish_and_clear();
        funnel::summary(&session, company::PIPELINE, NEXT_STEPS).await?.print(global.format)?;
        Ok(Done::Well)
    }
}

/// The same scene told again is the same command.
fn plan(session: &Session, scene: &Scene) -> Plan {
    let Scene { at, actor, stream, command, nth } = scene;
    let json = serde_json::to_vec(command).expect("commands hold no fallible values");
    let identity = Fingerprint::of(&[b"demo", stream.0.as_bytes(), &nth.to_be_bytes(), &json]);
    let envelope = Envelope::new(session.tenant, identity.command_id(), *actor, Channel::Cli, edge::now());
    let order = Order { stream: *stream, command: command.clone() };
    Plan::new(order, envelope.occurred(kvali_domain::Occurred::Instant { at: *at }))
}
