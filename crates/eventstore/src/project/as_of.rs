//! As of when: what was known by a point of the log, of what had happened by an instant.

use crate::{Error, Opened, Store};
use chrono::{DateTime, Utc};
use kvali_domain::{Event, StreamId, TenantId, deal};
use std::collections::HashSet;

/// Both clocks of a question.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AsOf {
    pub known: Known,
    /// Business events that happened later are left out; `None`: none are.
    pub happened: Option<DateTime<Utc>>,
}

/// How much of the log counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Known {
    /// All of it.
    #[default]
    Head,
    /// Up to a position.
    Position(i64),
    /// What was recorded by an instant.
    At(DateTime<Utc>),
}

impl AsOf {
    /// The live read model.
    pub const NOW: Self = Self { known: Known::Head, happened: None };

    /// As it was known at a position of the log.
    pub const fn position(position: i64) -> Self {
        Self { known: Known::Position(position), happened: None }
    }

    /// As it was known at an instant.
    pub const fn known(at: DateTime<Utc>) -> Self {
        Self { known: Known::At(at), happened: None }
    }

    /// All that is known today of what had happened by an instant.
    pub const fn happened(at: DateTime<Utc>) -> Self {
        Self { known: Known::Head, happened: Some(at) }
    }
}

/// A question's clocks, told as positions and instants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    pub position: i64,
    pub happened: Option<DateTime<Utc>>,
    /// T: the instant that the answer stands at.
    pub at: DateTime<Utc>,
}

impl Store {
    /// `now` is T where the question names no instant.
    pub(super) async fn bounds(
        &self,
        tenant: TenantId,
        as_of: AsOf,
        now: DateTime<Utc>,
    ) -> Result<Bounds, Error> {
        let head = self.head(tenant).await?;
        let (position, known_at) = match as_of.known {
            Known::Head => (head, now),
            Known::At(at) => (self.position_at(tenant, at).await?, at),
            Known::Position(position) if !(0..=head).contains(&position) => {
                return Err(Error::NoSuchPosition { position, head });
            }
            Known::Position(position) => (position, self.recorded_at(tenant, position).await?.unwrap_or(now)),
        };
        Ok(Bounds { position, happened: as_of.happened, at: as_of.happened.unwrap_or(known_at) })
    }
}

/// A cut at a business time: business events after it are left out, never configuration, and corrections not by
/// when they were made but by what they say of the past. Once the event that begins a record is cut, so is all of the
/// record; once a deal's stage entry is cut, so are the entries that came after it, with a vaguer date or none: a deal
/// does not overtake its own history.
#[derive(Debug)]
pub struct Cut {
    happened: DateTime<Utc>,
    begun_later: HashSet<StreamId>,
    moved_later: HashSet<StreamId>,
}

impl Cut {
    pub fn at(happened: DateTime<Utc>) -> Self {
        Self { happened, begun_later: HashSet::new(), moved_later: HashSet::new() }
    }

    /// Whether `opened` is left out. Events come in order of position.
    pub fn leaves_out(&mut self, opened: &Opened) -> bool {
        if !is_business(&opened.event) {
            return false;
        }
        let stream = opened.recorded.stream;
        let is_later = opened.recorded.occurred.at().is_some_and(|at| at > self.happened);
        if is_later && opened.recorded.version == 1 {
            self.begun_later.insert(stream);
        }
        if self.begun_later.contains(&stream) {
            return true;
        }
        let Event::Deal(event) = &opened.event else { return is_later };
        match event {
            deal::Event::StageCorrected(_) => false,
            deal::Event::Opened(_)
            | deal::Event::StageChanged(_)
            | deal::Event::PipelineChanged(_)
            | deal::Event::Won(_)
            | deal::Event::Lost(_)
            | deal::Event::Reopened(_) => {
                if is_later {
                    self.moved_later.insert(stream);
                }
                self.moved_later.contains(&stream)
            }
            _ => is_later,
        }
    }
}

/// What people do in the course of business, as opposed to how the business is set up and who works in it. An erasure
/// is obeyed at every instant.
fn is_business(event: &Event) -> bool {
    match event {
        Event::Deal(_)
        | Event::Lead(_)
        | Event::Contact(_)
        | Event::Company(_)
        | Event::Task(_)
        | Event::Meeting(_)
        | Event::Call(_)
        | Event::Conversation(_)
        | Event::Note(_)
        | Event::Duplicate(_) => true,
        Event::Pipeline(_)
        | Event::LossReasons(_)
        | Event::Fields(_)
        | Event::Sources(_)
        | Event::Tags(_)
        | Event::ActivityTypes(_)
        | Event::TaskTemplates(_)
        | Event::ExchangeRates(_)
        | Event::Funnel(_)
        | Event::Access(_)
        | Event::User(_)
        | Event::Team(_)
        | Event::Calendar(_)
        | Event::Handover(_)
        | Event::MatchRule(_)
        | Event::Subject(_) => false,
    }
}
