//! How the business is set up: pipelines with the limits of their stages, the calendar, types of activity.

use super::super::clock::stored_day;
use super::super::record::{ActivityTypeRow, CalendarRow, LimitRow, PipelineRow};
use super::Facts;
use kvali_domain::pipeline::{self, Config, Limits, Pipeline, Terms};
use kvali_domain::{CalendarId, Decider, PipelineId, activity_types, calendar};
use kvali_eventstore::Opened;
use std::collections::BTreeMap;

impl Facts {
    pub(super) fn configure(&mut self, id: PipelineId, event: &pipeline::Event, opened: &Opened) {
        let version = opened.recorded.version;
        let before = self.pipelines.get(&(id, version - 1));
        let mut pipeline = before.map_or(Pipeline::Absent, |row| Pipeline::Defined(config(row)));
        pipeline.evolve(event, version, &opened.recorded.occurred);
        if let Pipeline::Defined(config) = pipeline {
            self.pipelines.put(row(id, config));
        }
    }

    pub(super) fn calendar(&mut self, id: CalendarId, event: &calendar::Event, opened: &Opened) {
        match event {
            calendar::Event::Defined(event) => {
                let known = self.calendars.get(&id);
                let row = CalendarRow {
                    calendar_id: id,
                    position: known.map_or(opened.recorded.position, |known| known.position),
                    name: event.name.replace('\0', ""),
                    zone: event.zone,
                    week: event.week.clone(),
                    holidays: known.map(|known| known.holidays.clone()).unwrap_or_default(),
                };
                self.calendars.put(row);
            }
            calendar::Event::HolidayAdded(event) => {
                if let Some(calendar) = self.calendars.get_mut(&id) {
                    calendar.holidays.insert(stored_day(event.date), event.name.replace('\0', ""));
                }
            }
        }
    }

    pub(super) fn activity_type(&mut self, event: &activity_types::Event) {
        let activity_types::Event::Defined(event) = event;
        let row = ActivityTypeRow {
            activity_type: event.activity_type,
            label: event.label.replace('\0', ""),
            minimum_lead_minutes: event.minimum_lead_minutes,
        };
        self.types.put(row);
    }
}

/// As far as facts need it: what deals may do there is not among them.
fn config(row: &PipelineRow) -> Config {
    let limits = |limits: &LimitRow| {
        let LimitRow { stage, max_days, idle_days, clock } = *limits;
        (stage, Terms { limits: Limits { max_days, idle_days, clock }, ..Terms::default() })
    };
    let terms: BTreeMap<_, _> = row.limits.iter().map(limits).collect();
    Config {
        name: row.name.clone(),
        version: row.version,
        stages: row.stages.clone(),
        terms,
        ..Config::default()
    }
}

fn row(id: PipelineId, config: Config) -> PipelineRow {
    let set = config.terms.iter().filter(|(_, terms)| terms.limits != Limits::default());
    let limits = set.map(|(stage, Terms { limits: Limits { max_days, idle_days, clock }, .. })| LimitRow {
        stage: *stage,
        max_days: *max_days,
        idle_days: *idle_days,
        clock: *clock,
    });
    let limits = limits.collect();
    let name = config.name.replace('\0', "");
    let mut stages = config.stages;
    for stage in &mut stages {
        stage.name = stage.name.replace('\0', "");
    }
    PipelineRow { pipeline_id: id, version: config.version, name, stages, limits }
}
