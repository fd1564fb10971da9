//! A deals file: one row per deal as it stands, the way CRMs export it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use rust_decimal::Decimal;

use super::map::{DealsMap, OfOpenDeals, StageClass};
use super::problem::{ReadError, Reason, RowProblem, Rows};
use super::survey::{Survey, Surveyor};
use super::table::{Column, Row, Table};
use super::when::When;

/// One deal and what its dates tell of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DealRow {
    /// The line of the file on which the record starts; the header is line 1.
    pub line: u64,
    pub deal: String,
    /// Where it stands, as the map's outcomes name it.
    pub stage: String,
    pub owner: Option<String>,
    pub account: Option<String>,
    /// In the map's currency.
    pub value: Option<Decimal>,
    /// The open stages it entered, never empty: the dated ones by time, those of one time in the order of the
    /// stages. An open deal's last entry is the stage it stands in, undated where the file has no date for it; a
    /// closed deal without any entry date entered the first open stage at an unknown time.
    pub entries: Vec<Entry>,
    /// None while it is open.
    pub close: Option<Close>,
    /// Of an open deal, where the map says that its close column holds it.
    pub expected_close: Option<When>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub stage: String,
    pub when: When,
}

/// The end of a deal in its `stage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Unknown only if the map names no close column.
    pub when: When,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Won,
    /// With its reason code.
    Lost {
        reason: String,
    },
}

/// The first pass: fails on what is wrong with the file as a whole, counts the rows that will be refused.
pub fn survey_deals(file: &Path, map: &DealsMap) -> Result<Survey, ReadError> {
    let DealRows { mut table, mut reader, .. } = deal_rows(file, map)?;
    let mut surveyor = Surveyor::new(&table);
    while let Some(row) = table.next()? {
        match reader.read(&row) {
            Ok(deal) => {
                surveyor.row_at(deal.entries.iter().find_map(|entry| entry.when.at()));
                for when in
                    deal.entries.iter().map(|entry| entry.when).chain(deal.close.map(|close| close.when))
                {
                    surveyor.spans(when.at());
                }
                surveyor.stage_at(&deal.stage, (None, deal.line));
            }
            Err(_) => surveyor.bad_row(),
        }
    }
    Ok(surveyor.finish(&table))
}

/// The deals in the order of the file.
pub fn deal_rows<'m>(file: &Path, map: &'m DealsMap) -> Result<DealRows<'m>, ReadError> {
    let mut table = Table::open(file, map.open())?;
    let reader = Reader::new(&mut table, map)?;
    Ok(DealRows { table, reader, failed: false })
}

/// The rows of a deals file, see [`deal_rows`].
pub struct DealRows<'m> {
    table: Table,
    reader: Reader<'m>,
    failed: bool,
}

