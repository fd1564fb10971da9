//! Settings by flag, environment and file, in this order. clap keeps the order; the file moves its defaults.

use crate::oidc::Provider;
use crate::output::{Answer, Table};
use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use kvali_api::Issuer;
use serde_json::json;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Taken when it lies in the working directory and no other file is named.
const FILE: &str = "kvali.toml";
/// The subcommand that has every flag which a file may set.
const ALL: &str = "config";
/// What a file has beside settings: a table for each identity provider.
const PROVIDERS: &str = "oidc";
/// Of one call, not of an installation.
const NOT_IN_FILES: [&str; 3] = ["config", "help", "version"];

#[derive(thiserror::Error, Debug)]
pub(crate) enum SettingsError {
    #[error("cannot read the settings in {}", .file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the settings in {} are no TOML", .file.display())]
    Toml { file: PathBuf, source: Box<toml::de::Error> },
    #[error("{} has {key:?}, which is no setting; the settings are {}", .file.display(), .accepted.join(", "))]
    Unknown { file: PathBuf, key: String, accepted: Vec<String> },
    #[error("{} gives {key} a value that is neither text nor number nor true or false", .file.display())]
    Shape { file: PathBuf, key: String },
    #[error("{}: {told}", .file.display())]
    Value { file: PathBuf, told: String },
    #[error("the identity providers ([[oidc]]) in {} cannot be read", .file.display())]
    Providers { file: PathBuf, source: Box<toml::de::Error> },
}

/// The command line with the defaults that a file gives.
pub(crate) struct Settings {
    pub(crate) command: Command,
    file: Option<PathBuf>,
    /// Ids of those that the file sets.
    set: Vec<String>,
    providers: Vec<Provider>,
    pub(crate) issuers: Vec<Issuer>,
}

impl Settings {
    pub(crate) fn load(command: Command, words: &[OsString]) -> Result<Self, SettingsError> {
        let Some(file) = named(&command, words) else {
            let (set, providers, issuers) = Default::default();
            return Ok(Self { command, file: None, set, providers, issuers });
        };
        let read = |source| SettingsError::Read { file: file.clone(), source };
        let text = std::fs::read_to_string(&file).map_err(read)?;
        let mut table: toml::Table = text
            .parse()
            .map_err(|source| SettingsError::Toml { file: file.clone(), source: Box::new(source) })?;
        let providers = providers(&file, table.remove(PROVIDERS))?;
        let checked = providers.iter().map(Provider::checked).collect::<Result<_, _>>();
        let issuers = checked.map_err(|told| SettingsError::Value { file: file.clone(), told })?;
        let mut given = Vec::new();
        for (key, value) in &table {
            given.push((id(&command, &file, key)?, said(&file, key, value)?));
        }
        check(&command, &file, &given)?;
        let command = given.iter().fold(command, |command, (id, value)| with_default(command, id, value));
        let set = given.into_iter().map(|(id, _)| id).collect();
        Ok(Self { command, file: Some(file), set, providers, issuers })
    }

    /// The effective value of each setting, and where it comes from; `matches` are those of `kvali config`.
    pub(crate) fn report(&self, matches: &ArgMatches) -> Answer {
        let mut table = Table::new("Settings", &["setting", "value", "from", "environment"]);
        for arg in known(&self.command) {
            let id = arg.get_id().as_str();
            let value =
                matches.get_raw(id).map(|values| values.map(OsStr::to_string_lossy).collect::<String>());
            let value = value.filter(|value| !value.is_empty());
            let from = value.as_ref().map(|_| self.origin(matches, id));
            let variable = arg.get_env().map(OsStr::to_string_lossy);
            table.row([json!(id), json!(value.map(|value| shown(id, value))), json!(from), json!(variable)]);
        }
        for Provider { issuer, audience, .. } in &self.providers {
            let told = format!("{issuer} for {audience}");
            table.row([json!(PROVIDERS), json!(told), json!("file"), json!(null)]);
        }
        let note = match &self.file {
            Some(file) => format!("The file is {}.", file.display()),
            None => format!("There is no file: name one with --config or KVALI_CONFIG, or make {FILE} here."),
        };
        Answer { notes: vec![note], ..Answer::of(table) }
    }

    fn origin(&self, matches: &ArgMatches, id: &str) -> &'static str {
        match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            _ if self.set.iter().any(|set| set == id) => "file",
            _ => "default",
        }
    }
}

