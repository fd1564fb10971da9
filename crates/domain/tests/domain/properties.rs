//! Whatever is commanded, in whatever order and at whatever time, these things hold.

use crate::claiming::Claims;
use crate::configuring::{self};
use crate::given::{Happened, World, on};
use crate::sales::{self, NOW};
use crate::stories::{SECRET, Step, a_policy, a_step, a_step_of, anything, areas, beginnings};
use crate::{dealing, joining, merging};
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::deal::{self, Deal, External, OpenDeal, Outcome};
use kvali_domain::loss_reasons::{self, LossReasons};
use kvali_domain::pipeline::{self, Class, Config};
use kvali_domain::{
    Command, Condition, Event, Occurred, PipelineId, Refusal, State, StreamId, call, company, contact,
    conversation, lead, meeting, note, task, user,
};
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeSet, HashMap};

/// A log under test: everything that happened, and the states folded as it did.
#[derive(Default)]
struct Log {
    world: World,
    happened: HashMap<StreamId, Vec<Happened>>,
    counted: BTreeSet<(StreamId, &'static str, String)>,
    claims: Claims,
}

impl Log {
    fn state(&self, stream: StreamId) -> Option<&State> {
        self.world.state(stream)
    }

    fn config(&self, pipeline: PipelineId) -> Option<&Config> {
        match self.state(pipeline.stream())? {
            State::Pipeline(pipeline) => pipeline.config(),
            _ => None,
        }
    }

    fn reasons(&self) -> LossReasons {
        match self.state(loss_reasons::STREAM) {
            Some(State::LossReasons(reasons)) => reasons.clone(),
            _ => LossReasons::default(),
        }
    }

    fn deal(&self, stream: StreamId) -> Deal {
        match self.state(stream) {
            Some(State::Deal(deal)) => deal.clone(),
            _ => Deal::default(),
        }
    }

    fn obey(&mut self, step: &Step, now: DateTime<Utc>) -> Result<usize, TestCaseError> {
        let occurred = step.when.occurred(now);
        let order = &joining::looked_up(&step.order, &self.world);
        let sender = step.sender(now, occurred.as_ref());
        merging::comes_apart_again(&self.world, order, &sender)?;
        let alias = self.world.survivor(order.stream) != order.stream;
        let decide = |log: &Self| log.world.carry_out(order, &sender);
        let answer = decide(self);
        prop_assert_eq!(&answer, &decide(self), "decide is deterministic");
        hides_secrets(&format!("{order:?} {answer:?}"))?;
        if order.command.begins() && self.state(order.stream).is_some() {
            let nothing = answer.as_ref().map_or(true, Vec::is_empty);
            prop_assert!(nothing, "what begins a stream adds nothing to one that is there");
        }
        match answer {
            Err(refusal) => {
                self.explains(&refusal, step, now)?;
                Ok(0)
            }
            // Somebody else holds a key, or something is left that must not be.
            Ok(events) if !self.claims.admit(&events) => Ok(0),
            Ok(events) => {
                prop_assert!(self.claims.never_below_zero());
                let occurred = occurred.unwrap_or(Occurred::Instant { at: now });
                prop_assert!(occurred.at().is_none_or(|at| at <= now), "nothing happens in the future");
                for (stream, event) in &events {
                    self.obeys_policy(*stream, event)?;
                    self.append(*stream, event, occurred)?;
                }
                // Undoing a merge may make the id that it was sent to mean another record.
                if says_how_it_shall_be(&order.command) && !alias {
                    prop_assert_eq!(decide(self), Ok(Vec::new()), "what was accepted is already so");
                }
                Ok(events.len())
            }
        }
    }

    /// Whatever counts a stream counts it once, and uncounts only what it counted.
    fn counts(&mut self, stream: StreamId, event: &Event) -> Result<(), TestCaseError> {
        for claim in event.claims() {
            let counted = (stream, claim.kind, claim.key.clone());
            let changes = match claim.condition {
                Condition::Count => self.counted.insert(counted),
                Condition::Uncount => self.counted.remove(&counted),
                _ => true,
            };
            prop_assert!(changes, "{:?} by {:?}", claim, event);
        }
        Ok(())
    }

