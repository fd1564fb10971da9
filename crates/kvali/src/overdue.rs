//! `kvali overdue`: what is late and why, which deals nobody works at, and how much everybody has to do.

use crate::arguments;
use crate::as_of::{Edge, When, instant};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::forms::Directory;
use crate::output::{Answer, Table};
use crate::progress;
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_eventstore::project::Answered;
use kvali_projections::overdue_tasks::{
    self as model, Asked, Cause, CauseFacts, DealAt, Due, DueTask, Listed, Person, Section, Sorting,
};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kvali overdue
      Every list: overdue tasks with their causes, due today, done late, moved, deals without a task, deals over
      their stage limit, idle deals, workload.
  kvali overdue --kind tasks --of nino@kvali.ge --order slips
  kvali overdue --kind tasks --cause absent --team North
      Whose leave nobody covered.
  kvali overdue --kind late --from 2026-10-01 --to 2026-11-01 --zone Asia/Tbilisi
      Done in October, after they were due; --to is not included.
  kvali overdue --as-of 2026-10-31 --zone Asia/Tbilisi
      As it stood at the end of that day.

A task that is due on a day is overdue when that day has ended in the zone that the task names; one that is due at an
instant, after it. The first cause that holds at the due instant is told:
  absent      the assignee was on leave
  overloaded  more open tasks were due that day than the assignee takes
  too_short   it was made later than its type of activity needs
  neglected   the assignee did nothing about the deal since the task was made";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Overdue {
    /// One list alone
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Tasks and deals of one user alone, by name, mail or id
    #[arg(long, value_name = "USER")]
    of: Option<String>,
    /// Those of a team and of the teams below it alone, by name or id
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Overdue tasks of this cause alone
    #[arg(long, value_enum)]
    cause: Option<Why>,
    /// What overdue tasks are sorted by
    #[arg(long, value_enum, default_value_t = Order::Due)]
    order: Order,
    /// Rows of each list at most
    #[arg(long, default_value_t = 50, value_name = "ROWS", value_parser = arguments::rows::<usize>())]
    limit: usize,
    /// For tasks done late: done on this day or later (in --zone), or at an instant
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// For tasks done late: done before this day or instant
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Whose days are meant where a due names no zone
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    #[command(flatten)]
    when: When,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Tasks,
    Today,
    Late,
    Slipped,
    Deals,
    Stages,
    Idle,
    Workload,
}

