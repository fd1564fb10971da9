use crate::forms::{NINO, company};
use crate::support::Kvali;
use serde_json::{Value, json};

/// Two tasks of Nino's, the first long overdue; one of Luca's that is due in another age; a deal without a task.
fn office(tenant: &str) -> Kvali {
    let kvali = company(tenant);
    kvali.json(0, &["deal", "open", "--pipeline", "Sales", "--external", "shop:4711", "--owner", NINO]);
    let zone = ["--zone", "Asia/Tbilisi"];
    for (subject, due, of) in [
        ("Call", "2024-02-29", NINO),
        ("Write", "2024-03-05", NINO),
        ("Visit", "2946-07-03", "luca@kvali.ge"),
    ] {
        let add = ["task", "add", subject, "--due", due, "--for", of];
        kvali.json(0, &[&add[..], &zone].concat());
    }
    kvali
}

fn subjects(answer: &Value, list: &str) -> Vec<String> {
    let rows = answer[list]["rows"].as_array().unwrap_or_else(|| panic!("no {list} in {answer}"));
    rows.iter().map(|row| row["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_overdue_is_told_as_json_csv_and_tables() {
    let kvali = office("overdue");
    let all = kvali.json(0, &["overdue"]);
    assert_eq!(subjects(&all, "overdue"), ["Call", "Write"]);
    let call = &all["overdue"]["rows"][0];
    assert_eq!(call["since"], json!("2024-02-29T20:00:00Z"), "the end of that day in Tbilisi");
    assert_eq!((call["cause"].clone(), call["assignee"]["name"].clone()), (json!("unknown"), json!("Nino")));
    assert_eq!(all["deals_without_task"]["rows"][0]["external_id"], json!("4711"));
    assert_eq!(all["workload"]["rows"][0]["overdue"], json!(2));
    let of = kvali.json(0, &["overdue", "--kind", "tasks", "--of", "luca@kvali.ge"]);
    assert_eq!((of["overdue"]["total"].clone(), of["workload"].clone()), (json!(0), Value::Null));
    let first = kvali.json(0, &["overdue", "--kind", "tasks", "--limit", "1"]);
    assert_eq!(
        (first["overdue"]["total"].clone(), first["overdue"]["rows"].as_array().unwrap().len()),
        (json!(2), 1)
    );
    let ran = kvali.run(&["overdue", "--kind", "tasks", "--format", "csv"]);
    ran.ended_with(0);
    let lines: Vec<_> = ran.stdout().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "task,subject,assignee,deals,due,zone,overdue_by_seconds,slips,cause,evidence");
    assert!(lines[1].contains(",Call,Nino,,2024-02-29,Asia/Tbilisi,"), "{}", lines[1]);
    let ran = kvali.run(&["overdue", "--limit", "1"]);
    ran.ended_with(0);
    for words in ["Overdue: 2", "Overdue: 1 more; --limit 2", "Workload: ", "Idle deals: 0"] {
        assert!(ran.stdout().contains(words), "{words:?} in {ran}");
    }
}

#[test]
fn the_past_is_asked_about_by_position_day_and_instant() {
    let kvali = office("overdue-past");
    let before = kvali.log().iter().position(|event| event["type"] == "task.created").unwrap();
    let (first, none) = ((before + 1).to_string(), before.to_string());
    let ask = |as_of: &str| kvali.json(0, &["overdue", "--kind", "tasks", "--as-of", as_of]);
    assert_eq!(subjects(&ask(&first), "overdue"), ["Call"]);
    let then = ask(&none);
    assert_eq!((then["overdue"]["total"].clone(), then["position"].clone()), (json!(0), json!(before)));
    assert_eq!(ask("2024-03-01")["overdue"]["total"], json!(0), "nothing was known then");
}

#[test]
fn an_unknown_user_team_zone_or_position_is_named() {
    let kvali = office("overdue-unknown");
    for (exit_code, words, named) in [
        (1, ["--of", "Nobody"], "there is no user \"Nobody\"; there are"),
        (1, ["--of", "nobody@kvali.ge"], "nobody@kvali.ge"),
        (1, ["--team", "North"], "there is no team \"North\"; there are none"),
        (1, ["--as-of", "999999"], "position 999999 is not in the log"),
        (1, ["--as-of", "soon"], "--as-of \"soon\" is neither a day"),
        (1, ["--from", "soon"], "--from \"soon\" is neither a day"),
        (2, ["--zone", "Mars/Olympus"], "Mars/Olympus"),
        (2, ["--kind", "everything"], "everything"),
    ] {
        let told = kvali.fails(exit_code, &[&["overdue"][..], &words].concat());
        assert!(told.contains(named), "{words:?}: {told}");
    }
}
