use crate::serving::Serving;
use kvali_pglocal::scratch_data_dir;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A data directory of its own: what is tried is that its Postgres starts and stops with the demo.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let name = format!("demo-served-{}", std::process::id());
        let place = Self(scratch_data_dir(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)));
        let _none_yet = std::fs::remove_dir_all(&place.0);
        place
    }

    fn kvali(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvali"));
        for name in ["DATABASE_URL", "KVALI_MASTER_KEY", "KVALI_CONFIG", "KVALI_LOG"] {
            command.env_remove(name);
        }
        command.env("KVALI_DATA_DIR", &self.0).args(words).stdin(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn serve(&self) -> Serving {
        Serving::of(&mut self.kvali(&["demo", "--serve", "--deals", "60", "--listen", "127.0.0.1:0"]))
    }

    fn postgres(&self) -> Value {
        let told = self.kvali(&["pg", "status", "--format", "json"]).output().unwrap();
        let told: Value = serde_json::from_slice(&told.stdout).unwrap();
        told["state"].clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _stopped_already = self.kvali(&["pg", "stop"]).output();
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

/// What a line of the demo prints when it is typed.
fn typed(line: &str) -> Value {
    let ran = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(ran.status.success(), "{line}: {ran:?}");
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{line}: {error} in {ran:?}"))
}

#[test]
fn the_demo_is_served_and_the_lines_that_it_prints_can_be_typed() {
    let place = Place::new();
    let serving = place.serve();
    let told = serving.told.join("\n");
    assert!(told.contains("What the log holds") && serving.key().is_some(), "{told}");
    let answers: Vec<Value> = serving.lines().into_iter().map(typed).collect();
    let [funnel, found, won] = &answers[..] else { panic!("three lines are printed, not {told}") };
    assert!(funnel["answer"]["cases"].as_u64().unwrap() >= 50, "{funnel}");
    assert!(!found["answer"].as_array().unwrap().is_empty(), "{found}");
    assert_eq!(won.as_array().unwrap().len(), 3);
    assert!(won[0]["type"].as_str().unwrap().contains("deal.won"), "{won}");
    assert_eq!(serving.ended_by_term(), Some(0));
    assert_eq!(place.postgres(), "stopped", "its Postgres stops with it");

    let again = place.serve();
    let told = again.told.join("\n");
    assert!(told.contains("there already") && !told.contains("What the log holds"), "{told}");
    assert!(typed(again.lines()[0])["answer"]["cases"].as_u64().unwrap() >= 50);
    assert_eq!(again.ended_by("-INT").0, Some(0));
    assert_eq!(place.postgres(), "stopped");
}
