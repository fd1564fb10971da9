//! What a batch refers to and must find in its tables before it is folded.

use kvali_domain::{
    DealId, Event, PipelineId, Target, TaskId, TeamId, UserId, Version, call, conversation, deal, meeting,
    note, subject, task, user,
};
use kvali_eventstore::Opened;
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(Default, Debug)]
pub(in super::super) struct Wanted {
    pub tasks: BTreeSet<TaskId>,
    pub deals: BTreeSet<DealId>,
    pub talks: BTreeSet<Uuid>,
    pub people: BTreeSet<UserId>,
    /// Users whose absences change.
    pub absent: BTreeSet<UserId>,
    pub teams: BTreeSet<TeamId>,
    /// Pipelines whose configuration changes.
    pub pipelines: BTreeSet<PipelineId>,
    /// Versions that stages are entered under.
    pub versions: BTreeSet<Version>,
    /// Whether the business clock changes.
    pub calendars: bool,
}

impl Wanted {
    pub(in super::super) fn of(events: &[Opened]) -> Self {
        let mut wanted = Self::default();
        for opened in events {
            wanted.event(opened.recorded.stream.0, &opened.event);
        }
        wanted
    }

    fn event(&mut self, stream: Uuid, event: &Event) {
        match event {
            Event::Task(event) => self.task(TaskId(stream), event),
            Event::Deal(event) => self.deal(DealId(stream), event),
            Event::Call(event) => {
                self.talks.insert(stream);
                if let call::Event::Matched(event) = event {
                    self.targets(&[event.belongs_to.target()]);
                }
            }
            Event::Conversation(event) => {
                self.talks.insert(stream);
                if let conversation::Event::Linked(event) = event {
                    self.targets(&[event.to]);
                }
            }
            Event::Note(note::Event::Added(event)) => self.targets(&[event.about]),
            Event::Meeting(meeting::Event::Held(event)) => self.targets(&event.targets),
            Event::User(event) => self.user(UserId(stream), event),
            Event::Team(_) => drop(self.teams.insert(TeamId(stream))),
            Event::Pipeline(_) => drop(self.pipelines.insert(PipelineId(stream))),
            Event::Calendar(_) => self.calendars = true,
            Event::Subject(subject::Event::Erased(event)) => {
                // Nobody knows of which kind the subject is.
                self.people.insert(UserId(event.subject.0));
                self.tasks.insert(TaskId(event.subject.0));
                self.deals.insert(DealId(event.subject.0));
            }
            _ => {}
        }
    }

    fn task(&mut self, id: TaskId, event: &task::Event) {
        self.tasks.insert(id);
        match event {
            task::Event::Created(event) => {
                self.targets(&event.targets);
                self.people.insert(event.assignee);
            }
            task::Event::Reassigned(event) => drop(self.people.insert(event.to)),
            task::Event::Reopened(event) => drop(self.people.insert(event.assignee)),
            task::Event::Linked(event) => self.targets(&[event.target]),
            _ => {}
        }
    }

    fn deal(&mut self, id: DealId, event: &deal::Event) {
        self.deals.insert(id);
        match event {
            deal::Event::Opened(event) => self.versions.extend([event.pipeline_version]),
            deal::Event::StageChanged(event) => self.versions.extend([event.pipeline_version]),
            deal::Event::StageCorrected(event) => self.versions.extend([event.pipeline_version]),
            deal::Event::PipelineChanged(event) => self.versions.extend([event.pipeline_version]),
            deal::Event::Won(event) => self.versions.extend([event.pipeline_version]),
            deal::Event::Lost(event) => self.versions.extend([event.pipeline_version]),
            deal::Event::Reopened(event) => self.versions.extend([event.pipeline_version]),
            deal::Event::MergedInto(event) => drop(self.deals.insert(event.survivor)),
            _ => {}
        }
    }

    fn user(&mut self, id: UserId, event: &user::Event) {
        match event {
            user::Event::Registered(_) | user::Event::Invited(_) => drop(self.people.insert(id)),
            user::Event::AbsencePlanned(_) => {
                self.people.insert(id);
                self.absent.insert(id);
            }
            user::Event::AbsenceStarted(_)
            | user::Event::AbsenceEnded(_)
            | user::Event::AbsenceCancelled(_) => drop(self.absent.insert(id)),
            _ => {}
        }
    }

    fn targets(&mut self, targets: &[Target]) {
        self.deals.extend(deals_among(targets));
    }
}

pub(super) fn deals_among(targets: &[Target]) -> Vec<DealId> {
    let deal = |target: &Target| match target {
        Target::Deal(id) => Some(*id),
        Target::Lead(_) | Target::Contact(_) | Target::Company(_) => None,
    };
    targets.iter().filter_map(deal).collect()
}
