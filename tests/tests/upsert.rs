//! Records by the ids that other systems know them by.

use hyper::StatusCode;
use kvali_domain::access::{self, Role};
use kvali_domain::{Personal, UserId, user};
use kvali_tests::samples::{CONTRACT, OFFER};
use kvali_tests::shop::Shop;
use kvali_tests::{accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};

/// The outcome, and the commands that were sent.
async fn put(shop: &Shop, path: &str, body: Value) -> (String, Vec<String>) {
    let told = shop.put(path, &body).await;
    let is_new = told.status == StatusCode::CREATED;
    assert!(is_new || told.status == StatusCode::OK, "{path}: {}", told.body);
    let outcome = told.body["outcome"].as_str().expect("a word").to_owned();
    assert_eq!(outcome == "created", is_new);
    let commands = told.body["commands"].as_array().expect("a list");
    let words = commands.iter().map(|told| told["command"].as_str().expect("a word").to_owned());
    (outcome, words.collect())
}

async fn events(shop: &Shop, path: &str) -> Vec<String> {
    let id = shop.put(path, &json!({})).await.ok()["id"].as_str().expect("an id").to_owned();
    let history = shop.server.get(&shop.admin, &format!("/v1/streams/{id}")).await.ok();
    let events = history["events"].as_array().expect("a list");
    events.iter().map(|event| event["type"].as_str().expect("a word").to_owned()).collect()
}

