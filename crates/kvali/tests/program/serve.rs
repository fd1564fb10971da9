use crate::serving::{Serving, get};
use crate::support::Kvali;
use serde_json::{Value, json};
use std::net::TcpListener;

#[test]
fn the_first_start_prints_a_key_once_and_requests_that_work_as_printed() {
    let kvali = Kvali::new("serve");
    let file = kvali
        .file("moves.csv", "deal,stage,actor,occurred_at\n1,Lead,Nino,2024-01-01\n1,Offer,Nino,2024-01-02\n");
    kvali.import(0, &file, &[]);
    let serving = Serving::start(&kvali, &[]);
    let key = serving.key().expect("the first start prints a key").to_owned();
    let requests = serving.requests();
    assert_eq!(requests.len(), 3, "{:?}", serving.told);
    for (header, url) in &requests {
        assert!(header.contains(&key), "{header}");
        let (status, body) = get(header, url);
        assert_eq!(status, 200, "{url}: {body}");
    }
    let (_, me) = get(&requests[0].0, &requests[0].1);
    assert_eq!(me["role"], "admin");
    let (_, funnel) = get(&requests[1].0, &requests[1].1);
    assert_eq!(funnel["answer"]["cases"], 1);
    assert_eq!(serving.ended_by_term(), Some(0), "told to stop, it ends well");

    let again = Serving::start(&kvali, &[]);
    assert_eq!(again.key(), None, "it is shown once");
    let address = again.requests()[0].1.replace("/v1/me", "");
    let (status, _) = get(&format!("Authorization: Bearer {key}"), &format!("{address}/v1/me"));
    assert_eq!(status, 200, "and goes on being valid");

    let issued = kvali.json(0, &["key", "issue", "Web shop", "--role", "integration"]);
    let header = format!("Authorization: Bearer {}", issued["token"].as_str().unwrap());
    let (status, me) = get(&header, &format!("{address}/v1/me"));
    assert_eq!((status, &me["role"]), (200, &json!("integration")));
    let listed = kvali.json(0, &["key", "list"]);
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&&json!("Web shop")) && names.contains(&&json!("First key")), "{listed}");
    assert!(!listed.to_string().contains(&key), "no secret is listed");
    kvali.json(0, &["key", "revoke", issued["key"].as_str().unwrap()]);
    let said = kvali.fails(3, &["key", "revoke", "0190d9c6-4a00-7000-8000-0000000000aa"]);
    assert!(said.contains("never issued"), "{said}");
    assert_eq!(again.ended_by_term(), Some(0));
}

#[test]
fn roles_are_granted_to_users_and_bound_the_keys_that_they_own() {
    let kvali = Kvali::new("serve_roles");
    kvali.json(0, &["user", "invite", "Nino", "nino@kvali.ge"]);
    kvali.json(0, &["user", "activate", "nino@kvali.ge"]);
    let issue = ["key", "issue", "Mine", "--role", "sales", "--owner", "nino@kvali.ge"];
    let said = kvali.fails(3, &issue);
    assert!(said.contains("does not have role sales"), "{said}");
    kvali.json(0, &["user", "grant", "nino@kvali.ge", "sales"]);
    kvali.json(0, &issue);
    kvali.json(0, &["user", "revoke", "nino@kvali.ge", "sales"]);
    let said = kvali.fails(2, &["user", "grant", "nino@kvali.ge", "boss"]);
    assert!(said.contains("head_of_sales"), "{said}");
}

#[test]
fn an_address_in_use_is_named() {
    let kvali = Kvali::new("serve_taken");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = kvali.fails(1, &["serve", "--listen", &address]);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}
