//! `kvali tenant`: everything of one organisation as a file, and back.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use crate::{ids, progress};
use clap::Subcommand;
use kvali_eventstore::MasterKey;
use kvali_eventstore::archive::{self, ArchiveError, Manifest};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const HELP: &str = "\
An archive has every event, command and denial at its position. Names and texts in it stay sealed: the key that opens
them is written beside it, to FILE.key. Send the two by different ways. API keys go on being valid; read models are built
anew; cursors of the feed that were given out before are refused (410), and their owners begin anew or at a position.

Examples:
  kvali --tenant acme tenant export acme.kvali
  kvali tenant import acme.kvali --database-url postgres://kvali@db.example/kvali";

#[derive(Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum Tenant {
    /// Write everything of the tenant to a file that does not exist yet
    Export { file: PathBuf },
    /// Bring an archive into an installation where its tenant is empty
    Import {
        file: PathBuf,
        /// The archive's key [default: FILE.key]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

impl Tenant {
    pub(crate) async fn run(self, global: &Global) -> Result<Done, Failure> {
        let answer = match &self {
            Self::Export { file } => export(global, file).await?,
            Self::Import { file, key } => {
                import(global, file, &key.clone().unwrap_or_else(|| beside(file, "key"))).await?
            }
        };
        answer.print(global.format)?;
        Ok(Done::Well)
    }
}

/// `acme.kvali.key` beside `acme.kvali`.
fn beside(file: &Path, extension: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Under another name until it is whole.
async fn export(global: &Global, file: &Path) -> Result<Answer, Failure> {
    let (draft, key_file) = (beside(file, "new"), beside(file, "key"));
    if let Some(there) = [file, &key_file].into_iter().find(|file| file.exists()) {
        let there = there.display();
        return Err(Failure::Impossible(format!("{there} is there already; name another file")));
    }
    let session = Session::open(global, "default").await?;
    let key = MasterKey::load_or_create(&key_file)?;
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let mut out = BufWriter::new(made.map_err(ArchiveError::File)?);
    let manifest = session.store.export(session.tenant, &key, &mut out).await?;
    let written = out.into_inner().map_err(|error| ArchiveError::File(error.into_error()))?;
    written.sync_all().map_err(ArchiveError::File)?;
    std::fs::rename(&draft, file).map_err(ArchiveError::File)?;
    let note = format!("What is sealed in {} is opened by {}.", file.display(), key_file.display());
    Ok(told(&manifest, note))
}

async fn import(global: &Global, file: &Path, key_file: &Path) -> Result<Answer, Failure> {
    let open = || File::open(file).map(BufReader::new).map_err(ArchiveError::File);
    let manifest = archive::checked(&mut open()?)?;
    if let Some(named) = global.tenant.as_deref().filter(|named| ids::tenant(named) != manifest.tenant) {
        let tenant = manifest.tenant;
        return Err(Failure::Impossible(format!(
            "the archive is of tenant {tenant}, which is not {named:?}; leave --tenant out"
        )));
    }
    if !key_file.exists() {
        let key_file = key_file.display();
        return Err(Failure::Impossible(format!(
            "the archive's key {key_file} is missing; name it with --key"
        )));
    }
    let key = MasterKey::load_or_create(key_file)?;
    let session = Session::open(global, "default").await?;
    session.store.import(&manifest, &key, &mut open()?).await?;
    let folding = progress::Folding::begin();
    for model in kvali_projections::all() {
        session.store.catch_up(model, manifest.tenant, &folding.told()).await?;
    }
    let note = format!("Its log is in epoch {}: cursors of before are refused.", manifest.epoch + 1);
    Ok(told(&manifest, note))
}

fn told(manifest: &Manifest, note: String) -> Answer {
    let mut table = Table::new("Tenant", &["tenant", "events", "rows", "schema"]);
    let (events, rows) = (manifest.head, manifest.rows());
    table.row([json!(manifest.tenant), json!(events), json!(rows), json!(manifest.schema)]);
    let json =
        json!({ "tenant": manifest.tenant, "events": events, "rows": rows, "schema": manifest.schema });
    Answer { tables: vec![table], notes: vec![note], json }
}
