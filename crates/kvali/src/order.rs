//! `kvali do`: any one command, by its permanent word.

use crate::arguments;
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::By;
use crate::output::{Answer, Table};
use clap::Args;
use kvali_domain::{Command, CommandId, CommandType, Order, Recorded, StreamId, command_types};
use kvali_eventstore::{Envelope, Outcome};
use serde_json::{Value, json};
use std::io::Read;
use uuid::Uuid;

const HELP: &str = "\
Examples:
  kvali do --list
      Every command, its rules in words, and the events that may come of it.
  kvali do MoveDeal --schema
      The JSON Schema of its fields, and an example.
  kvali do MoveDeal --id 0190d9c6-… --json '{\"to\": \"0190d9c7-…\"}'
      Carry it out on that deal.
  kvali do OpenDeal --json @deal.json
      Open a deal under a new id, which is printed.

A command that is refused by the rules changes nothing, is kept in the audit trail, and ends with exit code 3.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct Do {
    /// Its permanent word; `kvali do --list` has them all
    #[arg(value_name = "COMMAND", required_unless_present = "list")]
    command: Option<String>,
    /// Every command there is
    #[arg(long, conflicts_with_all = ["command", "json", "schema"])]
    list: bool,
    /// What fields it takes
    #[arg(long, conflicts_with = "json")]
    schema: bool,
    /// Its fields as a JSON object, `@FILE`, or `-` for the standard input [default: none]
    #[arg(long, value_name = "JSON")]
    json: Option<String>,
    /// What it is done to: the id of the deal, pipeline, user … [default: a new one, if the command begins something]
    #[arg(long, value_name = "UUID", value_parser = arguments::id)]
    id: Option<Uuid>,
    /// Refuse unless the history has exactly so many events
    #[arg(long, value_name = "VERSION")]
    expect: Option<i32>,
    #[command(flatten)]
    by: By,
}

impl Do {
    pub(crate) fn command_id(&self) -> Uuid {
        self.by.command_id
    }

    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let answer = match (&self.command, self.schema) {
            (None, _) => list(),
            (Some(name), true) => schema(name)?,
            (Some(name), false) => self.carry_out(global, name).await?,
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }

    async fn carry_out(&self, global: &Global, name: &str) -> Result<Answer, Failure> {
        let command = Command::decode(name, &self.body()?)?;
        let stream = self.stream(name, &command)?;
        let session = Session::open(global, "default").await?;
        let mut envelope = self.by.envelope(&session).await?;
        envelope.expected_version = self.expect;
        let order = Order { stream, command };
        let sent = Sent::of(&order, &envelope);
        let outcome = session.store.handle(order, envelope).await?;
        Ok(sent.answered(&session, outcome).await?.told())
    }

    fn body(&self) -> Result<Value, Failure> {
        let text = match self.json.as_deref() {
            None => "{}".to_owned(),
            Some("-") => {
                let mut text = String::new();
                let read = std::io::stdin().read_to_string(&mut text);
                read.map_err(|source| Failure::Body { place: "the standard input".to_owned(), source })?;
                text
            }
            Some(json) => match json.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file)
                    .map_err(|source| Failure::Body { place: file.to_owned(), source })?,
                None => json.to_owned(),
            },
        };
        serde_json::from_str(&text).map_err(Failure::Json)
    }

    fn stream(&self, name: &str, command: &Command) -> Result<StreamId, Failure> {
        match (command.home(), self.id) {
            (Some(home), Some(id)) if home != StreamId(id) => Err(Failure::Impossible(format!(
                "{name} says itself what it is done to; leave --id out (it would be {home})"
            ))),
            (Some(home), _) => Ok(home),
            (None, Some(id)) => Ok(StreamId(id)),
            (None, None) if command.begins() => Ok(StreamId(self.by.id("stream"))),
            (None, None) => Err(Failure::Impossible(format!("say with --id what {name} is to be done to"))),
        }
    }
}

/// A command that was not refused.
pub(crate) struct CarriedOut {
    pub(crate) command: &'static str,
    pub(crate) command_id: CommandId,
    pub(crate) stream: StreamId,
    pub(crate) outcome: &'static str,
    pub(crate) events: Vec<Recorded>,
}

/// A command on its way.
pub(crate) struct Sent {
    pub(crate) command: &'static str,
    command_id: CommandId,
    stream: StreamId,
}

impl Sent {
    pub(crate) fn of(order: &Order, envelope: &Envelope) -> Self {
        let command = order.command.command_type();
        Self { command, command_id: envelope.command_id, stream: order.stream }
    }

    pub(crate) async fn answered(self, session: &Session, outcome: Outcome) -> Result<CarriedOut, Failure> {
        let Self { command, command_id, stream } = self;
        let answer = match outcome {
            Outcome::Accepted(answer) => answer,
            Outcome::Refused(refusal) => return Err(Failure::Refused { step: command.to_owned(), refusal }),
            Outcome::Reused => return Err(kvali_eventstore::Error::CommandIdReused(command_id).into()),
        };
        let outcome = match (answer.known, answer.event_count) {
            (true, _) => "known",
            (false, 0) => "already so",
            (false, _) => "accepted",
        };
        let events = match answer.first_position {
            Some(first) => {
                session.store.read(session.tenant, first - 1, i64::from(answer.event_count)).await?
            }
            None => Vec::new(),
        };
        Ok(CarriedOut { command, command_id, stream, outcome, events })
    }
}

impl CarriedOut {
    fn told(&self) -> Answer {
        let title = format!("{}: {}", self.command, self.outcome);
        let mut table = Table::new(title, &["position", "type", "id", "version", "data"]);
        for event in &self.events {
            table.row([
                json!(event.position),
                json!(event.event_type),
                json!(event.stream),
                json!(event.version),
                serde_json::from_str(&event.data).unwrap_or_else(|_| json!(event.data)),
            ]);
        }
        let json = json!({
            "command": self.command,
            "command_id": self.command_id,
            "id": self.stream,
            "outcome": self.outcome.replace(' ', "_"),
            "events": Answer::of(table.clone()).json,
        });
        let notes = vec![format!("id {}, command id {}", self.stream, self.command_id)];
        Answer { tables: vec![table], notes, json }
    }
}

fn list() -> Answer {
    let mut table = Table::new("Commands", &["aggregate", "command", "rules", "events"]);
    for known in command_types() {
        table.row([
            json!(known.aggregate),
            json!(known.name),
            json!(known.rules),
            json!(known.events.join(" ")),
        ]);
    }
    Answer::of(table)
}

fn schema(name: &str) -> Result<Answer, Failure> {
    let find = |known: &CommandType| known.name == name;
    let Some(known) = command_types().into_iter().find(find) else {
        // Decoding says what is wrong with the name.
        return Err(Command::decode(name, &Value::Null)
            .map_or_else(Failure::from, |_| Failure::Impossible(format!("{name} has no schema"))));
    };
    let CommandType { aggregate, rules, events, schema, example, .. } = known;
    let mut table = Table::new(name, &["about", "value"]);
    table.row([json!("rules"), json!(rules)]);
    table.row([json!("events"), json!(events.join(" "))]);
    table.row([json!("example"), json!(example.to_string())]);
    let notes = vec![format!("{schema:#}")];
    let json = json!({
        "command": name, "aggregate": aggregate, "rules": rules, "events": events, "example": example, "schema": schema,
    });
    Ok(Answer { tables: vec![table], notes, json })
}
