//! A work calendar: a zone, weekly working hours and holidays; and what follows from them for times and dates.

use crate::decider::{Describe, commands, events};
use crate::pipeline::folded;
use crate::{Claim, Decider, Given, Occurred, Version};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

commands! {
    /// The name is unique and not blank; at least one working interval; each starts before it ends, within the day; no two
    /// of a day meet. Defining again replaces zone, name and hours and keeps the holidays.
    "DefineWorkCalendar" = Define {
        name: String,
        /// An IANA zone, such as `Asia/Tbilisi`.
        #[schemars(with = "String")]
        zone: Tz,
        week: Vec<Interval>,
    } => [Defined],
    /// The calendar is defined; the name is not blank; a date is one holiday.
    "AddHoliday" = AddHoliday { date: NaiveDate, name: String } => [HolidayAdded],
}

/// Working time of one weekday, by the wall clock: minutes of the local day, `end` excluded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    pub day: Weekday,
    /// From 0.
    pub start: i32,
    /// Up to 1440.
    pub end: i32,
}

events! {
    Defined = "calendar.defined",
    HolidayAdded = "calendar.holiday_added",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Defined {
    /// The name that it had before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub renamed_from: Option<String>,
    pub name: String,
    #[schemars(with = "String")]
    pub zone: Tz,
    /// In the order of the week.
    pub week: Vec<Interval>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct HolidayAdded {
    pub date: NaiveDate,
    pub name: String,
}

/// The claim that keeps calendar names unique, whatever their case.
pub const NAME_CLAIM: &str = "calendar.name";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Defined(Defined { renamed_from: Some(from), name, .. }) => {
                vec![Claim::release(NAME_CLAIM, folded(from)), Claim::take(NAME_CLAIM, folded(name))]
            }
            Self::Defined(event) => vec![Claim::take(NAME_CLAIM, folded(&event.name))],
            Self::HolidayAdded(_) => Vec::new(),
        }
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this calendar does not exist; define it first with DefineWorkCalendar")]
    NoSuchCalendar,
    #[error("{field} is empty; give it at least one visible character")]
    Blank { field: &'static str },
    #[error("a week without working time leaves no business day; name at least one interval")]
    NoWorkingTime,
    #[error(
        "{day} {start}–{end} is no interval; minutes of the day run from 0 to 1440, and start lies before end"
    )]
    NoInterval { day: Weekday, start: i32, end: i32 },
    #[error(
        "{day} {start}–{end} meets {other_start}–{other_end} of the same day; join them or move them apart"
    )]
    IntervalsMeet { day: Weekday, start: i32, end: i32, other_start: i32, other_end: i32 },
    #[error("{date} is the holiday {name:?} already; a date is one holiday")]
    HolidayTwice { date: NaiveDate, name: String },
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Calendar {
    #[default]
    Absent,
    Defined(Hours),
}

/// What is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hours {
    pub name: String,
    pub zone: Tz,
    pub week: Vec<Interval>,
    pub holidays: BTreeMap<NaiveDate, String>,
}

impl Calendar {
    pub fn hours(&self) -> Option<&Hours> {
        match self {
            Self::Absent => None,
            Self::Defined(hours) => Some(hours),
        }
    }
}

impl Hours {
    /// Whether the zone's wall clock stands within working time of a business day.
    pub fn is_working(&self, at: DateTime<Utc>) -> bool {
        let Some(local) = local(at, self.zone) else { return false };
        let minute = i64::from(local.num_seconds_from_midnight() / 60);
        let within = |one: &Interval| (i64::from(one.start)..i64::from(one.end)).contains(&minute);
        !self.is_holiday(local.date()) && self.on(local.weekday()).any(within)
    }

    /// A day with working time that is no holiday.
    pub fn is_business_day(&self, date: NaiveDate) -> bool {
        self.works_on(date.weekday()) && !self.is_holiday(date)
    }

    /// The `count`th business day after `date`; `date` itself for 0. `None` at the end of representable time.
    pub fn add_business_days(&self, date: NaiveDate, count: u16) -> Option<NaiveDate> {
        let mut day = date;
        for _ in 0..count {
            day = day.succ_opt()?;
            while !self.is_business_day(day) {
                day = day.succ_opt()?;
            }
        }
        Some(day)
    }

