//! `kvali config`: the settings in force. Its flags are all that a file may set.

use crate::{project, serve};

const EXAMPLES: &str = "\
A flag counts before the environment, that before the file, that before the default. The file is named by --config or
KVALI_CONFIG, or is kvali.toml in the working directory; its keys are the settings below.

Examples:
  kvali config
  kvali config --config /etc/kvali.toml --format json";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(flatten)]
    _serve: serve::Settings,
    #[command(flatten)]
    _metrics: project::Metrics,
}
