//! `kvali import`: rows of a file become ordinary commands, many in one append.
//!
//! Ids follow from the file (`crate::ids`), so the same rows sent again are known and add nothing. A dry run sends
//! the same commands to a rehearsal instead of the log.

mod batch;
mod deals;
mod entry;
mod history;
mod people;
mod pipeline;
mod reasons;
#[cfg(not(fuzzing))]
mod records;
#[cfg(fuzzing)]
pub(crate) mod records;
mod report;
mod revert;
mod sink;

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::ids::Fingerprint;
use crate::import::{Kind, ReadError, When};
use clap::{Args, Subcommand};
use kvali_domain::Occurred;
use report::Refusals;
use sink::Sink;
use std::path::{Path, PathBuf};

const HISTORY_HELP: &str = "\
The file has one row per stage entry. Without a map its columns are deal, stage, actor, occurred_at, every stage is a
process stage, and an unused Won and Lost are added. docs/maps/README.md tells what a map may say.

Examples:
  kvali import history moves.csv --pipeline Sales --stages \"Lead,Offer,Contract\"
  kvali import history moves.csv --pipeline Sales --stage Lead --stage \"Offer, sent\" --map moves.toml
  kvali import history moves.csv --pipeline Sales --dry-run --refusals refused.csv

The same file again adds nothing; a file that has grown adds its new rows.
Exit code 3: some rows were refused and are listed; all others are in. Of a refused row a part may be in, such as the
record without the cell that was refused; the report counts these rows as partly in.";

const DEALS_HELP: &str = "\
The file has one row per deal as it stands; the map says which columns hold what.

Example:
  kvali import deals sales_pipeline.csv --pipeline Sales --map docs/maps/maven_crm_sales.toml

The same file again adds nothing; a newer export adds what has changed.
Exit code 3: some rows were refused and are listed; all others are in. Of a refused row a part may be in, such as the
record without the cell that was refused; the report counts these rows as partly in.";

const RECORDS_HELP: &str = "\
The file has one row per record, with its id in the system it comes from. Without a map its headers are recognised:
id, given, family, name, email, phone, company, owner and the like; docs/maps/README.md lists them.

Examples:
  kvali import companies accounts.csv --source crm
  kvali import contacts people.csv --source crm --duplicates link --dry-run
  kvali import tasks tasks.csv --map tasks.toml --refusals refused.csv

The same file again adds nothing; a newer export updates what has changed.
Exit code 3: some rows were refused and are listed; all others are in. Of a refused row a part may be in, such as the
record without the cell that was refused; the report counts these rows as partly in.";

const REVERT_HELP: &str = "\
IMPORT is the id that the import's report names. Companies, contacts and leads are archived, tasks cancelled, closed
deals archived, unless somebody touched them since, by an event on the record itself, or refers to them: by a task, a
note, a meeting, an affiliation, a deal. Those are left and listed, with who did. Revert what refers to others
first: tasks before deals, deals before contacts, contacts before companies. Nothing undoes an open deal: closing it
as lost would count as a loss. Users, pipelines and reasons stay, and so do changes to records that were there
before.

Example:
  kvali import revert 0190d9c6-… --dry-run

A second revert adds nothing. Exit code 3: some records were left and are listed.";

#[derive(Subcommand)]
pub(crate) enum Import {
    /// One row per stage entry
    #[command(after_help = HISTORY_HELP)]
    History(history::History),
    /// One row per deal
    #[command(after_help = DEALS_HELP)]
    Deals(deals::Deals),
    /// One row per company
    #[command(after_help = RECORDS_HELP)]
    Companies(records::Parties),
    /// One row per contact
    #[command(after_help = RECORDS_HELP)]
    Contacts(records::Parties),
    /// One row per lead
    #[command(after_help = RECORDS_HELP)]
    Leads(records::Parties),
    /// One row per task
    #[command(after_help = RECORDS_HELP)]
    Tasks(records::Records),
    /// One row per user, by the id that other files name owners with
    #[command(after_help = RECORDS_HELP)]
    Users(records::Records),
    /// One row per contact of a deal, of deals and contacts that were imported before
    #[command(after_help = RECORDS_HELP)]
    DealContacts(records::Records),
    /// Undo an import: archive or cancel what it created and nobody touched since
    #[command(after_help = REVERT_HELP)]
    Revert(revert::Revert),
}