impl Iterator for DealRows<'_> {
    type Item = Rows<DealRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.table.next() {
            Ok(row) => row.map(|row| Ok(self.reader.read(&row))),
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// Knows where in the file the map's columns are, and which deals it has met.
struct Reader<'m> {
    map: &'m DealsMap,
    width: usize,
    deal: Column,
    stage: Column,
    owner: Option<Column>,
    account: Option<Column>,
    value: Option<Column>,
    loss_reason: Option<Column>,
    entered: Vec<(&'m str, Column)>,
    closed: Option<(Column, OfOpenDeals)>,
    met: Met,
}

impl<'m> Reader<'m> {
    fn new(table: &mut Table, map: &'m DealsMap) -> Result<Self, ReadError> {
        let columns = &map.columns;
        let mut entered = Vec::with_capacity(map.entered.len());
        for stage in &map.entered {
            let key = format!("[entered] {:?}", stage.stage);
            entered.push((stage.stage.as_str(), table.column(&key, &stage.column)?));
        }
        let closed = match &map.closed {
            Some(closed) => Some((table.column("[closed] column", &closed.column)?, closed.of_open_deals)),
            None => None,
        };
        Ok(Self {
            map,
            width: table.width(),
            deal: table.column("[columns] deal", &columns.deal)?,
            stage: table.column("[columns] stage", &columns.stage)?,
            owner: table.optional("[columns] owner", columns.owner.as_deref())?,
            account: table.optional("[columns] account", columns.account.as_deref())?,
            value: table.optional("[columns] value", columns.value.as_deref())?,
            loss_reason: table.optional("[columns] loss_reason", columns.loss_reason.as_deref())?,
            entered,
            closed,
            met: Met::default(),
        })
    }

    fn read(&mut self, row: &Row<'_>) -> Result<DealRow, RowProblem> {
        row.has_cells(self.width)?;
        let deal = row.required(&self.deal)?;
        if let Some(first) = self.met.before(deal, row.line) {
            return Err(row.problem(&self.deal, Reason::Repeated { first }));
        }
        let stage = self.stage(row)?;
        let class = self.map.stages.class(stage);
        let entries = self.entries(row, stage, class)?;
        let dated = self.dated_end(row, stage, class, &entries)?;
        let outcome = self.outcome(row, class)?;
        let close = outcome.map(|outcome| Close { when: dated.unwrap_or(When::Unknown), outcome });
        Ok(DealRow {
            line: row.line,
            deal: deal.to_owned(),
            stage: stage.to_owned(),
            owner: row.optional(self.owner.as_ref())?.map(str::to_owned),
            account: row.optional(self.account.as_ref())?.map(str::to_owned),
            value: row.number(self.value.as_ref())?,
            entries,
            expected_close: if close.is_none() { dated } else { None },
            close,
        })
    }

    fn stage<'a>(&'a self, row: &Row<'a>) -> Result<&'a str, RowProblem> {
        let stages = &self.map.stages;
        let stage = stages.named(row.required(&self.stage)?);
        if stages.place(stage).is_none() {
            let known = stages.order().join(", ");
            return Err(row.problem(&self.stage, Reason::UnknownStage { known }));
        }
        Ok(stage)
    }

    fn entries(&self, row: &Row<'_>, stage: &str, class: StageClass) -> Result<Vec<Entry>, RowProblem> {
        let mut entries = Vec::with_capacity(self.entered.len() + 1);
        for (entered, column) in &self.entered {
            let when = row.when(column, &self.map.dates)?;
            if when.is_known() {
                entries.push(Entry { stage: (*entered).to_owned(), when });
            }
        }
        entries.sort_by_key(|entry| entry.when.at());
        let stands_in = match class {
            StageClass::Process if entries.last().is_none_or(|last| last.stage != stage) => Some(stage),
            StageClass::Success | StageClass::Failure if entries.is_empty() => self.map.stages.first_open(),
            _ => None,
        };
        entries.extend(stands_in.map(|stage| Entry { stage: stage.to_owned(), when: When::Unknown }));
        Ok(entries)
    }

    /// The date in the close column: of the close, or of the expected close of an open deal.
    fn dated_end(
        &self,
        row: &Row<'_>,
        stage: &str,
        class: StageClass,
        entries: &[Entry],
    ) -> Result<Option<When>, RowProblem> {
        let Some((column, of_open_deals)) = &self.closed else { return Ok(None) };
        let when = row.when(column, &self.map.dates)?;
        let refused = |reason| Err(row.problem(column, reason));
        match (class, when) {
            (StageClass::Process, When::Unknown) => Ok(None),
            (StageClass::Process, _) if *of_open_deals == OfOpenDeals::Refused => {
                refused(Reason::OpenWithCloseDate { stage: stage.to_owned() })
            }
            (StageClass::Process, when) => Ok(Some(when)),
            (_, When::Unknown) => refused(Reason::ClosedWithoutDate { stage: stage.to_owned() }),
            (_, when) => match entries.iter().find(|entry| when.is_surely_before(&entry.when)) {
                Some(Entry { stage, when }) => {
                    refused(Reason::ClosedBeforeEntry { stage: stage.clone(), entered: when.to_string() })
                }
                None => Ok(Some(when)),
            },
        }
    }

    fn outcome(&self, row: &Row<'_>, class: StageClass) -> Result<Option<Outcome>, RowProblem> {
        match class {
            StageClass::Process => Ok(None),
            StageClass::Success => Ok(Some(Outcome::Won)),
            StageClass::Failure => {
                let reason = row.loss_reason(self.loss_reason.as_ref(), &self.map.loss)?.to_owned();
                Ok(Some(Outcome::Lost { reason }))
            }
        }
    }
}

/// The deals met so far, as 64-bit hashes with their lines: 16 bytes each instead of their names. That two among a
/// million deals share a hash, so that one is refused in error, has odds of one in 37 million; it would be seen.
#[derive(Default)]
struct Met {
    lines: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Met {
    /// The line that had the deal before.
    fn before(&mut self, deal: &str, line: u64) -> Option<u64> {
        use std::collections::hash_map::Entry::{Occupied, Vacant};
        match self.lines.entry(self.hasher.hash_one(deal)) {
            Occupied(first) => Some(*first.get()),
            Vacant(new) => {
                new.insert(line);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