/// The file that is named, or that lies here.
fn named(command: &Command, words: &[OsString]) -> Option<PathBuf> {
    // What is wrong with the other words is told later; help needs no file.
    let said = command.clone().ignore_errors(true).try_get_matches_from(words).ok()?;
    let file = said.get_one::<PathBuf>("config").filter(|file| !file.as_os_str().is_empty());
    file.cloned().or_else(|| Path::new(FILE).exists().then(|| FILE.into()))
}

/// Every flag that a file may set.
fn known(command: &Command) -> impl Iterator<Item = &Arg> {
    let of_all = command.find_subcommand(ALL).into_iter().flat_map(Command::get_arguments);
    let settable = |arg: &&Arg| arg.get_long().is_some() && !NOT_IN_FILES.contains(&arg.get_id().as_str());
    command.get_arguments().chain(of_all).filter(settable)
}

fn id(command: &Command, file: &Path, key: &str) -> Result<String, SettingsError> {
    let ids = || known(command).map(|arg| arg.get_id().to_string());
    ids().find(|id| id == key).ok_or_else(|| {
        let (file, key) = (file.to_owned(), key.to_owned());
        let accepted = ids().chain([format!("[[{PROVIDERS}]]")]).collect();
        SettingsError::Unknown { file, key, accepted }
    })
}

fn providers(file: &Path, told: Option<toml::Value>) -> Result<Vec<Provider>, SettingsError> {
    let Some(told) = told else { return Ok(Vec::new()) };
    told.try_into()
        .map_err(|source| SettingsError::Providers { file: file.to_owned(), source: Box::new(source) })
}

/// As it would be said on the command line.
fn said(file: &Path, key: &str, value: &toml::Value) -> Result<String, SettingsError> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(is) => Ok(is.to_string()),
        _ => Err(SettingsError::Shape { file: file.to_owned(), key: key.to_owned() }),
    }
}

/// A default is taken as it is, so each value is tried as a flag first.
fn check(command: &Command, file: &Path, given: &[(String, String)]) -> Result<(), SettingsError> {
    let alone = |command: Command| command.mut_args(|arg| arg.env(Resettable::Reset));
    let command = alone(command.clone()).mut_subcommand(ALL, alone);
    for (id, value) in given {
        let is_flag = known(&command).any(|arg| arg.get_id() == id && !arg.get_action().takes_values());
        let flag = format!("--{}", id.replace('_', "-"));
        let word = match (is_flag, value.as_str()) {
            (true, "false") => continue,
            (true, "true") => flag,
            _ => format!("{flag}={value}"),
        };
        if let Err(error) = command.clone().try_get_matches_from(["kvali", ALL, &word]) {
            let told = error.to_string();
            let told = told.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(SettingsError::Value { file: file.to_owned(), told });
        }
    }
    Ok(())
}

fn with_default(command: Command, id: &str, value: &str) -> Command {
    let has = |command: &Command| command.get_arguments().any(|arg| arg.get_id() == id);
    let set = |command: Command| command.mut_arg(id, |arg| arg.default_value(value.to_owned()));
    if has(&command) {
        return set(command);
    }
    let subcommands = command.get_subcommands().filter(|sub| has(sub));
    let names: Vec<String> = subcommands.map(|sub| sub.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| command.mut_subcommand(name, set))
}

/// Without a password, which a URL has after its user or among its parameters.
fn shown(id: &str, value: String) -> String {
    if id != "database_url" {
        return value;
    }
    let Ok(mut url) = url::Url::parse(&value) else { return "(hidden: it is no URL)".to_owned() };
    if url.password().is_some() {
        // Fails for URLs without a host only, which have no password either.
        let _hidden = url.set_password(Some("***"));
    }
    let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if !parameters.is_empty() {
        let hidden =
            |name: &str, value: String| if name.contains("password") { "***".to_owned() } else { value };
        let shown = parameters.into_iter().map(|(name, value)| {
            let value = hidden(&name, value);
            (name, value)
        });
        let shown: Vec<_> = shown.collect();
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn passwords_are_hidden_wherever_a_url_has_them() {
        for url in [
            "postgres://kvali:s3cret@db.example/kvali?sslmode=require",
            "postgres://db.example/kvali?user=kvali&password=s3cret",
            "s3cret",
        ] {
            let told = shown("database_url", url.to_owned());
            assert!(!told.contains("s3cret"), "{told}");
        }
        assert_eq!(
            shown("database_url", "postgres://kvali:s3cret@db.example/kvali".to_owned()),
            "postgres://kvali:***@db.example/kvali"
        );
    }
}
