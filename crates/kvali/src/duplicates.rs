//! `kvali duplicates`: which records may be one, why, and whether somebody is known already.

use crate::arguments;
use crate::as_of::When;
use crate::ask::{ask as ask_as_of, stands};
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{By, Directory};
use crate::names::Names;
use crate::order::Sent;
use crate::output::{Answer, Table};
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_domain::match_rule::{self, Rule};
use kvali_domain::{Order, UserId};
use kvali_projections::duplicate_candidates::{
    self as candidates, Addend, Ask, Candidate, Details, DuplicateCandidates, Explained, Filter, Found,
    Hasher, Named, RecordKind, Score, Verdict, fit, rule,
};
use serde_json::{Value, json};
use sqlx::Connection;
use std::sync::Arc;
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  kvali duplicates --level likely
  kvali duplicates explain 0190… 0191…
  kvali duplicates who --name \"Nino Abashidze\" --phone \"+995 555 12 34 56\"
  kvali do RejectDuplicate --json '{\"one\": {\"contact\": \"0190…\"}, \"other\": {\"contact\": \"0191…\"}, \"reason\": \"…\"}'
      Never shown again, unless more agrees than did; `kvali merge` makes one of two.

docs/duplicates.md says what levels and bits mean.";

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Duplicates {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: List,
}

#[derive(clap::Subcommand)]
enum What {
    /// What speaks for and against two records being one; it adds up to the score
    Explain {
        #[arg(value_parser = arguments::id)]
        a: Uuid,
        #[arg(value_parser = arguments::id)]
        b: Uuid,
        #[command(flatten)]
        when: When,
    },
    /// Who somebody might be that is not recorded yet; nothing is written
    Who(Who),
    /// Fit the weights to what was confirmed, merged and rejected, and count how common values are
    Refit(Box<Refit>),
}

#[derive(clap::Args)]
struct List {
    /// Pairs with a record of this kind
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Pairs of this level only
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// Pairs with a record that is this user's, by e-mail, name or id
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Also what was confirmed or rejected
    #[arg(long)]
    all: bool,
    /// The strongest so many
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = arguments::rows::<i64>())]
    limit: i64,
    #[command(flatten)]
    when: When,
}

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct Who {
    /// A whole name
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    given: Option<String>,
    #[arg(long)]
    family: Option<String>,
    #[arg(long)]
    email: Vec<String>,
    #[arg(long)]
    phone: Vec<String>,
    #[arg(long)]
    company: Option<String>,
    /// Of a company
    #[arg(long, value_name = "DOMAIN")]
    website: Vec<String>,
    /// Of a company: tax or registration id
    #[arg(long, value_name = "ID")]
    legal_id: Vec<String>,
    /// Street and place, parted by commas
    #[arg(long)]
    address: Option<String>,
}

