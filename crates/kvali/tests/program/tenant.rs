use crate::support::Kvali;

#[test]
fn a_tenant_is_exported_and_brought_into_another_installation() {
    let kvali = Kvali::new("tenant");
    kvali.run(&["demo", "--deals", "5"]).ended_with(0);
    let archive = kvali.path("tenant.kvali");
    let archive = archive.to_str().unwrap();
    let told = kvali.json(0, &["tenant", "export", archive]);
    assert_eq!(told["events"].as_u64(), kvali.log().last().unwrap()["position"].as_u64());
    kvali.run(&["tenant", "export", archive]).failed_saying(1, &["is there already"]);

    // Another database under another master key.
    let url =
        kvali.json(0, &["pg", "status"])["url"].as_str().unwrap().replace("/kvali?", "/kvali_elsewhere?");
    let master_key = kvali.path("elsewhere.key");
    let elsewhere = ["--database-url", &url, "--master-key", master_key.to_str().unwrap()];
    let there = |words: &[&str]| kvali.run(&[&elsewhere, words].concat());
    let missing = kvali.path("no.key");
    let import = ["tenant", "import", archive];
    there(&[&import as &[&str], &["--key", missing.to_str().unwrap()]].concat())
        .failed_saying(1, &["no.key", "--key"]);
    there(&import).ended_with(0);
    assert_eq!(
        there(&["log", "tail", "--after", "0", "--format", "json"]).stdout(),
        kvali.run(&["log", "tail", "--after", "0", "--format", "json"]).stdout()
    );
    let found = there(&["search", "beridze"]);
    found.ended_with(0);
    assert_eq!(found.stdout().lines().count(), kvali.run(&["search", "beridze"]).stdout().lines().count());
    there(&import).failed_saying(1, &["is not empty"]);

    let bytes = std::fs::read(archive).unwrap();
    let cut = kvali.path("cut.kvali");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let cut = cut.to_str().unwrap();
    kvali.run(&["tenant", "import", cut]).failed_saying(1, &["is cut"]);
    let other = Kvali::new("another");
    other.run(&import).failed_saying(1, &["is of tenant", "leave --tenant out"]);
}
