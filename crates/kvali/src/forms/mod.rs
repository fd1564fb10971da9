//! Forms: the daily commands in the words of those who send them.
//!
//! A form looks names up and builds orders; what may be done is the domain's to say, and orders go the way of `kvali do`.

pub(crate) mod directory;
mod given;

pub(crate) mod absence;
pub(crate) mod call;
pub(crate) mod company;
pub(crate) mod contact;
pub(crate) mod deal;
pub(crate) mod lead;
pub(crate) mod merge;
pub(crate) mod note;
pub(crate) mod task;
pub(crate) mod user;

pub(crate) use directory::Directory;
pub(crate) use given::By;

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::ids;
use crate::names::Names;
use crate::order::{self, CarriedOut};
use crate::output::{Answer, Table};
use crate::words;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use kvali_domain::{Channel, Command, CommandId, Event, Occurred, Order, State, StreamId};
use kvali_eventstore::{Envelope, Outcome, Plan, Rehearsal};
use serde_json::{Value, json};

const NAMES: &str = "\
How things are named:
  USER           e-mail or name
  DEAL           number elsewhere, such as 4711 or shop:4711
  LEAD, CONTACT  e-mail or phone
  COMPANY        domain
  STAGE, TAG     name
  Anything can be named by its id, and a task by nothing else.";

/// What can be said about one aggregate.
pub(crate) trait Form: Subcommand {
    /// What is to be done, in order.
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure>;
}

pub(crate) fn order(stream: StreamId, command: impl Into<Command>) -> Order {
    Order { stream, command: command.into() }
}

/// A form with who fills it in, when and why; every form takes these.
pub(crate) struct Filled<F> {
    form: F,
    by: By,
}

impl<F: Form> Filled<F> {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let directory = Directory::new(&session);
        let orders = self.form.orders(&directory, &self.by).await?;
        let envelopes = self.envelopes(&session, &directory, orders.len()).await?;
        let orders: Vec<_> = orders.into_iter().zip(envelopes).collect();
        if orders.len() > 1 {
            rehearse(&session, &orders).await?;
        }
        let mut done = Vec::new();
        for (order, envelope) in orders {
            done.push(order::carry_out(&session, order, envelope).await?);
        }
        told(&session, &done).await?.print(global.format)?;
        Ok(Done::Well)
    }

    async fn envelopes(
        &self,
        session: &Session,
        directory: &Directory<'_>,
        count: usize,
    ) -> Result<Vec<Envelope>, Failure> {
        let actor = match &self.by.actor {
            Some(user) => directory.user(user).await?.into(),
            None => ids::operator(),
        };
        let occurred = match &self.by.occurred {
            Some(text) => Some(Occurred::Instant { at: self.by.instant(text)? }),
            None => None,
        };
        let envelope = || Envelope {
            occurred,
            reason_code: self.by.reason.clone(),
            ..Envelope::new(session.tenant, CommandId(edge::new_id()), actor, Channel::Cli, edge::now())
        };
        Ok((0..count).map(|_| envelope()).collect())
    }
}

/// Several orders are tried out first, so that a refusal of a later one leaves none carried out.
async fn rehearse(session: &Session, orders: &[(Order, Envelope)]) -> Result<(), Failure> {
    let plans: Vec<_> =
        orders.iter().map(|(order, envelope)| Plan::new(order.clone(), envelope.clone())).collect();
    let outcomes = session.store.rehearse(session.tenant, &mut Rehearsal::default(), &plans).await?;
    for ((order, _), outcome) in orders.iter().zip(outcomes) {
        if let Outcome::Refused(refusal) = outcome {
            return Err(Failure::Refused { step: order.command.command_type().to_owned(), refusal });
        }
    }
    Ok(())
}

/// What happened, an event a line.
async fn told(session: &Session, done: &[CarriedOut]) -> Result<Answer, Failure> {
    let commands: Vec<_> = done.iter().map(|done| format!("{}: {}", done.command, done.outcome)).collect();
    let mut table = Table::new(commands.join(", "), &["position", "type", "id", "what"]);
    let mut names = Names::new(session);
    for done in done {
        for opened in session.store.open(session.tenant, done.events.clone()).await? {
            let event = &opened.recorded;
            table.row([
                json!(event.position),
                json!(event.event_type),
                json!(event.stream),
                what(session, &mut names, event.stream, &opened.event).await?,
            ]);
        }
    }
    let commands = done.iter().map(|done| {
        json!({
            "command": done.command,
            "command_id": done.command_id,
            "id": done.stream,
            "outcome": done.outcome.replace(' ', "_"),
        })
    });
    let id = done.first().map(|done| done.stream);
    let json = json!({
        "id": id,
        "commands": commands.collect::<Vec<_>>(),
        "events": Answer::of(table.clone()).json,
    });
    let notes = id.map(|id| format!("id {id}")).into_iter().collect();
    Ok(Answer { tables: vec![table], notes, json })
}

/// In words, of a deal; other events are told by their types.
async fn what(
    session: &Session,
    names: &mut Names<'_>,
    stream: StreamId,
    event: &Event,
) -> Result<Value, Failure> {
    let Event::Deal(event) = event else { return Ok(Value::Null) };
    let state = session.store.state(session.tenant, stream).await?;
    match state.as_ref().map(|(_, state)| &**state) {
        Some(State::Deal(deal)) => match deal.record() {
            Some(record) => Ok(json!(words::what(names, record.pipeline, event).await?)),
            None => Ok(Value::Null),
        },
        _ => Ok(Value::Null),
    }
}

impl<F: Subcommand> Subcommand for Filled<F> {
    fn augment_subcommands(command: clap::Command) -> clap::Command {
        let forms = F::augment_subcommands(clap::Command::new("forms"));
        let forms = forms.get_subcommands().cloned();
        let forms: Vec<_> = forms.map(|form| By::augment_args(form).after_help(NAMES)).collect();
        command.subcommand_required(true).arg_required_else_help(true).subcommands(forms)
    }

    fn augment_subcommands_for_update(command: clap::Command) -> clap::Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        F::has_subcommand(name)
    }
}

impl<F: Subcommand> FromArgMatches for Filled<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (_, said) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
        Ok(Self { by: By::from_arg_matches(said)?, form: F::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
