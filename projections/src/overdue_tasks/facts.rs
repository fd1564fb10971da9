//! What events make of the rows.

mod deals;
mod people;
mod setup;
mod tasks;
mod wanted;
mod work;

pub(super) use wanted::Wanted;

use super::record::{
    AbsenceRow, ActivityRow, ActivityTypeRow, BecameOverdueRow, CalendarRow, CapacityRow, DealRow, PersonRow,
    PipelineRow, TalkRow, TaskPastRow, TaskRow, TeamRow,
};
use crate::rows::Rows;
use kvali_domain::calendar::Hours;
use kvali_domain::{CalendarId, DealId, Event, PipelineId, TaskId, TeamId, UserId};
use kvali_eventstore::Opened;

/// Rows of one tenant, as far as the events folded so far concern them.
#[derive(Default)]
pub(super) struct Facts {
    pub tasks: Rows<TaskRow>,
    pub became_overdue: Rows<BecameOverdueRow>,
    pub deals: Rows<DealRow>,
    pub talks: Rows<TalkRow>,
    pub people: Rows<PersonRow>,
    pub absences: Rows<AbsenceRow>,
    pub teams: Rows<TeamRow>,
    pub pipelines: Rows<PipelineRow>,
    pub calendars: Rows<CalendarRow>,
    pub types: Rows<ActivityTypeRow>,
    /// New rows of tables that only grow.
    pub past: Vec<TaskPastRow>,
    pub activities: Vec<ActivityRow>,
    pub capacities: Vec<CapacityRow>,
}

impl Facts {
    pub(super) fn apply(&mut self, opened: &Opened) {
        let stream = opened.recorded.stream.0;
        match &opened.event {
            Event::Task(event) => self.task(TaskId(stream), event, opened),
            Event::Deal(event) => self.deal(DealId(stream), event, opened),
            Event::Call(event) => self.call(stream, event, opened),
            Event::Conversation(event) => self.conversation(stream, event, opened),
            Event::Note(event) => self.note(event, opened),
            Event::Meeting(event) => self.meeting(event, opened),
            Event::User(event) => self.user(UserId(stream), event, opened),
            Event::Subject(event) => self.erase(event),
            Event::Team(event) => self.team(TeamId(stream), event),
            Event::Pipeline(event) => self.configure(PipelineId(stream), event, opened),
            Event::Calendar(event) => self.calendar(CalendarId(stream), event, opened),
            Event::ActivityTypes(event) => self.activity_type(event),
            _ => {}
        }
    }

    /// Works out what follows from whole rows, after all events.
    pub(super) fn settle(&mut self) {
        let hours = self.business_hours();
        for deal in self.deals.iter_mut() {
            deal.settle(hours.as_ref());
        }
    }

    /// Of the calendar that was defined first.
    fn business_hours(&self) -> Option<Hours> {
        self.calendars.iter().min_by_key(|calendar| calendar.position).map(CalendarRow::hours)
    }
}

/// Postgres has no NUL in its texts.
fn text(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', ""))
}
