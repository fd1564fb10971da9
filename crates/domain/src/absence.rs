//! When a user is away: planned, running, ended or cancelled; part of the user's own history.

use crate::UserId;
use crate::calendar::local;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Vacation,
    Sickness,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    Planned,
    Running,
    Ended,
    Cancelled,
}

impl Progress {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Local days of `zone`, both included. Days of different zones are compared by their dates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Absence {
    /// From 1 within the user.
    pub number: i32,
    pub kind: Kind,
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub zone: Tz,
    pub substitute: Option<UserId>,
    pub progress: Progress,
}

impl Absence {
    /// The first day after it, as planned.
    pub fn back(&self) -> NaiveDate {
        self.to.succ_opt().unwrap_or(self.to)
    }

    /// A running absence covers every instant until it is ended, a planned one its local days.
    pub fn covers(&self, at: DateTime<Utc>) -> bool {
        match self.progress {
            Progress::Planned => self.today(at).is_some_and(|today| (self.from..=self.to).contains(&today)),
            Progress::Running => true,
            Progress::Ended | Progress::Cancelled => false,
        }
    }

    /// Whether it is planned or running, and its days meet these. One that runs on after its last day lasts until
    /// today at least.
    pub fn meets(&self, from: NaiveDate, to: NaiveDate, now: DateTime<Utc>) -> bool {
        let last = match self.progress {
            Progress::Planned => self.to,
            Progress::Running => self.to.max(self.today(now).unwrap_or(self.to)),
            Progress::Ended | Progress::Cancelled => return false,
        };
        self.from <= to && from <= last
    }

    fn today(&self, now: DateTime<Utc>) -> Option<NaiveDate> {
        local(now, self.zone).map(|local| local.date())
    }
}
