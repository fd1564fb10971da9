//! `kvali import deals`: one row per deal as it stands.

use super::Common;
use super::batch::{Cell, Loading, RowPlans};
use super::entry::{Detail, Entry};
use super::pipeline::{self, Stages, Wanted};
use super::report::{Of, Report};
use super::sink::Told;
use crate::cli::{Done, Global};
use crate::failure::Failure;
use crate::ids::{self, Fingerprint};
use crate::import::deals::{Close, Outcome};
use crate::import::{DealRow, DealsMap, When, deal_rows, survey_deals};
use crate::progress;
use chrono::NaiveDate;
use clap::Args;
use kvali_domain::deal::{Command, Deal, External, Open};
use kvali_domain::money::Currency;
use kvali_domain::{DealId, LossReasonId, Money, Occurred};
use kvali_eventstore::{Choice, Plan};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Rows whose deals are looked up together.
const ROWS: usize = 1_000;

#[derive(Args)]
pub(crate) struct Deals {
    #[command(flatten)]
    common: Common,
    /// The pipeline the deals are in; made if there is none of that name
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// What the file calls things
    #[arg(long, value_name = "MAP.toml")]
    map: PathBuf,
}

impl Deals {
    pub(super) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let started = Instant::now();
        let common = &self.common;
        let mut map = DealsMap::load(&self.map)?;
        map.sheet = common.sheet.clone().or(map.sheet);
        map.stages = map.stages.with_table(&common.file)?;
        // The file is looked through before anything is written, or even connected to.
        let survey = survey_deals(&common.file, &map)?;
        let wanted = Wanted::of(map.stages.order().iter(), &map.stages)?;
        let refusals = common.refusals(global, Some(&self.map))?;
        let session = common.session(global).await?;
        let source = common.source.clone().unwrap_or_else(|| map.source.clone());
        let import = common.import("deals", &source, Some(&self.map), &self.pipeline)?;
        let mut sink = common.sink(&session, &import).await?;
        let import = sink.import;
        let stages = pipeline::ensure(&mut sink, &self.pipeline, wanted).await?;
        let bar = progress::bar("importing", survey.rows);
        let mut loading = Loading::new(sink, source, refusals, bar);
        loading.set_up(&stages.events);
        let mut reading = Reading { loading, stages, map: &map, waiting: Vec::with_capacity(ROWS) };
        for row in deal_rows(&common.file, &map)? {
            match row? {
                Ok(row) => reading.take(row).await?,
                Err(problem) => reading.loading.unreadable(&problem)?,
            }
        }
        reading.send().await?;
        let (tally, refusals) = reading.loading.finish().await?;
        let took = started.elapsed();
        let (unused_columns, pipeline) = (survey.unused_columns, Some(self.pipeline.as_str()));
        let sheet = survey.sheet;
        let (passed_over, left_out) = (survey.passed_over, BTreeMap::new());
        let of = Of { import, records: "deals", sheet, pipeline, unused_columns, passed_over, left_out };
        Report { common, of, tally: &tally, refusals: &refusals, took }.print(global)
    }
}

struct Reading<'a> {
    loading: Loading<'a>,
    stages: Stages,
    map: &'a DealsMap,
    waiting: Vec<DealRow>,
}

