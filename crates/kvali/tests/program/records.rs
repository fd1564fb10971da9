use crate::data::{COMPANIES, CONTACTS, DEALS, DEALS_MAP, HISTORY, LEADS, TASKS};
use crate::support::{Kvali, refusal, rows};
use serde_json::{Value, json};
use std::collections::HashSet;

fn types_after(kvali: &Kvali, before: usize) -> Vec<String> {
    kvali.log_types().split_off(before)
}

#[test]
fn companies_contacts_leads_and_tasks_come_in_and_the_same_files_again_add_nothing() {
    let kvali = Kvali::new("records");
    let files = [("companies", COMPANIES), ("contacts", CONTACTS), ("leads", LEADS), ("tasks", TASKS)];
    for (kind, text) in files {
        let file = kvali.file(&format!("{kind}.csv"), text);
        let dry = kvali.import_records(0, kind, &file, &["--dry-run"]);
        let report = kvali.import_records(0, kind, &file, &[]);
        assert_eq!(rows(&report), [2, 0, 0, 0], "{report}");
        assert_eq!((rows(&dry), &dry["events"]), (rows(&report), &report["events"]), "{kind}");
        assert_eq!(report[kind], 2);
    }
    let log = kvali.log();
    for (kind, _) in files {
        let again = kvali.import_records(0, kind, &kvali.path(&format!("{kind}.csv")), &[]);
        assert_eq!(rows(&again), [0, 2, 0, 0], "{again}");
    }
    assert_eq!(kvali.log(), log);
    let count = |name: &str| log.iter().filter(|event| event["type"] == name).count();
    let names = [
        "company.created",
        "company.domains_set",
        "contact.created",
        "contact.point_added",
        "contact.affiliation_started",
        "contact.address_changed",
        "lead.captured",
        "task.created",
        "task.completed",
        "user.registered",
    ];
    assert_eq!(names.map(count), [2, 2, 2, 3, 1, 1, 2, 2, 1, 2]);
    let task = log.iter().find(|event| event["type"] == "task.created").unwrap();
    assert_eq!(task["data"]["targets"].as_array().unwrap().len(), 2, "{task}");
    for secret in ["Vake", "Ketevan", "nino@", "Call back", "Tsereteli"] {
        assert!(!log.iter().any(|event| event["data"].to_string().contains(secret)), "{secret}");
    }
}

#[test]
fn deals_get_the_contacts_that_a_file_names_once_open_or_closed() {
    let kvali = Kvali::new("records-deal-contacts");
    let source = ["--source", "crm"];
    for (kind, text) in [("companies", COMPANIES), ("contacts", CONTACTS)] {
        kvali.import_records(0, kind, &kvali.file(&format!("{kind}.csv"), text), &source);
    }
    let map = kvali.file("map.toml", DEALS_MAP);
    kvali.import_deals(0, &kvali.file("deals.csv", DEALS), &map, &[]);
    let before = kvali.log_types().len();
    let links = "deal_id,contact_id,role\n1,1,decision_maker\n3,1,\n3,2,payer\n3,1,\n3,2,boss\n9,1,\n3,9,\n";
    let file = kvali.file("links.csv", links);
    let dry = kvali.import_records(3, "deal-contacts", &file, &[&source[..], &["--dry-run"]].concat());
    let report = kvali.import_records(3, "deal-contacts", &file, &source);
    assert_eq!((rows(&report), rows(&dry)), ([3, 1, 0, 3], [3, 1, 0, 3]), "{report}");
    assert_eq!(types_after(&kvali, before), ["deal.contact_added"; 3]);
    for (at, (column, words)) in [
        ("role", "is none of decision_maker"),
        ("deal_id", "is none of the deals"),
        ("contact_id", "is no contact"),
    ]
    .into_iter()
    .enumerate()
    {
        let (told, _, why) = refusal(&report, at);
        assert!(told == column && why.contains(words), "{told}: {why}");
    }
    let log = kvali.log();
    // What was said of a contact in Kvali since, a file that says nothing of it leaves.
    let more = kvali.file("more.csv", "deal_id,contact_id\n1,1\n3,2\n");
    assert_eq!(rows(&kvali.import_records(0, "deal-contacts", &more, &source)), [0, 0, 2, 0]);
    assert_eq!(rows(&kvali.import_records(3, "deal-contacts", &file, &source)), [0, 4, 0, 3]);
    assert_eq!(kvali.log(), log);
}

