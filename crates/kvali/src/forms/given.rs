//! What several forms ask for: who, when and why; money, contact points, what something is about.

use super::Directory;
use crate::arguments;
use crate::connect::Session;
use crate::failure::Failure;
use crate::{edge, ids};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use clap::Args;
use kvali_domain::contact_point::{ContactPoint, Kind};
use kvali_domain::country::Country;
use kvali_domain::label::is_reason_code;
use kvali_domain::money::Currency;
use kvali_domain::{Channel, CommandId, Due, Money, Occurred, Personal, Target};
use kvali_eventstore::Envelope;
use rust_decimal::Decimal;
use uuid::Uuid;

// Who sends a command, when and why; the same words wherever one is sent. No doc comment: it would become the help of every command.
#[derive(Args)]
#[command(next_help_heading = "Options of every command that is sent")]
pub(crate) struct By {
    /// Who does it: a user's e-mail, name or id [default: whoever sits at the terminal]
    #[arg(long = "as", visible_alias = "actor", value_name = "USER")]
    pub(crate) actor: Option<String>,
    /// Why, as a code; of a loss, the code of its reason
    #[arg(long, visible_alias = "reason-code", value_name = "CODE", value_parser = code)]
    pub(crate) reason: Option<String>,
    /// When it happened, if that was earlier: 2026-03-31T09:30 in --zone, or with an offset of its own
    #[arg(long, visible_alias = "occurred-at", value_name = "INSTANT")]
    pub(crate) occurred: Option<String>,
    /// Whose days and clock times are meant (IANA)
    #[arg(long, default_value = "UTC", value_name = "ZONE", value_parser = arguments::zone)]
    pub(crate) zone: Tz,
    /// Makes a repetition the same command, which is carried out once [default: a new one]
    #[arg(long, value_name = "UUID", default_value_t = edge::new_id(), hide_default_value = true, value_parser = arguments::id)]
    pub(crate) command_id: Uuid,
}

fn code(text: &str) -> Result<String, String> {
    if is_reason_code(text) {
        Ok(text.to_owned())
    } else {
        Err("a code has 1 to 64 characters and no spaces".to_owned())
    }
}

type Unit = fn(i64) -> Option<TimeDelta>;

impl By {
    pub(crate) async fn envelope(&self, session: &Session) -> Result<Envelope, Failure> {
        let actor = match &self.actor {
            Some(user) => Directory::new(session).user(user).await?.into(),
            None => ids::operator(),
        };
        let occurred = match &self.occurred {
            Some(text) => Some(Occurred::Instant { at: self.instant(text)? }),
            None => None,
        };
        let id = CommandId(self.command_id);
        Ok(Envelope {
            occurred,
            reason_code: self.reason.clone(),
            ..Envelope::new(session.tenant, id, actor, Channel::Cli, edge::now())
        })
    }

    /// The id of one of several commands that go together.
    pub(crate) fn nth(&self, nth: usize) -> CommandId {
        CommandId(if nth == 0 { self.command_id } else { self.id(&format!("command {nth}")) })
    }

    /// The id of something that the command makes: the same when it is repeated.
    pub(crate) fn id(&self, what: &str) -> Uuid {
        ids::made_by(self.command_id, what)
    }

    /// What times such as 2h are counted from: the same when the command is repeated, as far as its id tells.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let drawn = self.command_id.get_timestamp().map(|drawn| drawn.to_unix());
        let at = drawn.and_then(|(s, ns)| DateTime::from_timestamp(i64::try_from(s).ok()?, ns));
        at.unwrap_or_else(edge::now)
    }

    /// With an offset as it is, without one in the zone.
    pub(crate) fn instant(&self, text: &str) -> Result<DateTime<Utc>, Failure> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(at.with_timezone(&Utc));
        }
        let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"].iter();
        let local = local.flat_map(|form| NaiveDateTime::parse_from_str(text, form)).next();
        let at = local.and_then(|local| self.zone.from_local_datetime(&local).earliest());
        at.map(|at| at.with_timezone(&Utc)).ok_or_else(|| {
            Failure::Impossible(format!(
                "{text:?} is no time; write 2026-03-31T09:30 (in --zone {}) or 2026-03-31T09:30:00+04:00",
                self.zone.name()
            ))
        })
    }

    /// A day of the zone, or an instant.
    pub(crate) fn due(&self, text: &str) -> Result<Due, Failure> {
        match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Ok(date) => Ok(Due::Day { date, zone: self.zone }),
            Err(_) => Ok(Due::At(self.instant(text)?)),
        }
    }

    /// An instant, or so long from now: 30min, 2h, 3d.
    pub(crate) fn later(&self, text: &str) -> Result<DateTime<Utc>, Failure> {
        const UNITS: [(&str, Unit); 3] =
            [("min", TimeDelta::try_minutes), ("h", TimeDelta::try_hours), ("d", TimeDelta::try_days)];
        let delay = UNITS.iter().find_map(|(unit, delay)| delay(text.strip_suffix(unit)?.parse().ok()?));
        match delay.and_then(|delay| self.now().checked_add_signed(delay)) {
            Some(later) => Ok(later),
            None => self.instant(text),
        }
    }
}