    /// Appends what comes back from the stored bytes, so that every state is one that a replay gives.
    fn append(&mut self, stream: StreamId, event: &Event, occurred: Occurred) -> Result<(), TestCaseError> {
        self.counts(stream, event)?;
        let stored = read_back(event)?;
        prop_assert_eq!(&stored, event, "bytes give the event back");
        let happened = Happened { stream, event: stored, occurred };
        self.world.apply(&happened);
        self.happened.entry(stream).or_default().push(happened);
        Ok(())
    }

    /// What a refusal says is accepted would be accepted.
    fn explains(&self, refusal: &Refusal, step: &Step, now: DateTime<Utc>) -> Result<(), TestCaseError> {
        hides_secrets(&refusal.to_string())?;
        hides_secrets(&serde_json::to_string(refusal).expect("refusals are JSON"))?;
        prop_assert_ne!(refusal.code(), "refused", "every refusal has its own code");
        let deal = self.deal(step.order.stream);
        let Some(deal) = deal.record() else { return Ok(()) };
        let Some(config) = self.config(deal.pipeline) else { return Ok(()) };
        let instead: Vec<deal::Command> = match refusal {
            Refusal::Deal(
                deal::Refusal::Backward { accepted, .. }
                | deal::Refusal::Skips { accepted, .. }
                | deal::Refusal::SamePipeline { accepted, .. },
            ) => {
                let named = accepted.iter().filter_map(|name| config.stage_named(name));
                named.map(|stage| sales::move_to(stage.id)).collect()
            }
            Refusal::Deal(
                deal::Refusal::LossReasonMissing { accepted }
                | deal::Refusal::LossReasonUnknown { accepted, .. },
            ) => {
                let reasons = self.reasons();
                let named = accepted.iter().filter_map(|code| reasons.by_code(code));
                named.map(|reason| sales::close_lost(Some(reason.id))).collect()
            }
            _ => return Ok(()),
        };
        for command in instead {
            let order = on(step.order.stream, command);
            let answer = self.world.decide(&order, now, None, None);
            // What a stage requires besides is told when the deal has its way otherwise.
            let allowed = matches!(answer, Ok(_) | Err(Refusal::Deal(deal::Refusal::Requirements { .. })));
            prop_assert!(allowed, "{} – but {:?} gives {:?}", refusal, order, answer);
        }
        Ok(())
    }

