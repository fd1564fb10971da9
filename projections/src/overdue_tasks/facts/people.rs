//! People: names, absences, how much they take on, teams.

use super::super::clock::{stored, stored_day, told};
use super::super::record::{AbsenceRow, CapacityRow, PersonRow, TeamRow};
use super::{Facts, text};
use kvali_domain::user::{self, WorkKind};
use kvali_domain::{DealId, TaskId, TeamId, UserId, subject, team};
use kvali_eventstore::Opened;

impl Facts {
    pub(super) fn user(&mut self, id: UserId, event: &user::Event, opened: &Opened) {
        let at = told(opened);
        match event {
            user::Event::Registered(event) => self.person(id, event.name.as_deref()),
            user::Event::Invited(event) => self.person(id, event.name.as_deref()),
            user::Event::AbsencePlanned(event) => {
                if let Some(person) = self.people.get_mut(&id) {
                    person.zone = Some(event.zone);
                }
                self.absences.put(planned(id, event));
            }
            user::Event::AbsenceStarted(event) => {
                self.absence(id, event.absence, |absence| absence.started_at = Some(at));
            }
            user::Event::AbsenceEnded(event) => {
                self.absence(id, event.absence, |absence| absence.ended_at = Some(at));
            }
            user::Event::AbsenceCancelled(event) => {
                self.absence(id, event.absence, |absence| absence.cancelled_at = Some(at));
            }
            user::Event::CapacitySet(event) if event.work == WorkKind::Tasks => {
                self.capacities.push(CapacityRow {
                    user_id: id,
                    position: opened.recorded.position,
                    period: event.period,
                    count: event.count,
                    since: stored(at),
                });
            }
            user::Event::CapacitySet(_) | user::Event::Activated(_) | user::Event::Deactivated(_) => {}
        }
    }

    /// An erased person stays erased, whatever comes later.
    fn person(&mut self, id: UserId, name: Option<&str>) {
        if self.people.get(&id).is_none() {
            self.people.put(PersonRow { user_id: id, name: text(name), zone: None });
        }
    }

    fn absence(&mut self, id: UserId, number: i32, change: impl FnOnce(&mut AbsenceRow)) {
        if let Some(absence) = self.absences.get_mut(&(id, number)) {
            change(absence);
        }
    }

    /// Whoever, or whatever, bears the id.
    pub(super) fn erase(&mut self, event: &subject::Event) {
        let subject::Event::Erased(event) = event;
        let id = event.subject.0;
        if let Some(person) = self.people.get_mut(&UserId(id)) {
            person.name = None;
        }
        if let Some(task) = self.tasks.get_mut(&TaskId(id)) {
            task.subject = None;
        }
        if let Some(deal) = self.deals.get_mut(&DealId(id)) {
            deal.name = None;
        }
    }

    pub(super) fn team(&mut self, id: TeamId, event: &team::Event) {
        if let team::Event::Created(event) = event {
            let (name, parent) = (event.name.replace('\0', ""), event.parent);
            self.teams.put(TeamRow { team_id: id, name, parent, members: Vec::new() });
        }
        let Some(team) = self.teams.get_mut(&id) else { return };
        match event {
            team::Event::Renamed(event) => team.name = event.to.replace('\0', ""),
            team::Event::MemberAdded(event) => team.members.push(event.member),
            team::Event::MemberRemoved(event) => team.members.retain(|member| *member != event.member),
            team::Event::ParentSet(event) => team.parent = event.to,
            team::Event::Created(_) | team::Event::ManagerSet(_) => {}
        }
    }
}

fn planned(id: UserId, event: &user::AbsencePlanned) -> AbsenceRow {
    AbsenceRow {
        user_id: id,
        number: event.absence,
        kind: event.kind,
        first_day: stored_day(event.from),
        last_day: stored_day(event.to),
        zone: event.zone,
        started_at: None,
        ended_at: None,
        cancelled_at: None,
    }
}