fn told(outcome: &str, commands: &[&str]) -> (String, Vec<String>) {
    (outcome.to_owned(), commands.iter().map(|word| (*word).to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_is_created_once_and_then_only_what_differs_is_changed() {
    let shop = Shop::open().await;
    let [notes, secret] =
        [("notes", "none"), ("secret", "sensitive")].map(|(key, class)| (new_id(), key, class));
    for (id, key, class) in [notes, secret] {
        let field = json!({ "field": id, "entity": "company", "key": key, "label": key, "type": "text", "class": class });
        shop.server.post(&shop.admin, "/v1/field/-/define-field", &[], &field).await.ok();
    }
    let company = |name: &str, secrets: &str| {
        json!({
            "name": name, "domains": ["acme.example"], "legal_ids": { "country": "GE", "tax_id": "204378869" },
            "fields": [
                { "field": notes.0, "value": { "text": "large" } },
                { "field": secret.0, "value": { "text": secrets } },
            ],
        })
    };
    let path = "company/shop/4711";
    let created = put(&shop, path, company("Acme", "x")).await;
    assert_eq!(created, told("created", &["CreateCompany", "SetCompanyFields"]));
    let before = events(&shop, path).await;
    let (outcome, _) = put(&shop, path, company("Acme", "x")).await;
    assert_eq!(outcome, "unchanged");
    let (outcome, commands) = put(&shop, path, company("Acme Ltd", "y")).await;
    assert_eq!(outcome, "changed");
    assert!(commands.contains(&"RenameCompany".to_owned()), "{commands:?}");
    // Back to what it was, which is a change as well.
    assert_eq!(put(&shop, path, company("Acme", "x")).await.0, "changed");
    let after = events(&shop, path).await;
    let news = ["company.renamed", "company.fields_changed", "company.renamed", "company.fields_changed"];
    assert_eq!(after[before.len()..], news, "{after:?}");
    assert_eq!(
        put(&shop, path, json!({ "legal_ids": { "country": "GE", "tax_id": "205042743" } })).await.0,
        "changed"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contacts_points_are_added_and_a_leads_are_those_it_came_with() {
    let shop = Shop::open().await;
    let phone = json!({ "kind": "phone", "value": "+995 555 12 34 56" });
    let mail = json!({ "kind": "email", "value": "Nino@Example.ge" });
    let nino = |points: &[&Value]| json!({ "given": "Nino", "family": "Beridze", "points": points });
    assert_eq!(put(&shop, "contact/erp/1", nino(&[&phone])).await, told("created", &["CreateContact"]));
    assert_eq!(put(&shop, "contact/erp/1", nino(&[&phone])).await, told("unchanged", &[]));
    // Written otherwise it is the same number.
    let same = json!({ "kind": "phone", "value": "555123456", "region": "GE" });
    assert_eq!(
        put(&shop, "contact/erp/1", nino(&[&same, &mail])).await,
        told("changed", &["AddContactPoint"])
    );
    assert_eq!(put(&shop, "contact/erp/1", nino(&[&same, &mail])).await, told("unchanged", &[]));
    let renamed = put(&shop, "contact/erp/1", json!({ "given": "Nino", "family": "Lomidze" })).await;
    assert_eq!(renamed, told("changed", &["RenameContact"]));
    // The same id of another system is another record.
    let (outcome, _) = put(&shop, "contact/shop/1", json!({ "full": "Somebody" })).await;
    assert_eq!(outcome, "created");
    let lead = json!({ "given": "Levan", "points": [{ "kind": "email", "value": "l@example.ge" }], "message": "Call me" });
    assert_eq!(put(&shop, "lead/form/a%2F7", lead.clone()).await, told("created", &["CaptureLead"]));
    assert_eq!(put(&shop, "lead/form/a%2F7", lead).await, told("unchanged", &[]));
    let more = shop.put("lead/form/a%2F7", &json!({ "points": [mail] })).await;
    assert_eq!(more.refused(400, "malformed")["field"], "points");
    let named = put(&shop, "lead/form/a%2F7", json!({ "company_name": "Acme" })).await;
    assert_eq!(named, told("changed", &["UpdateLead"]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_moves_by_its_external_id_and_nothing_is_half_done() {
    let shop = Shop::open().await;
    let deal = |stage: Value, amount: &str| {
        json!({
            "pipeline": shop.sales.pipeline, "stage": stage, "name": "Mill",
            "value": { "amount": amount, "currency": "GEL" }, "expected_close": "2027-01-31",
        })
    };
    let path = "deal/shop/order-7";
    let fresh = json!({ "pipeline": shop.sales.pipeline, "name": "Mill" });
    assert_eq!(put(&shop, path, fresh).await, told("created", &["OpenDeal", "RenameDeal"]));
    let moved = put(&shop, path, deal(json!(OFFER), "100")).await;
    assert_eq!(moved, told("changed", &["SetDealValue", "SetExpectedClose", "MoveDeal"]));
    // A hundred is a hundred.
    assert_eq!(put(&shop, path, deal(json!(OFFER), "100.00")).await, told("unchanged", &[]));
    // The value would do, the stage does not: neither is done.
    let before = events(&shop, path).await;
    let refused = shop.put(path, &deal(json!(new_id()), "120")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(events(&shop, path).await, before);
    let unsaid = shop.put("deal/shop/none", &json!({})).await.refused(400, "malformed");
    assert_eq!(unsaid["field"], "pipeline", "{unsaid}");
    // Who looks for it finds what was refused, once.
    let refusals = shop.server.get(&shop.admin, "/v1/audit?kind=refused").await.ok();
    let refusals = refusals["entries"].as_array().expect("a list");
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    assert_eq!(refusals[0]["what"], "MoveDeal", "{refusals:#?}");
    let fresh = json!({ "pipeline": new_id(), "name": "x" });
    let refused = shop.put("deal/shop/none", &fresh).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let told = shop.put(path, &json!({ "vale": 1 })).await.refused(400, "malformed");
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("value")), "{told}");
    let other = shop.put(path, &json!({ "pipeline": new_id() })).await.refused(400, "malformed");
    assert_eq!(other["field"], "stage");
    put(&shop, path, json!({ "stage": CONTRACT })).await;
    // What is closed may still be told as it stands.
    let id = shop.put(path, &json!({})).await.ok()["id"].as_str().expect("an id").to_owned();
    shop.server.post(&shop.admin, &format!("/v1/deal/{id}/close-won"), &[], &json!({})).await.ok();
    let same = json!({ "pipeline": shop.sales.pipeline, "value": { "amount": "100", "currency": "GEL" } });
    assert_eq!(put(&shop, path, same).await, told_nothing());
    shop.close().await;
}

fn told_nothing() -> (String, Vec<String>) {
    told("unchanged", &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_that_put_one_record_at_once_one_creates_it() {
    let shop = Shop::open().await;
    let body = json!({ "name": "Acme" });
    let all = (0..100).map(|_| shop.put("company/shop/1", &body));
    let answers = futures_util::future::join_all(all).await;
    let created = answers.iter().filter(|told| told.status == StatusCode::CREATED).count();
    let same = answers.iter().filter(|told| told.status == StatusCode::OK).count();
    assert_eq!((created, same), (1, 99));
    let ids: std::collections::HashSet<String> =
        answers.iter().map(|told| told.body["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(events(&shop, "company/shop/1").await, ["company.created"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_survivor_of_a_merge_answers_for_the_id_and_another_tenants_is_not_there() {
    let shop = Shop::open().await;
    let put = async |path: &str, name: &str| {
        let told = shop.put(path, &json!({ "name": name })).await;
        told.body["id"].as_str().expect("an id").to_owned()
    };
    let (one, other) = (put("company/shop/1", "Acme").await, put("company/shop/2", "Acme Ltd").await);
    let seen = [&one, &other].map(|id| json!({ "id": id, "version": 1 }));
    let choices = [json!({ "field": "name", "from": one })];
    let merge = json!({ "losers": [other], "seen": seen, "choices": choices });
    let merged =
        shop.server.post(&shop.admin, &format!("/v1/company/{one}/merge-companies"), &[], &merge).await;
    assert_eq!(merged.status, StatusCode::OK, "{}", merged.body);
    assert_eq!(put("company/shop/2", "Acme").await, one);
    let theirs = shop.server.key(tenant(2), Role::Admin).await;
    let told = shop.put_by(&theirs, "company/shop/1", &json!({ "name": "Theirs" })).await;
    assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
    assert_ne!(told.body["id"], json!(one));
    let analyst = shop.server.key(tenant(1), Role::Analyst).await;
    let told = shop.put_by(&analyst, "company/shop/1", &json!({ "name": "A" })).await;
    told.refused(403, "forbidden");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_puts_his_own_records_and_learns_nothing_of_others() {
    let shop = Shop::open().await;
    let [nino, giorgi] = [UserId(new_id()), UserId(new_id())];
    for user in [nino, giorgi] {
        let register = user::Command::Register { user, name: Personal::new("A seller") };
        accepted(shop.server.store.handle(order(user.stream(), register), envelope(tenant(1))).await);
        let grant = access::Command::GrantRole { user, role: Role::Sales };
        accepted(shop.server.store.handle(order(access::STREAM, grant), envelope(tenant(1))).await);
    }
    assert_eq!(put(&shop, "company/shop/1", json!({ "name": "Acme", "owner": nino })).await.0, "created");
    let put = async |of: UserId, path: &str| {
        let key = shop.server.key_of(tenant(1), Role::Sales, Some(of)).await;
        shop.put_by(&key, &format!("company/{path}"), &json!({ "name": "Acme Ltd" })).await
    };
    assert_eq!(put(nino, "shop/1").await.ok()["outcome"], "changed");
    put(giorgi, "shop/1").await.refused(404, "not_found");
    assert_eq!(put(giorgi, "shop/2").await.status, StatusCode::CREATED);
    shop.close().await;
}
