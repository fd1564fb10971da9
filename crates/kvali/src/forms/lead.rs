//! `kvali lead`: from capture to conversion.

use super::given::{Points, Worth, words};
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use kvali_domain::contact_point::ContactPoint;
use kvali_domain::lead::{self, Capture, Command, Convert, Event, ToCompany, ToContact, ToDeal};
use kvali_domain::{CompanyId, ContactId, DealId, LeadId, Order, Personal, UserId, company, contact, deal};

#[derive(Subcommand)]
pub(crate) enum Lead {
    /// Take in somebody who may want something
    Capture(Captured),
    /// Give a lead to a user
    Assign {
        lead: String,
        user: String,
        /// Also to somebody absent; needs a --reason or --comment
        #[arg(long)]
        force: bool,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Say that a lead is worth a deal
    Qualify { lead: String },
    /// Give a lead up, with the --reason
    Disqualify {
        lead: String,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Take a disqualified lead into work again
    Recycle {
        lead: String,
        /// Whose it is from now on [default: whose it was]
        #[arg(long, value_name = "USER")]
        owner: Option<String>,
        /// Also to somebody absent; needs a --reason or --comment
        #[arg(long)]
        force: bool,
        /// Why, in words
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Put a tag on a lead
    Tag { lead: String, tag: String },
    /// Make a contact of a qualified lead, and a company and a deal if wanted
    Convert(Converted),
}

#[derive(Args)]
pub(crate) struct Captured {
    /// The whole name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    points: Points,
    /// The company's name, as the lead says it
    #[arg(long, value_name = "NAME")]
    company: Option<String>,
    /// What the lead wants
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Where the lead comes from: the code of a source
    #[arg(long, value_name = "CODE")]
    source: Option<String>,
    /// Whose lead it is
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
}

#[derive(Args)]
pub(crate) struct Converted {
    lead: String,
    /// A contact that is there already [default: a new one, with the lead's name, e-mail and phone]
    #[arg(long, value_name = "CONTACT")]
    contact: Option<String>,
    /// A company that is there, by id or domain; otherwise the name of a new one
    #[arg(long, value_name = "COMPANY")]
    company: Option<String>,
    /// Open a deal, too
    #[arg(long, requires = "pipeline")]
    deal: bool,
    /// The deal's pipeline
    #[arg(long, requires = "deal", value_name = "NAME")]
    pipeline: Option<String>,
    /// The deal's owner [default: the lead's]
    #[arg(long, requires = "deal", value_name = "USER")]
    owner: Option<String>,
    #[command(flatten)]
    worth: Worth,
}

impl Form for Lead {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let (lead, command) = match self {
            Self::Capture(captured) => {
                (LeadId(by.id("lead")), Command::Capture(captured.capture(directory).await?))
            }
            Self::Assign { lead, user, force, comment } => {
                let (owner, reason) = (directory.user(user).await?, words(comment.as_ref()));
                (directory.lead(lead).await?, Command::Assign { owner, force: *force, reason })
            }
            Self::Qualify { lead } => (directory.lead(lead).await?, Command::Qualify {}),
            Self::Disqualify { lead, comment } => {
                let reason = directory.loss_reason(by.reason.as_ref()).await?;
                let comment = words(comment.as_ref());
                (directory.lead(lead).await?, Command::Disqualify { reason, comment })
            }
            Self::Recycle { lead, owner, force, comment } => {
                let owner = directory::maybe(owner.as_deref(), |user| directory.user(user)).await?;
                let reason = words(comment.as_ref());
                (directory.lead(lead).await?, Command::Recycle { owner, force: *force, reason })
            }
            Self::Tag { lead, tag } => {
                let tag = directory.tag(tag).await?;
                (directory.lead(lead).await?, Command::Tag { tag })
            }
            Self::Convert(converted) => {
                let lead = directory.lead(&converted.lead).await?;
                (lead, converted.convert(lead, directory, by).await?)
            }
        };
        Ok(vec![order(lead.stream(), command)])
    }
}

impl Captured {
    async fn capture(&self, directory: &Directory<'_>) -> Result<Capture, Failure> {
        Ok(Capture {
            full: words(self.name.as_ref()),
            points: self.points.points(),
            company_name: words(self.company.as_ref()),
            message: words(self.message.as_ref()),
            source: directory::maybe(self.source.as_deref(), |code| directory.source(code)).await?,
            owner: directory::maybe(self.owner.as_deref(), |user| directory.user(user)).await?,
            override_duplicate: self.points.duplicate,
            ..Capture::default()
        })
    }
}

impl Converted {
    async fn convert(&self, lead: LeadId, directory: &Directory<'_>, by: &By) -> Result<Command, Failure> {
        let person = Person::of(directory, lead).await?;
        let contact = match &self.contact {
            Some(contact) => ToContact::Link(directory.contact(contact).await?),
            None => ToContact::Create { id: ContactId(by.id("contact")), with: Box::new(person.contact()) },
        };
        let company = match &self.company {
            Some(said) => Some(match directory.known_company(said).await? {
                Some(company) => ToCompany::Link(company),
                None => ToCompany::Create {
                    id: CompanyId(by.id("company")),
                    with: company::Create {
                        name: words(Some(said)),
                        owner: person.owner,
                        ..company::Create::default()
                    },
                },
            }),
            None => None,
        };
        let deal = match &self.pipeline {
            Some(pipeline) => {
                let owner = directory::maybe(self.owner.as_deref(), |user| directory.user(user)).await?;
                let with = deal::Open {
                    party_name: person.full.clone(),
                    owner: owner.or(person.owner),
                    value: self.worth.money()?,
                    ..deal::Open::new(directory.pipeline(pipeline).await?.0)
                };
                Some(ToDeal { id: DealId(by.id("deal")), with })
            }
            None if self.worth.money()?.is_some() => {
                let words = "--value is that of the deal; add --deal and --pipeline";
                return Err(Failure::Impossible(words.to_owned()));
            }
            None => None,
        };
        Ok(Command::Convert(Box::new(Convert { contact, company, deal })))
    }
}

/// Who a lead is, as far as the lead's key still opens it.
#[derive(Default)]
struct Person {
    given: Personal,
    family: Personal,
    full: Personal,
    points: Vec<ContactPoint>,
    owner: Option<UserId>,
}

impl Person {
    async fn of(directory: &Directory<'_>, lead: LeadId) -> Result<Self, Failure> {
        let known: Option<lead::Lead> = directory.of(lead.stream()).await?;
        let owner = known.as_ref().and_then(lead::Lead::record).and_then(|record| record.owner);
        let mut person = Self { owner, ..Self::default() };
        for event in directory.history(lead.stream()).await? {
            match event {
                kvali_domain::Event::Lead(Event::Captured(event)) => {
                    (person.given, person.family, person.full) = (event.given, event.family, event.full);
                }
                kvali_domain::Event::Lead(Event::Renamed(event)) => {
                    let parts = [
                        (&mut person.given, event.given),
                        (&mut person.family, event.family),
                        (&mut person.full, event.full),
                    ];
                    for (part, renamed) in parts {
                        if !renamed.is_blank() {
                            *part = renamed;
                        }
                    }
                }
                kvali_domain::Event::Lead(Event::PointAdded(event)) if !event.value.is_blank() => {
                    let (kind, value) = (event.kind, event.value);
                    person.points.push(ContactPoint { kind, value, region: None });
                }
                _ => {}
            }
        }
        Ok(person)
    }

    fn contact(&self) -> contact::Create {
        contact::Create {
            given: self.given.clone(),
            family: self.family.clone(),
            full: self.full.clone(),
            points: self.points.clone(),
            owner: self.owner,
            ..contact::Create::default()
        }
    }
}
