//! What the demo shows when it is done.

use super::company::{self, STAGES};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{Answer, Format, Table};
use kvali_domain::{Event, Occurred, State, StreamId};
use serde_json::json;
use std::collections::HashMap;

/// Events read at once.
const PAGE: i64 = 5_000;

/// Where the deals stand, folded from the log itself.
pub(crate) async fn print(session: &Session, format: Format) -> Result<(), Failure> {
    let (deals, position) = deals(session).await?;
    let mut table =
        Table::new(format!("Deals by stage at position {position}"), &["stage", "class", "deals"]);
    for (at, (name, class)) in STAGES.iter().enumerate() {
        let id = company::stage(at);
        let here =
            deals.values().filter(|deal| deal.record().is_some_and(|record| record.stage == id)).count();
        table.row([json!(name), json!(class.as_str()), json!(here)]);
    }
    Answer::of(table).print(format)
}

async fn deals(session: &Session) -> Result<(HashMap<StreamId, kvali_domain::deal::Deal>, i64), Failure> {
    let mut states: HashMap<StreamId, State> = HashMap::new();
    let mut position = 0;
    loop {
        let page = session.store.read(session.tenant, position, PAGE).await?;
        let Some(last) = page.last() else { break };
        position = last.position;
        for opened in session.store.open(session.tenant, page).await? {
            let (recorded, event): (_, Event) = (opened.recorded, opened.event);
            let occurred: Occurred = recorded.occurred;
            let state = states.entry(recorded.stream).or_insert_with(|| State::before_event(&event));
            state.evolve(&event, recorded.version, &occurred);
        }
    }
    let deals = states.into_iter().filter_map(|(stream, state)| match state {
        State::Deal(deal) => Some((stream, deal)),
        _ => None,
    });
    Ok((deals.collect(), position))
}

pub(crate) fn next_steps() -> String {
    let lines = [
        "What to try next:",
        "  kvali --tenant demo deal history D-00001",
        "  kvali --tenant demo deal show D-00002",
        "  kvali --tenant demo log tail --limit 10",
        "  kvali import history YOURS.csv --pipeline Sales --dry-run",
    ];
    lines.join("\n") + "\n"
}
