//! What events make of the cards.

#![expect(clippy::struct_field_names, reason = "a row's fields are named as the columns are")]

use crate::called::Called;
use crate::rows::{Row, Rows, day, exact, instant, moment};
use chrono::{DateTime, NaiveDate, Utc};
use kvali_domain::deal::{self, Party};
use kvali_domain::pipeline::{self, Config, Pipeline, Stage};
use kvali_domain::{
    CompanyId, ContactId, ConversationId, DealId, Decider, Due, Event, Money, PipelineId, StageId, Target,
    TaskId, UserId, Version, call, conversation, meeting, merge, note, task,
};
use kvali_eventstore::Opened;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Card {
    pub deal_id: DealId,
    pub pipeline_id: PipelineId,
    pub pipeline_version: Version,
    pub stage_id: StageId,
    pub visit: i32,
    pub entered_at: Option<DateTime<Utc>>,
    pub entered_position: i64,
    pub owner: Option<UserId>,
    pub contacts: BTreeSet<ContactId>,
    pub contact: Option<ContactId>,
    pub company: Option<CompanyId>,
    pub name_of: DealId,
    #[serde(with = "exact")]
    pub amount: Option<Decimal>,
    pub currency: Option<String>,
    pub expected_close: Option<NaiveDate>,
    pub on_hold_until: Option<NaiveDate>,
    pub last_activity_at: Option<DateTime<Utc>>,
    pub is_closed: bool,
    pub merged_into: Option<DealId>,
    pub merged: BTreeSet<DealId>,
    pub is_on_board: bool,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskRow {
    pub task_id: TaskId,
    pub deals: BTreeSet<DealId>,
    pub is_open: bool,
    pub due: Due,
    pub due_at: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct OpenTask {
    pub deal_id: DealId,
    pub due_at: DateTime<Utc>,
    pub task_id: TaskId,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Thread {
    pub conversation_id: ConversationId,
    pub deals: BTreeSet<DealId>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Name {
    pub id: Uuid,
    pub is_user: bool,
    pub name: Option<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PipelineRow {
    pub pipeline_id: PipelineId,
    pub version: Version,
    pub name: String,
    pub stages: Vec<Stage>,
    pub retired: BTreeSet<StageId>,
}

impl Row for Card {
    type Key = DealId;
    const TABLE: &'static str = "card";
    const KEY: &'static [&'static str] = &["deal_id"];
    fn key(&self) -> DealId {
        self.deal_id
    }
}

impl Row for TaskRow {
    type Key = TaskId;
    const TABLE: &'static str = "task";
    const KEY: &'static [&'static str] = &["task_id"];
    fn key(&self) -> TaskId {
        self.task_id
    }
}

impl Row for OpenTask {
    type Key = (DealId, DateTime<Utc>, TaskId);
    const TABLE: &'static str = "open_task";
    const KEY: &'static [&'static str] = &["deal_id", "due_at", "task_id"];
    fn key(&self) -> Self::Key {
        (self.deal_id, self.due_at, self.task_id)
    }
}

impl Row for Thread {
    type Key = ConversationId;
    const TABLE: &'static str = "thread";
    const KEY: &'static [&'static str] = &["conversation_id"];
    fn key(&self) -> ConversationId {
        self.conversation_id
    }
}

impl Row for Name {
    type Key = Uuid;
    const TABLE: &'static str = "called";
    const KEY: &'static [&'static str] = &["id"];
    fn key(&self) -> Uuid {
        self.id
    }
}

impl Row for PipelineRow {
    type Key = PipelineId;
    const TABLE: &'static str = "pipeline";
    const KEY: &'static [&'static str] = &["pipeline_id"];
    fn key(&self) -> PipelineId {
        self.pipeline_id
    }
}

/// The rows of one tenant, as far as a batch concerns them.
#[derive(Default)]
pub(super) struct Facts {
    pub cards: Rows<Card>,
    pub tasks: Rows<TaskRow>,
    pub open_tasks: Rows<OpenTask>,
    pub threads: Rows<Thread>,
    pub names: Rows<Name>,
    pub pipelines: Rows<PipelineRow>,
}

