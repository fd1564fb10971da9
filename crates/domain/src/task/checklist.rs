//! The items of a task's checklist, each of them ticked once.

use super::{Event, OpenTask, Refusal, not_blank, own};
use crate::decider::{changed, index};
use crate::{Given, Personal, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many items a checklist may have.
pub const MOST_ITEMS: usize = 100;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-personal" = ["text"]))]
pub struct ItemAdded {
    pub task: TaskId,
    /// From 1.
    pub item: i32,
    #[serde(skip)]
    pub text: Personal,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ItemTicked {
    pub item: i32,
}

pub(super) fn add_item(task: &OpenTask, text: &Personal, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    not_blank("text", text)?;
    if task.ticked.len() >= MOST_ITEMS {
        return Err(Refusal::TooManyItems);
    }
    let item = task.last_item() + 1;
    Ok(vec![Event::ItemAdded(ItemAdded { task: own(given), item, text: text.clone() })])
}

pub(super) fn tick(task: &OpenTask, item: i32) -> Result<Vec<Event>, Refusal> {
    match index(item).and_then(|at| task.ticked.get(at)) {
        None => Err(Refusal::NoSuchItem { item, last: task.last_item() }),
        Some(ticked) => Ok(changed(!ticked, Event::ItemTicked(ItemTicked { item }))),
    }
}
