use crate::data::{DEALS, DEALS_MAP};
use crate::support::{Kvali, counts, refusal, rows};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use serde_json::json;
use std::path::PathBuf;

fn write(kvali: &Kvali, name: &str, sheets: &[(&str, &str)], more: impl Fn(&mut Worksheet)) -> PathBuf {
    let mut workbook = Workbook::new();
    for (title, text) in sheets {
        let sheet = workbook.add_worksheet();
        sheet.set_name(*title).unwrap();
        for (row, line) in (0..).zip(text.lines()) {
            for (column, cell) in (0..).zip(line.split(',')) {
                sheet.write_string(row, column, cell).unwrap();
            }
        }
        more(sheet);
    }
    let file = kvali.path(name);
    workbook.save(&file).unwrap();
    file
}

#[test]
fn a_sheet_is_the_same_table_as_a_csv_file() {
    let kvali = Kvali::new("workbook-deals");
    let map = kvali.file("deals.toml", DEALS_MAP);
    let book = write(&kvali, "deals.xlsx", &[("Deals", DEALS)], |_| {});
    let report = kvali.import_deals(0, &book, &map, &[]);
    assert_eq!((counts(&report)[0], &report["sheet"]), (4, &json!("Deals")));
    let csv = kvali.import_deals(0, &kvali.file("deals.csv", DEALS), &map, &[]);
    assert_eq!(counts(&csv), [0, 4, 0, 0, 4, 0]);
}

#[test]
fn dates_and_numbers_are_read_as_text_and_errors_refused() {
    let kvali = Kvali::new("workbook-cells");
    let text =
        "id,subject,due,owner,priority\n,Call,,Nino,high\n2,Visit,,Nino,\n3,Write,,Nino,\n4,Ask,,Nino,dire\n";
    let book = write(&kvali, "tasks.xlsx", &[("Tasks", text)], |sheet| {
        let day = Format::new().set_num_format("yyyy-mm-dd");
        let stamp = Format::new().set_num_format("yyyy-mm-dd hh:mm");
        let date = |text: &str| ExcelDateTime::parse_from_str(text).unwrap();
        sheet.write_number(1, 0, 1).unwrap();
        sheet.write_datetime_with_format(1, 2, date("2030-01-15"), &day).unwrap();
        sheet.write_datetime_with_format(2, 2, date("2030-01-15T09:30:00"), &stamp).unwrap();
        sheet.write_formula(3, 2, Formula::new("=NA()").set_result("#N/A")).unwrap();
        sheet.write_string(4, 2, "2030-01-16").unwrap();
    });
    let report = kvali.import_records(3, "tasks", &book, &["--source", "crm"]);
    assert_eq!(rows(&report), [2, 0, 0, 2], "{report}");
    let log = kvali.log();
    let dues: Vec<_> = log.iter().filter_map(|event| event["data"].get("due")).collect();
    assert_eq!(
        dues,
        [&json!({"day": {"date": "2030-01-15", "zone": "UTC"}}), &json!({"at": "2030-01-15T09:30:00Z"})]
    );
    let (column, value, reason) = refusal(&report, 0);
    assert_eq!(
        (report["refusals"][0]["line"].clone(), column.as_str(), value.as_str()),
        (json!(4), "due", "#N/A")
    );
    assert!(reason.contains("correct the formula"), "{reason}");
    assert_eq!(refusal(&report, 1).0, "priority");
    let ran = kvali.run(&["import", "tasks", book.to_str().unwrap(), "--source", "crm"]);
    assert!(ran.stdout().contains("Refused rows of sheet \"Tasks\""), "{ran}");
    // The whole number 1 is the id 1.
    let same = kvali.file("tasks.csv", "id,subject,due,owner,priority\n1,Call,2030-01-15,Nino,high\n");
    assert_eq!(rows(&kvali.import_records(0, "tasks", &same, &["--source", "crm"])), [0, 1, 0, 0]);
}

#[test]
fn which_sheet_is_to_be_said_and_errors_name_it() {
    let kvali = Kvali::new("workbook-sheets");
    let sheets = [("People", "id,name\n1,Keti\n"), ("Old", "name\nNino\n"), ("None", "")];
    let book = write(&kvali, "people.xlsx", &sheets, |_| {});
    let book = book.to_str().unwrap();
    let told = |more: &[&str]| kvali.fails(1, &[&["import", "contacts", book], more].concat());
    assert!(told(&[]).contains("several sheets; say with --sheet which of People, Old, None"));
    assert!(told(&["--sheet", "Peeple"]).contains("has no sheet \"Peeple\"; it has People, Old, None"));
    assert!(told(&["--sheet", "Old"]).contains("(sheet \"Old\") has no column \"id\""));
    assert!(told(&["--sheet", "None"]).contains("(sheet \"None\") is empty"));
    assert_eq!(rows(&kvali.json(0, &["import", "contacts", book, "--sheet", "People"])), [1, 0, 0, 0]);
    let csv = kvali.file("people.csv", "id,name\n1,Keti\n");
    let told = kvali.fails(1, &["import", "contacts", csv.to_str().unwrap(), "--sheet", "People"]);
    assert!(told.contains("leave --sheet out"), "{told}");
    let broken = kvali.file("broken.xlsx", "id,name\n1,Keti\n");
    let told = kvali.fails(1, &["import", "contacts", broken.to_str().unwrap()]);
    assert!(told.contains("cannot read the workbook"), "{told}");
}