/// What a batch refers to and must find in the facts before it is folded.
#[derive(Default)]
pub(super) struct Wanted {
    pub deals: BTreeSet<DealId>,
    pub tasks: BTreeSet<TaskId>,
    pub threads: BTreeSet<ConversationId>,
    pub names: BTreeSet<Uuid>,
    pub pipelines: BTreeSet<PipelineId>,
}

impl Wanted {
    pub(super) fn of(events: &[Opened]) -> Self {
        let mut wanted = Self::default();
        for Opened { recorded, event } in events {
            let stream = recorded.stream.0;
            match event {
                Event::Deal(event) => {
                    wanted.deals.insert(DealId(stream));
                    match event {
                        deal::Event::Opened(event) => wanted.names.extend(event.party.map(party)),
                        deal::Event::Merged(event) => wanted.deals.extend(&event.losers),
                        deal::Event::Unmerged(event) => wanted.deals.extend(&event.losers),
                        _ => {}
                    }
                }
                Event::Task(_) => drop(wanted.tasks.insert(TaskId(stream))),
                Event::Conversation(_) => drop(wanted.threads.insert(ConversationId(stream))),
                Event::Pipeline(_) => drop(wanted.pipelines.insert(PipelineId(stream))),
                _ => {}
            }
            wanted.deals.extend(told(event));
            wanted.names.extend(Called::by(event).map(|called| called.id));
        }
        wanted
    }
}

fn party(party: Party) -> Uuid {
    match party {
        Party::Contact(contact) => contact.0,
        Party::Company(company) => company.0,
    }
}

fn deals(targets: &[Target]) -> Vec<DealId> {
    let deal = |target: &Target| if let Target::Deal(deal) = target { Some(*deal) } else { None };
    targets.iter().filter_map(deal).collect()
}

/// The deals that an event elsewhere is an activity of, by its own words.
fn told(event: &Event) -> Vec<DealId> {
    match event {
        Event::Task(task::Event::Completed(event)) => event.deals.clone(),
        Event::Meeting(meeting::Event::Held(event)) => deals(&event.targets),
        Event::Note(note::Event::Added(event)) => deals(&[event.about]),
        Event::Call(call::Event::Matched(event)) => deals(&[event.belongs_to.target()]),
        Event::Conversation(conversation::Event::Linked(event)) => deals(&[event.to]),
        _ => Vec::new(),
    }
}

impl Facts {
    pub(super) fn apply(&mut self, opened: &Opened) {
        let stream = opened.recorded.stream.0;
        match &opened.event {
            Event::Deal(event) => self.deal(DealId(stream), event, opened),
            Event::Task(event) => self.task(TaskId(stream), event),
            Event::Conversation(event) => self.conversation(ConversationId(stream), event, opened),
            Event::Pipeline(event) => self.configure(PipelineId(stream), event, opened),
            _ => {}
        }
        for deal in told(&opened.event) {
            self.touch(deal, opened);
        }
        if let Some(called) = Called::by(&opened.event) {
            self.call(called, &opened.event);
        }
    }

    fn call(&mut self, Called { id, name }: Called, event: &Event) {
        let is_user = matches!(event, Event::User(_));
        match event {
            Event::Lead(_) => {}
            // Whoever has no row to clear was never called anything here.
            Event::Subject(_) => {
                if let Some(row) = self.names.get_mut(&id) {
                    row.name = None;
                }
            }
            _ => {
                let row = self.names.get_or_put(Name { id, is_user, name: None });
                (row.is_user, row.name) = (is_user, name);
            }
        }
    }

    fn configure(&mut self, id: PipelineId, event: &pipeline::Event, opened: &Opened) {
        let version = opened.recorded.version;
        let before = self.pipelines.remove(&id);
        let mut retired = before.as_ref().map(|row| row.retired.clone()).unwrap_or_default();
        let config = before.map(|row| Config { name: row.name, stages: row.stages, ..Config::default() });
        let mut pipeline = config.map_or(Pipeline::Absent, Pipeline::Defined);
        pipeline.evolve(event, version, &opened.recorded.occurred);
        if let pipeline::Event::StageRetired(event) = event {
            retired.insert(event.stage);
        }
        if let Pipeline::Defined(Config { name, stages, .. }) = pipeline {
            self.pipelines.put(PipelineRow { pipeline_id: id, version, name, stages, retired });
        }
    }

