//! Every change that the shape of an event has been through. Stored bytes are never rewritten; older shapes
//! are read through the changes that came after them.

use crate::DecodeError;
use serde_json::Value;
use std::borrow::Cow;

/// One released shape of an event's `data`.
pub struct Shape {
    pub event_type: &'static str,
    pub version: i16,
    /// Turns `data` of the version before into this one.
    pub change: fn(Value) -> Value,
}

const fn first(event_type: &'static str) -> Shape {
    Shape { event_type, version: 1, change: std::convert::identity }
}

/// In order of version within a type; each row has an example under `schemas/events`.
pub const SHAPES: &[Shape] = &[
    first("pipeline.created"),
    first("pipeline.renamed"),
    first("pipeline.stage_added"),
    first("pipeline.stage_renamed"),
    first("pipeline.stages_reordered"),
    first("pipeline.entry_stages_set"),
    first("pipeline.movement_policy_set"),
    first("loss_reason.defined"),
    first("loss_reason.retired"),
    first("user.registered"),
    first("user.activated"),
    first("user.deactivated"),
    first("deal.opened"),
    first("deal.stage_changed"),
    first("deal.stage_corrected"),
    first("deal.assigned"),
    first("deal.value_changed"),
    first("deal.expected_close_changed"),
    first("deal.won"),
    first("deal.lost"),
    first("deal.reopened"),
    first("subject.erased"),
];

/// The shape that events of this type are written in today; 0 for a type without a row.
pub fn current(event_type: &str) -> i16 {
    SHAPES.iter().filter(|shape| shape.event_type == event_type).map(|shape| shape.version).max().unwrap_or(0)
}

/// The changes to apply to `data` of `version`; `None` if there never was such a shape.
pub fn since(event_type: &str, version: i16) -> Option<impl Iterator<Item = &'static Shape>> {
    changes(SHAPES, event_type, version)
}

fn changes<'a>(
    table: &'a [Shape],
    event_type: &str,
    version: i16,
) -> Option<impl Iterator<Item = &'a Shape>> {
    let known = table.iter().any(|shape| shape.event_type == event_type && shape.version == version);
    let event_type = event_type.to_owned();
    known.then(move || {
        table.iter().filter(move |shape| shape.event_type == event_type && shape.version > version)
    })
}

/// `data` of any shape in `table`, in the present one; bytes of the present shape are left as they are.
pub(crate) fn present<'d>(
    table: &[Shape],
    event_type: &str,
    version: i16,
    data: &'d str,
) -> Result<Cow<'d, str>, DecodeError> {
    let named = || event_type.to_owned();
    if !table.iter().any(|shape| shape.event_type == event_type) {
        return Err(DecodeError::UnknownType { event_type: named() });
    }
    let mut changes = changes(table, event_type, version)
        .ok_or_else(|| DecodeError::UnknownShape { event_type: named(), version })?
        .peekable();
    if changes.peek().is_none() {
        return Ok(data.into());
    }
    let value: Value = serde_json::from_str(data)
        .map_err(|source| DecodeError::Malformed { event_type: named(), source })?;
    Ok(changes.fold(value, |value, shape| (shape.change)(value)).to_string().into())
}

#[cfg(test)]
mod tests;
