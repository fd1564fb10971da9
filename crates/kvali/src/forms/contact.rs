//! `kvali contact`: people.

use super::given::{Points, words};
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use clap::Subcommand;
use kvali_domain::contact::{Command, Create};
use kvali_domain::{ContactId, Order};

#[derive(Subcommand)]
pub(crate) enum Contact {
    /// Add a person
    Add {
        /// The whole name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        points: Points,
        /// Where the contact comes from: the code of a source
        #[arg(long, value_name = "CODE")]
        source: Option<String>,
        /// Whose contact it is
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
    },
    /// Put a tag on a contact
    Tag { contact: String, tag: String },
}

impl Form for Contact {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let (contact, command) = match self {
            Self::Add { name, points, source, owner } => {
                let create = Create {
                    full: words(name.as_ref()),
                    points: points.points(),
                    source: directory::maybe(source.as_deref(), |code| directory.source(code)).await?,
                    owner: directory::maybe(owner.as_deref(), |user| directory.user(user)).await?,
                    override_duplicate: points.duplicate,
                    ..Create::default()
                };
                (ContactId(by.id("contact")), Command::Create(create))
            }
            Self::Tag { contact, tag } => {
                let tag = directory.tag(tag).await?;
                (directory.contact(contact).await?, Command::Tag { tag })
            }
        };
        Ok(vec![order(contact.stream(), command)])
    }
}
