//! `kvali user`: who works here, and whose work goes to whom. What a user has open is told in `crate::user`.

use super::given::words;
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use kvali_domain::access::{self, Role};
use kvali_domain::handover::{self, HandOver, Item, Scope, Work};
use kvali_domain::user::Command;
use kvali_domain::{HandoverId, Order, UserId};

#[derive(Subcommand)]
pub(crate) enum User {
    /// Invite a user by e-mail
    Invite { name: String, mail: String },
    /// Let an invited or deactivated user work
    Activate { user: String },
    /// Let a user work no longer; their open work is handed over first
    Deactivate { user: String },
    #[command(
        about = "Give a user a role: admin, head_of_sales, sales, support, analyst, auditor or integration"
    )]
    Grant { user: String, role: Role },
    /// Take a role from a user
    Revoke { user: String, role: Role },
    /// Hand a user's work over to another
    HandOver {
        from: String,
        #[arg(long, value_name = "USER")]
        to: String,
        #[command(flatten)]
        works: Works,
        /// All that is open; with something named, refuse if anything else stays behind
        #[arg(long, group = "Works")]
        all: bool,
        /// The work shall come back
        #[arg(long)]
        return_after: bool,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Give work that was handed over back to whom it came from
    HandBack {
        /// The id that handing over answered with
        handover: HandoverId,
        #[command(flatten)]
        works: Works,
        /// Also what was worked on meanwhile
        #[arg(long)]
        confirmed: bool,
    },
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Works {
    /// May be given several times, as may the next two
    #[arg(long, value_name = "DEAL")]
    deal: Vec<String>,
    #[arg(long, value_name = "LEAD")]
    lead: Vec<String>,
    #[arg(long, value_name = "TASK")]
    task: Vec<String>,
}

impl Works {
    async fn named(&self, directory: &Directory<'_>) -> Result<Vec<Work>, Failure> {
        let mut works = Vec::new();
        for deal in &self.deal {
            works.push(Work::Deal(directory.deal(deal).await?));
        }
        for lead in &self.lead {
            works.push(Work::Lead(directory.lead(lead).await?));
        }
        for task in &self.task {
            works.push(Work::Task(directory::task(task)?));
        }
        Ok(works)
    }
}

impl Form for User {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let (user, command) = match self {
            Self::Invite { name, mail } => {
                let user = UserId(by.id("user"));
                (user, Command::Invite { user, name: words(Some(name)), mail: words(Some(mail)) })
            }
            Self::Activate { user } => (directory.user(user).await?, Command::Activate {}),
            Self::Deactivate { user } => (directory.user(user).await?, Command::Deactivate {}),
            Self::Grant { user, role } => {
                let user = directory.user(user).await?;
                let grant = access::Command::GrantRole { user, role: *role };
                return Ok(vec![order(access::STREAM, grant)]);
            }
            Self::Revoke { user, role } => {
                let user = directory.user(user).await?;
                let revoke = access::Command::RevokeRole { user, role: *role };
                return Ok(vec![order(access::STREAM, revoke)]);
            }
            Self::HandOver { from, to, works, all, return_after, comment } => {
                let to = directory.user(to).await?;
                let from = directory.user(from).await?;
                let works = match works.named(directory).await? {
                    none if none.is_empty() => directory.work(from).await?,
                    named => named,
                };
                let hand_over = HandOver {
                    from,
                    scope: if *all { Scope::All } else { Scope::Selected },
                    items: works.into_iter().map(|work| Item { work, to }).collect(),
                    return_after: *return_after,
                    reason: words(comment.as_ref()),
                };
                let id = HandoverId(by.id("handover"));
                return Ok(vec![order(id.stream(), handover::Command::HandOver(hand_over))]);
            }
            Self::HandBack { handover, works, confirmed } => {
                let items = works.named(directory).await?;
                let give_back = handover::Command::Return { items, confirmed: *confirmed };
                return Ok(vec![order(handover.stream(), give_back)]);
            }
        };
        Ok(vec![order(user.stream(), command)])
    }
}
