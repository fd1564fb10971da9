//! `kvali call`: calls that no telephone system has recorded.

use super::given::words;
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use kvali_domain::call::{Belongs, Command, Direction, Match};
use kvali_domain::{CallId, Order, Personal, TaskId};

/// The provider of calls that people log.
const BY_HAND: &str = "hand";

#[derive(Subcommand)]
pub(crate) enum Call {
    /// Log a call that took place
    Log {
        #[command(flatten)]
        parties: Parties,
        /// They called
        #[arg(long)]
        inbound: bool,
        /// How long it was
        #[arg(long, value_name = "MINUTES", default_value_t = 1, value_parser = clap::value_parser!(i32).range(0..=1440))]
        minutes: i32,
        /// Who spoke on our side [default: the user of --as]
        #[arg(long, value_name = "USER", required_unless_present = "actor")]
        by: Option<String>,
        /// What came of it, as a code
        #[arg(long, value_name = "CODE")]
        disposition: Option<String>,
        /// What came of it, in words
        #[arg(long, requires = "disposition", value_name = "TEXT")]
        comment: Option<String>,
    },
    /// Log a call that nobody answered; a task to call back comes of it
    Missed {
        #[command(flatten)]
        parties: Parties,
        /// Who calls back [default: the user of --as]
        #[arg(long = "for", value_name = "USER", required_unless_present = "actor")]
        assignee: Option<String>,
        /// Until when: 30min, 2h or 3d from now, or a time
        #[arg(long, value_name = "TIME", default_value = "4h")]
        due: String,
    },
}

#[derive(Args)]
pub(crate) struct Parties {
    /// Their number
    #[arg(value_name = "NUMBER")]
    theirs: String,
    /// Our number
    #[arg(long = "line", value_name = "NUMBER")]
    ours: Option<String>,
    /// Whose number it is, by id, e-mail or phone
    #[arg(long, value_name = "CONTACT", requires = "part_of")]
    contact: Option<String>,
    /// What it was about
    #[arg(long, value_name = "DEAL", requires = "contact", group = "part_of")]
    deal: Option<String>,
    /// What it was about
    #[arg(long, value_name = "LEAD", requires = "contact", group = "part_of")]
    lead: Option<String>,
}

impl Parties {
    fn register(&self, call: CallId, direction: Direction) -> Command {
        let (theirs, ours) = (words(Some(&self.theirs)), words(self.ours.as_ref()));
        let (from, to) = match direction {
            Direction::Inbound => (theirs, ours),
            Direction::Outbound => (ours, theirs),
        };
        Command::Register { provider: BY_HAND.to_owned(), provider_id: call.to_string(), direction, from, to }
    }

    async fn matched(&self, directory: &Directory<'_>) -> Result<Option<Command>, Failure> {
        let contact = directory::maybe(self.contact.as_deref(), |contact| directory.contact(contact)).await?;
        let deal = directory::maybe(self.deal.as_deref(), |deal| directory.deal(deal)).await?;
        let lead = directory::maybe(self.lead.as_deref(), |lead| directory.lead(lead)).await?;
        let belongs_to = deal.map(Belongs::Deal).or(lead.map(Belongs::Lead));
        let outcome =
            contact.zip(belongs_to).map(|(contact, belongs_to)| Match::Contact { contact, belongs_to });
        Ok(outcome.map(|outcome| Command::Match { outcome, reason: Personal::default() }))
    }
}

impl Form for Call {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let call = CallId(by.id("call"));
        let us = |said: &Option<String>| said.clone().or(by.actor.clone()).unwrap_or_default();
        let commands = match self {
            Self::Log { parties, inbound, minutes, by, disposition, comment } => {
                let direction = if *inbound { Direction::Inbound } else { Direction::Outbound };
                let speaker = directory.user(&us(by)).await?;
                let spoken = [
                    parties.register(call, direction),
                    Command::Answer { by: speaker },
                    Command::End { duration_s: minutes * 60 },
                ];
                let comment = words(comment.as_ref());
                let disposition = disposition.clone().map(|code| Command::SetDisposition { code, comment });
                spoken.into_iter().chain(parties.matched(directory).await?).chain(disposition).collect()
            }
            Self::Missed { parties, assignee, due } => {
                let assignee = directory.user(&us(assignee)).await?;
                let due = by.later(due)?;
                let miss = Command::Miss {
                    task: TaskId(by.id("task")),
                    assignee,
                    due,
                    force: false,
                    reason: Personal::default(),
                };
                let matched = parties.matched(directory).await?;
                let rings = [parties.register(call, Direction::Inbound)];
                rings.into_iter().chain(matched).chain([miss]).collect::<Vec<_>>()
            }
        };
        Ok(commands.into_iter().map(|command| order(call.stream(), command)).collect())
    }
}
