//! The work on a deal while it stands in a stage: tasks, meetings, calls, messages, notes.

use super::company::{self, STAGES, ZONE};
use super::life::Life;
use crate::ids;
use chrono::{DateTime, Days, TimeDelta, Utc};
use kvali_domain::call::{self, Belongs, Direction, Match};
use kvali_domain::conversation::{self, Purpose, Report};
use kvali_domain::due::local_day;
use kvali_domain::meeting::{self, Attendee, Schedule, Slot};
use kvali_domain::note::{self, Visibility};
use kvali_domain::task::{self, CauseFacts, Create, LeadTime, Template};
use kvali_domain::{
    CallId, Command, ConversationId, Due, MeetingId, NoteId, Personal, StreamId, Target, TaskId,
};
use uuid::Uuid;

const RESULTS: [&str; 4] =
    ["They want an offer by Friday", "დირექტორი თანახმაა", "Budget is confirmed", "Sent"];

const NOTES: [&str; 4] = [
    "Decides together with the accountant; prefers calls before noon",
    "ითხოვენ მიწოდებას ბათუმშიც",
    "Compared with two other suppliers; price is not the main point",
    "Wants references from the food trade",
];

type Happening = fn(&mut Work<'_>);

pub(crate) fn in_stage(life: &mut Life, stage: usize, leaves: DateTime<Utc>) {
    if let Some((subject, days)) = STAGES[stage].task
        && life.dice.percent(60)
    {
        Work::new(life, "task").task(subject, days);
    }
    let stays_a_day = leaves - life.now > TimeDelta::days(1);
    let happenings: [(u32, Happening); 5] = [
        (if stage == 2 { 30 } else { 5 }, |work| work.meeting()),
        (12, |work| work.call()),
        (3, |work| work.missed_call()),
        (4, |work| work.message()),
        (10, |work| work.note()),
    ];
    for (of_hundred, happens) in happenings {
        // Calls and messages attach to the deal, which must be open.
        if life.dice.percent(of_hundred) && stays_a_day {
            happens(&mut Work::new(life, "work"));
        }
    }
}

/// A piece of work, with an id of its own.
struct Work<'a> {
    life: &'a mut Life,
    id: Uuid,
    at: DateTime<Utc>,
}

impl<'a> Work<'a> {
    fn new(life: &'a mut Life, kind: &str) -> Self {
        // The place in the script makes it unique in the deal's life.
        let name = format!("{}/{}", life.deal, life.script.scenes.len());
        Self { id: ids::invented(kind, &name), at: life.now, life }
    }

    fn part(&self, name: &str) -> Uuid {
        ids::invented(name, &self.id.to_string())
    }

    fn target(&self) -> Target {
        Target::Deal(self.life.deal)
    }

    fn tell(&mut self, command: impl Into<Command>) {
        self.tell_of(StreamId(self.id), command);
    }

    fn tell_of(&mut self, stream: StreamId, command: impl Into<Command>) {
        let owner = self.life.owner();
        self.life.script.tell(self.at, owner, stream, command);
    }

    fn later(&mut self, minutes: u32) -> &mut Self {
        self.at += TimeDelta::minutes(i64::from(minutes));
        self
    }
}

/// What becomes of a task.
#[derive(Clone, Copy)]
enum Ends {
    InTime,
    Late,
    Snoozed,
    Rescheduled,
    Overdue,
    Cancelled,
}

const ENDS: [(u32, Ends); 6] = [
    (52, Ends::InTime),
    (14, Ends::Late),
    (10, Ends::Snoozed),
    (12, Ends::Rescheduled),
    (7, Ends::Overdue),
    (5, Ends::Cancelled),
];

