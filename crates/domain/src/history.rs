//! Every change that the shape of an event has been through. Stored bytes are never rewritten; older shapes
//! are read through the changes that came after them.

use serde_json::Value;

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
    let known = SHAPES.iter().any(|shape| shape.event_type == event_type && shape.version == version);
    let event_type = event_type.to_owned();
    known.then(move || {
        SHAPES.iter().filter(move |shape| shape.event_type == event_type && shape.version > version)
    })
}
