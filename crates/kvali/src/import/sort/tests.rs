use super::*;

fn row(line: u64, at: i64) -> HistoryRow {
    HistoryRow {
        line,
        deal: format!("deal {line}"),
        stage: "შეთავაზება".to_owned(),
        actor: line.is_multiple_of(2).then(|| "Nino".to_owned()),
        owner: line.is_multiple_of(3).then(String::new),
        when: When::Instant(DateTime::from_timestamp_micros(at).unwrap()),
        value: line.is_multiple_of(5).then(|| Decimal::new(-105_400, 2)),
        account: line.is_multiple_of(7).then(|| "Acme".to_owned()),
        loss_reason: line.is_multiple_of(4).then(|| "price".to_owned()),
        nth: 0,
    }
}

#[test]
fn a_row_comes_back_from_a_run_as_it_went() {
    let rows: Vec<_> = (0..500).map(|line| row(line, i64::try_from(line).unwrap() - 250)).collect();
    let mut run = write_run(rows.iter().cloned().map(Ok)).unwrap();
    run.rewind().unwrap();
    for expected in rows {
        assert_eq!(read_row(&mut run, Tz::UTC).unwrap(), Some(expected));
    }
    assert_eq!(read_row(&mut run, Tz::UTC).unwrap(), None);
}

#[test]
fn no_more_is_held_than_the_limits_allow() {
    let limits = Limits { run_rows: 10, run_bytes: 200, runs: 4 };
    let mut sorter = Sorter::new(limits, Tz::UTC);
    for line in 0..1_000 {
        sorter.push(row(line, i64::try_from(line * 7919 % 1_000).unwrap())).unwrap();
        assert!(sorter.rows.len() < limits.run_rows && sorter.bytes < limits.run_bytes);
        assert!(sorter.runs.len() < limits.runs);
    }
    let merged: Vec<_> =
        sorter.finish().unwrap().map(|row| row.unwrap().when.at().unwrap().timestamp_micros()).collect();
    assert_eq!(merged, (0..1_000).collect::<Vec<_>>());
}

#[test]
fn a_run_cut_short_is_an_error() {
    let mut run = write_run([Ok(row(1, 1))].into_iter()).unwrap();
    let length = run.metadata().unwrap().len();
    run.set_len(length - 1).unwrap();
    run.rewind().unwrap();
    assert!(read_row(&mut run, Tz::UTC).is_err());
}
