//! Instants, local days, and how days are counted.

use chrono::offset::MappedLocalTime;
use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, TimeZone, Utc, Weekday,
};
use chrono_tz::Tz;
use kvali_domain::Due;
use kvali_domain::calendar::Hours;
pub(super) use kvali_domain::due::local_day as day;
use kvali_eventstore::Opened;

/// The earliest and the latest day that tables hold: what lies beyond is as good as never.
const FIRST: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 3).expect("a day");
const LAST: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 28).expect("a day");

/// The instant as tables hold it: in whole microseconds, within the years that are written with four digits.
pub(super) fn stored(at: DateTime<Utc>) -> DateTime<Utc> {
    let midnight = |day: NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc();
    at.clamp(midnight(FIRST), midnight(LAST)).trunc_subsecs(6)
}

pub(super) fn stored_day(day: NaiveDate) -> NaiveDate {
    day.clamp(FIRST, LAST)
}

/// When it happened, if that is known.
pub(super) fn occurred(opened: &Opened) -> Option<DateTime<Utc>> {
    opened.recorded.occurred.at().map(stored)
}

/// When it happened; without a business date, when it was recorded.
pub(super) fn told(opened: &Opened) -> DateTime<Utc> {
    occurred(opened).unwrap_or_else(|| stored(opened.recorded.recorded_at))
}

/// The local day that a due lies on: its own, or that of `zone` where it is an instant.
pub(super) fn due_day(due: Due, zone: Tz) -> NaiveDate {
    match due {
        Due::Day { date, .. } => stored_day(date),
        Due::At(at) => day(stored(at), zone),
    }
}

/// The zone that a due names, if it is a day.
pub(super) fn due_zone(due: Due) -> Option<Tz> {
    match due {
        Due::Day { zone, .. } => Some(zone),
        Due::At(_) => None,
    }
}

/// The Monday of the week that the day lies in.
pub(super) fn monday(day: NaiveDate) -> NaiveDate {
    day.week(Weekday::Mon).checked_first_day().unwrap_or(day)
}

/// `days` days of 24 hours after `since`; by working hours, the same local time of that many business days later, but
/// no sooner. `None`: beyond all time.
pub(super) fn days_after(since: DateTime<Utc>, days: i32, hours: Option<&Hours>) -> Option<DateTime<Utc>> {
    let calendar = since.checked_add_signed(TimeDelta::try_days(days.into())?)?;
    let Some(hours) = hours else { return within(calendar) };
    let local = since.with_timezone(&hours.zone).naive_local();
    let later = hours.add_business_days(local.date(), u16::try_from(days).ok()?)?;
    within(instant(later.and_time(local.time()), hours.zone)?.max(calendar))
}

/// The instant of a wall clock; where the clocks jump over it, when they do.
fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at.with_timezone(&Utc)),
        MappedLocalTime::None => {
            let before = local.checked_sub_days(Days::new(1))?;
            Some(zone.from_local_datetime(&before).earliest()?.with_timezone(&Utc) + TimeDelta::days(1))
        }
    }
}

fn within(at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (at.year() <= LAST.year() && at == stored(at)).then_some(at)
}
