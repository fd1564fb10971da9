//! `kvali merge preview`: records side by side before they are merged; the forms are in `forms::merge`.

use crate::cli::{Done, Global};
use crate::connect::Session;
use crate::failure::Failure;
use crate::forms::merge::{Kind, preview};
use crate::forms::{self, Directory, Filled};
use crate::output::{Answer, Table};
use clap::Subcommand;
use kvali_domain::StreamId;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Subcommand)]
pub(crate) enum Merge {
    /// Every field of some records side by side, and which of them are in conflict; writes nothing
    Preview {
        kind: Kind,
        /// The record that would stay
        survivor: String,
        /// Those that would go into it
        #[arg(required = true)]
        others: Vec<String>,
    },
    #[command(flatten)]
    Form(Filled<forms::merge::Merge>),
}

impl Merge {
    pub(crate) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let (kind, said) = match self {
            Self::Form(form) => return form.run(global).await,
            Self::Preview { kind, survivor, others } => {
                (*kind, [survivor].into_iter().chain(others).collect::<Vec<_>>())
            }
        };
        let session = Session::open(global, "default").await?;
        let directory = Directory::new(&session);
        let (_, preview) = preview(&directory, kind, &said).await?;
        let mut table = Table::new("What the records hold", &["field", "conflict", "record", "value"]);
        for field in &preview.fields {
            for (id, value) in &field.values {
                let shown = shown(&directory, &field.field, value).await?;
                table.row([json!(field.field), json!(field.conflict), json!(id), shown]);
            }
        }
        let conflicts = preview.fields.iter().filter(|field| field.conflict).count();
        let json = json!({ "seen": preview.seen, "fields": Answer::of(table.clone()).json });
        let notes =
            vec![format!("{conflicts} fields in conflict; choose with --take FIELD=RECORD or --keep")];
        Answer { tables: vec![table], notes, json }.print(global.format)?;
        Ok(Done::Well)
    }
}

/// A sealed value in clear, as long as its key exists.
async fn shown(directory: &Directory<'_>, field: &str, value: &Value) -> Result<Value, Failure> {
    let parts: &[&str] = match field {
        "name" => &["given", "family", "full", "name"],
        "company_name" => &["company_name"],
        "address" => &["lines"],
        _ => return Ok(plain(value)),
    };
    let Some(of) = value.get("of").and_then(Value::as_str).and_then(|of| Uuid::parse_str(of).ok()) else {
        return Ok(plain(value));
    };
    let mut latest = None;
    for mut event in directory.history(StreamId(of)).await? {
        let found = event.personal();
        let said = found
            .iter()
            .filter(|found| parts.contains(&found.field))
            .filter_map(|found| found.value.as_deref());
        let said: Vec<&str> = said.filter(|text| !text.trim().is_empty()).collect();
        latest = (!said.is_empty()).then(|| said.join(" ")).or(latest);
    }
    Ok(latest.map_or_else(|| json!("(erased)"), Value::String))
}

/// Compounds as text, so that a table cell holds them.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) => json!(value.to_string()),
        value => value.clone(),
    }
}
