//! `kvali search`: people, companies and deals by name, e-mail and phone.

use crate::arguments;
use crate::as_of::When;
use crate::ask::{ask, stands};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_projections::search::{self, Entity, Hit};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kvali search giorgi berid
      გიორგი ბერიძე, Giorgi Beridze, Георгий Беридзе: in any script, while typing, in spite of a typo.
  kvali search nino@acme
      By the beginning of an e-mail address.
  kvali search 12 34 56
      By the end of a phone number.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Search {
    /// Parts of a name, the beginning of an e-mail address, the end of a phone number; all of them must fit
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
    /// Only what is of this kind: contact, company, lead, deal or user
    #[arg(long, value_name = "KIND")]
    kind: Option<Entity>,
    /// Also what is archived
    #[arg(long)]
    archived: bool,
    /// How many are shown, at most; no more than 200 are found
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = arguments::rows::<usize>())]
    limit: usize,
    /// The zone of the days of --as-of (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    #[command(flatten)]
    when: When,
}

impl Search {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let as_of = self.when.as_of(self.zone)?;
        let session = Session::open(global, "default").await?;
        let Self { kind: entity, archived, limit, .. } = self;
        let question = search::Ask {
            text: self.text.join(" "),
            entity,
            archived,
            reach: Reach::All,
            after: None,
            limit,
        };
        let answered = ask(&session, search::Search, as_of, question).await?;
        let mut table = Table::new("Found", &["kind", "id", "name", "matched", "archived", "score"]);
        for Hit { id, entity, name, matched, is_archived, score } in &answered.answer {
            table.row([
                json!(entity),
                json!(id),
                json!(name),
                json!(matched.join(", ")),
                json!(is_archived),
                json!((score * 1000.0).round() / 1000.0),
            ]);
        }
        let mut json = json!({ "position": answered.position, "at": answered.at, "found": answered.answer });
        if let (Value::Object(json), Value::Object(when)) = (&mut json, self.when.json()) {
            json.extend(when);
        }
        Answer { tables: vec![table], notes: stands(&answered), json }.print(global.format)?;
        Ok(Done::Well)
    }
}
