//! Records that others have come to refer to since an import created them.

use super::{REASON, Touched};
use crate::connect::Session;
use crate::failure::Failure;
use crate::ids;
use kvali_domain::{Recorded, StreamId};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Events read at once.
const PAGE: i64 = 5_000;

/// Reads the log on from where the import began. For each of the records: the first event of another stream that names
/// it, such as a task, an affiliation or a deal, unless an import brought that stream and was reverted itself.
pub(super) async fn referred(
    session: &Session,
    import: Uuid,
    records: &HashSet<StreamId>,
    mut after: i64,
) -> Result<HashMap<StreamId, Touched>, Failure> {
    let revert = ids::revert(import);
    let mut named: Vec<(StreamId, Recorded)> = Vec::new();
    let mut undone = HashSet::new();
    loop {
        let page = session.store.read(session.tenant, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for event in page {
            if event.reason_code.as_deref() == Some(REASON) {
                undone.insert(event.stream);
            } else if ![import, revert].contains(&event.correlation) {
                let data = serde_json::from_str(&event.data).unwrap_or_default();
                let mut ids = HashSet::new();
                collect(&data, &mut |id| {
                    ids.extend(records.get(&id).filter(|record| **record != event.stream));
                });
                named.extend(ids.into_iter().map(|record| (record, event.clone())));
            }
        }
    }
    let mut referred = HashMap::new();
    for (record, event) in named.into_iter().filter(|(_, event)| !undone.contains(&event.stream)) {
        let Recorded { actor, event_type, recorded_at: at, .. } = event;
        referred.entry(record).or_insert(Touched { by_revert: false, actor, event_type, at });
    }
    Ok(referred)
}

/// Every id in an event's data.
fn collect(data: &Value, each: &mut impl FnMut(StreamId)) {
    match data {
        Value::String(text) => {
            if let Ok(id) = text.parse() {
                each(StreamId(id));
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, each)),
        Value::Object(members) => members.values().for_each(|value| collect(value, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
