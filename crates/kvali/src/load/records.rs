//! `kvali import companies`, `contacts`, `leads`, `tasks`, `users`: one row per record as it stands; `deal-contacts`: one
//! row per contact of a deal.
//!
//! A row is a command that creates the record and one for each part of it. A part's command id follows from the
//! record and from what the row says, so a part that says the same again is known and adds nothing. What a creation
//! carries is sent before it and finds nothing to do, so that a run killed between them leaves nothing undone.
//! What is stored is never read for this: personal values are sealed, and who holds them is known by their claims.

use super::Common;
use super::batch::{Cell, Loading, RowPlans};
use super::people;
use super::report::{Of, Report};
use crate::cli::{Done, Global};
use crate::failure::Failure;
use crate::ids::{self, Fingerprint};
use crate::import::records::{Columns, RecordRow, RecordRows};
use crate::import::{Duplicates, Kind, RecordsMap, RowProblem, When};
use crate::progress;
use clap::Args;
use draft::{Choose, Draft, Known, Part, Setting};
use held::Held;
use kvali_domain::deal::External;
use kvali_domain::{Claim, Occurred, State, StreamId};
use kvali_eventstore::{Choice, Plan};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

mod companies;
mod contacts;
mod custom;
mod deal_contacts;
mod draft;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod held;
mod leads;
mod points;
mod refer;
mod tasks;
mod users;

/// Rows whose claims are looked up together.
const ROWS: usize = 1_000;

#[derive(Args)]
pub(crate) struct Records {
    #[command(flatten)]
    common: Common,
    /// What the file calls things; without one its headers are recognised
    #[arg(long, value_name = "MAP.toml")]
    map: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Parties {
    #[command(flatten)]
    records: Records,
    /// What becomes of a row whose e-mail, phone, domain or legal id another record holds, instead of the map's
    /// `duplicates` [default: refuse]
    #[arg(long, value_enum, value_name = "RULE")]
    duplicates: Option<Duplicates>,
}

impl Parties {
    pub(super) async fn run(&self, kind: Kind, global: &Global) -> Result<Done, Failure> {
        self.records.import(kind, self.duplicates, global).await
    }
}

impl Records {
    pub(super) async fn run(&self, kind: Kind, global: &Global) -> Result<Done, Failure> {
        self.import(kind, None, global).await
    }

    async fn import(
        &self,
        kind: Kind,
        duplicates: Option<Duplicates>,
        global: &Global,
    ) -> Result<Done, Failure> {
        let started = Instant::now();
        let common = &self.common;
        let load = |file| RecordsMap::load(file, kind);
        let mut map = self.map.as_deref().map_or_else(|| Ok(RecordsMap::default()), load)?;
        map.sheet = common.sheet.clone().or(map.sheet);
        // The file is looked through before anything is written, or even connected to.
        let rows = RecordRows::survey(&common.file, kind, &map)?;
        let mut file = RecordRows::open(&common.file, kind, &map)?;
        let refusals = common.refusals(global, self.map.as_deref())?;
        let session = common.session(global).await?;
        let source = common.source.clone().unwrap_or_else(|| map.source.clone());
        let duplicates = duplicates.unwrap_or(map.duplicates);
        let import =
            common.import(kind.plural(), &source, self.map.as_deref(), &format!("{duplicates:?}"))?;
        let sink = common.sink(&session, &import).await?;
        let import = sink.import;
        let fields = custom::Fields::of(&sink, kind, map.fields.keys()).await?;
        let loading = Loading::new(sink, source, refusals, progress::bar("importing", rows));
        let columns = file.columns().clone();
        let setting = Setting::new(&map, fields)?;
        let mut reading = Reading {
            loading,
            kind,
            duplicates,
            columns,
            held: Held::default(),
            waiting: Vec::new(),
            versions: HashMap::new(),
        };
        while let Some(row) = file.next() {
            let draft = match row? {
                Ok(row) => draft::draft(kind, row, &setting, &mut file),
                Err(problem) => Err(problem),
            };
            match draft {
                Ok(draft) => reading.take(draft, &mut file).await?,
                Err(problem) => reading.loading.unreadable(&problem)?,
            }
        }
        reading.send(&mut file).await?;
        let (tally, refusals) = reading.loading.finish().await?;
        let (unused_columns, left_out) = (file.unused_columns(), file.left_out().clone());
        let sheet = file.sheet().map(str::to_owned);
        let (records, pipeline, passed_over) = (kind.plural(), None, file.passed_over());
        let of = Of { import, records, sheet, pipeline, unused_columns, passed_over, left_out };
        Report { common, of, tally: &tally, refusals: &refusals, took: started.elapsed() }.print(global)
    }
}

struct Reading<'a> {
    loading: Loading<'a>,
    kind: Kind,
    duplicates: Duplicates,
    columns: Columns,
    held: Held,
    waiting: Vec<Draft>,
    /// What the last version of a record said of a part, where a file holds versions.
    versions: HashMap<(StreamId, String), Vec<String>>,
}

