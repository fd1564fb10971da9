//! The program `kvali`. One file per subcommand; `cli` lists them.

mod as_of;
mod ask;
mod bench;
mod board;
mod cli;
mod completeness;
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
mod measured;
mod merge;
mod names;
mod order;
mod output;
mod overdue;
mod pg;
mod progress;
mod project;
mod projections;
mod search;
mod story;
mod task;
mod timeline;
mod user;
mod words;

pub use cli::run;
