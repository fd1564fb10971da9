//! The program `kvali`. One file per subcommand; `cli` lists them.

mod bench;
mod cli;
mod connect;
mod deal;
mod demo;
mod duplicates;
mod edge;
mod failure;
mod forms;
mod funnel;
mod help;
mod ids;
pub mod import;
mod load;
mod log;
mod merge;
mod names;
mod order;
mod output;
mod pg;
mod progress;
mod projections;
mod task;
mod user;
mod words;

pub use cli::run;
