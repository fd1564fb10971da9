use super::*;

fn dates(zone: &str, formats: &[&str]) -> Dates {
    Dates::new(zone.parse().unwrap(), formats.iter().map(|text| Format::parse(text).unwrap()).collect())
}

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

#[track_caller]
fn reads(dates: &Dates, cell: &str, expected: &str) {
    assert_eq!(dates.read(cell), Ok(When::Instant(utc(expected))), "{cell}");
}

#[track_caller]
fn day_starts(dates: &Dates, cell: &str, expected: &str) {
    assert_eq!(dates.read(cell), Ok(When::Day { starts: utc(expected), zone: dates.zone() }), "{cell}");
}

#[test]
fn stamps_are_read_as_exports_write_them() {
    let berlin = dates("Europe/Berlin", &[]);
    for cell in [
        "2017-03-01T09:30:00Z",
        "2017-03-01 09:30:00Z",
        "2017-03-01T09:30:00.000Z",
        "2017-03-01T13:30:00+04:00",
        "2017-03-01 13:30:00+04",
        "2017-03-01 13:30:00.0+0400",
        "2017-03-01T10:30:00",
        "2017-03-01 10:30",
    ] {
        reads(&berlin, cell, "2017-03-01T09:30:00Z");
    }
}

#[test]
fn a_stamp_is_cut_to_the_microsecond_also_before_1970() {
    reads(&Dates::default(), "2017-03-01T09:30:00.123456999Z", "2017-03-01T09:30:00.123456Z");
    reads(&Dates::default(), "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999Z");
    reads(&Dates::default(), "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z");
}

#[test]
fn a_bare_date_is_a_local_day() {
    day_starts(&dates("Europe/Berlin", &[]), "2017-03-01", "2017-02-28T23:00:00Z");
    day_starts(&dates("Asia/Tbilisi", &[]), "2017-03-01", "2017-02-28T20:00:00Z");
    day_starts(&Dates::default(), "2017-03-01", "2017-03-01T00:00:00Z");
}

#[test]
fn an_empty_cell_is_an_unknown_time() {
    assert_eq!(Dates::default().read(""), Ok(When::Unknown));
}

#[test]
fn a_local_time_that_happens_twice_is_the_earlier_one() {
    reads(&dates("Europe/Berlin", &[]), "2017-10-29T02:30:00", "2017-10-29T00:30:00Z");
    // Havana's clocks go back from 01:00 to midnight, so midnight happens twice.
    day_starts(&dates("America/Havana", &[]), "2017-11-05", "2017-11-05T04:00:00Z");
}

#[test]
fn a_local_time_that_never_happens_is_refused() {
    let zone = "Europe/Berlin";
    let refused = dates(zone, &[]).read("2017-03-26T02:30:00");
    assert_eq!(refused, Err(NotATime::SkippedTime(zone.parse().unwrap())));
}

#[test]
fn a_day_whose_midnight_is_skipped_starts_when_the_clocks_jump() {
    day_starts(&dates("America/Sao_Paulo", &[]), "2018-11-04", "2018-11-04T03:00:00Z");
    day_starts(&dates("Asia/Beirut", &[]), "2019-03-31", "2019-03-30T22:00:00Z");
}

#[test]
fn a_day_that_a_zone_left_out_is_refused() {
    let zone = "Pacific/Apia";
    assert_eq!(dates(zone, &[]).read("2011-12-30"), Err(NotATime::SkippedDay(zone.parse().unwrap())));
    let eve = dates(zone, &[]).read("2011-12-29").unwrap();
    assert_eq!(eve.ends(), dates(zone, &[]).read("2011-12-31").unwrap().at());
}

#[test]
fn what_is_no_date_is_refused() {
    for cell in [
        "soon",
        "01.03.2017",
        "2017-02-30",
        "2017-3-1",
        "2017-03-01T25:00:00Z",
        "2017-03-01T",
        "2017-03-01 ü",
        "１２３",
    ] {
        assert_eq!(Dates::default().read(cell), Err(NotATime::NotIso), "{cell}");
    }
    assert_eq!(Dates::default().read("0000-01-01"), Err(NotATime::YearOutOfRange));
}

#[test]
fn formats_are_tried_in_order() {
    let german = dates("Europe/Berlin", &["%d.%m.%Y %H:%M", "%d.%m.%Y", "%+"]);
    reads(&german, "01.03.2017 10:30", "2017-03-01T09:30:00Z");
    day_starts(&german, "01.03.2017", "2017-02-28T23:00:00Z");
    reads(&german, "2017-03-01T09:30:00Z", "2017-03-01T09:30:00Z");
    assert_eq!(
        german.read("2017-03-01"),
        Err(NotATime::NoFormatFits(r#""%d.%m.%Y %H:%M", "%d.%m.%Y", "%+""#.to_owned()))
    );
    reads(&dates("Europe/Berlin", &["%s"]), "1488360600", "2017-03-01T09:30:00Z");
    reads(&dates("America/New_York", &["%m/%d/%Y %I:%M %p"]), "3/1/2017 4:30 AM", "2017-03-01T09:30:00Z");
}

#[test]
fn a_format_must_name_a_whole_day_or_moment() {
    for (text, useless) in [
        ("%Q", UselessFormat::NotStrftime),
        ("%Y-%m-%d %H:%M %Z", UselessFormat::ZoneName),
        ("%Y-%m", UselessFormat::Incomplete),
        ("%Y-%m-%d %H", UselessFormat::Incomplete),
        ("%Y-%m-%d %I:%M", UselessFormat::Incomplete),
        ("", UselessFormat::Incomplete),
    ] {
        assert_eq!(Format::parse(text).err(), Some(useless), "{text}");
    }
}

#[test]
fn a_day_is_surely_before_only_what_lies_after_it() {
    let read = |cell: &str| dates("Europe/Berlin", &[]).read(cell).unwrap();
    assert!(read("2017-03-01").is_surely_before(&read("2017-03-02")));
    assert!(read("2017-03-01").is_surely_before(&read("2017-03-02T00:00:00")));
    assert!(!read("2017-03-01").is_surely_before(&read("2017-03-01T18:00:00")));
    assert!(!read("2017-03-01").is_surely_before(&read("2017-03-01")));
    assert!(read("2017-03-01T09:00:00").is_surely_before(&read("2017-03-01T09:00:01")));
    assert!(!read("2017-03-01T09:00:00").is_surely_before(&read("2017-03-01T09:00:00")));
    assert!(!When::Unknown.is_surely_before(&read("2017-03-01")));
}