impl Import {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        match self {
            Self::History(history) => history.run(global).await,
            Self::Deals(deals) => Box::pin(deals.run(global)).await,
            Self::Companies(companies) => companies.run(Kind::Companies, global).await,
            Self::Contacts(contacts) => contacts.run(Kind::Contacts, global).await,
            Self::Leads(leads) => leads.run(Kind::Leads, global).await,
            Self::Tasks(tasks) => tasks.run(Kind::Tasks, global).await,
            Self::Users(users) => users.run(Kind::Users, global).await,
            Self::DealContacts(contacts) => contacts.run(Kind::DealContacts, global).await,
            Self::Revert(revert) => revert.run(global).await,
        }
    }
}

/// What both kinds of import ask for.
#[derive(Args)]
pub(crate) struct Common {
    /// The CSV file, or a workbook (.xlsx)
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// The sheet of a workbook that holds the rows, instead of the map's `sheet` [default: the only one]
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// The system the rows come from, instead of the map's `source`; part of every id
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Write all refused rows to this CSV file
    #[arg(long, value_name = "FILE")]
    refusals: Option<PathBuf>,
    /// Write nothing to the log; say what would become of each row
    #[arg(long)]
    dry_run: bool,
}

impl Common {
    /// What makes this run the same when it is run again, so that one which was interrupted goes on: what the file holds
    /// and how it is read.
    fn import(
        &self,
        kind: &str,
        source: &str,
        map: Option<&Path>,
        more: &str,
    ) -> Result<Fingerprint, Failure> {
        let hash = |file: &Path| {
            let mut hasher = blake3::Hasher::new();
            let read = std::fs::File::open(file).and_then(|file| hasher.update_reader(file).map(drop));
            let failed = |source| ReadError::Open { file: file.to_owned(), source };
            read.map(|()| *hasher.finalize().as_bytes()).map_err(failed)
        };
        let map = map.map(hash).transpose()?.map_or_else(Vec::new, Vec::from);
        let sheet = self.sheet.as_deref().unwrap_or_default().as_bytes();
        let texts = ["import", kind, source, more].map(str::as_bytes);
        Ok(Fingerprint::of(&[&texts[..], &[&hash(&self.file)?, &map, sheet]].concat()))
    }

    /// Where refused rows go: never over what is read.
    fn refusals(&self, global: &Global, map: Option<&Path>) -> Result<Refusals, Failure> {
        if let Some(list) = &self.refusals {
            for (what, read) in [("the file to import", Some(self.file.as_path())), ("the map", map)] {
                if read.is_some_and(|read| is_same(list, read)) {
                    return Err(Failure::Impossible(format!(
                        "--refusals {} is {what}; name another file for the refused rows",
                        list.display()
                    )));
                }
            }
        }
        Refusals::new(global.format, self.refusals.as_deref())
    }

    async fn sink<'s>(&self, session: &'s Session, import: &Fingerprint) -> Result<Sink<'s>, Failure> {
        Sink::open(session, import, self.dry_run).await
    }

    async fn session(&self, global: &Global) -> Result<Session, Failure> {
        Session::open(global, "default").await
    }
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    place(one).is_some_and(|one| place(other) == Some(one))
}

impl From<When> for Occurred {
    fn from(when: When) -> Self {
        match when {
            When::Instant(at) => Self::Instant { at },
            When::Day { starts, zone } => Self::Day { at: starts, zone },
            When::Unknown => Self::Unknown,
        }
    }
}