    fn conversation(&mut self, id: ConversationId, event: &conversation::Event, opened: &Opened) {
        match event {
            conversation::Event::Linked(event) => {
                let thread = self.threads.get_or_put(Thread { conversation_id: id, deals: BTreeSet::new() });
                thread.deals.extend(deals(&[event.to]));
            }
            conversation::Event::MessageReceived(_) | conversation::Event::MessageSent(_) => {
                let about = self.threads.get(&id).map(|thread| thread.deals.clone()).unwrap_or_default();
                for deal in about {
                    self.touch(deal, opened);
                }
            }
            _ => {}
        }
    }

    /// Something was done about a deal; of a merged one that is the survivor's.
    fn touch(&mut self, deal: DealId, opened: &Opened) {
        let mut deal = deal;
        while let Some(into) = self.cards.get(&deal).and_then(|card| card.merged_into) {
            deal = into;
        }
        if let Some(card) = self.cards.get_mut(&deal) {
            card.last_activity_at = card.last_activity_at.max(moment(opened));
        }
    }

    fn task(&mut self, id: TaskId, event: &task::Event) {
        if let task::Event::Created(event) = event {
            let deals = deals(&event.targets).into_iter().collect();
            let due_at = instant(event.due.overdue_after());
            self.tasks.put(TaskRow { task_id: id, deals, is_open: true, due: event.due, due_at });
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        match event {
            task::Event::Rescheduled(event) => {
                (task.due, task.due_at) = (event.to, instant(event.to.overdue_after()));
            }
            task::Event::Completed(_) | task::Event::Cancelled(_) => task.is_open = false,
            task::Event::Reopened(_) => task.is_open = true,
            task::Event::Linked(event) => task.deals.extend(deals(&[event.target])),
            task::Event::Unlinked(event) => {
                for deal in deals(&[event.target]) {
                    task.deals.remove(&deal);
                }
            }
            _ => {}
        }
    }

    fn deal(&mut self, id: DealId, event: &deal::Event, opened: &Opened) {
        match event {
            deal::Event::Opened(event) => self.open(id, event, opened),
            deal::Event::Merged(event) => {
                let kin = event.losers.iter().chain(&event.kin).copied();
                self.edit(id, |card| {
                    card.merged.extend(kin);
                    card.change(&event.changes);
                });
            }
            deal::Event::Unmerged(event) => {
                let with_theirs = |loser: &DealId| {
                    let merged = self.cards.get(loser).map(|card| card.merged.clone()).unwrap_or_default();
                    merged.into_iter().chain([*loser])
                };
                let gone: BTreeSet<DealId> = event.losers.iter().flat_map(with_theirs).collect();
                self.edit(id, |card| {
                    card.merged.retain(|deal| !gone.contains(deal));
                    card.change(&event.changes);
                });
            }
            event => self.edit(id, |card| card.evolve(event, opened)),
        }
    }

    fn open(&mut self, id: DealId, event: &deal::Opened, opened: &Opened) {
        if let Some(party) = event.party.map(party) {
            let row = self.names.get_or_put(Name { id: party, is_user: false, name: None });
            row.name = row.name.take().or_else(|| event.party_name.0.clone());
        }
        let contact = if let Some(Party::Contact(contact)) = event.party { Some(contact) } else { None };
        let company = if let Some(Party::Company(company)) = event.party { Some(company) } else { None };
        let entered_at = moment(opened);
        let mut card = Card {
            deal_id: id,
            pipeline_id: event.pipeline,
            pipeline_version: event.pipeline_version,
            stage_id: event.stage,
            visit: 1,
            entered_at,
            entered_position: opened.recorded.position,
            owner: event.owner,
            contacts: contact.into_iter().collect(),
            contact,
            company,
            name_of: id,
            amount: None,
            currency: None,
            expected_close: event.expected_close.map(day),
            on_hold_until: None,
            last_activity_at: entered_at,
            is_closed: false,
            merged_into: None,
            merged: BTreeSet::new(),
            is_on_board: true,
        };
        card.set_value(event.value);
        self.cards.put(card);
    }

    fn edit(&mut self, id: DealId, change: impl FnOnce(&mut Card)) {
        if let Some(card) = self.cards.get_mut(&id) {
            change(card);
            card.is_on_board = !card.is_closed && card.merged_into.is_none();
        }
    }
}

impl Card {
    fn evolve(&mut self, event: &deal::Event, opened: &Opened) {
        match event {
            deal::Event::StageChanged(event) => {
                self.enter(event.visit, event.to, event.pipeline_version, opened);
            }
            deal::Event::PipelineChanged(event) => {
                self.pipeline_id = event.to_pipeline;
                self.enter(event.visit, event.to, event.pipeline_version, opened);
            }
            deal::Event::StageCorrected(event) if event.visit == self.visit => {
                (self.stage_id, self.pipeline_version) = (event.to, event.pipeline_version);
            }
            deal::Event::Won(event) => {
                self.enter(event.visit, event.stage, event.pipeline_version, opened);
                self.is_closed = true;
            }
            deal::Event::Lost(event) => {
                self.enter(event.visit, event.stage, event.pipeline_version, opened);
                self.is_closed = true;
            }
            deal::Event::Reopened(event) => {
                self.enter(event.visit, event.to, event.pipeline_version, opened);
                self.is_closed = false;
            }
            deal::Event::Assigned(event) => self.owner = Some(event.to),
            deal::Event::ValueChanged(event) => self.set_value(Some(event.to)),
            deal::Event::ExpectedCloseChanged(event) => self.expected_close = Some(day(event.to)),
            deal::Event::PutOnHold(event) => self.on_hold_until = Some(day(event.until)),
            deal::Event::Resumed(_) => self.on_hold_until = None,
            deal::Event::Renamed(_) => self.name_of = self.deal_id,
            deal::Event::ContactAdded(event) => {
                self.contacts.insert(event.contact);
                self.contact.get_or_insert(event.contact);
            }
            deal::Event::ContactRemoved(event) => {
                self.contacts.remove(&event.contact);
                if self.contact == Some(event.contact) {
                    self.contact = self.contacts.first().copied();
                }
            }
            deal::Event::PrimaryContactSet(event) => self.contact = Some(event.to),
            deal::Event::CompanySet(event) => self.company = Some(event.to),
            deal::Event::MergedInto(event) => self.merged_into = Some(event.survivor),
            deal::Event::Separated(_) => self.merged_into = None,
            // What says nothing of where a deal stands.
            _ => {}
        }
        if is_done_by_somebody(event) {
            self.last_activity_at = self.last_activity_at.max(moment(opened));
        }
    }

