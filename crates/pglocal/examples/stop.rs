//! Stops the private Postgres of a scratch directory, whoever uses it: `stop target/test-cluster`.

use std::path::Path;
use std::process::ExitCode;

use kvali_pglocal::{Cluster, scratch_data_dir};

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1) else {
        eprintln!("usage: stop <data directory>");
        return ExitCode::FAILURE;
    };
    match Cluster::stop(&scratch_data_dir(Path::new(&dir))) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