impl Kind {
    fn section(self) -> Section {
        match self {
            Self::Tasks => Section::Overdue,
            Self::Today => Section::DueToday,
            Self::Late => Section::DoneLate,
            Self::Slipped => Section::Slipped,
            Self::Deals => Section::WithoutTask,
            Self::Stages => Section::OverLimit,
            Self::Idle => Section::Idle,
            Self::Workload => Section::Workload,
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Why {
    Absent,
    Overloaded,
    TooShort,
    Neglected,
    Unknown,
}

impl Why {
    fn cause(self) -> Cause {
        match self {
            Self::Absent => Cause::Absent,
            Self::Overloaded => Cause::Overloaded,
            Self::TooShort => Cause::TooShort,
            Self::Neglected => Cause::Neglected,
            Self::Unknown => Cause::Unknown,
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Order {
    Due,
    Assignee,
    Slips,
}

impl Order {
    fn sorting(self) -> Sorting {
        match self {
            Self::Due => Sorting::Due,
            Self::Assignee => Sorting::Assignee,
            Self::Slips => Sorting::Slips,
        }
    }
}

impl Overdue {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let (as_of, mut asked) = (self.when.as_of(self.zone)?, self.asked()?);
        let session = Session::open(global, "default").await?;
        if let Some(mail) = self.of.as_deref().filter(|said| said.contains('@')) {
            // The read model knows names alone.
            asked.of = Some(Directory::new(&session).user(mail).await?.to_string());
        }
        let bar = progress::bar("folding events", 0);
        let progress = |at: i64, head: i64| {
            bar.set_length(head.unsigned_abs());
            bar.set_position(at.unsigned_abs());
        };
        let answered =
            model::overdue(&session.store, session.tenant, as_of, edge::now(), &progress, asked).await;
        bar.finish_and_clear();
        let answered = answered?;
        let (tables, mut notes) = tables(&answered.answer);
        if answered.parked > 0 {
            notes.push(format!(
                "{} records are missing, since their events could not be folded: kvali projections parked",
                answered.parked
            ));
        }
        Answer { tables, notes, json: self.json(&answered) }.print(global.format)?;
        Ok(Done::Well)
    }

    fn asked(&self) -> Result<Asked, Failure> {
        let bound = |flag, text: &Option<String>| {
            text.as_deref().map(|text| instant(flag, text, self.zone, Edge::Start)).transpose()
        };
        Ok(Asked {
            sections: self.kind.map_or(Section::ALL.to_vec(), |kind| vec![kind.section()]),
            of: self.of.clone(),
            team: self.team.clone(),
            cause: self.cause.map(Why::cause),
            sorting: self.order.sorting(),
            limit: self.limit,
            after: None,
            reach: Reach::All,
            zone: self.zone,
            from: bound("--from", &self.from)?,
            to: bound("--to", &self.to)?,
        })
    }

    fn json(&self, answered: &Answered<model::Answer>) -> Value {
        let mut json = json!(answered.answer);
        let beside = [
            ("at", json!(answered.at)),
            ("position", json!(answered.position)),
            ("parked", json!(answered.parked)),
            ("zone", json!(self.zone)),
        ];
        for (key, value) in beside {
            json[key] = value;
        }
        for key in ["as_of", "clock"] {
            json[key] = self.when.json()[key].clone();
        }
        json
    }
}

/// One table for each list that was asked for, and what is left out of them.
fn tables(answer: &model::Answer) -> (Vec<Table>, Vec<String>) {
    let mut told = Told::default();
    told.add(answer.overdue.as_ref(), "Overdue", OVERDUE, |row| {
        let cells = [
            json!(row.overdue_by_seconds),
            json!(row.slips),
            json!(row.cause),
            json!(evidence(&row.evidence)),
        ];
        [task_cells(&row.task), cells.into()].concat()
    });
    told.add(answer.due_today.as_ref(), "Due today", DUE_TODAY, |row| {
        [task_cells(row), vec![json!(row.is_overdue)]].concat()
    });
    told.add(answer.done_late.as_ref(), "Done late", DONE_LATE, |row| {
        let cells =
            [due(&row.original_due), json!(row.done_at), json!(row.late_by_seconds), json!(row.slips)];
        [task_cells(&row.task), cells.into()].concat()
    });
    told.add(answer.slipped.as_ref(), "Moved to later", SLIPPED, |row| {
        let cells = [due(&row.original_due), json!(row.slips), json!(row.slip_days), json!(row.snoozes)];
        [task_cells(&row.task), cells.into()].concat()
    });
    told.add(answer.deals_without_task.as_ref(), "Deals without an open task", WITHOUT_TASK, |row| {
        [deal_cells(&row.deal), vec![json!(row.since)]].concat()
    });
    told.add(answer.over_stage_limit.as_ref(), "Deals over the limit of their stage", OVER_LIMIT, |row| {
        let cells = [
            json!(row.entered_at),
            json!(row.max_days),
            json!(row.over_by_seconds),
            json!(row.on_hold_until),
        ];
        [deal_cells(&row.deal), cells.into()].concat()
    });
    told.add(answer.idle_deals.as_ref(), "Idle deals", IDLE, |row| {
        let cells = [
            json!(row.last_event_at),
            json!(row.idle_days),
            json!(row.idle_for_seconds),
            json!(row.on_hold_until),
        ];
        [deal_cells(&row.deal), cells.into()].concat()
    });
    told.add(answer.workload.as_ref(), "Workload", WORKLOAD, |row| {
        vec![
            person(&row.person),
            json!(row.open),
            json!(row.overdue),
            json!(row.due_today),
            json!(row.due_this_week),
            json!(row.capacity_per_day),
            json!(row.capacity_per_week),
            json!(row.absent_until),
        ]
    });
    (told.tables, told.notes)
}

const OVERDUE: &[&str] = &[
    "task",
    "subject",
    "assignee",
    "deals",
    "due",
    "zone",
    "overdue_by_seconds",
    "slips",
    "cause",
    "evidence",
];
const DUE_TODAY: &[&str] = &["task", "subject", "assignee", "deals", "due", "zone", "overdue"];
const DONE_LATE: &[&str] = &[
    "task",
    "subject",
    "assignee",
    "deals",
    "due",
    "zone",
    "original_due",
    "done_at",
    "late_by_seconds",
    "slips",
];
const SLIPPED: &[&str] =
    &["task", "subject", "assignee", "deals", "due", "zone", "original_due", "slips", "slip_days", "snoozes"];
const WITHOUT_TASK: &[&str] = &["deal", "name", "owner", "pipeline", "stage", "since"];
const OVER_LIMIT: &[&str] = &[
    "deal",
    "name",
    "owner",
    "pipeline",
    "stage",
    "entered_at",
    "max_days",
    "over_by_seconds",
    "on_hold_until",
];
const IDLE: &[&str] = &[
    "deal",
    "name",
    "owner",
    "pipeline",
    "stage",
    "last_event_at",
    "idle_days",
    "idle_for_seconds",
    "on_hold_until",
];
const WORKLOAD: &[&str] = &[
    "user",
    "open",
    "overdue",
    "due_today",
    "due_this_week",
    "capacity_per_day",
    "capacity_per_week",
    "absent_until",
];

#[derive(Default)]
struct Told {
    tables: Vec<Table>,
    notes: Vec<String>,
}

impl Told {
    fn add<T>(
        &mut self,
        listed: Option<&Listed<T>>,
        title: &str,
        columns: &[&'static str],
        cells: impl Fn(&T) -> Vec<Value>,
    ) {
        let Some(listed) = listed else { return };
        let mut table = Table::new(format!("{title}: {}", listed.total), columns);
        table.rows = listed.rows.iter().map(cells).collect();
        self.tables.push(table);
        let left = listed.total - listed.rows.len();
        if left > 0 {
            self.notes.push(format!("{title}: {left} more; --limit {} shows them", listed.total));
        }
    }
}

fn task_cells(task: &DueTask) -> Vec<Value> {
    let deals: Vec<String> = task.deals.iter().map(ToString::to_string).collect();
    vec![
        json!(task.task),
        json!(task.subject),
        person(&task.assignee),
        json!(deals.join(" ")),
        due(&task.due),
        json!(task.due.zone),
    ]
}

fn deal_cells(deal: &DealAt) -> Vec<Value> {
    vec![
        deal.external_id.as_ref().map_or_else(|| json!(deal.id), |external| json!(external)),
        json!(deal.name),
        deal.owner.as_ref().map_or(Value::Null, person),
        json!(deal.pipeline),
        json!(deal.stage),
    ]
}

fn person(person: &Person) -> Value {
    json!(person.name.clone().unwrap_or_else(|| format!("(no name) {}", person.id)))
}

fn due(due: &Due) -> Value {
    due.at.map_or_else(|| json!(due.day), |at| json!(at))
}

/// What spoke for the cause, and what did not, in few words.
fn evidence(facts: &CauseFacts) -> String {
    let absent = facts.absent.filter(|absent| *absent).map(|_| "on leave".to_owned());
    let load = facts.load.map(|load| format!("{} due that day, takes {}", load.open_tasks, load.capacity));
    let notice =
        facts.lead_time.map(|time| format!("made {} min before, needs {}", time.minutes, time.least_minutes));
    let done = facts.activities.map(|count| format!("{count} activities since"));
    [absent, load, notice, done].into_iter().flatten().collect::<Vec<_>>().join("; ")
}
