use crate::support::{Kvali, refusal, rows};
use serde_json::Value;

const HOLDER: &str = "id,name,email\n1,Keti,keti@vake.ge\n";
const RIVAL: &str = "id,name,email,phone\nA,Ketevan,KETI@vake.ge,+995555123456\n";

fn held(tenant: &str) -> (Kvali, String) {
    let kvali = Kvali::new(tenant);
    kvali.import_records(0, "contacts", &kvali.file("old.csv", HOLDER), &["--source", "old"]);
    let holder = kvali.log()[0]["stream"].as_str().unwrap().to_owned();
    (kvali, holder)
}

fn import(kvali: &Kvali, exit_code: i32, rule: &str, more: &[&str]) -> Value {
    let file = kvali.file("new.csv", RIVAL);
    let args = [&["--source", "new", "--duplicates", rule], more].concat();
    let dry = kvali.import_records(exit_code, "contacts", &file, &[&args[..], &["--dry-run"]].concat());
    let report = kvali.import_records(exit_code, "contacts", &file, &args);
    assert_eq!((rows(&dry), &dry["refusals"]), (rows(&report), &report["refusals"]));
    report
}

#[test]
fn refused_it_is_listed_with_the_holder() {
    let (kvali, holder) = held("duplicates-refuse");
    let report = import(&kvali, 3, "refuse", &[]);
    let (column, value, reason) = refusal(&report, 0);
    assert_eq!((column.as_str(), value.as_str()), ("email", "KETI@vake.ge"));
    assert!(reason.contains(&holder), "{reason}");
    assert_eq!(kvali.log().len(), 2);
    // The rule is asked anew: what was refused is not known.
    assert_eq!(rows(&import(&kvali, 0, "keep", &[])), [1, 0, 0, 0]);
}

#[test]
fn linked_it_updates_the_holder() {
    let (kvali, holder) = held("duplicates-link");
    assert_eq!(rows(&import(&kvali, 0, "link", &[])), [1, 0, 0, 0]);
    let log = kvali.log();
    assert_eq!(kvali.log_types()[2..], ["contact.renamed", "contact.point_added"]);
    assert!(log.iter().all(|event| event["stream"] == holder.as_str()));
    assert_eq!(rows(&import(&kvali, 0, "link", &[])), [0, 1, 0, 0]);
    assert_eq!(kvali.log(), log);
}

#[test]
fn kept_it_stands_beside_the_holder_as_a_duplicate_that_is_meant() {
    let (kvali, holder) = held("duplicates-keep");
    assert_eq!(rows(&import(&kvali, 0, "keep", &[])), [1, 0, 0, 0]);
    let log = kvali.log();
    let added: Vec<_> = log.iter().filter(|event| event["type"] == "contact.point_added").collect();
    assert_eq!(added.len(), 3);
    assert_ne!(added[1]["stream"], holder.as_str());
    assert_eq!(added[1]["data"]["meant"], "duplicate");
    assert_eq!(rows(&import(&kvali, 0, "keep", &[])), [0, 1, 0, 0]);
    assert_eq!(kvali.log(), log);
}

#[test]
fn two_rows_of_one_file_are_duplicates_too() {
    let twins = "id,name,website,email\n1,Vake,vake.ge,info@vake.ge\n2,Vake Clinic,vake.ge,INFO@vake.ge\n";
    for (kind, column) in [("companies", "website"), ("leads", "email")] {
        let kvali = Kvali::new(&format!("twins-{kind}"));
        let file = kvali.file("twins.csv", twins);
        let refused = kvali.import_records(3, kind, &file, &["--dry-run"]);
        assert_eq!((rows(&refused), refusal(&refused, 0).0.as_str()), ([1, 0, 0, 1], column), "{refused}");
        let linked = kvali.import_records(0, kind, &file, &["--duplicates", "link", "--dry-run"]);
        assert_eq!((rows(&linked), &linked[kind]), ([2, 0, 0, 0], &1.into()), "{linked}");
        let kept = kvali.import_records(0, kind, &file, &["--duplicates", "keep"]);
        assert_eq!((rows(&kept), &kept[kind]), ([2, 0, 0, 0], &2.into()), "{kept}");
        assert_eq!(rows(&kvali.import_records(0, kind, &file, &["--duplicates", "keep"])), [0, 2, 0, 0]);
    }
}

#[test]
fn a_map_says_the_rule_and_the_command_line_another() {
    let (kvali, _) = held("duplicates-map");
    let map = kvali.file(
        "new.toml",
        "source = \"new\"\nduplicates = \"link\"\n[columns]\nid = \"id\"\nname = \"name\"\nemail = \"email\"\n",
    );
    let file = kvali.file("new.csv", RIVAL);
    let map = ["--map", map.to_str().unwrap()];
    let refused = [&map[..], &["--duplicates", "refuse"]].concat();
    assert_eq!(rows(&kvali.import_records(3, "contacts", &file, &refused)), [0, 0, 0, 1]);
    assert_eq!(rows(&kvali.import_records(0, "contacts", &file, &map)), [1, 0, 0, 0]);
    assert_eq!(kvali.log_types()[2..], ["contact.renamed"]);
}

#[test]
fn a_legal_id_belongs_to_one_company() {
    let kvali = Kvali::new("duplicates-legal");
    let file = kvali.file(
        "companies.csv",
        "id,name,country,tax_id\n1,Vake,GE,123456789\n2,Vake Clinic,GE,123 456 789\n3,Didube,GE,12\n4,Gldani,,123456789\n",
    );
    let report = kvali.import_records(3, "companies", &file, &[]);
    assert_eq!(rows(&report), [1, 0, 0, 3], "{report}");
    let reasons: Vec<_> = (0..3).map(|at| refusal(&report, at).2).collect();
    assert!(reasons[0].contains("9 digits"), "{reasons:?}");
    assert!(reasons[1].contains("unknown country"), "{reasons:?}");
    assert!(reasons[2].contains("is taken by"), "{reasons:?}");
    assert_eq!(refusal(&report, 2).0, "tax_id");
    let linked = kvali.import_records(3, "companies", &file, &["--duplicates", "link"]);
    assert_eq!((rows(&linked), &linked["companies"]), ([1, 1, 0, 2], &1.into()), "{linked}");
}
