use crate::serving::{Serving, get};
use crate::support::Kvali;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

#[test]
fn each_request_leaves_one_line_that_names_no_person_and_no_secret() {
    let kvali = Kvali::new("serve-logs");
    kvali.run(&[
        "lead",
        "capture",
        "--name",
        "Nino Abashidze",
        "--email",
        "nino@acme.ge",
        "--source",
        "site",
    ]);
    let words =
        ["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--no-workers"].map(AsRef::as_ref);
    let serving = Serving::of(kvali.command(&words).stderr(Stdio::piped()));
    let key = serving.key().unwrap().to_owned();
    let (bearer, address) = (format!("Authorization: Bearer {key}"), serving.address());
    let (_, me) = get(&bearer, &format!("{address}/v1/me"));
    get(&format!("{bearer}\r\nX-Request-Id: order-4711"), &format!("{address}/v1/search?text=nino"));
    let answer = Command::new("curl")
        .args([
            "-s",
            "-i",
            "-H",
            &bearer,
            "-H",
            "Content-Type: application/json",
            "-d",
            "{\"name\": \"Vake Ltd\"}",
        ])
        .arg(format!("{address}/v1/company/-/create-company"))
        .output()
        .unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap().to_lowercase();
    let said = |name: &str| {
        let line = answer.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned()
    };
    let request = said("x-request-id");
    assert!(said("ratelimit").starts_with("\"per-key\";r="), "{answer}");
    assert_eq!(get("X-Nothing: 1", &format!("{address}/v1/me")).0, 401);
    assert_eq!(get(&bearer, &format!("{address}/readyz")).0, 200);
    let (_, metrics) =
        (0, Command::new("curl").args(["-s", &format!("{address}/metrics")]).output().unwrap());
    let metrics = String::from_utf8(metrics.stdout).unwrap();
    assert!(
        metrics.contains("kvali_http_requests_total{method=\"GET\",route=\"/v1/me\",status=\"401\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("kvali_http_request_seconds_bucket"), "{metrics}");
    let (code, log) = serving.ended_by("-TERM");
    assert_eq!(code, Some(0));
    for secret in [&*key, "nino", "Nino", "Vake"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered = |route: &str| {
        lines
            .iter()
            .filter(|line| line["message"] == "answered" && line["span"]["route"] == route)
            .collect::<Vec<_>>()
    };
    let [search] = answered("/v1/search")[..] else { panic!("not one line of the search in {log}") };
    assert_eq!(search["span"]["request"], "order-4711");
    assert_eq!(search["span"]["tenant"], me["tenant"]);
    assert_eq!(search["span"]["key"], me["key"]);
    assert_eq!(search["status"], "200");
    assert!(search["duration_ms"].as_f64().unwrap() > 0.0);
    let [command] = answered("/v1/{aggregate}/{id}/{command}")[..] else { panic!("{log}") };
    assert_eq!(command["span"]["request"], json!(request));
    assert_eq!(command["span"]["command"], "CreateCompany");
    assert!(command["span"]["command_id"].is_string(), "{command}");
    assert_eq!(answered("/v1/me").len(), 2);
    assert!(answered("/readyz").is_empty(), "what is asked often is told at debug");
}

#[test]
fn a_key_that_asks_too_often_is_told_when_to_come_back_and_a_used_key_says_when() {
    let kvali = Kvali::new("serve-rates");
    let serving = Serving::start(&kvali, &["--requests-per-second", "1", "--burst", "2", "--no-workers"]);
    let url = format!("{}/v1/me", serving.address());
    let header = format!("Authorization: Bearer {}", serving.key().unwrap());
    let told: Vec<(u16, Value)> = (0..4).map(|_| get(&header, &url)).collect();
    let refused = &told.iter().find(|(status, _)| *status == 429).expect("four at once are too many").1;
    assert_eq!(refused["code"], "too_many_requests");
    assert!(refused["detail"].as_str().unwrap().contains("wait 1 s"), "{refused}");
    assert_eq!(told[0].0, 200);
    assert_eq!(serving.ended_by_term(), Some(0));
    let listed = kvali.json(0, &["key", "list"]);
    assert!(listed[0]["last_used"].is_string(), "{listed}");
}