    fn enter(&mut self, visit: i32, stage: StageId, version: Version, opened: &Opened) {
        // A day begins before the instants within it; a visit never begins before the one it ends.
        let floor = self.entered_at;
        let occurred = moment(opened);
        self.entered_at = occurred.map(|at| floor.map_or(at, |floor| at.max(floor)));
        self.entered_position = opened.recorded.position;
        (self.visit, self.stage_id, self.pipeline_version) = (visit, stage, version);
    }

    fn set_value(&mut self, value: Option<Money>) {
        self.amount = value.map(|value| value.amount);
        self.currency = value.map(|value| value.currency.to_string());
    }

    /// What a merge, or undoing one, says of the survivor.
    fn change(&mut self, changes: &[merge::Change]) {
        let deal::Changed { owner, value, .. } = deal::Changed::by(changes);
        self.owner = owner.unwrap_or(self.owner);
        if let Some(value) = value {
            self.set_value(value);
        }
        for merge::Change { field, to, .. } in changes {
            let to = to.as_ref();
            match field.as_str() {
                "name" => self.name_of = merge::sealed_in(to).unwrap_or(self.deal_id),
                "expected_close" => self.expected_close = merge::value(to).map(day),
                "company" => self.company = merge::value(to),
                "contacts" => {
                    let contacts: Vec<(ContactId, deal::ContactRole)> = merge::value(to).unwrap_or_default();
                    self.contacts = contacts.into_iter().map(|(contact, _)| contact).collect();
                    let is_there = |contact: &ContactId| self.contacts.contains(contact);
                    self.contact = self.contact.filter(is_there).or(self.contacts.first().copied());
                }
                _ => {}
            }
        }
    }
}

fn is_done_by_somebody(event: &deal::Event) -> bool {
    !matches!(
        event,
        deal::Event::StageLimitExceeded(_)
            | deal::Event::WentIdle(_)
            | deal::Event::LeftWithoutTask(_)
            | deal::Event::MergedInto(_)
            | deal::Event::Separated(_)
    )
}