#[derive(clap::Args)]
struct Refit {
    /// Say what would be published
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    by: By,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Lead,
    Contact,
    Company,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Level {
    Likely,
    Possible,
}

impl Duplicates {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let answer = match &self.what {
            None => self.list.answer(&session).await?,
            Some(What::Explain { a, b, when }) => explain(&session, *a, *b, when).await?,
            Some(What::Who(who)) => who.answer(&session).await?,
            Some(What::Refit(refit)) => refit.answer(&session).await?,
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }
}

async fn hasher(session: &Session) -> Result<Hasher, Failure> {
    let keyed = session.store.keyed_ids(session.tenant).await?;
    Ok(Hasher::new(move |bytes| keyed.number(bytes)))
}

/// Asks the read model, brought up to the head of the log.
async fn ask<T>(
    session: &Session,
    question: impl AsyncFnOnce(Ask<'_>) -> Result<T, sqlx::Error>,
) -> Result<T, Failure> {
    let model = Arc::new(DuplicateCandidates);
    let (generation, _) = session.store.catch_up(model, session.tenant, &|_, _| {}).await?;
    let hasher = hasher(session).await?;
    let mut connection = session.connection().await?;
    let mut transaction = connection.begin().await.map_err(Failure::LookUp)?;
    let ask =
        Ask { connection: &mut transaction, tenant: session.tenant, schema: &generation.schema_name, hasher };
    let answer = question(ask).await.map_err(Failure::LookUp)?;
    transaction.rollback().await.map_err(Failure::LookUp)?;
    Ok(answer)
}

impl List {
    async fn answer(&self, session: &Session) -> Result<Answer, Failure> {
        let owner = match &self.owner {
            Some(owner) => Some(Directory::new(session).user(owner).await?.0),
            None => None,
        };
        let filter = Filter {
            reach: Reach::All,
            kind: self.kind.map(RecordKind::from),
            verdict: self.level.map(Verdict::from),
            owner,
            decided: self.all,
        };
        let list =
            candidates::List { hasher: hasher(session).await?, filter, after: None, limit: self.limit };
        let found = ask_as_of(session, DuplicateCandidates, self.when.as_of(Tz::UTC)?, list).await?;
        let mut names = Names::new(session);
        let mut table = Table::new(
            "Records that may be one",
            &[
                "level", "bits", "a", "a_kind", "a_name", "b", "b_kind", "b_name", "owners", "state",
                "cluster", "because",
            ],
        );
        for pair in &found.answer {
            table.rows.push(row(pair, &mut names).await?);
        }
        let mut answer = Answer::of(table);
        answer.notes = stands(&found);
        answer.notes.push("`kvali duplicates explain A B` says what a score is made of.".to_owned());
        Ok(answer)
    }
}

async fn row(pair: &Candidate, names: &mut Names<'_>) -> Result<Vec<Value>, Failure> {
    let mut owners = Vec::new();
    for owner in [pair.a.owner, pair.b.owner].into_iter().flatten() {
        let name = names.user(UserId(owner)).await?;
        if !owners.contains(&name) {
            owners.push(name);
        }
    }
    let [a, b] = [&pair.a, &pair.b].map(|of| [json!(of.id), json!(of.kind.as_str()), json!(of.name)]);
    let level = [json!(pair.verdict.as_str()), bits(pair.score)];
    let rest =
        [json!(owners.join(", ")), json!(pair.state), json!(pair.cluster), json!(reasons(&pair.addends))];
    Ok(level.into_iter().chain(a).chain(b).chain(rest).collect())
}

/// The addends that weigh most.
fn reasons(addends: &[Addend]) -> String {
    const MOST: usize = 4;
    let mut weightiest: Vec<&Addend> = addends.iter().collect();
    weightiest.sort_by_key(|addend| std::cmp::Reverse(addend.adds.abs()));
    weightiest.into_iter().take(MOST).map(said).collect::<Vec<_>>().join("; ")
}

fn said(addend: &Addend) -> String {
    let field = addend.field.replace('_', " ");
    let rare = match addend.rarity {
        500.. => ", rare",
        ..=-500 => ", common",
        _ => "",
    };
    format!("{field} {}{rare} {:+.1}", addend.level.as_str(), f64::from(addend.adds) / 1_000.0)
}

async fn explain(session: &Session, a: Uuid, b: Uuid, when: &When) -> Result<Answer, Failure> {
    let explain = candidates::Explain { hasher: hasher(session).await?, a, b };
    let found = ask_as_of(session, DuplicateCandidates, when.as_of(Tz::UTC)?, explain).await?;
    let Some(Explained { a, b, score, verdict, model_version, share_a_key }) = found.answer else {
        let words = "both must be leads, contacts or companies of this tenant; `kvali duplicates` lists ids";
        return Err(Failure::Impossible(words.to_owned()));
    };
    let title = format!("{} and {}", called(&a), called(&b));
    let mut notes = vec![match model_version {
        0 => "Weights as shipped.".to_owned(),
        version => format!("Weights of match rule {version}."),
    }];
    if !share_a_key {
        notes.push(
            "They share no key, or one that too many share: they are not compared by themselves.".to_owned(),
        );
    }
    let level = verdict.map_or("not even possible", Verdict::as_str);
    Ok(Answer {
        tables: vec![addends(title, &score, level)],
        notes,
        json: json!({
            "a": told(&a), "b": told(&b), "level": level, "model_version": model_version, "score": score,
            "compared": share_a_key,
        }),
    })
}

fn addends(title: String, score: &Score, level: &str) -> Table {
    let mut table = Table::new(title, &["field", "agreement", "of_which_for_rarity", "bits"]);
    table.row([json!("before anything is compared"), Value::Null, Value::Null, bits(score.start)]);
    for addend in &score.addends {
        let rarity = if addend.rarity == 0 { Value::Null } else { bits(addend.rarity) };
        let field = addend.field.replace('_', " ");
        table.row([json!(field), json!(addend.level.as_str()), rarity, bits(addend.adds)]);
    }
    table.row([json!("sum"), json!(level), Value::Null, bits(score.total)]);
    table
}

impl Who {
    fn details(&self) -> Details {
        let text = |said: &Option<String>| said.clone().unwrap_or_default();
        let mut details = Details {
            given: text(&self.given),
            family: text(&self.family),
            full: text(&self.name),
            organisation: text(&self.company),
            emails: self.email.iter().cloned().collect(),
            phones: self.phone.iter().cloned().collect(),
            domains: self.website.iter().cloned().collect(),
            identifiers: self.legal_id.iter().cloned().collect(),
            ..Details::default()
        };
        details.read_address(&text(&self.address));
        details
    }

    async fn answer(&self, session: &Session) -> Result<Answer, Failure> {
        let details = self.details();
        let found = ask(session, async |mut ask| ask.who(&details).await).await?;
        let columns = ["level", "bits", "id", "kind", "name", "because"];
        let title = if found.is_empty() { "Nobody like that is known" } else { "This may be" };
        let mut table = Table::new(title, &columns);
        for Found { record, score, verdict } in &found {
            table.row([
                json!(verdict.as_str()),
                bits(score.total),
                json!(record.id),
                json!(record.kind.as_str()),
                json!(record.name),
                json!(reasons(&score.addends)),
            ]);
        }
        Ok(Answer::of(table))
    }
}

impl Refit {
    async fn answer(&self, session: &Session) -> Result<Answer, Failure> {
        let (model, decisions, rarity) = ask(session, async |mut ask| {
            Ok((ask.model().await?, ask.decisions().await?, ask.rarity().await?))
        })
        .await?;
        let (weights, hold_out) =
            fit(&model.weights, &decisions).map_err(|refused| Failure::Impossible(refused.to_string()))?;
        let title = if self.dry_run { "What would be published" } else { "Published" };
        let mut table = Table::new(title, &["decisions", "surprise_before_bits", "surprise_after_bits"]);
        table.row([json!(hold_out.decisions), json!(hold_out.before), json!(hold_out.after)]);
        // Which records are compared at all is not a fit's to say.
        let rule = Rule { keys: model.keys, ..rule(&weights, &rarity, Some(hold_out)) };
        let define = match_rule::Command::Define(rule);
        if !self.dry_run {
            let order = Order { stream: match_rule::STREAM, command: define.into() };
            let envelope = self.by.envelope(session).await?;
            let sent = Sent::of(&order, &envelope);
            let outcome = session.store.handle(order, envelope).await?;
            sent.answered(session, outcome).await?;
        }
        Ok(Answer::of(table))
    }
}

fn called(of: &Named) -> String {
    let kind = of.kind.as_str();
    if of.name.is_empty() { format!("{kind} {}", of.id) } else { format!("{kind} {} ({})", of.name, of.id) }
}

fn told(of: &Named) -> Value {
    json!({ "id": of.id, "kind": of.kind.as_str(), "name": of.name, "owner": of.owner })
}

/// Thousandths are exact, and a sum of them is what it says.
fn bits(thousandths: i32) -> Value {
    json!(f64::from(thousandths) / 1_000.0)
}

impl From<Kind> for RecordKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Lead => Self::Lead,
            Kind::Contact => Self::Contact,
            Kind::Company => Self::Company,
        }
    }
}

impl From<Level> for Verdict {
    fn from(level: Level) -> Self {
        match level {
            Level::Likely => Self::Likely,
            Level::Possible => Self::Possible,
        }
    }
}
