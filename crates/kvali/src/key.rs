//! `kvali key`: keys by which services, and people's programs, send commands and read over HTTP.

use crate::arguments;
use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{By, Directory};
use crate::names::Names;
use crate::order::Sent;
use crate::output::{Answer, Table};
use crate::{edge, ids};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use kvali_api::{Secret, Token};
use kvali_domain::access::{self, Access, ApiKeyIssued, Command, Permission, Role};
use kvali_domain::{ApiKeyId, CommandId, Order};
use kvali_eventstore::{Envelope, Outcome};
use serde_json::json;
use std::collections::BTreeSet;

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Issue a key; it is shown once and kept nowhere
    Issue(Issue),
    /// Every key that was issued, without its secret
    List,
    /// Take a key out of force for good
    Revoke {
        /// Its id
        #[arg(value_parser = |text: &str| arguments::id(text).map(ApiKeyId))]
        key: ApiKeyId,
        #[command(flatten)]
        by: By,
    },
}

#[derive(clap::Args)]
pub(crate) struct Issue {
    /// What it is for
    name: String,
    #[arg(
        long,
        value_name = "ROLE",
        help = "What it may do: admin, head_of_sales, sales, support, analyst, auditor or integration"
    )]
    role: Role,
    /// Whose it is, by e-mail or name: that user acts when it is used [default: nobody's, and it acts itself]
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Until when it is valid (RFC 3339) [default: until it is revoked]
    #[arg(long, value_name = "INSTANT")]
    expires: Option<DateTime<Utc>>,
    #[arg(
        long = "scope",
        value_name = "RIGHT",
        value_delimiter = ',',
        help = "Narrow it to this right of the role, such as read or follow; repeat for each [default: all]"
    )]
    scopes: Vec<Permission>,
    #[command(flatten)]
    by: By,
}

impl Key {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let answer = match self {
            Self::Issue(issue) => issue.answer(&session).await?,
            Self::List => list(&session).await?,
            Self::Revoke { key, by } => {
                let order =
                    Order { stream: access::STREAM, command: Command::RevokeApiKey { key: *key }.into() };
                carry_out(&session, order, by.envelope(&session).await?).await?;
                Answer {
                    tables: Vec::new(),
                    notes: vec![format!("{key} is revoked")],
                    json: json!({ "key": key }),
                }
            }
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }
}

impl Issue {
    async fn answer(&self, session: &Session) -> Result<Answer, Failure> {
        let owner = match &self.owner {
            Some(user) => Some(Directory::new(session).user(user).await?),
            None => None,
        };
        let key = ApiKeyId(self.by.id("key"));
        let token = Token { tenant: session.tenant, key, secret: Secret::new(edge::random()?) };
        let issued = ApiKeyIssued {
            key,
            name: self.name.clone(),
            role: self.role,
            owner,
            digest: token.secret.digest(),
            expires: self.expires,
            scopes: (!self.scopes.is_empty()).then(|| self.scopes.iter().copied().collect()),
        };
        issue(session, issued, self.by.envelope(session).await?).await?;
        let token = token.reveal();
        let notes =
            vec![token.clone(), "This is shown once. Send it as: Authorization: Bearer KEY".to_owned()];
        Ok(Answer { tables: Vec::new(), notes, json: json!({ "key": key, "token": token }) })
    }
}

/// A key of an admin that is nobody's, if there is no valid one yet.
pub(crate) async fn first(session: &Session) -> Result<Option<String>, Failure> {
    let access: Access = session.store.aggregate(session.tenant, access::STREAM).await?;
    let is_admin = |key: &access::ApiKey| key.issued.role == Role::Admin && key.is_valid(edge::now());
    if access.keys().any(is_admin) {
        return Ok(None);
    }
    Ok(Some(of_admin(session, "First key", None).await?))
}

/// How long a key of the demo is valid.
pub(crate) const DEMO_DAYS: i64 = 7;

/// Each serving of the demo has a key of its own, since those before were shown once.
pub(crate) async fn of_demo(session: &Session) -> Result<String, Failure> {
    of_admin(session, "Demo", Some(edge::now() + TimeDelta::days(DEMO_DAYS))).await
}

async fn of_admin(session: &Session, name: &str, expires: Option<DateTime<Utc>>) -> Result<String, Failure> {
    let command_id = CommandId(edge::new_id());
    let key = ApiKeyId(ids::made_by(command_id.0, "key"));
    let token = Token { tenant: session.tenant, key, secret: Secret::new(edge::random()?) };
    let issued = ApiKeyIssued {
        key,
        name: name.to_owned(),
        role: Role::Admin,
        owner: None,
        digest: token.secret.digest(),
        expires,
        scopes: None,
    };
    let channel = kvali_domain::Channel::Cli;
    let envelope = Envelope::new(session.tenant, command_id, ids::operator(), channel, edge::now());
    issue(session, issued, envelope).await?;
    Ok(token.reveal())
}

async fn issue(session: &Session, issued: ApiKeyIssued, envelope: Envelope) -> Result<(), Failure> {
    let order = Order { stream: access::STREAM, command: Command::IssueApiKey(issued).into() };
    carry_out(session, order, envelope).await
}

async fn carry_out(session: &Session, order: Order, envelope: Envelope) -> Result<(), Failure> {
    let sent = Sent::of(&order, &envelope);
    let outcome: Outcome = session.store.handle(order, envelope).await?;
    sent.answered(session, outcome).await?;
    Ok(())
}

async fn list(session: &Session) -> Result<Answer, Failure> {
    let access: Access = session.store.aggregate(session.tenant, access::STREAM).await?;
    let uses = session.store.key_uses(session.tenant).await?;
    let mut names = Names::new(session);
    let mut table =
        Table::new("Keys", &["key", "name", "role", "scopes", "owner", "expires", "valid", "last_used"]);
    for key in access.keys() {
        let owner = match key.issued.owner {
            Some(owner) => Some(names.user(owner).await?),
            None => None,
        };
        table.row([
            json!(key.issued.key),
            json!(key.issued.name),
            json!(key.issued.role),
            json!(key.issued.scopes.as_ref().map(words)),
            json!(owner),
            json!(key.issued.expires),
            json!(key.is_valid(edge::now())),
            json!(uses.get(&key.issued.key)),
        ]);
    }
    Ok(Answer::of(table))
}

fn words(scopes: &BTreeSet<Permission>) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}
