//! `kvali sql`: who may query by SQL.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::progress::Folding;
use clap::Subcommand;
use kvali_eventstore::analyst::Grant;
use serde_json::json;
use std::fmt::Write;
use url::Url;

const HELP: &str = "\
An analyst is a role of the database that may read the views of the schema kvali_sql and nothing else, and of them the rows of
one tenant, whatever its session sets. No view has a personal text of a customer. docs/sql.md describes each column,
docs/analysts.md begins with a query.

Examples:
  kvali --tenant acme sql grant \"Power BI\"
  psql URL -c 'select stage, count(distinct deal_id) from stage_visits group by 1'
  kvali --tenant acme sql revoke kvali_analyst_1f0c9a44be21";

#[derive(Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum Sql {
    /// Make a role with a password, which is shown once
    Grant(New),
    /// Every role that was granted for the tenant
    List,
    /// End a role's sessions and drop it
    Revoke {
        /// Its name, as the list has it
        role: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct New {
    /// Who or what it is for
    label: String,
    /// Connections that it may have at once
    #[arg(long, value_name = "N", default_value_t = 5)]
    connections: u16,
    /// Seconds that a statement may take, unless its session says otherwise
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    statement_timeout: u32,
}

impl Sql {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let session = Session::open(global, "default").await?;
        let answer = match self {
            Self::Grant(new) => new.grant(&session).await?,
            Self::List => list(&session).await?,
            Self::Revoke { role } => revoke(&session, role).await?,
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }
}

impl New {
    async fn grant(&self, session: &Session) -> Result<Answer, Failure> {
        // The name says nothing of the tenant: the roles of a server are known to all who connect to it.
        let role = format!("kvali_analyst_{}", random::<6>()?);
        let password = random::<24>()?;
        let grant = Grant {
            role: &role,
            password: &password,
            label: &self.label,
            connections: self.connections,
            statement_timeout_s: self.statement_timeout,
        };
        fold(session).await?;
        session.store.grant_analyst(session.tenant, &grant).await?;
        let url = url(&session.options.url, &role, &password);
        let told = url.clone().unwrap_or_else(|| format!("role {role}, password {password}"));
        let note = "The password is shown once. docs/analysts.md has queries to begin with.".to_owned();
        let json = json!({ "role": role, "password": password, "url": url });
        Ok(Answer { tables: Vec::new(), notes: vec![told, note], json })
    }
}

/// So that there is something to see at once, also where no worker runs.
async fn fold(session: &Session) -> Result<(), Failure> {
    let (models, folding) = (kvali_projections::all(), Folding::begin());
    for model in models.iter().filter(|model| !model.views().is_empty()) {
        session.store.catch_up(model.clone(), session.tenant, &folding.told()).await?;
    }
    if !session.store.let_views_follow(&models).await? {
        tracing::warn!("other analysts are reading; views of before are renewed by the workers");
    }
    session.store.count_for_views(&models).await?;
    Ok(())
}

async fn list(session: &Session) -> Result<Answer, Failure> {
    let mut table = Table::new("Analysts", &["role", "label", "granted_at", "revoked_at"]);
    for analyst in session.store.analysts(session.tenant).await? {
        let (granted, revoked) = (json!(analyst.granted_at), json!(analyst.revoked_at));
        table.row([json!(analyst.role), json!(analyst.label), granted, revoked]);
    }
    Ok(Answer::of(table))
}

async fn revoke(session: &Session, role: &str) -> Result<Answer, Failure> {
    if !session.store.revoke_analyst(session.tenant, role).await? {
        return Err(Failure::Impossible(format!(
            "the tenant has no analyst {role}; `kvali sql list` has them by their roles"
        )));
    }
    let notes = vec![format!("{role} is revoked")];
    Ok(Answer { tables: Vec::new(), notes, json: json!({ "role": role }) })
}

/// What nobody can guess, in hexadecimal digits.
fn random<const N: usize>() -> Result<String, Failure> {
    Ok(edge::random::<N>()?.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes all that is written");
        digits
    }))
}

/// The service's URL for another user; none where it names no host to put a user before.
fn url(of_service: &str, role: &str, password: &str) -> Option<String> {
    let mut url = Url::parse(of_service).ok()?;
    url.set_username(role).ok()?;
    url.set_password(Some(password)).ok()?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn an_analysts_url_leads_to_the_same_database() {
        let of = |service| url(service, "kvali_analyst_1", "secret");
        let private = of("postgres://kvali@localhost:5432/kvali?host=%2Ftmp&sslmode=disable");
        let wanted = "postgres://kvali_analyst_1:secret@localhost:5432/kvali?host=%2Ftmp&sslmode=disable";
        assert_eq!(private.as_deref(), Some(wanted));
        let server = of("postgres://kvali:pass@db.internal/crm");
        assert_eq!(server.as_deref(), Some("postgres://kvali_analyst_1:secret@db.internal/crm"));
        assert_eq!(of("postgres:///crm?host=/tmp"), None);
    }
}