pub(crate) fn currency(code: &str) -> Result<Currency, String> {
    Currency::parse(code).ok_or_else(|| "a currency has three capital letters, such as GEL".to_owned())
}

#[derive(Args)]
pub(crate) struct Worth {
    /// What it is worth, such as 1200 GEL
    #[arg(long, num_args = 2, value_names = ["AMOUNT", "CURRENCY"])]
    value: Option<Vec<String>>,
}

impl Worth {
    pub(crate) fn money(&self) -> Result<Option<Money>, Failure> {
        let Some([amount, code]) = self.value.as_deref() else { return Ok(None) };
        let wrong = |why: String| Failure::Impossible(format!("--value {amount} {code}: {why}"));
        let amount: Decimal = amount.parse().map_err(|_| wrong("the amount is no number".to_owned()))?;
        Ok(Some(Money { amount, currency: currency(code).map_err(wrong)? }))
    }
}

#[derive(Args)]
pub(crate) struct Points {
    /// May be given several times
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    /// With its country code, or with --country; may be given several times
    #[arg(long, value_name = "NUMBER")]
    phone: Vec<String>,
    /// Where phone numbers without a country code are dialled, such as GE
    #[arg(long, value_name = "COUNTRY", value_parser = country)]
    country: Option<Country>,
    /// Another may have the same e-mail or phone; needs a --reason
    #[arg(long)]
    pub(crate) duplicate: bool,
}

fn country(code: &str) -> Result<Country, String> {
    Country::parse(code).ok_or_else(|| "a country has two capital letters of ISO 3166, such as GE".to_owned())
}

impl Points {
    pub(crate) fn points(&self) -> Vec<ContactPoint> {
        let emails = self.email.iter().map(|value| (Kind::Email, value, None));
        let phones = self.phone.iter().map(|value| (Kind::Phone, value, self.country));
        let points = emails.chain(phones);
        points.map(|(kind, value, region)| ContactPoint { kind, value: words(Some(value)), region }).collect()
    }
}

/// What a task, a note or a call is about; the first is the main one.
#[derive(Args)]
pub(crate) struct About {
    /// By its id here or in the system that it came from; so are the next three
    #[arg(long, value_name = "DEAL")]
    deal: Vec<String>,
    /// By id, e-mail or phone
    #[arg(long, value_name = "LEAD")]
    lead: Vec<String>,
    /// By id, e-mail or phone
    #[arg(long, value_name = "CONTACT")]
    contact: Vec<String>,
    /// By id or domain
    #[arg(long, value_name = "COMPANY")]
    company: Vec<String>,
}

impl About {
    pub(crate) async fn targets(&self, directory: &Directory<'_>) -> Result<Vec<Target>, Failure> {
        let mut targets = Vec::new();
        for deal in &self.deal {
            targets.push(Target::Deal(directory.deal(deal).await?));
        }
        for lead in &self.lead {
            targets.push(Target::Lead(directory.lead(lead).await?));
        }
        for contact in &self.contact {
            targets.push(Target::Contact(directory.contact(contact).await?));
        }
        for company in &self.company {
            targets.push(Target::Company(directory.company(company).await?));
        }
        Ok(targets)
    }
}

pub(crate) fn words(text: Option<&String>) -> Personal {
    Personal(text.cloned())
}

/// A value by its permanent word; the domain's own list of words says what is accepted.
pub(crate) fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|error| error.to_string())
}
