//! Named funnels, breakdowns and forecasts, as they are asked at the terminal.

use crate::support::Kvali;
use serde_json::{Value, json};

const MOVES: &str = "deal,stage,actor,occurred_at
1,Lead,Nino,2024-01-01T09:00:00Z
1,Offer,Nino,2024-01-02T09:00:00Z
2,Lead,Giorgi,2024-01-03T09:00:00Z
2,Contract,Giorgi,2024-01-05T09:00:00Z
3,Lead,Giorgi,2024-01-04T09:00:00Z
";

fn imported(tenant: &str) -> Kvali {
    let kvali = Kvali::new(tenant);
    let file = kvali.file("moves.csv", MOVES);
    kvali.import(0, &file, &[]);
    kvali
}

fn counts(answer: &Value) -> Value {
    answer["stages"].as_array().unwrap().iter().map(|stage| stage["count"].clone()).collect()
}

#[test]
fn a_funnel_is_named_asked_defined_anew_and_retired() {
    let kvali = imported("named-funnels");
    let define = ["funnel", "define", "Way in", "--pipeline", "Sales", "--stages", "Lead,Offer+Contract"];
    kvali.json(0, &define);
    let asked = kvali.json(0, &["funnel", "--name", "way in"]);
    assert_eq!(counts(&asked), json!([3, 2]));
    assert_eq!((&asked["funnel"]["name"], &asked["funnel"]["version"]), (&json!("Way in"), &json!(1)));
    assert_eq!(asked["stages"][1]["stage"], "Offer+Contract");
    let standing = kvali.json(0, &["funnel", "--name", "Way in", "--standing"]);
    assert_eq!(counts(&standing), json!([3, 2]));

    let redefine =
        ["funnel", "redefine", "Way in", "--pipeline", "Sales", "--stages", "Lead,Offer", "--rule"];
    kvali.json(0, &[&redefine[..], &["ordered", "--window", "12h"]].concat());
    let standing = kvali.json(0, &["funnel", "--name", "Way in", "--standing"]);
    assert_eq!((counts(&standing), &standing["version"]), (json!([3, 0]), &json!(2)));
    let older = kvali.json(0, &["funnel", "--name", "Way in", "--funnel-version", "1"]);
    assert_eq!(counts(&older), json!([3, 2]));
    let list = kvali.json(0, &["funnel", "list"]);
    assert_eq!((list.as_array().unwrap().len(), &list[0]["version"]), (1, &json!(2)));

    kvali.json(0, &["funnel", "retire", "Way in"]);
    assert_eq!(kvali.json(0, &["funnel", "list"]), json!([]));
}

#[test]
fn what_a_funnel_names_and_nobody_knows_is_told_with_what_there_is() {
    let kvali = imported("unknown-funnels");
    let told = kvali.fails(1, &["funnel", "--name", "Way"]);
    assert!(told.contains("there is no funnel \"Way\"; there are none"), "{told}");
    let define = ["funnel", "define", "Way", "--pipeline"];
    let told = kvali.fails(1, &[&define[..], &["Service"]].concat());
    assert!(told.contains("there is no pipeline \"Service\"; there are: Sales"), "{told}");
    let told = kvali.fails(1, &[&define[..], &["Sales", "--stages", "Lead,Visit"]].concat());
    assert!(told.contains("there is no stage \"Visit\"; there are: Lead, "), "{told}");
    let told = kvali.fails(3, &[&define[..], &["Sales", "--window", "30d"]].concat());
    assert!(told.contains("window 30d does not apply to rule entered"), "{told}");
    let told = kvali.fails(1, &["funnel", "--pipeline", "Sales", "--by", "field:region"]);
    assert!(told.contains("deals have no custom field \"region\"; they have none"), "{told}");
    let told = kvali.fails(2, &["funnel", "--pipeline", "Sales", "--by", "colour"]);
    assert!(told.contains("by \"colour\" is none of owner, team, source, product"), "{told}");
}

#[test]
fn a_breakdown_and_a_forecast_are_told_as_tables_and_as_json() {
    let kvali = imported("broken-down");
    let by = kvali.json(0, &["funnel", "--pipeline", "Sales", "--stages", "Lead", "--by", "source"]);
    assert_eq!((by["by"].as_array().unwrap().len(), &by["groups_overlap"]), (1, &json!(false)));
    assert_eq!(by["by"][0]["stages"][0]["count"], 3);
    assert_eq!(by["revival"]["revivals"], 0);
    let revived = kvali.json(0, &["funnel", "--pipeline", "Sales", "--only", "revived"]);
    assert_eq!((&revived["cases"], &revived["only"]), (&json!(0), &json!("revived")));
    let period = ["--from", "2024-01-01", "--to", "2024-04-01"];
    let forecast = kvali.json(0, &[&["forecast", "--pipeline", "Sales"][..], &period].concat());
    assert_eq!(forecast["currencies"], json!([]));
    let ran = kvali.run(&[&["forecast", "--pipeline", "Sales", "--horizon", "30"][..], &period].concat());
    ran.ended_with(0);
    assert!(ran.stdout().contains("Sales: won or expected to close in [2024-01-01, 2024-04-01)"), "{ran}");
    let told =
        kvali.fails(1, &["forecast", "--pipeline", "Sales", "--from", "2024-04-01", "--to", "2024-01-01"]);
    assert!(told.contains("is not after from"), "{told}");
}
