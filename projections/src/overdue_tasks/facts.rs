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
use crate::overdue_tasks::rows::Rows;
use kvali_domain::calendar::Hours;
use kvali_domain::{ActivityTypeId, CalendarId, DealId, Event, PipelineId, TaskId, TeamId, UserId, Version};
use kvali_eventstore::Opened;
use uuid::Uuid;

/// Rows of one tenant, as far as the events folded so far concern them.
#[derive(Default, Debug)]
pub(super) struct Facts {
    pub tasks: Rows<TaskId, TaskRow>,
    pub became_overdue: Rows<(TaskId, String), BecameOverdueRow>,
    pub deals: Rows<DealId, DealRow>,
    pub talks: Rows<Uuid, TalkRow>,
    pub people: Rows<UserId, PersonRow>,
    pub absences: Rows<(UserId, i32), AbsenceRow>,
    pub teams: Rows<TeamId, TeamRow>,
    pub pipelines: Rows<(PipelineId, Version), PipelineRow>,
    pub calendars: Rows<CalendarId, CalendarRow>,
    pub types: Rows<ActivityTypeId, ActivityTypeRow>,
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
        for deal in self.deals.all_mut() {
            deal.settle(hours.as_ref());
        }
    }

    /// Of the calendar that was defined first.
    fn business_hours(&self) -> Option<Hours> {
        self.calendars.all().min_by_key(|calendar| calendar.position).map(CalendarRow::hours)
    }
}

/// Postgres has no NUL in its texts.
fn text(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', ""))
}
