//! `kvali pg`: the private Postgres.

use crate::cli::{Done, Global};
use crate::connect::data_dir;
use crate::failure::Failure;
use crate::output::{Answer, Table};
use clap::Subcommand;
use kvali_pglocal::{Cluster, Config, Lifetime, Status};
use serde_json::json;
use std::path::Path;

#[derive(Subcommand)]
pub(crate) enum Pg {
    /// Start it, and keep it running until `kvali pg stop`
    Start,
    /// Stop it, whoever uses it
    Stop,
    /// Say whether it runs
    Status,
    /// Print its URL, for psql and other programs
    #[command(after_help = "Example:\n  psql \"$(kvali pg url)\"")]
    Url,
}

impl Pg {
    pub(crate) fn run(&self, global: &Global) -> Result<Done, Failure> {
        let dir = data_dir(global)?;
        match self {
            Self::Start => {
                let config = Config { lifetime: Lifetime::UntilStopped, ..Config::new(&dir) };
                drop(Cluster::start(&config)?);
            }
            Self::Stop => drop(Cluster::stop(&dir)?),
            Self::Status => {}
            Self::Url => {
                let Status::Running { address, .. } = Cluster::status(&dir)? else {
                    let dir = dir.display();
                    return Err(Failure::Impossible(format!(
                        "the private Postgres in {dir} is not running; start it with: kvali pg start"
                    )));
                };
                crate::output::write(format!("{}\n", address.url("kvali")).as_bytes())?;
                return Ok(Done::Well);
            }
        }
        status(&dir)?.print(global.format)?;
        Ok(Done::Well)
    }
}

fn status(dir: &Path) -> Result<Answer, Failure> {
    let (state, version, pid, url) = match Cluster::status(dir)? {
        Status::Absent => ("absent", None, None, None),
        Status::Stopped { version } => ("stopped", Some(version), None, None),
        Status::Running { version, pid, address } => {
            ("running", Some(version), Some(pid), Some(address.url("kvali")))
        }
    };
    let mut table = Table::new("Private Postgres", &["state", "version", "pid", "data_dir", "url"]);
    let dir = dir.display().to_string();
    let json = json!({"state": state, "version": version, "pid": pid, "data_dir": dir, "url": url});
    table.row([json!(state), json!(version), json!(pid), json!(dir), json!(url)]);
    Ok(Answer { json, tables: vec![table], notes: Vec::new() })
}