    /// Business days after `from`, up to and including `to`; negative when `to` lies before `from`.
    pub fn business_days_between(&self, from: NaiveDate, to: NaiveDate) -> i64 {
        if to < from {
            return -self.business_days_between(to, from);
        }
        let days = (to - from).num_days();
        let after =
            |days: i64| u64::try_from(days).ok().and_then(|days| from.checked_add_days(Days::new(days)));
        let works = |date: &NaiveDate| self.works_on(date.weekday());
        let per_week = (1..=7).filter(|days| self.works_on(weekday_after(from, *days))).count();
        let rest = (days / 7 * 7 + 1..=days).filter_map(after).filter(works).count();
        let holidays = self.holidays.keys().filter(|date| from < **date && **date <= to);
        let free = holidays.filter(|date| works(date)).count();
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        days / 7 * count(per_week) + count(rest) - count(free)
    }

    pub fn is_holiday(&self, date: NaiveDate) -> bool {
        self.holidays.contains_key(&date)
    }

    fn works_on(&self, day: Weekday) -> bool {
        self.on(day).next().is_some()
    }

    fn on(&self, day: Weekday) -> impl Iterator<Item = &Interval> {
        self.week.iter().filter(move |interval| interval.day == day)
    }
}

/// What the wall clocks of `zone` show; `None` at the ends of representable time.
pub(crate) fn local(at: DateTime<Utc>, zone: Tz) -> Option<NaiveDateTime> {
    let utc = at.naive_utc();
    utc.checked_add_offset(zone.offset_from_utc_datetime(&utc).fix())
}

fn weekday_after(date: NaiveDate, days: u8) -> Weekday {
    (0..days).fold(date.weekday(), |day, _| day.succ())
}

impl Decider for Calendar {
    const AGGREGATE: &'static str = "calendar";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    /// A calendar may be defined again.
    fn begins(_: &Command) -> bool {
        false
    }

    fn decide(&self, command: &Command, _: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (_, Command::Define { name, zone, week }) => self.define(name, *zone, week),
            (Self::Absent, Command::AddHoliday { .. }) => Err(Refusal::NoSuchCalendar),
            (Self::Defined(hours), Command::AddHoliday { date, name }) => add_holiday(hours, *date, name),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match (&mut *self, event) {
            (known, Event::Defined(event)) => {
                let holidays = match std::mem::take(known) {
                    Self::Absent => BTreeMap::new(),
                    Self::Defined(hours) => hours.holidays,
                };
                let (name, zone, week) = (event.name.clone(), event.zone, event.week.clone());
                *known = Self::Defined(Hours { name, zone, week, holidays });
            }
            (Self::Defined(hours), Event::HolidayAdded(event)) => {
                hours.holidays.insert(event.date, event.name.clone());
            }
            (Self::Absent, Event::HolidayAdded(_)) => {}
        }
    }
}

impl Calendar {
    fn define(&self, name: &str, zone: Tz, week: &[Interval]) -> Result<Vec<Event>, Refusal> {
        not_blank("name", name)?;
        let week = disjoint(week)?;
        let hours = self.hours();
        if hours.is_some_and(|hours| hours.name == name && hours.zone == zone && hours.week == week) {
            return Ok(Vec::new());
        }
        let other_name = |hours: &&Hours| folded(&hours.name) != folded(name);
        let renamed_from = hours.filter(other_name).map(|hours| hours.name.clone());
        Ok(vec![Event::Defined(Defined { renamed_from, name: name.to_owned(), zone, week })])
    }
}

/// The intervals in the order of the week.
fn disjoint(week: &[Interval]) -> Result<Vec<Interval>, Refusal> {
    if week.is_empty() {
        return Err(Refusal::NoWorkingTime);
    }
    let mut week = week.to_vec();
    week.sort_by_key(|one| (one.day.num_days_from_monday(), one.start, one.end));
    for one in &week {
        if one.start < 0 || one.start >= one.end || one.end > 1440 {
            return Err(Refusal::NoInterval { day: one.day, start: one.start, end: one.end });
        }
    }
    for pair in week.windows(2) {
        if pair[0].day == pair[1].day && pair[1].start < pair[0].end {
            let [first, second] = [pair[0], pair[1]];
            return Err(Refusal::IntervalsMeet {
                day: second.day,
                start: second.start,
                end: second.end,
                other_start: first.start,
                other_end: first.end,
            });
        }
    }
    Ok(week)
}

fn add_holiday(hours: &Hours, date: NaiveDate, name: &str) -> Result<Vec<Event>, Refusal> {
    not_blank("name", name)?;
    match hours.holidays.get(&date) {
        Some(known) if known == name => Ok(Vec::new()),
        Some(known) => Err(Refusal::HolidayTwice { date, name: known.clone() }),
        None => Ok(vec![Event::HolidayAdded(HolidayAdded { date, name: name.to_owned() })]),
    }
}

fn not_blank(field: &'static str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() { Err(Refusal::Blank { field }) } else { Ok(()) }
}
