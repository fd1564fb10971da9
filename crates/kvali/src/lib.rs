//! The program `kvali`. One file per subcommand; `cli` lists them.

mod arguments;
mod as_of;
mod ask;
mod audit;
mod bench;
mod board;
mod cli;
mod completeness;
mod config;
mod connect;
mod deal;
mod demo;
mod duplicates;
mod edge;
mod failure;
mod forecast;
mod forms;
mod funnel;
#[cfg(fuzzing)]
pub mod fuzz {
    pub use crate::load::records::fuzz::drafts;
}
mod help;
mod ids;
pub mod import;
mod key;
mod load;
mod log;
mod logs;
mod measured;
mod merge;
mod names;
mod oidc;
mod order;
mod output;
mod overdue;
mod pg;
mod progress;
mod project;
mod projections;
#[cfg(feature = "nats")]
mod relay;
mod search;
mod serve;
mod settings;
mod sql;
mod story;
mod subscriptions;
mod task;
mod tenant;
mod timeline;
mod user;
mod webhooks;
mod words;

pub use cli::run;
