//! Sorts history rows by time in bounded memory: sorted runs go to temporary files and are merged on reading.
//!
//! Rows of one time keep the order of the file, because the key is (time, line). In memory lie at most one run, and
//! one row and one read buffer per run file. The files have no name, so nothing stays behind, whatever happens.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, Write};
use std::vec;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::history::HistoryRow;
use super::when::When;

/// How much is sorted in memory, and how many files may be open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) run_rows: usize,
    /// Of text in the rows of a run.
    pub(super) run_bytes: usize,
    pub(super) runs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { run_rows: 100_000, run_bytes: 32 << 20, runs: 128 }
    }
}

/// Takes rows in any order.
pub(super) struct Sorter {
    limits: Limits,
    /// Of rows that have a whole day: all have the map's, so runs need not hold it.
    zone: Tz,
    rows: Vec<HistoryRow>,
    bytes: usize,
    runs: Vec<File>,
}

impl Sorter {
    pub(super) fn new(limits: Limits, zone: Tz) -> Self {
        Self { limits, zone, rows: Vec::new(), bytes: 0, runs: Vec::new() }
    }

    pub(super) fn push(&mut self, row: HistoryRow) -> io::Result<()> {
        self.bytes += row.text_bytes();
        self.rows.push(row);
        if self.rows.len() >= self.limits.run_rows || self.bytes >= self.limits.run_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// The last run is never written: a file that fits one run is sorted without touching the disk.
    pub(super) fn finish(mut self) -> io::Result<Merged> {
        self.rows.sort_unstable_by_key(key);
        let mut sources = spilled(self.runs)?;
        sources.push(Source::Memory(self.rows.into_iter()));
        Merged::new(sources, self.zone)
    }

    fn spill(&mut self) -> io::Result<()> {
        self.rows.sort_unstable_by_key(key);
        self.runs.push(write_run(self.rows.drain(..).map(Ok))?);
        self.bytes = 0;
        if self.runs.len() >= self.limits.runs {
            let merged = Merged::new(spilled(std::mem::take(&mut self.runs))?, self.zone)?;
            self.runs.push(write_run(merged)?);
        }
        Ok(())
    }
}

/// All rows by time, those of one time by line.
pub(super) struct Merged {
    sources: Vec<Source>,
    heads: BinaryHeap<Reverse<Head>>,
    zone: Tz,
}

impl Merged {
    fn new(sources: Vec<Source>, zone: Tz) -> io::Result<Self> {
        let mut merged = Self { heads: BinaryHeap::with_capacity(sources.len()), sources, zone };
        for source in 0..merged.sources.len() {
            merged.advance(source)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, source: usize) -> io::Result<()> {
        if let Some(row) = self.sources[source].next(self.zone)? {
            self.heads.push(Reverse(Head { row, source }));
        }
        Ok(())
    }
}

impl Iterator for Merged {
    type Item = io::Result<HistoryRow>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Head { row, source }) = self.heads.pop()?;
        Some(self.advance(source).map(|()| row))
    }
}

enum Source {
    Memory(vec::IntoIter<HistoryRow>),
    Spilled(BufReader<File>),
}

impl Source {
    fn next(&mut self, zone: Tz) -> io::Result<Option<HistoryRow>> {
        match self {
            Self::Memory(rows) => Ok(rows.next()),
            Self::Spilled(file) => read_row(file, zone),
        }
    }
}

/// The next row of a source, ordered by its key alone.
struct Head {
    row: HistoryRow,
    source: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        key(&self.row).cmp(&key(&other.row))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

fn key(row: &HistoryRow) -> (Option<DateTime<Utc>>, u64) {
    (row.when.at(), row.line)
}

fn spilled(runs: Vec<File>) -> io::Result<Vec<Source>> {
    let open = |mut run: File| run.rewind().map(|()| Source::Spilled(BufReader::with_capacity(1 << 15, run)));
    runs.into_iter().map(open).collect()
}

// A run holds rows one after another: what is there (one byte), line, microseconds, then the texts with their
// lengths and the value's sixteen bytes. It never outlives the process, so it carries no version.

const IS_DAY: u8 = 1;
const HAS_ACTOR: u8 = 1 << 1;
const HAS_OWNER: u8 = 1 << 2;
const HAS_ACCOUNT: u8 = 1 << 3;
const HAS_LOSS_REASON: u8 = 1 << 4;
const HAS_VALUE: u8 = 1 << 5;

fn write_run(rows: impl Iterator<Item = io::Result<HistoryRow>>) -> io::Result<File> {
    let mut run = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
    for row in rows {
        write_row(&mut run, &row?)?;
    }
    run.into_inner().map_err(io::IntoInnerError::into_error)
}

fn write_row(run: &mut impl Write, row: &HistoryRow) -> io::Result<()> {
    let texts = [
        (HAS_ACTOR, &row.actor),
        (HAS_OWNER, &row.owner),
        (HAS_ACCOUNT, &row.account),
        (HAS_LOSS_REASON, &row.loss_reason),
    ];
    let mut flags = if matches!(row.when, When::Day { .. }) { IS_DAY } else { 0 };
    flags |= if row.value.is_some() { HAS_VALUE } else { 0 };
    flags |= texts.iter().filter(|(_, text)| text.is_some()).fold(0, |flags, (flag, _)| flags | flag);
    run.write_all(&[flags])?;
    run.write_all(&row.line.to_le_bytes())?;
    run.write_all(&row.when.at().unwrap_or_default().timestamp_micros().to_le_bytes())?;
    write_text(run, &row.deal)?;
    write_text(run, &row.stage)?;
    for text in texts.into_iter().filter_map(|(_, text)| text.as_ref()) {
        write_text(run, text)?;
    }
    row.value.map_or(Ok(()), |value| run.write_all(&value.serialize()))
}

fn write_text(run: &mut impl Write, text: &str) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    run.write_all(&length.to_le_bytes())?;
    run.write_all(text.as_bytes())
}

fn read_row(run: &mut impl Read, zone: Tz) -> io::Result<Option<HistoryRow>> {
    let flags = match read_array::<1>(run) {
        Ok([flags]) => flags,
        Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let line = u64::from_le_bytes(read_array(run)?);
    let micros = i64::from_le_bytes(read_array(run)?);
    let at =
        DateTime::from_timestamp_micros(micros).ok_or_else(|| io::Error::other("a run holds no time"))?;
    let when = if flags & IS_DAY == 0 { When::Instant(at) } else { When::Day { starts: at, zone } };
    let deal = read_text(run)?;
    let stage = read_text(run)?;
    let mut optional = |flag| (flags & flag != 0).then(|| read_text(run)).transpose();
    let (actor, owner) = (optional(HAS_ACTOR)?, optional(HAS_OWNER)?);
    let (account, loss_reason) = (optional(HAS_ACCOUNT)?, optional(HAS_LOSS_REASON)?);
    let value = (flags & HAS_VALUE != 0).then(|| read_array(run).map(Decimal::deserialize)).transpose()?;
    Ok(Some(HistoryRow { line, deal, stage, actor, owner, when, value, account, loss_reason, nth: 0 }))
}

fn read_text(run: &mut impl Read) -> io::Result<String> {
    let length = u32::from_le_bytes(read_array(run)?);
    let mut bytes = vec![0; length as usize];
    run.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn read_array<const N: usize>(run: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    run.read_exact(&mut bytes).map(|()| bytes)
}

#[cfg(test)]
mod tests;
