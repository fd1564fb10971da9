//! Tasks: whose they are, when they are due, and every time that they became overdue.

use super::super::clock::{occurred, stored, told};
use super::super::record::{
    BecameOverdueRow, DealRow, Standing, TaskPastRow, TaskRow, due_key, overdue_from,
};
use super::wanted::deals_among;
use super::{Facts, text};
use chrono::{DateTime, Utc};
use kvali_domain::task::{self, Event};
use kvali_domain::{DealId, Due, Target, TaskId, UserId};
use kvali_eventstore::Opened;

impl Facts {
    pub(super) fn task(&mut self, id: TaskId, event: &Event, opened: &Opened) {
        let at = told(opened);
        if let Event::Created(event) = event {
            self.tasks.put(created(id, event, opened));
            self.named_zone(event.assignee, event.due);
            self.hold(&deals_among(&event.targets));
            return;
        }
        let Some(before) = self.tasks.get(&id).cloned() else { return };
        let mut after = before.clone();
        self.tells(&mut after, event);
        evolve(&mut after, event, opened);
        self.due_again(&mut after);
        self.pass(&before, &mut after, at);
        let (held, holds) = (open_deals(&before), open_deals(&after));
        self.let_go(&missing(held, holds), at);
        self.hold(&missing(holds, held));
        if let Event::Completed(_) = event {
            self.worked_at(&before.deals, opened.recorded.actor, opened);
        }
        if let Event::Rescheduled(event) = event {
            self.named_zone(after.assignee, event.to);
        }
        self.tasks.put(after);
    }

    /// What the log tells of a task's becoming overdue.
    fn tells(&mut self, task: &mut TaskRow, event: &Event) {
        match event {
            Event::BecameOverdue(event) => {
                let row = BecameOverdueRow {
                    task_id: task.task_id,
                    due_key: due_key(event.due),
                    due: event.due,
                    since: stored(event.since),
                    assignee: event.assignee,
                    facts: None,
                };
                self.became_overdue.put(row);
            }
            Event::CauseDetermined(event) => {
                if let Some(row) = self.became_overdue.get_mut(&(task.task_id, due_key(event.due))) {
                    row.facts = Some(event.facts);
                }
            }
            _ => {}
        }
    }

    /// A due that comes back was told of before.
    fn due_again(&mut self, task: &mut TaskRow) {
        task.overdue_told = self.became_overdue.get(&(task.task_id, due_key(task.due))).is_some();
    }

    /// Ends the time in which the task was whose and due as before, and begins another.
    fn pass(&mut self, before: &TaskRow, after: &mut TaskRow, at: DateTime<Utc>) {
        let stands = |task: &TaskRow| (task.is_open(), task.assignee, task.due, task.deferred_until);
        if stands(before) == stands(after) {
            return;
        }
        after.since = at;
        if !before.is_open() {
            return;
        }
        after.past += 1;
        self.past.push(TaskPastRow {
            task_id: before.task_id,
            number: after.past,
            assignee: before.assignee,
            due: before.due,
            deferred_until: before.deferred_until,
            overdue_from: before.overdue_from,
            since: before.since,
            until: at,
        });
    }

    /// An open task about these deals, and whatever they were merged into.
    fn hold(&mut self, deals: &[DealId]) {
        for deal in deals {
            self.up_from(*deal, |deal| deal.holds(1));
        }
    }

    fn let_go(&mut self, deals: &[DealId], at: DateTime<Utc>) {
        for deal in deals {
            self.up_from(*deal, |deal| deal.lets_go(1, at));
        }
    }

    fn named_zone(&mut self, assignee: UserId, due: Due) {
        if let (Due::Day { zone, .. }, Some(person)) = (due, self.people.get_mut(&assignee)) {
            person.zone = Some(zone);
        }
    }
}

impl DealRow {
    pub(super) fn holds(&mut self, tasks: i32) {
        self.open_tasks += tasks;
        if self.open_tasks > 0 {
            self.tasks_ended_at = None;
        }
    }

    pub(super) fn lets_go(&mut self, tasks: i32, at: DateTime<Utc>) {
        self.open_tasks -= tasks;
        if tasks > 0 && self.open_tasks == 0 {
            self.tasks_ended_at = Some(at);
        }
    }
}

fn open_deals(task: &TaskRow) -> &[DealId] {
    if task.is_open() { &task.deals } else { &[] }
}

fn missing(of: &[DealId], from: &[DealId]) -> Vec<DealId> {
    of.iter().copied().filter(|deal| !from.contains(deal)).collect()
}

fn created(id: TaskId, event: &task::Created, opened: &Opened) -> TaskRow {
    TaskRow {
        task_id: id,
        subject: text(event.subject.as_deref()),
        activity_type: event.activity_type,
        assignee: event.assignee,
        deals: deals_among(&event.targets),
        created_at: occurred(opened),
        due: event.due,
        original_due: event.due,
        deferred_until: None,
        overdue_from: overdue_from(event.due, None),
        overdue_told: false,
        slips: 0,
        slip_days: 0,
        snoozes: 0,
        reminders: Vec::new(),
        remind_at: None,
        standing: Standing::Open,
        done_at: None,
        late_by_seconds: None,
        since: told(opened),
        past: 0,
    }
}

fn evolve(task: &mut TaskRow, event: &Event, opened: &Opened) {
    match event {
        Event::Edited(event) => task.subject = text(event.subject.as_deref()).or(task.subject.take()),
        Event::Reassigned(event) => task.assignee = event.to,
        Event::Rescheduled(event) => {
            task.due = event.to;
            task.slips = event.slip_no;
            task.slip_days = task.slip_days.saturating_add(event.slip_days);
        }
        Event::Snoozed(event) => {
            task.snoozes = event.snooze_no;
            let instead: Vec<_> = event.instead_of.iter().copied().map(stored).collect();
            task.reminders.retain(|at| !instead.contains(at));
            remind(task, event.until);
        }
        Event::Started(_) => task.deferred_until = None,
        Event::Deferred(event) => task.deferred_until = Some(stored(event.until)),
        Event::Completed(event) => {
            task.standing = Standing::Done;
            task.done_at = occurred(opened);
            task.late_by_seconds = event.late_by_seconds.filter(|_| event.late);
        }
        Event::Cancelled(_) => task.standing = Standing::Cancelled,
        Event::Reopened(event) => {
            task.standing = Standing::Open;
            task.assignee = event.assignee;
            task.deferred_until = None;
            task.done_at = None;
            task.late_by_seconds = None;
        }
        Event::ReminderSet(event) => remind(task, event.at),
        Event::ReminderCleared(event) => forget(task, event.at),
        Event::ReminderFired(event) => forget(task, event.at),
        Event::Linked(event) => task.deals.extend(deals_among(&[event.target])),
        Event::Unlinked(event) => {
            if let Target::Deal(deal) = event.target {
                task.deals.retain(|known| *known != deal);
            }
        }
        Event::Created(_)
        | Event::ItemAdded(_)
        | Event::ItemTicked(_)
        | Event::BecameOverdue(_)
        | Event::CauseDetermined(_) => {}
    }
    task.overdue_from = overdue_from(task.due, task.deferred_until);
    task.remind_at = task.reminders.iter().min().copied().filter(|_| task.is_open());
}

fn remind(task: &mut TaskRow, at: DateTime<Utc>) {
    forget(task, at);
    task.reminders.push(stored(at));
}

fn forget(task: &mut TaskRow, at: DateTime<Utc>) {
    task.reminders.retain(|known| *known != stored(at));
}
