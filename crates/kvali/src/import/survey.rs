//! The first pass over a file: what it holds, before anything is written.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::table::Table;

/// What a file holds. Times and stages are those of the good rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Records after the header, good and bad.
    pub rows: u64,
    /// Records besides that `[only]` passes over.
    pub passed_over: u64,
    /// Records that reading will refuse, each with a reason.
    pub bad_rows: u64,
    pub bytes: u64,
    /// The sheet of a workbook.
    pub sheet: Option<String>,
    /// After the map's outcomes, in order of first appearance: by time in a history, by line in a deals file.
    pub stages: Vec<String>,
    /// Whether time never goes back from row to row (in a deals file: the time of the first entry).
    pub sorted: bool,
    pub first: Option<DateTime<Utc>>,
    pub last: Option<DateTime<Utc>>,
    /// Good rows without a date; only a deals file may hold any.
    pub undated: u64,
    /// Columns of the file that the import does not read.
    pub unused_columns: Vec<String>,
}

/// Where a stage first appears.
type Appearance = (Option<DateTime<Utc>>, u64);

/// Gathers a survey row by row, in memory bounded by the number of distinct stages.
pub(super) struct Surveyor {
    survey: Survey,
    appeared: HashMap<String, Appearance>,
    previous: Option<DateTime<Utc>>,
}

impl Surveyor {
    pub(super) fn new(table: &Table) -> Self {
        let survey = Survey {
            rows: 0,
            passed_over: 0,
            bad_rows: 0,
            bytes: table.bytes(),
            sheet: table.sheet().map(str::to_owned),
            stages: Vec::new(),
            sorted: true,
            first: None,
            last: None,
            undated: 0,
            unused_columns: table.unused(),
        };
        Self { survey, appeared: HashMap::new(), previous: None }
    }

    pub(super) fn bad_row(&mut self) {
        self.survey.rows += 1;
        self.survey.bad_rows += 1;
    }

    pub(super) fn row_at(&mut self, at: Option<DateTime<Utc>>) {
        self.survey.rows += 1;
        self.survey.undated += u64::from(at.is_none());
        self.survey.sorted &= at.is_none() || self.previous <= at;
        self.previous = at.or(self.previous);
        self.spans(at);
    }

    pub(super) fn spans(&mut self, at: Option<DateTime<Utc>>) {
        self.survey.first = self.survey.first.into_iter().chain(at).min();
        self.survey.last = self.survey.last.max(at);
    }

    pub(super) fn stage_at(&mut self, stage: &str, appearance: Appearance) {
        match self.appeared.get_mut(stage) {
            Some(first) => *first = appearance.min(*first),
            None => drop(self.appeared.insert(stage.to_owned(), appearance)),
        }
    }

    pub(super) fn finish(mut self, table: &Table) -> Survey {
        self.survey.passed_over = table.passed_over();
        let mut stages: Vec<_> = self.appeared.into_iter().collect();
        stages.sort_by(|(a, first_a), (b, first_b)| first_a.cmp(first_b).then_with(|| a.cmp(b)));
        self.survey.stages = stages.into_iter().map(|(stage, _)| stage).collect();
        self.survey
    }
}