impl Reading<'_> {
    async fn take(&mut self, draft: Draft, file: &mut RecordRows<'_>) -> Result<(), Failure> {
        self.waiting.push(draft);
        if self.waiting.len() == ROWS { self.send(file).await } else { Ok(()) }
    }

    /// Makes commands of the rows that wait, and sends them.
    async fn send(&mut self, file: &mut RecordRows<'_>) -> Result<(), Failure> {
        let drafts = std::mem::take(&mut self.waiting);
        let mut claims: Vec<Claim> = Vec::new();
        for draft in &drafts {
            claims.extend(self.external(draft));
            claims.extend(draft.claims.iter().map(|(claim, _)| claim.clone()));
            claims.extend(refer::claims(self.kind, &self.loading.source, &draft.row));
        }
        self.held = Held::new(&claims, self.loading.sink.holders(&claims).await?);
        for draft in drafts {
            if let Err(problem) = self.row(draft, file).await? {
                self.loading.unreadable(&problem)?;
            }
        }
        self.loading.flush().await
    }

    fn external(&self, draft: &Draft) -> Option<Claim> {
        refer::claim(self.kind, &self.loading.source, &draft.row.id)
    }

    async fn row(
        &mut self,
        draft: Draft,
        file: &mut RecordRows<'_>,
    ) -> Result<Result<(), RowProblem>, Failure> {
        let named = match refer::named(self.kind, &draft.row, &mut self.loading, &self.held, file).await? {
            Ok(named) => named,
            Err(problem) => return Ok(Err(problem)),
        };
        let own_id = self.external(&draft);
        let own = self.own(&draft.row);
        let rival = draft.claims.iter().find_map(|(claim, key)| Some((self.held.other(claim, own)?, *key)));
        let known = own_id.as_ref().and_then(|claim| self.held.first(claim));
        let stream = match (known, rival) {
            (Some(known), _) => known,
            (None, Some((rival, _))) if self.duplicates == Duplicates::Link => rival,
            (None, _) => own,
        };
        let Draft { row, claims, build } = draft;
        let external = External { source: self.loading.source.clone(), id: row.id.clone() };
        let keep = self.duplicates == Duplicates::Keep;
        let record = build(Known { stream, external, named, keep, held: &self.held });
        // A file of versions may tell of one property alone, which says nothing of a record that is not there.
        let begins = record.create.is_some() && !(row.occurred_at.is_known() && record.says_not_who());
        if known.is_none() && !begins {
            let kind = self.kind.of_ids();
            let why = format!("is none of the {kind} that this source has brought; import those first");
            return Ok(Err(file.problem(row.line, "id", &row.id, why)));
        }
        for claim in claims.iter().map(|(claim, _)| claim).chain(&own_id) {
            self.held.expect(claim, stream);
        }
        // Where the creation itself is refused, the cell that clashes is the one to look at.
        let key = rival.map_or("id", |(_, key)| key);
        let value = if key == "id" { Some(&row.id) } else { row.cells.get(key) };
        let cell = Cell { column: self.columns.of(key), value: value.cloned().unwrap_or_default() };
        let created = if row.occurred_at.is_known() { row.occurred_at } else { row.created_at };
        let sending = Sending { row: &row, stream, before: &record.before };
        let creation = record.create.map(|create| {
            let absent = record.before.clone();
            let choose = move |state: &State| {
                if *state == absent { Choice::Do(create.clone()) } else { Choice::AlreadySo(create.clone()) }
            };
            (self.plan(&sending, &["create"], created, Box::new(choose)), cell)
        });
        let (carried, further): (Vec<_>, Vec<_>) = record.parts.into_iter().partition(|part| part.carried);
        let mut plans: Vec<_> = carried.into_iter().filter_map(|part| self.part(&sending, part)).collect();
        plans.extend(creation);
        plans.extend(further.into_iter().filter_map(|part| self.part(&sending, part)));
        let time = (self.columns.of("created_at"), created);
        self.loading
            .row(RowPlans { line: row.line, record: stream, actor: Cell::default(), time, plans })
            .await
            .map(Ok)
    }

    /// The stream of a record that this source knows by that id.
    fn own(&self, row: &RecordRow) -> StreamId {
        match self.kind {
            Kind::Users => people::brought(&self.loading.sink, &self.loading.source, &row.id).stream(),
            kind => StreamId(ids::record(kind.plural(), &self.loading.source, &row.id)),
        }
    }

    /// The plan for a part; none if the version of the record before this one said the same.
    fn part(&mut self, sending: &Sending<'_>, part: Part) -> Option<(Plan, Cell)> {
        let Part { name, key, content, carried, choose } = part;
        if sending.row.occurred_at.is_known() {
            let place = (sending.stream, [name, "\u{1f}", &key].concat());
            if self.versions.insert(place, content.clone()).as_ref() == Some(&content) {
                return None;
            }
        }
        let column = self.columns.of(&key).or_else(|| self.columns.of_field(&key));
        let row = sending.row;
        let cell = row.cells.get(&*key).or_else(|| row.fields.get(&key));
        let value = cell.or_else(|| content.first()).cloned().unwrap_or_default();
        let mut identity = vec![name, key.as_str()];
        identity.extend(content.iter().map(String::as_str));
        let absent = sending.before.clone();
        let choose = move |state: &State| match choose(state) {
            // The creation carries it.
            Choice::Do(command) if carried && *state == absent => Choice::AlreadySo(command),
            choice => choice,
        };
        let plan = self.plan(sending, &identity, sending.row.occurred_at, Box::new(choose));
        Some((plan, Cell { column, value }))
    }

    fn plan(&self, sending: &Sending<'_>, parts: &[&str], when: When, choose: Choose) -> Plan {
        let Sending { row, stream, before } = *sending;
        let occurred = Occurred::from(when);
        let time = occurred.at().map_or(0, |at| at.timestamp_micros()).to_be_bytes();
        let mut identity: Vec<&[u8]> = vec![
            self.kind.plural().as_bytes(),
            self.loading.source.as_bytes(),
            row.id.as_bytes(),
            stream.0.as_bytes(),
            &time,
            occurred.precision().as_bytes(),
            occurred.zone().unwrap_or_default().as_bytes(),
        ];
        identity.extend(parts.iter().map(|part| part.as_bytes()));
        self.loading.sink.record_plan(stream, &Fingerprint::of(&identity), occurred, before.clone(), choose)
    }
}

/// A row on its way, and the record that it is about.
#[derive(Clone, Copy)]
struct Sending<'r> {
    row: &'r RecordRow,
    stream: StreamId,
    before: &'r State,
}
