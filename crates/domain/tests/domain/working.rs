//! Random commands for tasks and meetings.

use crate::given::on;
use crate::sales::{MEETING, NINO, NOW, TASK};
use crate::stories::{DEALS, a_personal, a_user};
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::pipeline::Clock;
use kvali_domain::{
    ActivityTypeId, ContactId, Due, Order, Target, TaskId, TaskTemplateId, activity_types, meeting, task,
    task_templates,
};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

pub(crate) fn an_order() -> BoxedStrategy<Order> {
    prop_oneof![
        3 => (select(TASKS.to_vec()), a_task_command()).prop_map(|(task, command)| on(task.stream(), command)),
        1 => a_meeting_command().prop_map(|command| on(MEETING.stream(), command)),
    ]
    .boxed()
}

pub(crate) const TASKS: [TaskId; 2] = [TASK, TaskId(Uuid::from_u128(0x7a52))];

/// An activity type of calls, and so a disposition.
const RING: ActivityTypeId = ActivityTypeId(Uuid::from_u128(0xac));
const CALL_BACK: TaskTemplateId = TaskTemplateId(Uuid::from_u128(0x7e));

pub(crate) fn define_ring() -> activity_types::Command {
    activity_types::Command::Define {
        activity_type: RING,
        code: "no_answer".to_owned(),
        label: "Nobody answered".to_owned(),
        kind: activity_types::Kind::Call,
        result_required: false,
        minimum_lead_minutes: 0,
    }
}

pub(crate) fn define_call_back() -> task_templates::Command {
    task_templates::Command::Define {
        template: CALL_BACK,
        subject: "Call back".to_owned(),
        activity_type: RING,
        offset_days: 2,
        clock: Clock::Calendar,
    }
}

fn a_due() -> impl Strategy<Value = Due> {
    let zone = chrono_tz::Asia::Tbilisi;
    let day = |days| Due::Day { date: NOW.date_naive() + chrono::Days::new(days), zone };
    select(vec![day(5), day(20), Due::At(NOW + TimeDelta::days(10))])
}

fn a_time() -> impl Strategy<Value = DateTime<Utc>> {
    select(vec![30_i64, 100, 200, 400]).prop_map(|hours| NOW + TimeDelta::hours(hours))
}

fn a_target() -> impl Strategy<Value = Target> {
    let contact = Target::Contact(ContactId(Uuid::from_u128(0xc0)));
    select(vec![contact, Target::Deal(DEALS[0]), Target::Deal(DEALS[1])])
}

fn a_task() -> impl Strategy<Value = task::Create> {
    let estimate = prop::option::of(-1_i32..60);
    let targets = prop::collection::vec(a_target(), 0..3);
    let demands = (any::<bool>(), prop::option::weighted(0.2, Just(RING)), any::<bool>());
    (a_personal(), a_due(), a_user(), demands, prop::option::weighted(0.2, a_time()), targets, estimate)
        .prop_map(
            |(
                subject,
                due,
                assignee,
                (result_required, activity_type, force),
                start,
                targets,
                estimate_minutes,
            )| {
                task::Create {
                    result_required,
                    activity_type,
                    force,
                    reason: subject.clone(),
                    start,
                    targets,
                    estimate_minutes,
                    ..task::Create::new(subject, due, assignee)
                }
            },
        )
}

fn some_cause_facts() -> impl Strategy<Value = task::CauseFacts> {
    use prop::option::of;
    let load = (0..3, 0..3).prop_map(|(open_tasks, capacity)| task::Load { open_tasks, capacity });
    let lead_time =
        (0..3, 0..3).prop_map(|(minutes, least_minutes)| task::LeadTime { minutes, least_minutes });
    (of(any::<bool>()), of(load), of(lead_time), of(0..2)).prop_map(
        |(absent, load, lead_time, activities)| task::CauseFacts { absent, load, lead_time, activities },
    )
}

