//! A stage entry, turned into the command that the deal's state calls for.

use kvali_domain::deal::{Command, Deal, Open, OpenDeal, Visit};
use kvali_domain::pipeline::Class;
use kvali_domain::{LossReasonId, Money, Occurred, Personal, StageId, UserId};
use kvali_eventstore::Choice;

/// One entry into a stage.
#[derive(Clone)]
pub(crate) struct Entry {
    /// How the deal is opened should this be its first entry; its stage is the one entered.
    pub(crate) open: Open,
    pub(crate) stage: StageId,
    pub(crate) class: Class,
    /// Of an entry into a failure stage.
    pub(crate) reason: Option<LossReasonId>,
}

impl Entry {
    /// Into a process stage: open, move, or reopen. Into a closing one: close. Into the stage it stands in: nothing.
    pub(crate) fn choose(&self, deal: &Deal) -> Choice {
        match deal {
            // What a transferred deal has behind it is done; any other deal of another pipeline is refused as opened already.
            Deal::Open(record) | Deal::Closed(record, _) if self.was_before_a_transfer(record) => {
                Choice::AlreadySo(self.close().into())
            }
            deal if deal.record().is_none_or(|record| record.pipeline != self.open.pipeline) => {
                Choice::Do(Command::Open(self.open.clone()).into())
            }
            Deal::Closed(record, _) if record.stage == self.stage => Choice::AlreadySo(self.close().into()),
            Deal::Closed(..) if self.class == Class::Process => Choice::Do(self.reopen().into()),
            _ => Choice::Do(self.close().into()),
        }
    }

    /// The same for a row that only tells where a deal has been on its way: nothing is undone to go there again.
    pub(crate) fn choose_on_the_way(&self, deal: &Deal, stands_there: bool) -> Choice {
        match (deal, deal.record()) {
            (Deal::Closed(..), Some(_)) if !stands_there => Choice::AlreadySo(self.close().into()),
            (Deal::Open(_), Some(record)) if !stands_there && self.is_among_the_visits(record) => {
                Choice::AlreadySo(self.close().into())
            }
            _ => self.choose(deal),
        }
    }

    /// For a deal whose first known entry closes it: it was open before, in the stage of this entry.
    pub(crate) fn choose_opening(&self, deal: &Deal) -> Choice {
        let open = Command::Open(self.open.clone()).into();
        if *deal == Deal::Absent { Choice::Do(open) } else { Choice::AlreadySo(open) }
    }

    fn was_before_a_transfer(&self, record: &OpenDeal) -> bool {
        record.pipeline != self.open.pipeline && self.is_among_the_visits(record)
    }

    fn is_among_the_visits(&self, record: &OpenDeal) -> bool {
        record.visits.contains(&Visit { pipeline: self.open.pipeline, stage: self.stage })
    }

    /// The command that enters the stage from an open one.
    fn close(&self) -> Command {
        match self.class {
            Class::Process => Command::Move { to: self.stage, pipeline_version: None },
            Class::Success => Command::CloseWon { pipeline_version: None },
            Class::Failure => Command::CloseLost {
                reason: self.reason,
                stage: Some(self.stage),
                comment: Personal::default(),
                pipeline_version: None,
            },
        }
    }

    fn reopen(&self) -> Command {
        Command::Reopen { to: self.stage, owner: None, force: false, reason: Personal::default() }
    }
}

/// What a row says of the deal besides its stage.
#[derive(Clone, Copy)]
pub(crate) enum Detail {
    Owner(UserId),
    Value(Money),
}

impl Detail {
    fn command(self) -> Command {
        match self {
            Self::Owner(owner) => Command::assign(owner),
            Self::Value(value) => Command::SetValue { value },
        }
    }

    fn holds(self, deal: &Deal) -> bool {
        deal.record().is_some_and(|record| match self {
            Self::Owner(owner) => record.owner == Some(owner),
            Self::Value(value) => record.value == Some(value),
        })
    }

    /// Sets it, unless it is so; on a closed deal the rules decide.
    pub(crate) fn choose(self, deal: &Deal) -> Choice {
        if self.holds(deal) {
            Choice::AlreadySo(self.command().into())
        } else {
            Choice::Do(self.command().into())
        }
    }

    /// Before the row's stage entry: not where the entry carries it (opening), where it must come after (reopening),
    /// or where the entry will be refused for its time.
    pub(crate) fn choose_before(self, deal: &Deal, into: Class, occurred: &Occurred) -> Choice {
        let left_to_the_entry = match deal {
            Deal::Absent => true,
            Deal::Closed(..) => into == Class::Process,
            Deal::Open(record) => record.entered_at.is_some_and(|last| occurred.is_before(last)),
        };
        if left_to_the_entry { Choice::AlreadySo(self.command().into()) } else { self.choose(deal) }
    }

    /// After the row's stage entry, which a refusal may have kept from happening.
    pub(crate) fn choose_after(self, deal: &Deal, entered: StageId) -> Choice {
        match deal {
            Deal::Open(record) if record.stage == entered => self.choose(deal),
            _ => Choice::AlreadySo(self.command().into()),
        }
    }
}