#[test]
fn users_of_two_sources_with_the_same_id_are_two() {
    let kvali = Kvali::new("records-users-of-sources");
    for (source, name) in [("one", "Nino"), ("other", "Luca")] {
        let users = kvali.file("users.csv", &format!("id,name\n42,{name}\n"));
        let report = kvali.import_records(0, "users", &users, &["--source", source]);
        assert_eq!(rows(&report), [1, 0, 0, 0]);
        let companies = kvali.file("companies.csv", &format!("id,name,owner\n1,{name}'s,42\n"));
        kvali.import_records(0, "companies", &companies, &["--source", source]);
    }
    let third = kvali.file("third.csv", "id,name,owner\n1,Third,42\n");
    kvali.import_records(0, "companies", &third, &["--source", "third"]);
    let log = kvali.log();
    let of = |name: &str, key: &str| -> Vec<Value> {
        log.iter().filter(|event| event["type"] == name).map(|event| event["data"][key].clone()).collect()
    };
    let users: Vec<Value> = log
        .iter()
        .filter(|event| event["type"] == "user.registered")
        .map(|event| event["stream"].clone())
        .collect();
    assert_eq!((users.len(), of("company.created", "owner")), (3, users.clone()));
}

#[test]
fn no_id_of_a_command_can_be_guessed_from_the_rows() {
    let ids = |tenant: &str| -> HashSet<String> {
        let kvali = Kvali::new(tenant);
        let files = [("companies", COMPANIES), ("contacts", CONTACTS), ("tasks", TASKS)];
        let import = |(kind, text)| {
            kvali.import_records(0, kind, &kvali.file(&format!("{kind}.csv"), text), &[])["import"]
                .to_string()
        };
        let mut ids: HashSet<String> = files.map(import).into();
        kvali.import(0, &kvali.file("moves.csv", HISTORY), &[]);
        ids.extend(kvali.log().iter().map(|event| event["command_id"].to_string()));
        ids
    };
    let (one, other) = (ids("secret-one"), ids("secret-other"));
    assert_eq!(one.intersection(&other).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!((one.len() >= 20, one.len()), (true, other.len()));
}

#[test]
fn a_newer_export_updates_what_has_changed() {
    let kvali = Kvali::new("records-newer");
    for (kind, text) in [("companies", COMPANIES), ("contacts", CONTACTS), ("leads", LEADS), ("tasks", TASKS)]
    {
        kvali.import_records(0, kind, &kvali.file(&format!("{kind}.csv"), text), &[]);
    }
    let newer = |kind: &str, text: String| {
        let before = kvali.log().len();
        let report = kvali.import_records(0, kind, &kvali.file("newer.csv", &text), &[]);
        assert_eq!(rows(&report), [1, 1, 0, 0], "{report}");
        types_after(&kvali, before)
    };
    assert_eq!(
        newer("companies", COMPANIES.replace("Vake Clinic,vake.ge", "Vake Hospital,vake-hospital.ge")),
        ["company.renamed", "company.domains_set"]
    );
    let contacts = CONTACTS.replace("Ketevan,Tsereteli", "Ketevan,Chavchavadze");
    assert_eq!(
        newer("contacts", contacts.replace("keti@vake.ge", "keti@example.ge")),
        ["contact.renamed", "contact.point_added"]
    );
    assert_eq!(
        newer("leads", LEADS.replace("Giorgi", "Gio").replace(",Nino", ",Luca")),
        ["lead.renamed", "lead.assigned"]
    );
    let tasks = TASKS.replace("2030-01-15,Nino,high,open", "2030-01-20,Luca,high,done");
    assert_eq!(newer("tasks", tasks), ["task.rescheduled", "task.reassigned", "task.completed"]);
}

#[test]
fn what_somebody_changed_here_stays_when_the_export_has_not_changed() {
    let kvali = Kvali::new("records-edited");
    let file = kvali.file("contacts.csv", "id,given,family,email\n1,Ketevan,Tsereteli,keti@vake.ge\n");
    kvali.import_records(0, "contacts", &file, &[]);
    let id = kvali.log()[0]["stream"].as_str().unwrap().to_owned();
    kvali.json(0, &["do", "RenameContact", "--id", &id, "--json", "{\"given\": \"Keti\"}"]);
    assert_eq!(rows(&kvali.import_records(0, "contacts", &file, &[])), [0, 1, 0, 0]);
    let renamed = kvali.log_types().iter().filter(|name| *name == "contact.renamed").count();
    assert_eq!(renamed, 1);
}

#[test]
fn cells_with_which_nothing_can_be_done_are_counted() {
    let kvali = Kvali::new("records-left-out");
    for (kind, text, left_out) in [
        ("companies", "id,name,country\n1,Vake,GE\n2,Dental,\n", json!({"country": 1})),
        (
            "contacts",
            "id,name,street,country,title,company_id\n1,Keti,Vake 1,,Nurse,\n2,Nino,Vake 2,GE,Nurse,1\n",
            json!({"street": 1, "title": 1}),
        ),
    ] {
        let report = kvali.import_records(0, kind, &kvali.file("some.csv", text), &[]);
        assert_eq!((rows(&report), &report["left_out"]), ([2, 0, 0, 0], &left_out));
    }
}

#[test]
fn a_task_that_is_open_again_takes_its_new_due_and_owner() {
    let kvali = Kvali::new("records-reopened");
    let header = "id,subject,due,owner,status\n";
    let task = |row: &str| kvali.file("tasks.csv", &[header, row].concat());
    kvali.import_records(0, "tasks", &task("1,Call,2024-01-15,Nino,done\n"), &[]);
    let before = kvali.log().len();
    let again = task("1,Call again,2030-01-15,Luca,started\n");
    assert_eq!(rows(&kvali.import_records(0, "tasks", &again, &[])), [1, 0, 0, 0]);
    let events = ["task.reopened", "task.edited", "task.rescheduled", "task.reassigned", "task.started"];
    let mut types = types_after(&kvali, before);
    types.retain(|name| name != "user.registered");
    assert_eq!(types, events);
    assert_eq!(rows(&kvali.import_records(0, "tasks", &again, &[])), [0, 1, 0, 0]);
}

#[test]
fn a_refused_row_whose_record_was_created_counts_as_partly_in() {
    let kvali = Kvali::new("records-partly");
    let companies = kvali.file("companies.csv", "id,name\n1,Vake\n");
    kvali.import_records(0, "companies", &companies, &[]);
    let company = kvali.log()[0]["stream"].as_str().unwrap().to_owned();
    kvali.json(0, &["do", "ArchiveCompany", "--id", &company, "--json", "{}"]);
    let contacts = kvali.file("contacts.csv", "id,name,company_id,phone\n1,Keti,1,\n2,Nino,,nothing\n");
    let dry = kvali.import_records(3, "contacts", &contacts, &["--dry-run"]);
    let report = kvali.import_records(3, "contacts", &contacts, &[]);
    assert_eq!((rows(&dry), rows(&report)), ([0, 0, 0, 2], [0, 0, 0, 2]), "{report}");
    assert_eq!((&dry["partly_in"], &report["partly_in"]), (&json!(1), &json!(1)));
    let told = kvali.run(&["import", "contacts", contacts.to_str().unwrap()]).stdout();
    assert!(told.contains("Refused rows that are partly in: 1,"), "{told}");
}

#[test]
fn every_bad_cell_is_named_with_its_column_and_the_way_out() {
    let kvali = Kvali::new("records-bad");
    let file = kvali.file(
        "contacts.csv",
        "id,given,email,phone,country\n\
         1,Keti,no address,,\n\
         2,Keti,,555 12 34 56,\n\
         3,Keti,,,Georgia\n\
         ,Keti,,,\n\
         5,,,,\n\
         6,Keti,keti@vake.ge,,\n\
         6,Keti,keti@vake.ge,,\n",
    );
    let report = kvali.import_records(3, "contacts", &file, &[]);
    assert_eq!(rows(&report), [1, 0, 0, 6], "{report}");
    let lines: Vec<_> =
        report["refusals"].as_array().unwrap().iter().map(|row| row["line"].clone()).collect();
    assert_eq!(Value::from(lines), json!([2, 3, 4, 5, 8, 6]));
    let (column, value, reason) = refusal(&report, 0);
    assert_eq!((column.as_str(), value.as_str()), ("email", "no address"));
    assert!(reason.contains("name@example.com"), "{reason}");
    assert!(refusal(&report, 1).2.contains("country"), "{report}");
    assert!(refusal(&report, 2).2.contains("[values.country]"), "{report}");
    assert_eq!(refusal(&report, 3).2, "is empty");
    assert!(refusal(&report, 4).2.contains("line 7 again"), "{report}");
    assert!(refusal(&report, 5).2.contains("a part of a name or a contact point"), "{report}");

    let none = kvali.file("none.csv", "name,mood\nKeti,good\n");
    let told = kvali.fails(1, &["import", "contacts", none.to_str().unwrap()]);
    assert!(told.contains("has no column \"id\"; it has: name, mood."), "{told}");
    let unknown = kvali.file("mood.csv", "id,name,mood\n1,Keti,good\n");
    assert_eq!(kvali.import_records(0, "contacts", &unknown, &[])["unused_columns"], json!(["mood"]));
}

#[test]
fn a_map_names_columns_translates_cells_leaves_rows_and_cells_out_and_fills_fields() {
    let kvali = Kvali::new("records-mapped");
    let field = "{\"field\": \"0190d9c6-0000-7000-8000-000000000001\", \"entity\": \"contact\", \"key\": \"tier\", \
                 \"label\": \"Tier\", \"type\": \"number\"}";
    kvali.json(0, &["do", "DefineField", "--json", field]);
    let map = kvali.file(
        "contacts.toml",
        "source = \"crm\"\ndelimiter = \";\"\nregion = \"GE\"\nleave_out = [\"email\"]\n\
         [columns]\nid = \"No\"\nname = \"Who\"\nemail = \"Mail\"\nphone = \"Tel\"\ncountry = \"Land\"\n\
         [fields]\ntier = \"Tier\"\n[values.country]\n\"Georgia\" = \"GE\"\n[only]\nDeleted = [\"no\"]\n",
    );
    let file = kvali.file(
        "contacts.csv",
        "No;Who;Mail;Tel;Land;Tier;Deleted;Mood\n\
         1;Keti;none;555 12 34 56;Georgia;3;no;good\n\
         2;Nino;;;;;yes;\n\
         3;Luca;;;;high;no;\n",
    );
    let map = map.to_str().unwrap();
    let report = kvali.import_records(3, "contacts", &file, &["--map", map]);
    assert_eq!(rows(&report), [1, 0, 0, 1], "{report}");
    assert_eq!(report["left_out"], json!({"Mail": 1}));
    assert_eq!(report["unused_columns"], json!(["Mood"]));
    assert_eq!(refusal(&report, 0).0, "Tier");
    assert_eq!(
        kvali.log_types()[1..],
        ["contact.created", "contact.point_added", "contact.address_changed", "contact.fields_changed"]
    );
    let typo = kvali.file("typo.toml", "source = \"crm\"\n[columns]\nid = \"No\"\nmail = \"Mail\"\n");
    let told =
        kvali.fails(1, &["import", "contacts", file.to_str().unwrap(), "--map", typo.to_str().unwrap()]);
    assert!(told.contains("[columns] mail") && told.contains("email"), "{told}");
}

#[test]
fn a_file_of_versions_dates_every_change() {
    let kvali = Kvali::new("records-versions");
    let map = kvali.file(
        "accounts.toml",
        "source = \"crm\"\n[columns]\nid = \"id\"\nname = \"name\"\nowner = \"owner\"\noccurred_at = \"from\"\n",
    );
    let file = kvali.file(
        "accounts.csv",
        "id,name,owner,from\n\
         1,Vake,Nino,2024-01-01\n\
         1,Vake,Luca,2024-02-01\n\
         1,Vake Clinic,Luca,2024-03-01\n\
         1,Vake,Luca,2024-04-01\n\
         1,Older,Luca,2024-03-15\n",
    );
    let map = map.to_str().unwrap();
    let report = kvali.import_records(3, "companies", &file, &["--map", map]);
    assert_eq!(rows(&report), [4, 0, 0, 1], "{report}");
    assert!(refusal(&report, 0).2.contains("oldest first"), "{report}");
    let log = kvali.log();
    let of_company: Vec<_> =
        log.iter().filter(|event| event["type"].as_str().unwrap().starts_with("company")).collect();
    let told: Vec<_> = of_company.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(told, ["company.created", "company.assigned", "company.renamed", "company.renamed"]);
    assert_eq!(rows(&kvali.import_records(3, "companies", &file, &["--map", map])), [0, 4, 0, 1]);
    assert_eq!(kvali.log(), log);
}
