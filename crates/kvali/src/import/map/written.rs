//! MAP.toml as it is written, and the checks that make a map of it.

use std::collections::BTreeMap;
use std::path::Path;

use chrono_tz::Tz;
use serde::Deserialize;

use super::stage_table::StageTable;
use super::{
    ClosedColumn, Currency, DealColumns, DealsMap, EnteredColumn, HistoryColumns, HistoryMap, Loss, MapError,
    OfOpenDeals, StageClass, Stages, is_code,
};
use crate::import::when::{Dates, Format};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenHistory {
    source: String,
    delimiter: Option<String>,
    sheet: Option<String>,
    #[serde(default)]
    only: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    columns: WrittenHistoryColumns,
    #[serde(default)]
    dates: WrittenDates,
    #[serde(default)]
    stages: WrittenStages,
    #[serde(default)]
    outcomes: BTreeMap<String, String>,
    #[serde(default)]
    loss: WrittenLoss,
    value: Option<WrittenValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDeals {
    source: String,
    delimiter: Option<String>,
    sheet: Option<String>,
    #[serde(default)]
    only: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    columns: WrittenDealColumns,
    #[serde(default)]
    dates: WrittenDates,
    stages: WrittenStages,
    #[serde(default)]
    outcomes: BTreeMap<String, String>,
    #[serde(default)]
    entered: BTreeMap<String, String>,
    closed: Option<WrittenClosed>,
    #[serde(default)]
    loss: WrittenLoss,
    value: Option<WrittenValue>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WrittenHistoryColumns {
    deal: Option<String>,
    stage: Option<String>,
    actor: Option<String>,
    occurred_at: Option<String>,
    owner: Option<String>,
    value: Option<String>,
    account: Option<String>,
    loss_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WrittenDealColumns {
    deal: Option<String>,
    stage: Option<String>,
    owner: Option<String>,
    account: Option<String>,
    value: Option<String>,
    loss_reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDates {
    #[serde(default)]
    formats: Vec<String>,
    zone: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WrittenStages {
    #[serde(default)]
    order: Vec<String>,
    #[serde(default)]
    success: Vec<String>,
    #[serde(default)]
    failure: Vec<String>,
    table: Option<StageTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenClosed {
    column: String,
    #[serde(default)]
    of_open_deals: OfOpenDeals,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WrittenLoss {
    reason: Option<String>,
    #[serde(default)]
    codes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenValue {
    currency: String,
}

/// A key whose value cannot be used, and what to write instead.
pub(super) struct Unusable {
    key: String,
    value: String,
    way_out: String,
}

impl Unusable {
    pub(super) fn new(key: impl Into<String>, value: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), way_out: way_out.into() }
    }

    pub(super) fn of(self, file: &Path) -> MapError {
        let Self { key, value, way_out } = self;
        MapError::Value { file: file.to_owned(), key, value, way_out }
    }
}

impl WrittenHistory {
    pub(super) fn check(self) -> Result<HistoryMap, Unusable> {
        let columns = self.columns.check()?;
        Ok(HistoryMap {
            source: name("source", self.source)?,
            delimiter: delimiter(self.delimiter)?,
            sheet: self.sheet,
            only: self.only,
            currency: currency(self.value, columns.value.as_deref())?,
            columns,
            dates: self.dates.check()?,
            stages: self.stages.check(self.outcomes)?,
            loss: self.loss.check()?,
        })
    }
}

impl WrittenDeals {
    pub(super) fn check(self) -> Result<DealsMap, Unusable> {
        let columns = self.columns.check()?;
        let stages = self.stages.check(self.outcomes)?;
        if stages.first_open().is_none() && stages.table.is_none() {
            let way_out = "name the stages a deal can be open in, in their order";
            return Err(Unusable::new("[stages] order", format!("{:?}", stages.order), way_out));
        }
        Ok(DealsMap {
            source: name("source", self.source)?,
            delimiter: delimiter(self.delimiter)?,
            sheet: self.sheet,
            only: self.only,
            currency: currency(self.value, columns.value.as_deref())?,
            columns,
            dates: self.dates.check()?,
            entered: entered(self.entered, &stages)?,
            closed: self.closed.map(WrittenClosed::check).transpose()?,
            stages,
            loss: self.loss.check()?,
        })
    }
}

impl WrittenHistoryColumns {
    fn check(self) -> Result<HistoryColumns, Unusable> {
        let default = HistoryColumns::default();
        // A history need not say who acted, but leaving that out is to be said: `actor = ""`.
        let actor = match self.actor {
            None => default.actor,
            Some(none) if none.is_empty() => None,
            named => optional("[columns] actor", named)?,
        };
        Ok(HistoryColumns {
            deal: name("[columns] deal", self.deal.unwrap_or(default.deal))?,
            stage: name("[columns] stage", self.stage.unwrap_or(default.stage))?,
            actor,
            occurred_at: name("[columns] occurred_at", self.occurred_at.unwrap_or(default.occurred_at))?,
            owner: optional("[columns] owner", self.owner)?,
            value: optional("[columns] value", self.value)?,
            account: optional("[columns] account", self.account)?,
            loss_reason: optional("[columns] loss_reason", self.loss_reason)?,
        })
    }
}

impl WrittenDealColumns {
    fn check(self) -> Result<DealColumns, Unusable> {
        Ok(DealColumns {
            deal: name("[columns] deal", self.deal.unwrap_or_else(|| "deal".to_owned()))?,
            stage: name("[columns] stage", self.stage.unwrap_or_else(|| "stage".to_owned()))?,
            owner: optional("[columns] owner", self.owner)?,
            account: optional("[columns] account", self.account)?,
            value: optional("[columns] value", self.value)?,
            loss_reason: optional("[columns] loss_reason", self.loss_reason)?,
        })
    }
}

impl WrittenDates {
    pub(super) fn check(self) -> Result<Dates, Unusable> {
        let zone = match self.zone {
            None => Tz::UTC,
            Some(zone) => zone.parse().map_err(|_| {
                Unusable::new(
                    "[dates] zone",
                    zone,
                    "write an IANA zone name such as \"Europe/Berlin\" or \"UTC\"",
                )
            })?,
        };
        let format = |text: String| {
            Format::parse(&text)
                .map_err(|useless| Unusable::new("[dates] formats", text, useless.to_string()))
        };
        Ok(Dates::new(zone, self.formats.into_iter().map(format).collect::<Result<_, _>>()?))
    }
}

impl WrittenStages {
    fn check(self, outcomes: BTreeMap<String, String>) -> Result<Stages, Unusable> {
        let mut order = names("[stages] order", self.order)?;
        let success = names("[stages] success", self.success)?;
        let failure = names("[stages] failure", self.failure)?;
        if let Some(both) = success.iter().find(|stage| failure.contains(stage)) {
            return Err(Unusable::new(
                "[stages] success",
                both,
                "the same stage is under failure; name it in one of them",
            ));
        }
        for closing in success.iter().chain(&failure) {
            if !order.contains(closing) {
                order.push(closing.clone());
            }
        }
        for (cell, stage) in &outcomes {
            let key = format!("[outcomes] {cell:?}");
            if !success.contains(stage) && !failure.contains(stage) {
                return Err(Unusable::new(
                    key,
                    stage,
                    "name a stage that stands under [stages] success or failure",
                ));
            }
            if order.contains(cell) {
                return Err(Unusable::new(
                    key,
                    stage,
                    format!("{cell:?} is itself a stage; take it out of [stages]"),
                ));
            }
            name(&key, cell.clone())?;
        }
        let table = self.table.map(StageTable::check).transpose()?;
        Ok(Stages { order, success, failure, outcomes, table })
    }
}

impl WrittenClosed {
    fn check(self) -> Result<ClosedColumn, Unusable> {
        Ok(ClosedColumn { column: name("[closed] column", self.column)?, of_open_deals: self.of_open_deals })
    }
}

impl WrittenLoss {
    fn check(self) -> Result<Loss, Unusable> {
        let reason = match self.reason {
            Some(reason) => code("[loss] reason".to_owned(), reason)?,
            None => Loss::default().reason,
        };
        let codes = self.codes.into_iter().map(|(cell, to)| {
            let key = format!("[loss.codes] {cell:?}");
            Ok((name(&key, cell)?, code(key, to)?))
        });
        Ok(Loss { reason, codes: codes.collect::<Result<_, _>>()? })
    }
}

fn entered(written: BTreeMap<String, String>, stages: &Stages) -> Result<Vec<EnteredColumn>, Unusable> {
    let mut entered = Vec::with_capacity(written.len());
    for (stage, column) in written {
        let key = format!("[entered] {stage:?}");
        match stages.place(&stage) {
            Some(place) if stages.class(&stage) == StageClass::Process => {
                entered.push((place, EnteredColumn { stage, column: name(&key, column)? }));
            }
            Some(_) => return Err(Unusable::new(key, column, "a closing stage is dated by [closed] column")),
            None => {
                return Err(Unusable::new(
                    key,
                    column,
                    "the stage does not stand under [stages] order; add it there",
                ));
            }
        }
    }
    entered.sort_by_key(|(place, _)| *place);
    Ok(entered.into_iter().map(|(_, column)| column).collect())
}

pub(super) fn delimiter(written: Option<String>) -> Result<u8, Unusable> {
    let Some(written) = written else { return Ok(b',') };
    match written.as_bytes() {
        [sign @ (b',' | b';' | b'\t' | b'|')] => Ok(*sign),
        _ => Err(Unusable::new("delimiter", written, r#"write one of "," ";" "\t" "|""#)),
    }
}

fn currency(written: Option<WrittenValue>, column: Option<&str>) -> Result<Option<Currency>, Unusable> {
    match (written, column) {
        (Some(WrittenValue { currency }), _) => Currency::parse(&currency).map(Some).ok_or_else(|| {
            Unusable::new(
                "[value] currency",
                currency,
                "write the ISO 4217 code in three capital letters, such as \"USD\"",
            )
        }),
        (None, Some(column)) => Err(Unusable::new(
            "[columns] value",
            column,
            "a value needs its currency; add [value] currency = \"USD\"",
        )),
        (None, None) => Ok(None),
    }
}

/// Cells and headers are read without surrounding white space, so a name that has any would never be found.
pub(super) fn name(key: &str, name: String) -> Result<String, Unusable> {
    if name.is_empty() {
        return Err(Unusable::new(key, name, "is empty; write a name, or leave the key out"));
    }
    if name.trim() != name {
        let bare = format!("cells are read without surrounding white space; write {:?}", name.trim());
        return Err(Unusable::new(key, name, bare));
    }
    Ok(name)
}

fn code(key: String, written: String) -> Result<String, Unusable> {
    if is_code(&written) {
        return Ok(written);
    }
    let way_out = "write a code of small letters, digits and _, such as \"not_recorded\"";
    Err(Unusable::new(key, written, way_out))
}

fn optional(key: &str, written: Option<String>) -> Result<Option<String>, Unusable> {
    written.map(|written| name(key, written)).transpose()
}

fn names(key: &str, written: Vec<String>) -> Result<Vec<String>, Unusable> {
    let mut names = Vec::with_capacity(written.len());
    for stage in written {
        let stage = name(key, stage)?;
        if names.contains(&stage) {
            return Err(Unusable::new(key, stage, "stands there twice; name it once"));
        }
        names.push(stage);
    }
    Ok(names)
}
