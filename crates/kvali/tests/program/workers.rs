use crate::support::Kvali;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const METRICS: [&str; 4] = [
    "kvali_projection_lag_events",
    "kvali_projection_lag_seconds",
    "kvali_projection_parked_streams",
    "kvali_projection_failing",
];

#[test]
fn workers_follow_the_log_tell_their_lag_and_stop_when_told_to() {
    let kvali = Kvali::new("workers");
    let file = kvali
        .file("moves.csv", "deal,stage,actor,occurred_at\n1,Lead,Nino,2024-01-01\n1,Offer,Nino,2024-01-02\n");
    kvali.import(0, &file, &[]);
    let address = free_address();
    let mut working = Working(project(&kvali, &["--metrics", &address.to_string()]).spawn().unwrap());
    let until = Instant::now() + PATIENCE;
    let told = loop {
        let told = scrape(address).unwrap_or_default();
        let is_level = |line: &str| line.starts_with("kvali_projection_lag_events{") && line.ends_with(" 0");
        // Asked in the middle of a round it tells of some read models and not of all that is measured of them.
        if told.lines().any(is_level)
            && METRICS.iter().all(|metric| told.contains(&format!("# TYPE {metric} gauge")))
        {
            break told;
        }
        assert!(working.0.try_wait().unwrap().is_none(), "it works until it is told to stop");
        assert!(Instant::now() < until, "{told}");
    };
    assert!(told.contains("projection=\"conversion_funnel\""), "{told}");
    let told_to = Command::new("kill").args(["-TERM", &working.0.id().to_string()]).status().unwrap();
    assert!(told_to.success());
    assert_eq!(working.0.wait().unwrap().code(), Some(0), "it ends well");
    assert!(kvali.json(0, &["projections", "parked"]).as_array().unwrap().is_empty());
    let status = kvali.json(0, &["projections", "status"]);
    let live = |row: &&serde_json::Value| row["live"] == true && row["worker"].is_null();
    assert!(status.as_array().unwrap().iter().any(|row| live(&row)), "{status}");
}

#[test]
fn unknown_read_models_and_addresses_in_use_are_named() {
    let kvali = Kvali::new("workers_wrong");
    let said = kvali.fails(1, &["project", "--model", "funel"]);
    assert!(said.contains("\"funel\"") && said.contains("conversion_funnel"), "{said}");
    let said = kvali.fails(1, &["projections", "rebuild", "funel"]);
    assert!(said.contains("\"funel\"") && said.contains("conversion_funnel"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = kvali.fails(1, &["project", "--metrics", &address]);
    assert!(said.contains(&address), "{said}");
}

fn project(kvali: &Kvali, more: &[&str]) -> Command {
    let args: Vec<_> = ["project"].iter().chain(more).map(AsRef::as_ref).collect();
    let mut command = kvali.command(&args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

struct Working(Child);

impl Drop for Working {
    fn drop(&mut self) {
        let _dead_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// An address that nobody listens at, a moment ago.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn scrape(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: kvali\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
