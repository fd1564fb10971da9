//! The program `kvali`. One file per subcommand; `cli` lists them.

mod cli;
mod connect;
mod deal;
mod demo;
mod edge;
mod failure;
mod funnel;
mod ids;
pub mod import;
mod load;
mod log;
mod names;
mod order;
mod output;
mod pg;
mod progress;
mod projections;
mod words;

pub use cli::run;
