//! The private cluster against a real Postgres. No test leaves a server behind, whether it passes or not.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test, too")]

mod life;
mod refusals;
mod sharing;
mod support;
