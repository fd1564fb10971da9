//! `kvali import history`: one row per stage entry.

use super::Common;
use super::batch::{Cell, Loading, RowPlans};
use super::entry::{Detail, Entry};
use super::pipeline::{self, Stages, Wanted};
use super::report::{Of, Report};
use crate::cli::{Done, Global};
use crate::failure::Failure;
use crate::ids::{self, Fingerprint};
use crate::import::{HistoryMap, HistoryRow, history_rows, survey_history};
use crate::progress;
use clap::Args;
use kvali_domain::deal::{External, Open};
use kvali_domain::money::Currency;
use kvali_domain::pipeline::Class;
use kvali_domain::{ActorId, DealId, Money, Occurred, PipelineId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

#[derive(Args)]
pub(crate) struct History {
    #[command(flatten)]
    common: Common,
    /// The pipeline the deals are in; made if there is none of that name
    #[arg(long, value_name = "NAME")]
    pipeline: String,
    /// The stages in their order, parted by commas; others follow in order of first appearance
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', conflicts_with = "stage")]
    stages: Vec<String>,
    /// A stage, repeated in their order; its name may hold commas
    #[arg(long, value_name = "NAME")]
    stage: Vec<String>,
    /// What the file calls things
    #[arg(long, value_name = "MAP.toml")]
    map: Option<PathBuf>,
}

impl History {
    pub(super) async fn run(&self, global: &Global) -> Result<Done, Failure> {
        let started = Instant::now();
        let common = &self.common;
        let mut map = self.map.as_deref().map_or_else(|| Ok(HistoryMap::default()), HistoryMap::load)?;
        map.sheet = common.sheet.clone().or(map.sheet);
        map.stages = map.stages.with_table(&common.file)?;
        // The file is looked through before anything is written, or even connected to.
        let survey = survey_history(&common.file, &map)?;
        let wanted = self.wanted(&map, &survey.stages)?;
        let refusals = common.refusals(global, self.map.as_deref())?;
        let session = common.session(global).await?;
        let source = common.source.clone().unwrap_or_else(|| map.source.clone());
        let import = common.import("history", &source, self.map.as_deref(), &self.pipeline)?;
        let mut sink = common.sink(&session, &import).await?;
        let import = sink.import;
        let stages = pipeline::ensure(&mut sink, &self.pipeline, wanted).await?;
        let bar = progress::bar("importing", survey.rows);
        let mut loading = Loading::new(sink, source, refusals, bar);
        loading.set_up(&stages.events);
        let mut reading = Reading::new(loading, stages, &map);
        for row in history_rows(&common.file, &map, &survey)? {
            match row? {
                Ok(row) => reading.row(row).await?,
                Err(problem) => reading.loading.unreadable(&problem)?,
            }
        }
        let (tally, refusals) = reading.loading.finish().await?;
        let took = started.elapsed();
        let (unused_columns, pipeline) = (survey.unused_columns, Some(self.pipeline.as_str()));
        let sheet = survey.sheet;
        let (passed_over, left_out) = (survey.passed_over, BTreeMap::new());
        let of = Of { import, records: "deals", sheet, pipeline, unused_columns, passed_over, left_out };
        Report { common, of, tally: &tally, refusals: &refusals, took }.print(global)
    }

    fn wanted(&self, map: &HistoryMap, seen: &[String]) -> Result<Wanted, Failure> {
        let named: Vec<String> =
            self.stages.iter().chain(&self.stage).map(|name| name.trim().to_owned()).collect();
        let named = named.iter().filter(|name| !name.is_empty());
        Wanted::of(named.chain(map.stages.order()).chain(seen), &map.stages)
    }
}

/// Columns by the names that a refusal points at.
struct Columns {
    stage: Arc<str>,
    time: Arc<str>,
    actor: Option<Arc<str>>,
    owner: Option<Arc<str>>,
    value: Option<Arc<str>>,
}

struct Reading<'a> {
    loading: Loading<'a>,
    stages: Stages,
    columns: Columns,
    currency: Option<Currency>,
    /// The reason of a loss where the map does not know that the stage is one.
    default_reason: &'a str,
    /// Whether a deal can be reopened at all, so that details may have to follow the entry.
    closes: bool,
    first_open: Option<String>,
}

impl<'a> Reading<'a> {
    fn new(loading: Loading<'a>, stages: Stages, map: &'a HistoryMap) -> Self {
        let columns = Columns {
            stage: map.columns.stage.as_str().into(),
            time: map.columns.occurred_at.as_str().into(),
            actor: map.columns.actor.as_deref().map(Arc::from),
            owner: map.columns.owner.as_deref().map(Arc::from),
            value: map.columns.value.as_deref().map(Arc::from),
        };
        let currency = map.currency.as_ref().and_then(|currency| Currency::parse(currency.as_str()));
        let closes = !(map.stages.success().is_empty() && map.stages.failure().is_empty());
        let first_open = map.stages.first_open().map(str::to_owned);
        let default_reason = &map.loss.reason;
        Self { loading, stages, columns, currency, default_reason, closes, first_open }
    }

