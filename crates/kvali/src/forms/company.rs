//! `kvali company`: organisations.

use super::given::words;
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use clap::Subcommand;
use kvali_domain::company::{Command, Create};
use kvali_domain::{CompanyId, Order};

#[derive(Subcommand)]
pub(crate) enum Company {
    /// Add a company
    Add {
        name: String,
        /// A domain of its own, such as acme.ge; may be given several times
        #[arg(long)]
        domain: Vec<String>,
        /// Whose company it is
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
        /// Another may have the same domain; needs a --reason
        #[arg(long)]
        duplicate: bool,
    },
}

impl Form for Company {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let Self::Add { name, domain, owner, duplicate } = self;
        let create = Create {
            name: words(Some(name)),
            domains: domain.clone(),
            owner: directory::maybe(owner.as_deref(), |user| directory.user(user)).await?,
            override_duplicate: *duplicate,
            ..Create::default()
        };
        Ok(vec![order(CompanyId(by.id("company")).stream(), Command::Create(create))])
    }
}
