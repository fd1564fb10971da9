//! `kvali absence`: when a user is away, and who stands in.

use super::given::from_word;
use super::{By, Directory, Form, directory, order};
use crate::failure::Failure;
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use kvali_domain::absence::Kind;
use kvali_domain::user::{self, Command};
use kvali_domain::{Order, UserId};

#[derive(Subcommand)]
pub(crate) enum Absence {
    /// Plan when a user is away
    Plan {
        user: String,
        /// The first day, in --zone
        #[arg(long, value_name = "DAY")]
        from: NaiveDate,
        /// The last day
        #[arg(long, value_name = "DAY")]
        to: NaiveDate,
        /// Who stands in
        #[arg(long, value_name = "USER")]
        deputy: Option<String>,
        #[arg(long, value_parser = from_word::<Kind>, value_name = "vacation|sickness|other", default_value = "vacation")]
        kind: Kind,
    },
    /// Say that it has begun
    Start(Which),
    /// Say that it is over
    End(Which),
    /// Give a planned absence up
    Cancel(Which),
}

#[derive(Args)]
pub(crate) struct Which {
    user: String,
    /// Its number, from 1 [default: the last]
    #[arg(long, value_name = "NUMBER")]
    absence: Option<i32>,
}

impl Which {
    async fn named(&self, directory: &Directory<'_>) -> Result<(UserId, i32), Failure> {
        let user = directory.user(&self.user).await?;
        let known: Option<user::User> = directory.of(user.stream()).await?;
        let absences = known.as_ref().and_then(user::User::record).map(|record| &record.absences);
        let last = absences.and_then(|absences| absences.last()).map_or(1, |absence| absence.number);
        Ok((user, self.absence.unwrap_or(last)))
    }
}

impl Form for Absence {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let (user, command) = match self {
            Self::Plan { user, from, to, deputy, kind } => {
                let substitute = directory::maybe(deputy.as_deref(), |user| directory.user(user)).await?;
                let (kind, from, to, zone) = (*kind, *from, *to, by.zone);
                (directory.user(user).await?, Command::PlanAbsence { kind, from, to, zone, substitute })
            }
            Self::Start(which) => {
                let (user, absence) = which.named(directory).await?;
                (user, Command::StartAbsence { absence })
            }
            Self::End(which) => {
                let (user, absence) = which.named(directory).await?;
                (user, Command::EndAbsence { absence })
            }
            Self::Cancel(which) => {
                let (user, absence) = which.named(directory).await?;
                (user, Command::CancelAbsence { absence })
            }
        };
        Ok(vec![order(user.stream(), command)])
    }
}