    async fn row(&mut self, row: HistoryRow) -> Result<(), Failure> {
        let deal = ids::deal(&self.loading.source, &row.deal);
        let by = self.loading.actor(row.actor.as_deref()).await?;
        let details = self.details(&row).await?;
        let entry = self.entry(&row, &details).await?;
        let pipeline = self.stages.pipeline;
        let identity =
            Identity { loading: &self.loading, pipeline, row: &row, deal, by, occurred: row.when.into() };
        let (class, stage, occurred) = (entry.class, entry.stage, identity.occurred);
        let mut plans = Vec::with_capacity(1 + 2 * details.len());
        for (detail, value) in &details {
            let detail = *detail;
            let choose = move |deal: &_| detail.choose_before(deal, class, &occurred);
            plans.push((identity.plan(before(detail), choose), self.cell(detail, value)));
        }
        if let Some(opening) = self.opening(&entry) {
            let at_stage = Cell { column: Some(self.columns.stage.clone()), value: row.stage.clone() };
            let undated = Identity { occurred: Occurred::Unknown, ..identity };
            plans.push((undated.plan("opening", move |deal| opening.choose_opening(deal)), at_stage));
        }
        let at_stage = Cell { column: Some(self.columns.stage.clone()), value: row.stage.clone() };
        plans.push((identity.plan("stage", move |deal| entry.choose(deal)), at_stage));
        if self.closes && class == Class::Process {
            for (detail, value) in &details {
                let detail = *detail;
                let choose = move |deal: &_| detail.choose_after(deal, stage);
                plans.push((identity.plan(after(detail), choose), self.cell(detail, value)));
            }
        }
        let time = (Some(self.columns.time.clone()), row.when);
        let actor = Cell { column: self.columns.actor.clone(), value: row.actor.unwrap_or_default() };
        self.loading.row(RowPlans { line: row.line, record: deal.stream(), actor, time, plans }).await
    }

    /// Into the first open stage at a time nobody knows, before an entry that closes the deal.
    fn opening(&self, entry: &Entry) -> Option<Entry> {
        let first = self.first_open.as_deref().filter(|_| entry.class != Class::Process)?;
        let (stage, class) = self.stages.find(first);
        let open = Open { stage: Some(stage), ..entry.open.clone() };
        Some(Entry { open, stage, class, reason: None })
    }

    async fn details(&mut self, row: &HistoryRow) -> Result<Vec<(Detail, String)>, Failure> {
        let mut details = Vec::new();
        if let Some(name) = &row.owner {
            details.push((Detail::Owner(self.loading.user(name).await?), name.clone()));
        }
        if let (Some(amount), Some(currency)) = (row.value, self.currency) {
            details.push((Detail::Value(Money { amount, currency }), amount.to_string()));
        }
        Ok(details)
    }

    fn cell(&self, detail: Detail, value: &str) -> Cell {
        let column = match detail {
            Detail::Owner(_) => self.columns.owner.clone(),
            Detail::Value(_) => self.columns.value.clone(),
        };
        Cell { column, value: value.to_owned() }
    }

    async fn entry(&mut self, row: &HistoryRow, details: &[(Detail, String)]) -> Result<Entry, Failure> {
        let (stage, class) = self.stages.find(&row.stage);
        let reason = match class {
            Class::Failure => {
                let code = row.loss_reason.as_deref().unwrap_or(self.default_reason);
                Some(self.loading.reason(code).await?)
            }
            Class::Process | Class::Success => None,
        };
        let external = External { source: self.loading.source.clone(), id: row.deal.clone() };
        let mut open =
            Open { stage: Some(stage), external: Some(external), ..Open::new(self.stages.pipeline) };
        if let Some(name) = &row.account {
            let (party, name) = self.loading.account(name).await?;
            (open.party, open.party_name) = (Some(party), name);
        }
        for (detail, _) in details {
            match detail {
                Detail::Owner(owner) => open.owner = Some(*owner),
                Detail::Value(value) => open.value = Some(*value),
            }
        }
        Ok(Entry { open, stage, class, reason })
    }
}

fn before(detail: Detail) -> &'static str {
    match detail {
        Detail::Owner(_) => "owner before",
        Detail::Value(_) => "value before",
    }
}

fn after(detail: Detail) -> &'static str {
    match detail {
        Detail::Owner(_) => "owner after",
        Detail::Value(_) => "value after",
    }
}

/// What all commands of one row share.
#[derive(Clone, Copy)]
struct Identity<'r> {
    loading: &'r Loading<'r>,
    pipeline: PipelineId,
    row: &'r HistoryRow,
    deal: DealId,
    by: ActorId,
    occurred: Occurred,
}

impl Identity<'_> {
    fn plan(
        &self,
        part: &str,
        choose: impl Fn(&kvali_domain::deal::Deal) -> kvali_eventstore::Choice + Send + Sync + 'static,
    ) -> kvali_eventstore::Plan {
        let time = self.occurred.at().map_or(0, |at| at.timestamp_micros());
        let fingerprint = Fingerprint::of(&[
            b"history",
            self.loading.source.as_bytes(),
            self.pipeline.0.as_bytes(),
            self.row.deal.as_bytes(),
            self.row.stage.as_bytes(),
            &time.to_be_bytes(),
            self.occurred.precision().as_bytes(),
            self.occurred.zone().unwrap_or_default().as_bytes(),
            &self.row.nth.to_be_bytes(),
            part.as_bytes(),
        ]);
        self.loading.sink.plan(self.deal.stream(), &fingerprint, self.by, self.occurred, choose)
    }
}
