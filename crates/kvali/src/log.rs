//! `kvali log`: the log in order of position.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{self, Answer, Format, Table};
use crate::words;
use clap::{Args, Subcommand};
use kvali_domain::Recorded;
use serde_json::{Value, json};
use std::time::Duration;

/// Events read at once.
const PAGE: i64 = 1_000;
/// How long a follower sleeps when nothing is new: longer with every empty look, up to the second.
const SLEEPS_MS: [u64; 4] = [100, 250, 500, 1_000];

const HELP: &str = "\
Examples:
  kvali log tail --limit 50
  kvali log tail --after 0 --format json
  kvali log tail --follow --format json     (one JSON object per line)";

#[derive(Subcommand)]
pub(crate) enum Log {
    /// The last events, or those after a position
    #[command(after_help = HELP)]
    Tail(Tail),
}

#[derive(Args)]
pub(crate) struct Tail {
    /// Begin after this position, instead of so that the last events fit
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(0..))]
    after: Option<i64>,
    /// Print at most so many events, before following [default: 20, with --after all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    limit: Option<i64>,
    /// Go on with every event as it is recorded, until interrupted
    #[arg(long, short)]
    follow: bool,
}

impl Log {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let Self::Tail(tail) = self;
        let session = Session::open(global, "default").await?;
        tail.print(&session, global.format).await?;
        Ok(Done::Well)
    }
}

impl Tail {
    async fn print(&self, session: &Session, format: Format) -> Result<(), Failure> {
        let head = session.store.head(session.tenant).await?;
        let limit = self.limit.unwrap_or(if self.after.is_some() { i64::MAX } else { 20 });
        let mut position = self.after.unwrap_or_else(|| (head - limit).max(0));
        let end = position.saturating_add(limit);
        let mut printer = Printer { format, follow: self.follow, begun: false, listed: Vec::new() };
        while position < end.min(head) {
            position = printer.page(session, position, PAGE.min(end - position)).await?;
        }
        printer.finish()?;
        // A limit bounds what is shown of the past; whoever follows wants all that comes after the head.
        if self.follow {
            follow(session, &mut printer, position.max(if self.limit.is_some() { head } else { position }))
                .await?;
        }
        Ok(())
    }
}

/// Positions have no gap, so asking for what comes after the last one printed can miss nothing.
async fn follow(session: &Session, printer: &mut Printer, mut position: i64) -> Result<(), Failure> {
    let mut idle = 0;
    loop {
        let reached = printer.page(session, position, PAGE).await?;
        idle = if reached > position { 0 } else { (idle + 1).min(SLEEPS_MS.len() - 1) };
        if reached == position {
            tokio::time::sleep(Duration::from_millis(SLEEPS_MS[idle])).await;
        }
        position = reached;
    }
}

/// Prints page by page; JSON that does not follow is one list, and waits for its end.
struct Printer {
    format: Format,
    follow: bool,
    begun: bool,
    listed: Vec<Value>,
}

impl Printer {
    /// Prints at most `limit` events after `position`; answers with the last position printed.
    async fn page(&mut self, session: &Session, position: i64, limit: i64) -> Result<i64, Failure> {
        let events = session.store.read(session.tenant, position, limit).await?;
        let Some(last) = events.last().map(|event| event.position) else { return Ok(position) };
        match self.format {
            Format::Json if self.follow => {
                let lines: Vec<_> = events.iter().map(|event| object(event).to_string() + "\n").collect();
                output::write(lines.concat().as_bytes())?;
            }
            Format::Json => self.listed.extend(events.iter().map(object)),
            Format::Csv => self.csv(&events)?,
            Format::Table => output::write(self.lines(&events).as_bytes())?,
        }
        self.begun = true;
        Ok(last)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.format == Format::Json && !self.follow {
            output::write(format!("{:#}\n", Value::Array(std::mem::take(&mut self.listed))).as_bytes())?;
        }
        Ok(())
    }

    fn csv(&self, events: &[Recorded]) -> Result<(), Failure> {
        let columns =
            ["position", "occurred", "recorded", "type", "stream", "version", "actor", "channel", "data"];
        let mut table = Table::new("", &columns);
        for event in events {
            table.row([
                json!(event.position),
                json!(words::when(&event.occurred)),
                json!(event.recorded_at),
                json!(event.event_type),
                json!(event.stream),
                json!(event.version),
                json!(event.actor),
                json!(event.channel.to_string()),
                json!(event.data),
            ]);
        }
        if self.begun { table.print_rows() } else { Answer::of(table).print(Format::Csv) }
    }

    /// Lines of fixed columns: a table drawn anew for every page would change its widths under the reader's eyes.
    fn lines(&self, events: &[Recorded]) -> String {
        let header = format!(
            "{:>9}  {:<28} {:<29} {:<36} {:>4}  data\n",
            "position", "occurred", "type", "stream", "ver"
        );
        let header = if self.begun { String::new() } else { header };
        let lines = events.iter().map(|event| {
            format!(
                "{:>9}  {:<28} {:<29} {:<36} {:>4}  {}\n",
                event.position,
                words::when(&event.occurred),
                event.event_type,
                event.stream.to_string(),
                event.version,
                output::harmless(&event.data)
            )
        });
        std::iter::once(header).chain(lines).collect()
    }
}

fn object(event: &Recorded) -> Value {
    json!({
        "position": event.position,
        "event_id": event.event_id,
        "type": event.event_type,
        "schema_version": event.schema_version,
        "stream": event.stream,
        "version": event.version,
        "occurred": event.occurred,
        "recorded_at": event.recorded_at,
        "actor": event.actor,
        "channel": event.channel.to_string(),
        "reason_code": event.reason_code,
        "command_id": event.command,
        "data": serde_json::from_str::<Value>(&event.data).unwrap_or_else(|_| json!(event.data)),
    })
}