pub(crate) fn a_task_command() -> BoxedStrategy<task::Command> {
    use task::Command;
    let priority = prop::option::of(select(vec![task::Priority::Low, task::Priority::Urgent]));
    let edit = (a_personal(), prop::option::of(a_time()), priority, prop::option::of(0_i32..60)).prop_map(
        |(subject, start, priority, estimate_minutes)| task::Edit {
            subject,
            start,
            priority,
            estimate_minutes,
        },
    );
    let template = (-1_i32..3).prop_map(|version| task::Template { id: CALL_BACK, version });
    let working = prop_oneof![
        2 => edit.prop_map(Command::Edit),
        2 => (a_user(), any::<bool>(), a_personal())
            .prop_map(|(assignee, force, reason)| Command::Reassign { assignee, force, reason }),
        2 => (a_due(), a_personal()).prop_map(|(due, reason)| Command::Reschedule { due, reason }),
        2 => Just(Command::Start {}),
        2 => a_time().prop_map(|until| Command::Defer { until }),
        2 => a_personal().prop_map(|text| Command::AddItem { text }),
        2 => prop_oneof![4 => 1_i32..3, 1 => any::<i32>()].prop_map(|item| Command::TickItem { item }),
        2 => a_target().prop_map(|target| Command::Link { target }),
        2 => a_target().prop_map(|target| Command::Unlink { target }),
    ];
    let timing = prop_oneof![
        1 => a_time().prop_map(|until| Command::Snooze { until }),
        2 => a_time().prop_map(|at| Command::SetReminder { at }),
        1 => a_time().prop_map(|at| Command::ClearReminder { at }),
        2 => a_time().prop_map(|at| Command::FireReminder { at }),
        2 => a_due().prop_map(|due| Command::MarkOverdue { due }),
        2 => (a_due(), some_cause_facts()).prop_map(|(due, facts)| Command::DetermineCause { due, facts }),
    ];
    let ending = prop_oneof![
        1 => a_personal().prop_map(|result| Command::Complete { result }),
        1 => a_personal().prop_map(|reason| Command::Cancel { reason }),
        3 => (prop::option::of(a_user()), any::<bool>(), a_personal())
            .prop_map(|(assignee, force, reason)| Command::Reopen { assignee, force, reason }),
    ];
    prop_oneof![
        1 => a_task().prop_map(Command::Create),
        1 => (template, a_task()).prop_map(|(template, task)| Command::FromTemplate { template, task }),
        6 => working,
        6 => timing,
        2 => ending,
    ]
    .boxed()
}

pub(crate) fn a_meeting_command() -> BoxedStrategy<meeting::Command> {
    use meeting::{Attendance, Attendee, Command, Slot};
    let zone = chrono_tz::Asia::Tbilisi;
    let slot = || {
        (a_time(), -1_i64..3).prop_map(move |(start, hours)| Slot {
            start,
            end: start + TimeDelta::hours(hours),
            zone,
        })
    };
    let contact = Attendee::Contact(ContactId(Uuid::from_u128(0xc0)));
    let attendee = move || select(vec![Attendee::User(NINO), contact]);
    let (attendees, targets) =
        (prop::collection::vec(attendee(), 0..4), prop::collection::vec(a_target(), 0..2));
    let schedule =
        (a_personal(), slot(), attendees, targets).prop_map(|(subject, time, attendees, targets)| {
            meeting::Schedule { subject, activity_type: None, time, attendees, targets }
        });
    prop_oneof![
        2 => schedule.prop_map(Command::Schedule),
        2 => slot().prop_map(|time| Command::Reschedule { time }),
        2 => (attendee(), select(vec![Attendance::Present, Attendance::Absent]))
            .prop_map(|(attendee, attendance)| Command::RecordAttendance { attendee, attendance }),
        1 => a_personal().prop_map(|result| Command::Hold { result }),
        2 => Just(Command::MarkNoShow {}),
        1 => a_personal().prop_map(|reason| Command::Cancel { reason }),
    ]
    .boxed()
}