impl Work<'_> {
    fn task(&mut self, subject: &str, days: i32) {
        let day = local_day(self.at, ZONE) + Days::new(u64::from(days.unsigned_abs()));
        let due = Due::Day { date: day, zone: ZONE };
        let task = Create {
            kind: task::Kind::Call,
            targets: vec![self.target()],
            ..Create::new(Personal::new(subject), due, self.life.owner())
        };
        let template = Template { id: company::template(subject), version: 1 };
        self.tell(task::Command::FromTemplate { template, task });
        match *self.life.dice.weighted(&ENDS) {
            Ends::InTime => self.done_after(30, 18 * 60),
            Ends::Late => {
                self.become_overdue(due, days);
                self.done_after(60, 5 * 24 * 60);
            }
            Ends::Snoozed => {
                let reminder = self.at + TimeDelta::hours(3);
                self.later(5).tell(task::Command::SetReminder { at: reminder });
                self.at = reminder;
                self.tell(task::Command::FireReminder { at: reminder });
                let until = self.at + TimeDelta::hours(4);
                self.later(1).tell(task::Command::Snooze { until });
                self.done_after(6 * 60, 8 * 60);
            }
            Ends::Rescheduled => {
                let later = Due::Day { date: day + Days::new(4), zone: ZONE };
                let reason = Personal::new("They are at a fair this week");
                self.later(4 * 60).tell(task::Command::Reschedule { due: later, reason });
                self.done_after(24 * 60, 3 * 24 * 60);
            }
            Ends::Overdue => self.become_overdue(due, days),
            Ends::Cancelled => {
                let reason = Personal::new("Settled on the phone");
                self.later(90).tell(task::Command::Cancel { reason });
            }
        }
    }

    fn done_after(&mut self, least: u32, more: u32) {
        let minutes = least + self.life.dice.below(more);
        let result = Personal::new(*self.life.dice.one_of(&RESULTS));
        self.later(minutes).tell(task::Command::Complete { result });
    }

    /// As the timer finds it, with why.
    fn become_overdue(&mut self, due: Due, days: i32) {
        self.at = due.overdue_after() + TimeDelta::minutes(10);
        self.tell(task::Command::MarkOverdue { due });
        let facts = match self.life.dice.below(3) {
            0 => CauseFacts { activities: Some(0), ..CauseFacts::default() },
            1 => {
                let load = task::Load { open_tasks: 11, capacity: 8 };
                CauseFacts { load: Some(load), ..CauseFacts::default() }
            }
            _ => {
                let lead_time = LeadTime { minutes: days * 24 * 60, least_minutes: days * 48 * 60 };
                CauseFacts { lead_time: Some(lead_time), ..CauseFacts::default() }
            }
        };
        self.later(1).tell(task::Command::DetermineCause { due, facts });
    }

    fn meeting(&mut self) {
        self.id = MeetingId(self.id).0;
        let hours = |at: DateTime<Utc>| Slot { start: at, end: at + TimeDelta::hours(1), zone: ZONE };
        let owner = Attendee::User(self.life.owner());
        let contact = Attendee::Contact(self.life.account.contact(0));
        let start = self.at + TimeDelta::hours(20);
        let schedule = Schedule {
            subject: Personal::new("What they need"),
            time: hours(start),
            attendees: vec![owner, contact],
            targets: vec![self.target()],
            activity_type: None,
        };
        self.tell(meeting::Command::Schedule(schedule));
        self.at = start + TimeDelta::hours(1);
        match self.life.dice.below(10) {
            0 => self.tell(meeting::Command::MarkNoShow {}),
            1 => {
                self.at = start - TimeDelta::hours(2);
                let reason = Personal::new("Ill");
                self.tell(meeting::Command::Cancel { reason });
            }
            kind => {
                if kind < 4 {
                    self.at = start - TimeDelta::hours(3);
                    let start = start + TimeDelta::days(2);
                    self.tell(meeting::Command::Reschedule { time: hours(start) });
                    self.at = start + TimeDelta::hours(1);
                }
                let attendance = meeting::Attendance::Present;
                self.tell(meeting::Command::RecordAttendance { attendee: contact, attendance });
                let result = Personal::new(*self.life.dice.one_of(&RESULTS));
                self.tell(meeting::Command::Hold { result });
            }
        }
    }

    fn call(&mut self) {
        self.ring(Direction::Outbound);
        let by = self.life.owner();
        self.later(1).tell(call::Command::Answer { by });
        let minutes = 1 + self.life.dice.below(20);
        self.later(minutes)
            .tell(call::Command::End { duration_s: i32::try_from(minutes * 60).unwrap_or(60) });
        self.belong_to_deal();
        let code = (*self.life.dice.one_of(&["interested", "call_again", "no_need"])).to_owned();
        self.tell(call::Command::SetDisposition { code, comment: Personal::default() });
    }

    /// A task to call back comes of it; it is done with a call.
    fn missed_call(&mut self) {
        self.ring(Direction::Inbound);
        self.belong_to_deal();
        let (missed, task, assignee) = (self.id, TaskId(self.part("call back")), self.life.owner());
        let due = self.at + TimeDelta::hours(4);
        self.later(1).tell(call::Command::Miss {
            task,
            assignee,
            due,
            force: false,
            reason: Personal::default(),
        });
        if self.life.dice.percent(20) {
            return;
        }
        let minutes = 20 + self.life.dice.below(300);
        self.later(minutes);
        self.id = CallId(self.part("returning call")).0;
        let by = CallId(self.id);
        self.call();
        self.id = missed;
        self.later(1).tell(call::Command::Return { by: Some(by) });
        let result = Personal::new("Called back");
        self.tell_of(task.stream(), task::Command::Complete { result });
    }

    fn ring(&mut self, direction: Direction) {
        let provider_id = CallId(self.id).to_string();
        let (from, to) = (Personal::new("+995555200000"), Personal::new("+995322000000"));
        self.tell(call::Command::Register { provider: "demo".to_owned(), provider_id, direction, from, to });
    }

    fn belong_to_deal(&mut self) {
        let (contact, deal) = (self.life.account.contact(0), self.life.deal);
        let outcome = Match::Contact { contact, belongs_to: Belongs::Deal(deal) };
        self.tell(call::Command::Match { outcome, reason: Personal::default() });
    }

    /// An inbound message is attached to the deal, answered, delivered and read.
    fn message(&mut self) {
        self.id = ConversationId(self.id).0;
        let (thread_id, contact) = (self.id.to_string(), Some(self.life.account.contact(1)));
        self.tell(conversation::Command::Open { channel: "whatsapp".to_owned(), thread_id, contact });
        let message_id = self.part("message").to_string();
        let text = Personal::new("When can you deliver?");
        self.tell(conversation::Command::Receive { message_id, text });
        let to = self.target();
        self.tell(conversation::Command::Link { to });
        let assignee = self.life.owner();
        self.tell(conversation::Command::Assign { assignee, force: false, reason: Personal::default() });
        let text = Personal::new("Within two weeks of the contract");
        let (purpose, consent, template) = (Purpose::Service, None, None);
        self.later(25).tell(conversation::Command::Send { text, purpose, consent, template });
        for report in [Report::Delivered {}, Report::Read {}] {
            self.later(1).tell(conversation::Command::RecordDelivery { message: 2, report });
        }
        if self.life.dice.percent(60) {
            self.later(300).tell(conversation::Command::Close {});
        }
    }

    fn note(&mut self) {
        self.id = NoteId(self.id).0;
        let text = Personal::new(*self.life.dice.one_of(&NOTES));
        let about = self.target();
        self.later(10).tell(note::Command::Add { about, text, visibility: Visibility::Team });
        match self.life.dice.below(8) {
            0 => self.later(1).tell(note::Command::Pin {}),
            1 => {
                let text = Personal::new(*self.life.dice.one_of(&NOTES));
                self.later(30).tell(note::Command::Revise { text, reason: Personal::default() });
            }
            _ => {}
        }
    }
}
