//! The rules, one test per rule; then what must hold whatever happens; then what the outside relies on.

mod deal;
mod given;
mod history;
mod loss_reasons;
mod pipeline;

mod sales;

mod subject;
mod user;
