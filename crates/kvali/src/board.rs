//! `kvali board`: what stands where in a pipeline.

use crate::arguments;
use crate::as_of::When;
use crate::ask::{ask, stands};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_projections::deal_board::{self, Card, Column, DealBoard, Place, Sort};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kvali board --pipeline Sales
      Open deals by stage, the longest in their stage first.
  kvali board --pipeline Sales --owner \"Nino Abashidze\" --sort task
      Those of one owner, the next task that is due first.
  kvali board --pipeline Sales --stage Offer --as-of 2024-03-31
      What stood there on that evening.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Board {
    /// The pipeline, by name or id
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// Only the deals of this owner, by name or id
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only the deals in this stage, by name or id
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// What comes first: age, value, close, activity or task
    #[arg(long, default_value = "age", value_name = "ORDER")]
    sort: Sort,
    /// How many cards are shown, at most
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = arguments::rows::<i64>())]
    limit: i64,
    /// Go on after the cards that were shown, as told beneath them
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    after: Option<Place>,
    /// The zone of days (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    #[command(flatten)]
    when: When,
}

impl Board {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let as_of = self.when.as_of(self.zone)?;
        let session = Session::open(global, "default").await?;
        let question = deal_board::Ask {
            reach: Reach::All,
            pipeline: self.pipeline.clone(),
            stage: self.stage.clone(),
            owner: self.owner.clone(),
            sort: self.sort,
            limit: self.limit,
            after: self.after,
        };
        let answered = ask(&session, DealBoard, as_of, question).await?;
        let board = &answered.answer;
        let mut json = json!({ "position": answered.position, "at": answered.at, "sort": self.sort });
        json["after"] = json!(board.next.map(|place| place.to_string()));
        for part in [json!(board), self.when.json()] {
            let (Value::Object(json), Value::Object(part)) = (&mut json, part) else { continue };
            json.extend(part);
        }
        let mut notes = stands(&answered);
        notes.extend(board.next.map(|place| format!("more with --after {place}")));
        let tables = vec![columns(board), cards(board, self.zone)];
        Answer { tables, notes, json }.print(global.format)?;
        Ok(Done::Well)
    }
}

fn columns(board: &deal_board::Board) -> Table {
    let mut table = Table::new(format!("{}: open deals", board.pipeline), &["stage", "deals", "worth"]);
    for Column { stage, deals, sums, .. } in &board.columns {
        let worth = sums.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        table.row([json!(stage), json!(deals), json!((!worth.is_empty()).then_some(worth))]);
    }
    table
}

fn cards(board: &deal_board::Board, zone: Tz) -> Table {
    let columns = [
        "deal",
        "title",
        "with",
        "stage",
        "owner",
        "value",
        "age_seconds",
        "last_activity",
        "next_task",
        "expected_close",
        "on_hold_until",
    ];
    let mut table = Table::new("Deals", &columns);
    for card in &board.cards {
        let day = |at: chrono::DateTime<chrono::Utc>| at.with_timezone(&zone).format("%F").to_string();
        table.row([
            json!(card.deal),
            json!(card.title),
            json!(with(card)),
            json!(card.stage),
            json!(card.owner_name.clone().or(card.owner.map(|owner| owner.to_string()))),
            json!(card.value.map(|value| value.to_string())),
            json!(card.age_seconds),
            json!(card.last_activity_at.map(day)),
            json!(
                card.next_task.map(|next| {
                    format!("{}{}", next.due, if next.is_overdue { " (overdue)" } else { "" })
                })
            ),
            json!(card.expected_close),
            json!(card.on_hold_until),
        ]);
    }
    table
}

/// Whom the deal is with: company, contact, or both.
fn with(card: &Card) -> Option<String> {
    let company = card.company_name.clone().or(card.company.map(|company| company.to_string()));
    let contact = card.contact_name.clone().or(card.contact.map(|contact| contact.to_string()));
    match (contact, company) {
        (Some(contact), Some(company)) => Some(format!("{contact}, {company}")),
        (contact, company) => contact.or(company),
    }
}
