//! `kvali relay`: events on to message brokers, each once and in order.

mod nats;

pub(crate) use nats::RelayError;

use crate::cli::{Done, Global};
use crate::failure::Failure;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Relay {
    /// To NATS `JetStream`: one stream for each tenant, one message for each event
    Nats(Box<nats::Nats>),
}

impl Relay {
    /// Relays until `told_to_stop`.
    pub(crate) async fn run(
        self,
        global: &Global,
        told_to_stop: impl Future<Output = ()>,
    ) -> Result<Done, Failure> {
        match self {
            Self::Nats(nats) => nats.run(global, told_to_stop).await,
        }
    }
}
