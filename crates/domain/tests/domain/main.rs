//! The rules, one test per rule; then what must hold whatever happens; then what the outside relies on.

mod canonical;
mod checker;
mod deal;
mod given;
mod history;
mod loss_reasons;
mod pipeline;
mod properties;
mod sales;
mod schemas;
mod subject;
mod user;