    /// Judged before the event is applied, by the rules in force.
    fn obeys_policy(&self, stream: StreamId, event: &Event) -> Result<(), TestCaseError> {
        let deal = self.deal(stream);
        match event {
            Event::Deal(deal::Event::StageChanged(event)) => {
                let deal = deal.record().expect("a deal that moves was opened");
                let config = self.config(deal.pipeline).expect("it moves in a pipeline");
                let place = |id| config.of_class(Class::Process).position(|stage| stage.id == id);
                let to = place(event.to).expect("it enters a stage in force");
                // A stage that was retired has no place any more; from there every way is open.
                if let Some(from) = place(event.from) {
                    prop_assert!(from < to || config.policy.allow_backward, "places never decrease");
                    prop_assert!(to <= from + 1 || config.policy.allow_skip, "nothing is skipped");
                }
                prop_assert!(!config.archived, "an archived pipeline takes no deals");
                prop_assert_eq!(event.pipeline_version, config.version);
            }
            Event::Deal(deal::Event::PipelineChanged(event)) => {
                let deal = deal.record().expect("a deal that is transferred was opened");
                let config = self.config(event.to_pipeline).expect("it goes to a pipeline");
                prop_assert_eq!((deal.pipeline, deal.stage), (event.from_pipeline, event.from));
                prop_assert!(event.to_pipeline != event.from_pipeline && !config.archived);
                prop_assert!(config.of_class(Class::Process).any(|stage| stage.id == event.to));
                prop_assert!(!deal.with.is_nobody() || !config.policy.party_required);
                prop_assert_eq!(event.pipeline_version, config.version);
            }
            Event::Deal(deal::Event::Opened(event)) => {
                let config = self.config(event.pipeline).expect("it opens in a pipeline");
                prop_assert!(config.entry_stages.contains(&event.stage) && !config.archived);
                prop_assert!(event.party.is_some() || !config.policy.party_required);
            }
            Event::Deal(deal::Event::Won(event)) => {
                let deal = deal.record().expect("a deal that is won was opened");
                let policy = self.config(deal.pipeline).expect("it was in a pipeline").policy;
                let worth = event.value.is_some_and(|value| value.amount > rust_decimal::Decimal::ZERO);
                prop_assert!(worth || !policy.value_required);
            }
            Event::Deal(deal::Event::Lost(event)) => {
                let deal = deal.record().expect("a deal that is lost was opened");
                let reasons = self.reasons();
                let reason = reasons.get(event.reason);
                prop_assert!(reason.is_some_and(|reason| reason.serves(deal.pipeline)));
            }
            Event::Deal(deal::Event::Reopened(_)) => {
                let deal = deal.record().expect("a deal that is reopened was opened");
                prop_assert!(self.config(deal.pipeline).expect("a pipeline").policy.allow_reopen);
            }
            Event::Company(company::Event::Archived(_)) => {
                let with =
                    |deal: &OpenDeal| deal.with.company.map(|company| self.world.survivor(company.stream()));
                prop_assert!(
                    self.open_deals().all(|deal| with(deal) != Some(stream)),
                    "{} has open deals",
                    stream
                );
            }
            Event::Contact(contact::Event::Archived(_)) => {
                let alone = |deal: &OpenDeal| match deal.with.contacts.keys().collect::<Vec<_>>()[..] {
                    [contact] => Some(self.world.survivor(contact.stream())),
                    _ => None,
                };
                prop_assert!(
                    self.open_deals().all(|deal| alone(deal) != Some(stream)),
                    "{} is all there is",
                    stream
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// Those that stand for themselves.
    fn open_deals(&self) -> impl Iterator<Item = &OpenDeal> {
        self.happened.keys().filter_map(|stream| match self.state(*stream) {
            Some(State::Deal(Deal::Open(deal))) if deal.merging.into.is_none() => Some(deal),
            _ => None,
        })
    }

    fn is_sound(&self) -> Result<(), TestCaseError> {
        self.unique_keys_are_unique()?;
        for (stream, happened) in &self.happened {
            let state = self.state(*stream).expect("what happened was folded");
            hides_secrets(&format!("{state:?}"))?;
            merging::every_alias_resolves(&self.world, *stream)?;
            let mut again = State::before_event(&happened[0].event);
            for (version, happened) in (1..).zip(happened) {
                again.evolve(&happened.event, version, &happened.occurred);
            }
            prop_assert_eq!(&again, state, "a replay gives the same state");
            if let State::Deal(deal) = state {
                self.stands_where_it_may(deal)?;
                counts_its_visits(deal, happened)?;
            }
            if let State::Pipeline(pipeline) = state {
                let config = pipeline.config().expect("its first event creates it");
                is_complete(config, happened.len())?;
                configuring::holds_the_fields_it_requires(config, happened)?;
            }
            self.work_is_in_good_hands(*stream, state)?;
            if let State::Tags(tags) = state {
                configuring::aliases_lead_to_tags_in_use(tags)?;
            }
        }
        Ok(())
    }

    /// Keys that only one may have, one has.
    fn unique_keys_are_unique(&self) -> Result<(), TestCaseError> {
        let mut known = BTreeSet::new();
        for stream in self.happened.keys() {
            let key = match self.state(*stream) {
                Some(State::Pipeline(pipeline)) => {
                    pipeline.config().map(|config| ("pipeline", pipeline::folded(&config.name)))
                }
                Some(State::Deal(deal)) => {
                    external("deal", deal.record().and_then(|deal| deal.external.as_ref()))
                }
                Some(State::Lead(lead)) => {
                    external("lead", lead.record().and_then(|lead| lead.external.as_ref()))
                }
                Some(State::Contact(contact)) => {
                    external("contact", contact.record().and_then(|contact| contact.external.as_ref()))
                }
                Some(State::Company(company)) => {
                    external("company", company.record().and_then(|company| company.external.as_ref()))
                }
                _ => None,
            };
            if let Some(key) = key {
                prop_assert!(known.insert(key.clone()), "{:?} twice", key);
            }
        }
        Ok(())
    }

    /// Whoever owns open work is active; no open deal stands in a retired stage.
    fn work_is_in_good_hands(&self, stream: StreamId, state: &State) -> Result<(), TestCaseError> {
        if state.merged_into().is_some() {
            return Ok(());
        }
        let owner = match state {
            State::Deal(Deal::Open(deal)) => {
                let config = self.config(deal.pipeline).expect("a deal is in a pipeline");
                prop_assert!(
                    !config.is_retired(deal.stage) && !config.archived,
                    "{} in a retired stage",
                    stream
                );
                deal.owner
            }
            State::Lead(lead) => {
                lead.record().filter(|lead| lead.is_open() && !lead.archived).and_then(|lead| lead.owner)
            }
            State::Task(task::Task::Open(task)) => Some(task.assignee),
            _ => None,
        };
        if let Some(owner) = owner {
            let user = self.state(owner.stream());
            let active = matches!(user, Some(State::User(user)) if user.is_active());
            prop_assert!(active, "{} belongs to {}, who is not active", stream, owner);
        }
        Ok(())
    }

    fn stands_where_it_may(&self, deal: &Deal) -> Result<(), TestCaseError> {
        let record = deal.record().expect("it was opened");
        let config = self.config(record.pipeline).expect("a deal is in a pipeline");
        let class = config.stage(record.stage).map(|stage| stage.class);
        let expected = match deal.outcome() {
            None => Class::Process,
            Some(Outcome::Won) => Class::Success,
            Some(Outcome::Lost) => Class::Failure,
        };
        prop_assert_eq!(class, Some(expected));
        Ok(())
    }
}

fn external(kind: &'static str, external: Option<&External>) -> Option<(&'static str, String)> {
    external.map(|External { source, id }| (kind, format!("{source}\u{1f}{id}")))
}

/// Visits are numbered 1, 2, 3, … and entered in the order of time.
fn counts_its_visits(deal: &Deal, happened: &[Happened]) -> Result<(), TestCaseError> {
    let entries: Vec<(i32, Occurred)> = happened
        .iter()
        .filter_map(|happened| match &happened.event {
            Event::Deal(deal::Event::Opened(_)) => Some((1, happened.occurred)),
            Event::Deal(deal::Event::StageChanged(event)) => Some((event.visit, happened.occurred)),
            Event::Deal(deal::Event::PipelineChanged(event)) => Some((event.visit, happened.occurred)),
            Event::Deal(deal::Event::Won(event)) => Some((event.visit, happened.occurred)),
            Event::Deal(deal::Event::Lost(event)) => Some((event.visit, happened.occurred)),
            Event::Deal(deal::Event::Reopened(event)) => Some((event.visit, happened.occurred)),
            _ => None,
        })
        .collect();
    let record = deal.record().expect("it was opened");
    prop_assert_eq!(record.visits.len(), entries.len());
    let stands = deal::Visit { pipeline: record.pipeline, stage: record.stage };
    prop_assert_eq!(record.visits.last(), Some(&stands));
    for (at, (visit, occurred)) in entries.iter().enumerate() {
        prop_assert_eq!(usize::try_from(*visit), Ok(at + 1));
        for (_, before) in &entries[..at] {
            let backwards = before.at().is_some_and(|before| occurred.is_before(before));
            prop_assert!(!backwards, "{:?} after {:?}", occurred, before);
        }
    }
    Ok(())
}

fn is_complete(config: &Config, events: usize) -> Result<(), TestCaseError> {
    let count = |class| config.of_class(class).count();
    prop_assert!(count(Class::Process) > 0 && count(Class::Success) == 1 && count(Class::Failure) > 0);
    prop_assert!(!config.entry_stages.is_empty());
    for entry in &config.entry_stages {
        prop_assert_eq!(config.stage(*entry).map(|stage| stage.class), Some(Class::Process));
        prop_assert!(!config.is_retired(*entry));
    }
    let classes: Vec<Class> = config.stages.iter().map(|stage| stage.class).collect();
    let rank = |class: &Class| {
        [Class::Process, Class::Success, Class::Failure].iter().position(|other| other == class)
    };
    prop_assert!(classes.is_sorted_by_key(rank));
    for (at, stage) in config.stages.iter().enumerate() {
        prop_assert!(!stage.name.trim().is_empty());
        for other in &config.stages[..at] {
            prop_assert!(other.id != stage.id);
            prop_assert!(pipeline::folded(&other.name) != pipeline::folded(&stage.name));
        }
    }
    prop_assert_eq!(usize::try_from(config.version), Ok(events));
    prop_assert!((1..=config.version).contains(&config.rules_version));
    Ok(())
}

/// Commands that say how things shall be, not what shall be done: giving them twice changes nothing.
fn says_how_it_shall_be(command: &Command) -> bool {
    // What was sealed cannot be compared with what is said.
    let seals = match command {
        Command::Contact(contact::Command::SetFields { fields })
        | Command::Company(company::Command::SetFields { fields })
        | Command::Deal(deal::Command::SetFields { fields }) => fields.iter().any(|setting| {
            let private = [crate::party::BIRTHDAY, crate::party::OWNER_ID, dealing::ALLERGY];
            private.contains(&setting.field) && setting.value.is_some()
        }),
        _ => false,
    };
    !seals
        && !matches!(
            command,
            Command::Deal(
            deal::Command::Open(_)
                | deal::Command::Transfer { .. }
                | deal::Command::CloseWon { .. }
                | deal::Command::CloseLost { .. }
                | deal::Command::Reopen { .. }
                | deal::Command::OpenRepeat { .. }
                | deal::Command::LeaveRetired { .. }
                | deal::Command::Rename { .. }
                | deal::Command::AddLine { .. }
                | deal::Command::RemoveLine { .. }
                | deal::Command::SetNextStep { .. }
                | deal::Command::RequestApproval { .. }
                | deal::Command::ReportWithoutTask { since: None }
        ) | Command::Lead(
            lead::Command::Capture(_)
                | lead::Command::Update(_)
                | lead::Command::Decline { .. }
                | lead::Command::RecordAttempt { .. }
                | lead::Command::RecordFirstResponse {}
                | lead::Command::Score { .. }
                | lead::Command::Convert(_)
        ) | Command::User(user::Command::Register { .. } | user::Command::Invite { .. })
            // What was sealed cannot be compared with what is said.
            | Command::Contact(
                contact::Command::Create(_)
                    | contact::Command::Rename { .. }
                    | contact::Command::AddPoint { .. }
                    | contact::Command::ChangeAddress { .. }
            )
            | Command::Company(
                company::Command::Create(_)
                    | company::Command::Rename { .. }
                    | company::Command::SetLegalIds { .. }
                    | company::Command::GrantTerms(_)
            )
            | Command::Task(
                task::Command::Create(_)
                    | task::Command::FromTemplate { .. }
                    | task::Command::Edit(_)
                    | task::Command::AddItem { .. }
                    | task::Command::Complete { .. }
                    | task::Command::Cancel { .. }
                    | task::Command::Reopen { .. }
            )
            | Command::Meeting(
                meeting::Command::Schedule(_)
                    | meeting::Command::Hold { .. }
                    | meeting::Command::Cancel { .. }
            )
            | Command::Call(call::Command::Register { .. } | call::Command::SetDisposition { .. })
            | Command::Note(note::Command::Add { .. } | note::Command::Revise { .. })
            | Command::Conversation(
                conversation::Command::Open { .. }
                    | conversation::Command::Receive { .. }
                    | conversation::Command::Send { .. }
            )
        )
}

/// The event as it comes back from its stored bytes and its sealed values.
fn read_back(event: &Event) -> Result<Event, TestCaseError> {
    let mut sealed = event.clone();
    let data = event.data();
    hides_secrets(&data)?;
    let mut stored = Event::decode(event.event_type(), event.schema_version(), &data)
        .map_err(|error| TestCaseError::fail(format!("{data}: {error}")))?;
    let (from, to) = (sealed.personal(), stored.personal());
    prop_assert_eq!(from.len(), to.len(), "the bytes tell which values are sealed");
    for (from, to) in from.into_iter().zip(to) {
        prop_assert_eq!((from.subject, from.field), (to.subject, to.field));
        prop_assert_eq!(to.value.as_deref(), None, "bytes hold no personal text");
        *to.value = from.value.clone();
    }
    prop_assert_eq!(stored.data(), data, "bytes are written one way");
    Ok(stored)
}

fn hides_secrets(text: &str) -> Result<(), TestCaseError> {
    prop_assert!(!text.contains(SECRET), "{} holds a personal text", text);
    Ok(())
}

proptest! {
    #[test]
    fn no_sequence_of_commands_breaks_what_must_hold(
        policies in prop::array::uniform2(a_policy()),
        steps in prop::collection::vec(a_step(), 1..120),
    ) {
        let mut log = Log::default();
        let mut now = NOW;
        for order in beginnings(policies) {
            prop_assert_eq!(log.obey(&Step::at_once(order), now)?, 1);
        }
        for step in &steps {
            now += TimeDelta::minutes(step.minutes_later);
            if log.obey(step, now)? > 0 {
                log.is_sound()?;
            }
        }
    }
}

fn drawn<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy.new_tree(runner).expect("nothing is filtered out").current()
}

/// Properties that are never put to the test hold trivially; so this counts what random commands reach.
#[test]
fn random_commands_reach_every_event_and_most_refusals() {
    let mut runner = TestRunner::deterministic();
    let (mut events, mut refusals, mut sealing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (_, area) in areas().iter().cycle().take(areas().len() * 80) {
        let policies = drawn(&prop::array::uniform2(a_policy()), &mut runner);
        // Mostly of one area at a time, or no story would come far.
        let orders = Union::new_weighted(vec![(4, area.clone()), (1, anything())]).boxed();
        let steps = drawn(&prop::collection::vec(a_step_of(orders), 150), &mut runner);
        let (mut log, mut now) = (Log::default(), NOW);
        for step in beginnings(policies).into_iter().map(Step::at_once).chain(steps) {
            now += TimeDelta::minutes(step.minutes_later);
            let occurred = step.when.occurred(now);
            if let Err(refusal) = log.world.carry_out(&step.order, &step.sender(now, occurred.as_ref())) {
                refusals.insert(refusal.code());
            }
            log.obey(&step, now).expect("what must hold holds");
        }
        events.extend(log.happened.values().flatten().map(|happened| happened.event.event_type()));
        let sealed = |happened: &&Happened| happened.event.data().contains(r#""sealed":{"#);
        sealing.extend(
            log.happened.values().flatten().filter(sealed).map(|happened| happened.event.event_type()),
        );
    }
    let all: BTreeSet<&str> =
        kvali_domain::event_types().into_iter().map(|(event_type, _)| event_type).collect();
    let unreached: Vec<_> = all.difference(&events).collect();
    assert!(unreached.is_empty(), "nothing led to {unreached:?}");
    assert_eq!(sealing.len(), 4, "fields are sealed in all that have fields, not only in {sealing:?}");
    for code in [
        "already_matched",
        "already_opened",
        "backward",
        "bad_contact_point",
        "blank",
        "candidates",
        "closed",
        "closing_visit",
        "code_taken",
        "company_archived",
        "consent_missing",
        "consent_refused",
        "contact_archived",
        "cycle",
        "deal_not_open",
        "evidence_missing",
        "file_size",
        "free_mail",
        "in_the_future",
        "loss_reason_missing",
        "loss_reason_unknown",
        "media_type",
        "negative_value",
        "no_such_deal",
        "no_such_file",
        "no_such_message",
        "no_such_version",
        "no_such_visit",
        "not_a_permutation",
        "not_a_return",
        "not_an_entry",
        "not_closed",
        "not_sent_by_us",
        "other_aggregate",
        "other_class",
        "out_of_order",
        "owner_absent",
        "owner_not_active",
        "party_required",
        "reason_missing",
        "redacted",
        "replaces_missing",
        "role_open",
        "rules_changed",
        "runs_backwards",
        "same_pipeline",
        "skips",
        "stage_twice",
        "stale_ancestors",
        "step_back",
        "unknown_stage",
        "value_required",
        "wrong_class",
        "wrong_phase",
    ] {
        assert!(refusals.contains(code), "no random command met {code}; met were {refusals:?}");
    }
}
