//! What the server is told: durable, and sized for a small machine.

use crate::Error;

/// Written to a file of our own that is read after the cluster's `postgresql.conf` and rewritten at each start, so an
/// upgrade of Kvali takes effect. `alter system` still wins over it, which is how an operator grows a cluster.
const DEFAULTS: [(&str, &str); 21] = [
    // An acknowledged event survives a power cut.
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    // Room for the service and its workers on a machine with 2 GB.
    ("shared_buffers", "256MB"),
    ("effective_cache_size", "1GB"),
    ("work_mem", "8MB"),
    ("maintenance_work_mem", "128MB"),
    ("max_connections", "200"),
    // Fewer, larger checkpoints: the log is written far more than read. Compression would cost the append's CPU time.
    ("max_wal_size", "2GB"),
    ("wal_compression", "off"),
    ("checkpoint_timeout", "15min"),
    // A solid-state disk is the rule, and statements are too short to be worth compiling.
    ("random_page_cost", "1.1"),
    ("jit", "off"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    // Some distributions collect the log elsewhere, where a failed start would leave it unseen.
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", "%m [%p] %q%a "),
    // Its statistics would be the only lines of a healthy day.
    ("log_checkpoints", "off"),
    ("ssl", "off"),
    ("cluster_name", "kvali"),
];

/// Lines for `postgres.conf`; the last of two lines with one name counts.
pub(crate) fn render(overrides: &[(String, String)]) -> Result<String, Error> {
    if let Some((name, _)) = overrides.iter().find(|(name, value)| !is_sound(name, value)) {
        return Err(Error::Setting { name: name.clone() });
    }
    let overrides = overrides.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(DEFAULTS.into_iter().chain(overrides).map(|(name, value)| line(name, value)).collect())
}

/// Whether these settings care about what survives a power cut; if not, neither need initdb.
pub(crate) fn syncs(overrides: &[(String, String)]) -> bool {
    !overrides.iter().any(|(name, value)| name == "fsync" && value == "off")
}

pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

fn line(name: &str, value: &str) -> String {
    format!("{name} = {}\n", quoted(value))
}

fn is_sound(name: &str, value: &str) -> bool {
    let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
    named && !value.contains(char::is_control)
}
