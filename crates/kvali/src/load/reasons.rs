//! Reasons for losing a deal that a file or its map names by code.

use super::sink::Sink;
use crate::failure::Failure;
use crate::ids;
use kvali_domain::loss_reasons::{Command, STREAM};
use kvali_domain::{LossReasonId, Order, State};
use kvali_eventstore::Answer;
use std::collections::HashMap;

#[derive(Default)]
pub(crate) struct Reasons {
    by_code: HashMap<String, LossReasonId>,
}

impl Reasons {
    /// The reason with that code, defined if there is none.
    pub(crate) async fn find(
        &mut self,
        sink: &mut Sink<'_>,
        code: &str,
    ) -> Result<(LossReasonId, Option<Answer>), Failure> {
        if let Some(id) = self.by_code.get(code) {
            return Ok((*id, None));
        }
        let state = sink.state(STREAM).await?;
        let existing = state.as_ref().and_then(|(_, state)| match &**state {
            State::LossReasons(reasons) => reasons.by_code(code).map(|reason| reason.id),
            _ => None,
        });
        let (id, answer) = if let Some(id) = existing {
            (id, None)
        } else {
            let id = ids::loss_reason(code);
            let version = state.map_or(0, |(version, _)| version);
            (id, Some(sink.must("defining a loss reason", define(id, code), version).await?))
        };
        self.by_code.insert(code.to_owned(), id);
        Ok((id, answer))
    }
}

fn define(reason: LossReasonId, code: &str) -> Order {
    let label = label(code);
    let command = Command::Define { reason, code: code.to_owned(), label, pipelines: Vec::new() };
    Order { stream: STREAM, command: command.into() }
}

/// `not_recorded` reads as "Not recorded".
fn label(code: &str) -> String {
    let words = code.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
