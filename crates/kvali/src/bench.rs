//! `kvali bench`: how well Kvali does on data of which somebody knows the truth.

mod columns;
mod labelled;

pub(crate) use labelled::NotReadable;

use crate::cli::{Done, Global};
use crate::failure::Failure;
use crate::output::{Answer, Table};
use columns::Mapping;
use kvali_projections::duplicate_candidates::{
    Hasher, Judgement, Labelled, Model, Profile, Quality, Rarity, Share, judge,
};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Find duplicates in a CSV file and compare them with the truth; needs no database
    Duplicates(Duplicates),
}

const EXAMPLES: &str = "\
Examples:
  kvali bench duplicates --records people.csv --truth pairs.csv
      pairs.csv has the ids of two records that are one in its first two columns.
  kvali bench duplicates --records people.csv --truth clusters.csv
      clusters.csv has the id of a record, and what all records of one person share.
  kvali bench duplicates --records people.csv --cluster person
      The same, in a column of the records.
  kvali bench duplicates --records people.csv --truth pairs.csv --map \"Home=city\" --map \"Notes=-\"
      The column Home is a city, and Notes is not compared.

Columns are found by their names; what is not known compares as text, and ids do not compare.
docs/duplicates.md says what the figures mean.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Duplicates {
    /// The records: a CSV file with a header
    #[arg(long, value_name = "FILE")]
    records: PathBuf,
    /// Which records are one: pairs of ids, or ids with what those of one entity share
    #[arg(long, value_name = "FILE", required_unless_present = "cluster", conflicts_with = "cluster")]
    truth: Option<PathBuf>,
    /// The column of the records that those of one entity share
    #[arg(long, value_name = "COLUMN")]
    cluster: Option<String>,
    /// What a column holds, as COLUMN=MEANING; MEANING is `-` for what is not compared
    #[arg(long = "map", value_name = "COLUMN=MEANING")]
    maps: Vec<String>,
    /// Also score after so many decisions of somebody who knows the truth
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [25, 50, 100])]
    decisions: Vec<usize>,
    /// Count how common values are in the records themselves, or take every value for as common as any
    #[arg(long, value_enum, default_value_t)]
    frequencies: Frequencies,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Frequencies {
    #[default]
    Counted,
    None,
}

impl Bench {
    pub(crate) fn run(&self, global: &Global) -> Result<Done, Failure> {
        let Self::Duplicates(asked) = self;
        asked.answer()?.print(global.format)?;
        Ok(Done::Well)
    }
}

impl Duplicates {
    fn answer(&self) -> Result<Answer, Failure> {
        let mapping = Mapping { maps: &self.maps, cluster: self.cluster.as_deref() };
        let read = labelled::read(&self.records, self.truth.as_deref(), &mapping)?;
        let profiles: Vec<Profile> = read.details.iter().map(Profile::of).collect();
        let hasher = Hasher::new(|bytes| {
            i64::from_be_bytes(*blake3::hash(bytes).as_bytes().first_chunk().expect("a hash has 32 bytes"))
        });
        let rarity = match self.frequencies {
            Frequencies::Counted => Rarity::counted(profiles.iter(), &hasher),
            Frequencies::None => Rarity::default(),
        };
        let model = Model::shipped(rarity, hasher);
        let judgement = judge(&Labelled { profiles, truth: read.truth }, &model, &self.decisions);
        Ok(told(&judgement, &read.columns))
    }
}

fn told(judgement: &Judgement, columns: &[(String, String)]) -> Answer {
    let mut used = Table::new("Columns", &["column", "compared_as"]);
    for (column, meaning) in columns {
        used.row([json!(column), json!(meaning)]);
    }
    let mut found = Table::new(
        "Candidates",
        &["records", "true_pairs", "candidates", "candidates_per_record", "pair_completeness"],
    );
    found.row([
        json!(judgement.records),
        json!(judgement.true_pairs),
        json!(judgement.candidates),
        rounded(judgement.candidates_per_record),
        rounded(judgement.completeness),
    ]);
    let mut likely = Table::new(
        "At \"likely\"",
        &[
            "weights",
            "records",
            "precision",
            "recall",
            "f1",
            "clustered_precision",
            "clustered_recall",
            "clustered_f1",
        ],
    );
    let mut notes = vec![
        "unseen: half of the entities; decisions are about the other half, so no record is judged that was decided upon."
            .to_owned(),
    ];
    for trial in &judgement.trials {
        let weights = match trial.decisions {
            0 => "shipped".to_owned(),
            count => format!("after {count} decisions"),
        };
        if let Some(refused) = &trial.refused {
            notes.push(format!("{weights}: {refused}"));
        }
        let of = match trial.of {
            Share::All => "all",
            Share::Unseen => "unseen",
        };
        let row = [json!(weights), json!(of)].into_iter();
        likely.rows.push(row.chain(figures(trial.pairs)).chain(figures(trial.clusters)).collect());
    }
    Answer::of_tables([("columns", used), ("candidates", found), ("likely", likely)], notes)
}

fn figures(quality: Quality) -> [Value; 3] {
    [quality.precision, quality.recall, quality.f1].map(rounded)
}

/// To what a few thousand records can tell.
fn rounded(figure: f64) -> Value {
    json!((figure * 10_000.0).round() / 10_000.0)
}
