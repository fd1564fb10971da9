//! `kvali deal`: from opening to won or lost. How a deal stands is told in `crate::deal`.

use super::given::{Worth, currency, words};
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use kvali_domain::deal::{Command, External, Open, Party};
use kvali_domain::money::Currency;
use kvali_domain::{DealId, Money, Order};
use rust_decimal::Decimal;

#[derive(Subcommand)]
pub(crate) enum Deal {
    /// Open a deal
    Open(Opened),
    /// Move a deal to another stage of its pipeline
    Move { deal: String, stage: String },
    /// Put a deal into a stage of another pipeline
    Transfer { deal: String, pipeline: String, stage: String },
    /// Close a deal as won
    Won { deal: String },
    /// Close a deal as lost, with the --reason
    Lost {
        deal: String,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        /// Which failure stage [default: the first]
        #[arg(long, value_name = "NAME")]
        stage: Option<String>,
    },
    /// Give a deal to a user
    Assign {
        deal: String,
        user: String,
        /// Also to somebody absent; needs a --reason or --comment
        #[arg(long)]
        force: bool,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Say what a deal is worth, such as 1200 GEL
    Value {
        deal: String,
        amount: Decimal,
        #[arg(value_parser = currency)]
        currency: Currency,
    },
    /// Say what is to be done next
    NextStep {
        deal: String,
        #[arg(required_unless_present = "task")]
        text: Option<String>,
        /// A task that is the next step
        #[arg(long, value_name = "TASK")]
        task: Option<String>,
    },
    /// Put a tag on a deal
    Tag { deal: String, tag: String },
}

#[derive(Args)]
pub(crate) struct Opened {
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// An entry stage [default: the pipeline's first]
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// With whom, by id, e-mail or phone
    #[arg(long, value_name = "CONTACT", conflicts_with = "company")]
    contact: Option<String>,
    /// With which company, by id or domain
    #[arg(long, value_name = "COMPANY")]
    company: Option<String>,
    /// Whose deal it is
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    #[command(flatten)]
    worth: Worth,
    /// The day on which it is expected to close
    #[arg(long, value_name = "DAY")]
    close: Option<NaiveDate>,
    /// Its number elsewhere, such as shop:4711; it can be named by that from then on
    #[arg(long, value_name = "SOURCE:ID", value_parser = external)]
    external: Option<External>,
}

fn external(text: &str) -> Result<External, String> {
    let (source, id) = text.split_once(':').ok_or("name the source, too: SOURCE:ID")?;
    Ok(External { source: source.to_owned(), id: id.to_owned() })
}

impl Form for Deal {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let (deal, command) = match self {
            Self::Open(opened) => (DealId(by.id("deal")), Command::Open(opened.open(directory).await?)),
            Self::Move { deal, stage } => {
                let deal = directory.deal(deal).await?;
                let (_, config) = directory.pipeline_of(deal).await?;
                let to = directory::stage(&config, stage)?;
                (deal, Command::Move { to, pipeline_version: None })
            }
            Self::Transfer { deal, pipeline, stage } => {
                let deal = directory.deal(deal).await?;
                let (pipeline, config) = directory.pipeline(pipeline).await?;
                let to = directory::stage(&config, stage)?;
                (deal, Command::Transfer { pipeline, to, pipeline_version: None })
            }
            Self::Won { deal } => (directory.deal(deal).await?, Command::CloseWon { pipeline_version: None }),
            Self::Lost { deal, comment, stage } => {
                let deal = directory.deal(deal).await?;
                let reason = directory.loss_reason(by.reason.as_ref()).await?;
                let stage = match stage {
                    Some(stage) => Some(directory::stage(&directory.pipeline_of(deal).await?.1, stage)?),
                    None => None,
                };
                let comment = words(comment.as_ref());
                (deal, Command::CloseLost { reason, stage, comment, pipeline_version: None })
            }
            Self::Assign { deal, user, force, comment } => {
                let (owner, reason) = (directory.user(user).await?, words(comment.as_ref()));
                (directory.deal(deal).await?, Command::Assign { owner, force: *force, reason })
            }
            Self::Value { deal, amount, currency } => {
                let value = Money { amount: *amount, currency: *currency };
                (directory.deal(deal).await?, Command::SetValue { value })
            }
            Self::NextStep { deal, text, task } => {
                let task = task.as_ref().map(|task| directory::task(task)).transpose()?;
                (directory.deal(deal).await?, Command::SetNextStep { text: words(text.as_ref()), task })
            }
            Self::Tag { deal, tag } => {
                let tag = directory.tag(tag).await?;
                (directory.deal(deal).await?, Command::Tag { tag })
            }
        };
        Ok(vec![order(deal.stream(), command)])
    }
}

impl Opened {
    async fn open(&self, directory: &Directory<'_>) -> Result<Open, Failure> {
        let (pipeline, config) = directory.pipeline(&self.pipeline).await?;
        let contact = directory::maybe(self.contact.as_deref(), |contact| directory.contact(contact)).await?;
        let company = directory::maybe(self.company.as_deref(), |company| directory.company(company)).await?;
        Ok(Open {
            stage: self.stage.as_ref().map(|stage| directory::stage(&config, stage)).transpose()?,
            party: contact.map(Party::Contact).or(company.map(Party::Company)),
            owner: directory::maybe(self.owner.as_deref(), |user| directory.user(user)).await?,
            value: self.worth.money()?,
            expected_close: self.close,
            external: self.external.clone(),
            ..Open::new(pipeline)
        })
    }
}