impl Reading<'_> {
    async fn take(&mut self, row: DealRow) -> Result<(), Failure> {
        self.waiting.push(row);
        if self.waiting.len() == ROWS { self.send().await } else { Ok(()) }
    }

    /// Makes commands of the rows that wait. A deal comes once in a file, so no row changes what is told of another's.
    async fn send(&mut self) -> Result<(), Failure> {
        let rows = std::mem::take(&mut self.waiting);
        let deals: Vec<_> =
            rows.iter().map(|row| ids::deal(&self.loading.source, &row.deal).stream()).collect();
        let told = self.loading.sink.told(&deals).await?;
        for (row, deal) in rows.into_iter().zip(deals) {
            self.row(row, told.get(&deal)).await?;
        }
        Ok(())
    }

    async fn row(&mut self, row: DealRow, told: Option<&Told>) -> Result<(), Failure> {
        let open = self.open(&row).await?;
        let details = self.details(&row).await?;
        let reason = self.reason(&row).await?;
        let deal = ids::deal(&self.loading.source, &row.deal);
        let close_column = self.map.closed.as_ref().map(|closed| Arc::from(closed.column.as_str()));
        let last = row.entries.last().map_or(When::Unknown, |entry| entry.when);
        let time = (close_column, row.close.as_ref().map_or(last, |close| close.when));
        let maker = Maker { loading: &self.loading, stages: &self.stages, map: self.map, row: &row, deal };
        let mut plans = maker.entries(&open);
        let again = maker.again(told, reason, &open);
        let (closing, reopening): (Vec<_>, Vec<_>) = again.into_iter().partition(|_| row.close.is_some());
        plans.extend(reopening);
        plans.extend(details.into_iter().map(|detail| maker.detail(detail)));
        plans.extend(row.close.as_ref().map(|close| maker.close(close, reason, &open)));
        plans.extend(closing);
        plans.extend(row.expected_close.and_then(|when| maker.expected_close(when)));
        self.loading
            .row(RowPlans { line: row.line, record: deal.stream(), actor: Cell::default(), time, plans })
            .await
    }

    async fn open(&mut self, row: &DealRow) -> Result<Open, Failure> {
        let external = External { source: self.loading.source.clone(), id: row.deal.clone() };
        let mut open = Open { external: Some(external), ..Open::new(self.stages.pipeline) };
        if let Some(name) = &row.owner {
            open.owner = Some(self.loading.user(name).await?);
        }
        if let Some(name) = &row.account {
            let (party, name) = self.loading.account(name).await?;
            (open.party, open.party_name) = (Some(party), name);
        }
        Ok(open)
    }

    async fn details(&mut self, row: &DealRow) -> Result<Vec<Detail>, Failure> {
        let mut details = Vec::new();
        if let Some(name) = &row.owner {
            details.push(Detail::Owner(self.loading.user(name).await?));
        }
        let currency = self.map.currency.as_ref().and_then(|currency| Currency::parse(currency.as_str()));
        if let (Some(amount), Some(currency)) = (row.value, currency) {
            details.push(Detail::Value(Money { amount, currency }));
        }
        Ok(details)
    }

    async fn reason(&mut self, row: &DealRow) -> Result<Option<LossReasonId>, Failure> {
        match row.close.as_ref().map(|close| &close.outcome) {
            Some(Outcome::Lost { reason }) => Ok(Some(self.loading.reason(reason).await?)),
            Some(Outcome::Won) | None => Ok(None),
        }
    }
}

/// Makes the commands of one row.
struct Maker<'r> {
    loading: &'r Loading<'r>,
    stages: &'r Stages,
    map: &'r DealsMap,
    row: &'r DealRow,
    deal: DealId,
}

