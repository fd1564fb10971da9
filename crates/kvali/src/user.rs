//! `kvali user`: what a user has open; its forms are in `forms::user`.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::{self, Directory, Filled};
use crate::names::Names;
use crate::output::{Answer, Table};
use clap::Subcommand;
use kvali_domain::deal;
use kvali_domain::handover::Work;
use serde_json::json;

#[derive(Subcommand)]
pub(crate) enum User {
    /// Every open deal, lead and task of a user; takes as long as the server needs to look through the tenant's log
    Work { user: String },
    #[command(flatten)]
    Form(Box<Filled<forms::user::User>>),
}

impl User {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let user = match self {
            Self::Form(form) => return form.run(global).await,
            Self::Work { user } => user,
        };
        let session = Session::open(global, "default").await?;
        let directory = Directory::new(&session);
        let mut names = Names::new(&session);
        let user = directory.user(user).await?;
        let mut table =
            Table::new(format!("Open work of {}", names.user(user).await?), &["kind", "id", "called"]);
        for work in directory.work(user).await? {
            let (kind, stream) = match work {
                Work::Deal(id) => ("deal", id.stream()),
                Work::Lead(id) => ("lead", id.stream()),
                Work::Task(id) => ("task", id.stream()),
            };
            let elsewhere = directory.of::<deal::Deal>(stream).await?.and_then(|deal| {
                let external = deal.record()?.external.as_ref()?;
                Some(format!("{}:{}", external.source, external.id))
            });
            let called = match elsewhere {
                Some(called) => called,
                None => names.of(stream).await?,
            };
            table.row([json!(kind), json!(stream), json!(called)]);
        }
        Answer::of(table).print(global.format)?;
        Ok(Done::Well)
    }
}
