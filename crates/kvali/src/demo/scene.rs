//! One command and its moment, and how they are collected.

use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, Command, StreamId};

const fn moment(day: i64, hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(day * 86_400 + hour * 3_600, 0).expect("a moment of our own century")
}

/// 2024-01-01, in the morning.
pub(crate) const START: DateTime<Utc> = moment(19_723, 6);
/// 2025-12-31 in the evening: fixed, so that the story is the same whenever it is told.
pub(crate) const END: DateTime<Utc> = moment(20_453, 18);

pub(crate) struct Scene {
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor: ActorId,
    pub(crate) stream: StreamId,
    pub(crate) command: Command,
    /// Which of its script's scenes it is, so that none is taken for another with the same words.
    pub(crate) nth: u32,
}

/// What one thing and those around it go through, up to the end of the story.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) scenes: Vec<Scene>,
}

impl Script {
    /// What would come after the end is not told; whatever follows from it comes later still.
    pub(crate) fn tell(
        &mut self,
        at: DateTime<Utc>,
        actor: impl Into<ActorId>,
        stream: StreamId,
        command: impl Into<Command>,
    ) {
        let nth = u32::try_from(self.scenes.len()).expect("a script is short");
        if at <= END {
            let (actor, command) = (actor.into(), command.into());
            self.scenes.push(Scene { at, actor, stream, command, nth });
        }
    }
}