impl Maker<'_> {
    fn entries(&self, open: &Open) -> Vec<(Plan, Cell)> {
        let last = self.row.entries.len() - 1;
        let entries = self.row.entries.iter().enumerate();
        let plans = entries.map(|(at, step)| {
            let (stage, class) = self.stages.find(&step.stage);
            let entry =
                Entry { open: Open { stage: Some(stage), ..open.clone() }, stage, class, reason: None };
            let stands_there = at == last && self.row.close.is_none();
            let choose = move |deal: &Deal| entry.choose_on_the_way(deal, stands_there);
            (self.plan(&["entry", &step.stage], step.when, choose), self.entry_cell(&step.stage, step.when))
        });
        plans.collect()
    }

    fn entry_cell(&self, stage: &str, when: When) -> Cell {
        let dated = self.map.entered.iter().find(|entered| entered.stage == stage && when.is_known());
        match dated {
            Some(entered) => Cell { column: Some(entered.column.as_str().into()), value: when.to_string() },
            None => self.stage_cell(),
        }
    }

    fn stage_cell(&self) -> Cell {
        Cell { column: Some(self.map.columns.stage.as_str().into()), value: self.row.stage.clone() }
    }

    /// An owner is the deal's from its opening on, and later at a time the file does not tell; a value is that of the
    /// close, and of an open deal at a time the file does not tell.
    fn detail(&self, detail: Detail) -> (Plan, Cell) {
        let (part, column, value, when) = match detail {
            Detail::Owner(_) => {
                ("owner", &self.map.columns.owner, self.row.owner.clone().unwrap_or_default(), When::Unknown)
            }
            Detail::Value(value) => {
                let when = self.row.close.as_ref().map_or(When::Unknown, |close| close.when);
                ("value", &self.map.columns.value, value.amount.to_string(), when)
            }
        };
        let cell = Cell { column: column.as_deref().map(Arc::from), value };
        let plan = self.plan(&[part, &cell.value], when, move |deal| detail.choose(deal));
        (plan, cell)
    }

    fn close(&self, close: &Close, reason: Option<LossReasonId>, open: &Open) -> (Plan, Cell) {
        let (stage, class) = self.stages.find(&self.row.stage);
        let entry = Entry { open: Open { stage: Some(stage), ..open.clone() }, stage, class, reason };
        let plan = self.plan(&["close", &self.row.stage], close.when, move |deal| entry.choose(deal));
        (plan, self.stage_cell())
    }

    /// Into the stage that the row ends in, where an earlier export had the deal there, and a later one elsewhere: an
    /// entry that looks like one that is known. Its number makes it another; where the deal was moved by hand it stays.
    fn again(&self, told: Option<&Told>, reason: Option<LossReasonId>, open: &Open) -> Option<(Plan, Cell)> {
        let (stage, class) = self.stages.find(&self.row.stage);
        let Told { entries, .. } = told.filter(|told| told.last != stage)?;
        let entry = Entry { open: Open { stage: Some(stage), ..open.clone() }, stage, class, reason };
        let when = self.row.close.as_ref().map_or(When::Unknown, |close| close.when);
        let nth = entries.to_string();
        let plan = self.plan(&["again", &self.row.stage, &nth], when, move |deal| entry.choose(deal));
        Some((plan, self.stage_cell()))
    }

    fn expected_close(&self, when: When) -> Option<(Plan, Cell)> {
        let date = self.local_date(when)?;
        let value = date.to_string();
        let choose = move |_: &Deal| Choice::Do(Command::SetExpectedClose { date }.into());
        let plan = self.plan(&["expected close", &value], When::Unknown, choose);
        let column = self.map.closed.as_ref().map(|closed| Arc::from(closed.column.as_str()));
        Some((plan, Cell { column, value }))
    }

    fn local_date(&self, when: When) -> Option<NaiveDate> {
        let zone = self.map.dates.zone();
        when.at().map(|at| at.with_timezone(&zone).date_naive())
    }

    fn plan(
        &self,
        parts: &[&str],
        when: When,
        choose: impl Fn(&Deal) -> Choice + Send + Sync + 'static,
    ) -> Plan {
        let occurred = Occurred::from(when);
        let time = occurred.at().map_or(0, |at| at.timestamp_micros()).to_be_bytes();
        let mut identity: Vec<&[u8]> = vec![
            b"deals",
            self.loading.source.as_bytes(),
            self.stages.pipeline.0.as_bytes(),
            self.row.deal.as_bytes(),
            &time,
            occurred.precision().as_bytes(),
            occurred.zone().unwrap_or_default().as_bytes(),
        ];
        identity.extend(parts.iter().map(|part| part.as_bytes()));
        let identity = Fingerprint::of(&identity);
        self.loading.sink.plan(self.deal.stream(), &identity, ids::importer(), occurred, choose)
    }
}
