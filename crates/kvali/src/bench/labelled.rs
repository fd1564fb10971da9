//! Records and the truth about them, from CSV files.

use super::columns::{Mapping, Meaning, plain};
use csv::{Reader, StringRecord};
use kvali_projections::duplicate_candidates::Details;
use kvali_projections::duplicate_candidates::judge::{Pair, pairs_within};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

pub(super) struct Read {
    pub(super) details: Vec<Details>,
    pub(super) truth: HashSet<Pair>,
    /// Each column with what it was taken for.
    pub(super) columns: Vec<(String, String)>,
}

/// Why files cannot be judged. Values of records are not repeated: they may be personal.
#[derive(thiserror::Error, Debug)]
pub(crate) enum NotReadable {
    #[error("cannot read {}", .file.display())]
    File { file: PathBuf, source: csv::Error },
    #[error("--map {map:?} is no COLUMN=MEANING, such as Home=city")]
    Map { map: String },
    #[error("there is no column {column:?}; there are {columns}")]
    NoColumn { column: String, columns: String },
    #[error("{meaning:?} is no meaning of a column; use -, id, text or one of {known}")]
    Meaning { meaning: String, known: String },
    #[error("{} has no column with the ids of records; name it id, or say --map COLUMN=id", .file.display())]
    NoId { file: PathBuf },
    #[error("line {line} of {} has the id of a line before it; ids of records differ", .file.display())]
    IdTwice { file: PathBuf, line: u64 },
    #[error("{} needs two columns: the ids of two records that are one, or an id and what those of one entity share", .file.display())]
    TooFewColumns { file: PathBuf },
    #[error("line {line} of {} names a record that is not in the records' file", .file.display())]
    UnknownRecord { file: PathBuf, line: u64 },
    #[error("more than 4 billion records are too many; judge a part of them")]
    TooMany,
}

pub(super) fn read(records: &Path, truth: Option<&Path>, mapping: &Mapping<'_>) -> Result<Read, NotReadable> {
    let failed = |source| NotReadable::File { file: records.to_owned(), source };
    let mut reader = Reader::from_path(records).map_err(failed)?;
    let header: Vec<String> =
        reader.headers().map_err(failed)?.iter().map(|name| name.trim().to_owned()).collect();
    let meanings = mapping.of(&header)?;
    let has_id = meanings.contains(&Meaning::Id);
    if truth.is_some() && !has_id {
        return Err(NotReadable::NoId { file: records.to_owned() });
    }
    let mut details = Vec::new();
    let mut ids: HashMap<String, u32> = HashMap::new();
    let mut clusters = Vec::new();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let at = u32::try_from(details.len()).map_err(|_| NotReadable::TooMany)?;
        let record = Row::of(&row, &header, &meanings);
        if has_id && ids.insert(record.id, at).is_some() {
            let line = row.position().map_or(0, csv::Position::line);
            return Err(NotReadable::IdTwice { file: records.to_owned(), line });
        }
        clusters.push((at, record.cluster));
        details.push(record.details);
    }
    let truth = match truth {
        Some(file) => read_truth(file, &ids)?,
        // What has no cluster stands alone.
        None => pairs_within(clusters.into_iter().filter(|(_, cluster)| !cluster.is_empty())),
    };
    let columns = header.into_iter().zip(meanings.iter().map(Meaning::name)).collect();
    Ok(Read { details, truth, columns })
}

#[derive(Default)]
struct Row {
    id: String,
    cluster: String,
    details: Details,
}

impl Row {
    fn of(row: &StringRecord, header: &[String], meanings: &[Meaning]) -> Self {
        let mut read = Self::default();
        for ((value, column), meaning) in row.iter().zip(header).zip(meanings) {
            let value = value.trim();
            match meaning {
                _ if value.is_empty() => {}
                Meaning::Id => value.clone_into(&mut read.id),
                Meaning::Cluster => value.clone_into(&mut read.cluster),
                Meaning::NotCompared => {}
                Meaning::Known(known) => known.put(value, &mut read.details),
                Meaning::Other => {
                    read.details.others.insert(plain(column), value.to_owned());
                }
            }
        }
        read
    }
}

/// Pairs where the second column names records, else clusters.
fn read_truth(file: &Path, ids: &HashMap<String, u32>) -> Result<HashSet<Pair>, NotReadable> {
    let failed = |source| NotReadable::File { file: file.to_owned(), source };
    let mut reader: Reader<File> = Reader::from_path(file).map_err(failed)?;
    let header = reader.headers().map_err(failed)?;
    let labels = header.iter().position(|name| LABELS.contains(&name.trim().to_lowercase().as_str()));
    let mut lines = Vec::new();
    for row in reader.records() {
        let row = row.map_err(failed)?;
        let (Some(one), Some(other)) = (row.get(0), row.get(1)) else {
            return Err(NotReadable::TooFewColumns { file: file.to_owned() });
        };
        let is_one = labels.and_then(|at| row.get(at)).is_none_or(|label| !NOT_ONE.contains(&label.trim()));
        let line = row.position().map_or(0, csv::Position::line);
        lines.push((line, one.trim().to_owned(), other.trim().to_owned(), is_one));
    }
    let known = |line: u64, id: &str| {
        ids.get(id).copied().ok_or_else(|| NotReadable::UnknownRecord { file: file.to_owned(), line })
    };
    let firsts: HashSet<&str> = lines.iter().map(|(_, one, ..)| one.as_str()).collect();
    // Numbers of clusters may be numbers of records as well; then each record has one line.
    let tells_each_once = firsts.len() == lines.len() && lines.len() == ids.len();
    if !tells_each_once && lines.iter().all(|(_, _, other, _)| ids.contains_key(other)) {
        let mut pairs = HashSet::new();
        for (line, one, other, _) in lines.iter().filter(|(.., is_one)| *is_one) {
            let (one, other) = (known(*line, one)?, known(*line, other)?);
            if one != other {
                pairs.insert((one.min(other), one.max(other)));
            }
        }
        return Ok(pairs);
    }
    let mut clusters = Vec::with_capacity(lines.len());
    for (line, one, cluster, _) in &lines {
        clusters.push((known(*line, one)?, cluster.as_str()));
    }
    Ok(pairs_within(clusters.into_iter()))
}

/// Columns of a file of pairs that say whether they are one.
const LABELS: &[&str] = &["label", "match", "is_match", "is_duplicate", "duplicate", "same"];
const NOT_ONE: &[&str] = &["0", "0.0", "false", "False", "FALSE", "no", "n", "N", "different", "distinct"];
