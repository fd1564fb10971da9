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
pub(crate) mod funnel;
pub(crate) mod lead;
pub(crate) mod merge;
pub(crate) mod note;
pub(crate) mod task;
pub(crate) mod user;

pub(crate) use directory::Directory;
pub(crate) use given::{About, By, from_word};

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::names::Names;
use crate::order::{CarriedOut, Sent};
use crate::output::{Answer, Table};
use crate::words;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, Subcommand};
use kvali_domain::{Command, Event, Order, State, StreamId};
use kvali_eventstore::{Envelope, Outcome, Plan, Rehearsal};
use serde_json::{Value, json};
use uuid::Uuid;

const NAMES: &str = "\
How things are named:
  USER           e-mail or name
  DEAL           number elsewhere, such as 4711 or shop:4711
  LEAD, CONTACT  e-mail or phone
  COMPANY        domain
  PIPELINE       name
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

impl<F> Filled<F> {
    pub(crate) fn new(form: F, by: By) -> Self {
        Self { form, by }
    }
}

impl<F: Form> Filled<F> {
    pub(crate) fn command_id(&self) -> Uuid {
        self.by.command_id
    }

    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let orders = self.form.orders(&Directory::new(&session), &self.by).await?;
        let (mut sent, mut plans) = (Vec::new(), Vec::new());
        let first = self.by.envelope(&session).await?;
        for (nth, order) in orders.into_iter().enumerate() {
            let id = self.by.nth(nth);
            let envelope = Envelope { command_id: id, ..first.clone() };
            sent.push(Sent::of(&order, &envelope));
            plans.push(Plan::new(order, envelope));
        }
        if plans.len() > 1 {
            rehearse(&session, &sent, &plans).await?;
        }
        // All in one append, unless another writer is quicker.
        let outcomes = session.store.handle_all(session.tenant, &plans).await?;
        let (mut done, mut left, mut why) = (Vec::new(), Vec::new(), None);
        for (sent, outcome) in sent.into_iter().zip(outcomes) {
            let command = sent.command;
            match sent.answered(&session, outcome).await {
                Ok(carried_out) => done.push(carried_out),
                Err(refused @ Failure::Refused { .. }) => {
                    left.push(command);
                    why.get_or_insert(refused);
                }
                Err(failure) => return Err(failure),
            }
        }
        if let Some(why) = why {
            return Err(in_part(&done, &left, why));
        }
        told(&session, &done).await?.print(global.format)?;
        Ok(Done::Well)
    }
}

/// Several orders are tried out first, so that a refusal of a later one leaves none carried out.
async fn rehearse(session: &Session, sent: &[Sent], plans: &[Plan]) -> Result<(), Failure> {
    let outcomes = session.store.rehearse(session.tenant, &mut Rehearsal::default(), plans).await?;
    for (sent, outcome) in sent.iter().zip(outcomes) {
        if let Outcome::Refused(refusal) = outcome {
            return Err(Failure::Refused { step: sent.command.to_owned(), refusal });
        }
    }
    Ok(())
}

/// Some orders met what was not so when they were rehearsed.
fn in_part(done: &[CarriedOut], left: &[&str], why: Failure) -> Failure {
    if done.is_empty() {
        return why;
    }
    let done: Vec<_> = done.iter().map(|done| format!("{} of {}", done.command, done.stream)).collect();
    Failure::InPart { done: done.join(", "), left: left.join(", "), why: Box::new(why) }
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
            Some(record) => Ok(json!(words::what(names, record, event).await?)),
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

#[cfg(test)]
mod tests {
    use super::in_part;
    use crate::failure::Failure;
    use crate::order::CarriedOut;
    use kvali_domain::{CommandId, StreamId};
    use uuid::Uuid;

    #[test]
    fn a_form_that_came_half_way_tells_what_is_done_and_what_is_left() {
        let stream = StreamId(Uuid::nil());
        let command_id = CommandId(Uuid::nil());
        let done = CarriedOut {
            command: "RegisterCall",
            command_id,
            stream,
            outcome: "accepted",
            events: Vec::new(),
        };
        let (left, why) = (["AnswerCall", "EndCall"], || Failure::Impossible("gone".to_owned()));
        let told = in_part(&[done], &left, why()).to_string();
        assert_eq!(told, format!("done: RegisterCall of {stream}; left to do: AnswerCall, EndCall"));
        assert_eq!(in_part(&[], &left, why()).to_string(), "gone");
    }
}
