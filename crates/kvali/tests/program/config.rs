use crate::support::Kvali;
use serde_json::{Value, json};
use std::ffi::OsStr;

/// Value and origin of a setting.
fn setting(told: &Value, name: &str) -> (Value, Value) {
    let row = told.as_array().unwrap().iter().find(|row| row["setting"] == name);
    let row = row.unwrap_or_else(|| panic!("no {name} in {told}"));
    (row["value"].clone(), row["from"].clone())
}

#[test]
fn a_flag_counts_before_the_environment_before_the_file_before_the_default() {
    let kvali = Kvali::new("config");
    let file = kvali.file(
        "kvali.toml",
        "listen = \"127.0.0.1:7001\"\nat_once = 3\nconnections = 7\nno_workers = true\n\
         database_url = \"postgres://kvali:s3cret@db.example/kvali\"\n",
    );
    let words = ["--format", "json", "config", "--at-once", "5"].map(OsStr::new);
    let mut command = kvali.command(&words);
    // The file lies in the working directory, so nobody needs to name it.
    command.current_dir(file.parent().unwrap()).env("KVALI_AT_ONCE", "4").env("KVALI_CONNECTIONS", "9");
    let ran = command.output().unwrap();
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(setting(&told, "at_once"), (json!("5"), json!("flag")));
    assert_eq!(setting(&told, "connections"), (json!("9"), json!("environment")));
    assert_eq!(setting(&told, "listen"), (json!("127.0.0.1:7001"), json!("file")));
    assert_eq!(setting(&told, "no_workers"), (json!("true"), json!("file")));
    assert_eq!(setting(&told, "database_connections"), (json!("24"), json!("default")));
    assert_eq!(setting(&told, "tenant"), (json!("config"), json!("flag")));
    assert_eq!(setting(&told, "ready_lag"), (Value::Null, Value::Null));
    assert_eq!(setting(&told, "database_url").0, "postgres://kvali:***@db.example/kvali");
    assert!(!told.to_string().contains("s3cret"));
}

#[test]
fn a_file_that_says_what_nobody_understands_is_refused_with_the_way_out() {
    let kvali = Kvali::new("config-wrong");
    for (text, words) in [
        ("listn = 1\n", &["listn", "no setting", "listen", "database_url"] as &[&str]),
        ("listen = \"everywhere\"\n", &["everywhere", "--listen"]),
        ("at_once = 0\n", &["--at-once", "zero"]),
        ("at_once = [1]\n", &["at_once", "neither text nor number"]),
        ("no_workers = 7\n", &["--no-workers"]),
        ("listen =\n", &["no TOML", "line 1"]),
        ("[[oidc]]\nissuer = \"https://id\"\nclient = 1\n", &["[[oidc]]", "client", "audience"]),
        (
            "[[oidc]]\nissuer = \"https://id\"\naudience = \"kvali\"\njwks = \"http://id/jwks\"\ntenant = \"a\"\n",
            &["http://id/jwks", "https://"],
        ),
        (
            "[[oidc]]\nissuer = \"https://id\"\naudience = \"kvali\"\njwks = \"/jwks.json\"\n",
            &["tenant_claim"],
        ),
    ] {
        let file = kvali.file("wrong.toml", text);
        kvali.run(&["serve", "--config", file.to_str().unwrap()]).failed_saying(1, words);
    }
    let missing = kvali.path("missing.toml");
    kvali.run(&["config", "--config", missing.to_str().unwrap()]).failed_saying(1, &["missing.toml"]);
    kvali.run(&["config", "--log", "a=b=c"]).failed_saying(1, &["a=b=c", "no filter"]);
}
