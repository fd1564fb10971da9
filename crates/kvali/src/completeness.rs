//! `kvali completeness`: which fields nobody fills, and how complete each owner's records are.

use crate::arguments;
use crate::as_of::When;
use crate::ask::{ask, stands};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{Directory, from_word};
use crate::names::Names;
use crate::output::{Answer, Table};
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_domain::fields::Entity;
use kvali_domain::{State, UserId};
use kvali_projections::field_completeness::{self, FieldCompleteness, OfEntity, Standing};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Examples:
  kvali completeness
      Every field of contacts, companies, leads and deals: how many fill it, and when somebody last did.
  kvali completeness --of contact --unfilled --rare 5
      Fields of contacts that nobody fills, or fewer than 5 % do.
  kvali completeness --owner \"Nino Abashidze\" --as-of 2024-03-31";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completeness {
    /// Only records of this kind: contact, company, lead or deal
    #[arg(long, value_parser = from_word::<Entity>, value_name = "KIND")]
    of: Option<Entity>,
    /// Only the records of this owner, by e-mail, name or id
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// A field is rarely filled below this share of the records, in per cent
    #[arg(long, default_value_t = 10.0, value_name = "PERCENT", value_parser = percent)]
    rare: f64,
    /// Only fields that are filled never, no longer or rarely
    #[arg(long)]
    unfilled: bool,
    /// The zone of days (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    zone: Tz,
    #[command(flatten)]
    when: When,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "it is no number from 0 to 100".to_owned())
}

impl Completeness {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let as_of = self.when.as_of(self.zone)?;
        let session = Session::open(global, "default").await?;
        let owner = match &self.owner {
            Some(said) => Some(owner(&session, said).await?),
            None => None,
        };
        let question =
            field_completeness::Ask { entity: self.of, owner, reach: Reach::All, rare: self.rare / 100.0 };
        let mut answered = ask(&session, FieldCompleteness, as_of, question).await?;
        if self.unfilled {
            for of in &mut answered.answer {
                of.fields.retain(|field| field.standing != Standing::Filled);
            }
        }
        let mut names = Names::new(&session);
        let owners = owners(&mut names, &answered.answer).await?;
        let mut json = json!({
            "position": answered.position, "at": answered.at, "rare": self.rare / 100.0,
            "entities": answered.answer,
        });
        if let (Value::Object(json), Value::Object(when)) = (&mut json, self.when.json()) {
            json.extend(when);
        }
        let tables = vec![fields(&answered.answer), owners];
        Answer { tables, notes: stands(&answered), json }.print(global.format)?;
        Ok(Done::Well)
    }
}

/// Any id is taken for a user's, so that whoever has it must be one.
async fn owner(session: &Session, said: &str) -> Result<UserId, Failure> {
    let user = Directory::new(session).user(said).await?;
    match session.store.state(session.tenant, user.stream()).await?.map(|(_, state)| state) {
        Some(state) if matches!(*state, State::User(_)) => Ok(user),
        _ => {
            Err(Failure::Impossible(format!("there is no owner {said:?}; name a user by e-mail, name or id")))
        }
    }
}

fn fields(all: &[OfEntity]) -> Table {
    let columns = ["kind", "field", "filled", "records", "fill_rate", "last_filled", "standing"];
    let mut table = Table::new("Fields", &columns);
    for of in all {
        for field in &of.fields {
            table.row([
                json!(of.entity),
                json!(field.field),
                json!(field.filled),
                json!(of.records),
                json!(field.share),
                json!(field.last_filled_at),
                json!(field.standing),
            ]);
        }
    }
    table
}

async fn owners(names: &mut Names<'_>, all: &[OfEntity]) -> Result<Table, Failure> {
    let mut table = Table::new("Completeness per owner", &["kind", "owner", "records", "completeness_rate"]);
    for of in all {
        for owner in &of.owners {
            let name = match owner.owner {
                Some(user) => Some(names.user(user).await?),
                None => None,
            };
            let row = [json!(of.entity), json!(name), json!(owner.records), json!(owner.completeness)];
            table.row(row);
        }
    }
    Ok(table)
}
