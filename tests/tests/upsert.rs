//! Records by the ids that other systems know them by.

use hyper::{Method, StatusCode};
use kvali_domain::access::{self, Role};
use kvali_domain::pipeline::Policy;
use kvali_domain::{Personal, UserId, user};
use kvali_tests::http::{Answer, Server};
use kvali_tests::samples::{CONTRACT, OFFER, Sales};
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};

struct Shop {
    database: Database,
    server: Server,
    sales: Sales,
    key: String,
}

impl Shop {
    async fn open() -> Self {
        let database = Database::create().await;
        let server = Server::start(database.connect().await).await;
        let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
        let key = server.key(tenant(1), Role::Admin).await;
        Self { database, server, sales, key }
    }

    async fn put(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.server
            .send(Method::PUT, &format!("/v1/external/{path}"), &self.key, &json, body.to_string())
            .await
    }

    /// The outcome, and the commands that were sent.
    async fn outcome(&self, path: &str, body: Value) -> (String, Vec<String>) {
        let told = self.put(path, &body).await;
        let is_new = told.status == StatusCode::CREATED;
        assert!(is_new || told.status == StatusCode::OK, "{path}: {}", told.body);
        let outcome = told.body["outcome"].as_str().expect("a word").to_owned();
        assert_eq!(outcome == "created", is_new);
        let commands = told.body["commands"].as_array().expect("a list");
        let words = commands.iter().map(|told| told["command"].as_str().expect("a word").to_owned());
        (outcome, words.collect())
    }

    async fn events(&self, path: &str) -> Vec<String> {
        let id = self.put(path, &json!({})).await.ok()["id"].as_str().expect("an id").to_owned();
        let history = self.server.get(&self.key, &format!("/v1/streams/{id}")).await.ok();
        let events = history["events"].as_array().expect("a list");
        events.iter().map(|event| event["type"].as_str().expect("a word").to_owned()).collect()
    }

    async fn close(self) {
        self.server.stop().await;
        self.database.drop().await;
    }
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
        shop.server.post(&shop.key, "/v1/field/-/define-field", &[], &field).await.ok();
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
    let created = shop.outcome(path, company("Acme", "x")).await;
    assert_eq!(created, told("created", &["CreateCompany", "SetCompanyFields"]));
    let before = shop.events(path).await;
    let (outcome, _) = shop.outcome(path, company("Acme", "x")).await;
    assert_eq!(outcome, "unchanged");
    let (outcome, commands) = shop.outcome(path, company("Acme Ltd", "y")).await;
    assert_eq!(outcome, "changed");
    assert!(commands.contains(&"RenameCompany".to_owned()), "{commands:?}");
    // Back to what it was, which is a change as well.
    assert_eq!(shop.outcome(path, company("Acme", "x")).await.0, "changed");
    let after = shop.events(path).await;
    let news = ["company.renamed", "company.fields_changed", "company.renamed", "company.fields_changed"];
    assert_eq!(after[before.len()..], news, "{after:?}");
    assert_eq!(
        shop.outcome(path, json!({ "legal_ids": { "country": "GE", "tax_id": "205042743" } })).await.0,
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
    assert_eq!(shop.outcome("contact/erp/1", nino(&[&phone])).await, told("created", &["CreateContact"]));
    assert_eq!(shop.outcome("contact/erp/1", nino(&[&phone])).await, told("unchanged", &[]));
    // Written otherwise it is the same number.
    let same = json!({ "kind": "phone", "value": "555123456", "region": "GE" });
    assert_eq!(
        shop.outcome("contact/erp/1", nino(&[&same, &mail])).await,
        told("changed", &["AddContactPoint"])
    );
    assert_eq!(shop.outcome("contact/erp/1", nino(&[&same, &mail])).await, told("unchanged", &[]));
    let renamed = shop.outcome("contact/erp/1", json!({ "given": "Nino", "family": "Lomidze" })).await;
    assert_eq!(renamed, told("changed", &["RenameContact"]));
    // The same id of another system is another record.
    let (outcome, _) = shop.outcome("contact/shop/1", json!({ "full": "Somebody" })).await;
    assert_eq!(outcome, "created");
    let lead = json!({ "given": "Levan", "points": [{ "kind": "email", "value": "l@example.ge" }], "message": "Call me" });
    assert_eq!(shop.outcome("lead/form/a%2F7", lead.clone()).await, told("created", &["CaptureLead"]));
    assert_eq!(shop.outcome("lead/form/a%2F7", lead).await, told("unchanged", &[]));
    let more = shop.put("lead/form/a%2F7", &json!({ "points": [mail] })).await;
    assert_eq!(more.refused(400, "malformed")["field"], "points");
    let named = shop.outcome("lead/form/a%2F7", json!({ "company_name": "Acme" })).await;
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
    assert_eq!(shop.outcome(path, fresh).await, told("created", &["OpenDeal", "RenameDeal"]));
    let moved = shop.outcome(path, deal(json!(OFFER), "100")).await;
    assert_eq!(moved, told("changed", &["SetDealValue", "SetExpectedClose", "MoveDeal"]));
    // A hundred is a hundred.
    assert_eq!(shop.outcome(path, deal(json!(OFFER), "100.00")).await, told("unchanged", &[]));
    // The value would do, the stage does not: neither is done.
    let before = shop.events(path).await;
    let refused = shop.put(path, &deal(json!(new_id()), "120")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(shop.events(path).await, before);
    let fresh = json!({ "pipeline": new_id(), "name": "x" });
    let refused = shop.put("deal/shop/none", &fresh).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let told = shop.put(path, &json!({ "vale": 1 })).await.refused(400, "malformed");
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("value")), "{told}");
    let other = shop.put(path, &json!({ "pipeline": new_id() })).await.refused(400, "malformed");
    assert_eq!(other["field"], "stage");
    shop.outcome(path, json!({ "stage": CONTRACT })).await;
    // What is closed may still be told as it stands.
    let id = shop.put(path, &json!({})).await.ok()["id"].as_str().expect("an id").to_owned();
    shop.server.post(&shop.key, &format!("/v1/deal/{id}/close-won"), &[], &json!({})).await.ok();
    let same = json!({ "pipeline": shop.sales.pipeline, "value": { "amount": "100", "currency": "GEL" } });
    assert_eq!(shop.outcome(path, same).await, told_nothing());
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
    assert_eq!(shop.events("company/shop/1").await, ["company.created"]);
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
        shop.server.post(&shop.key, &format!("/v1/company/{one}/merge-companies"), &[], &merge).await;
    assert_eq!(merged.status, StatusCode::OK, "{}", merged.body);
    assert_eq!(put("company/shop/2", "Acme").await, one);
    let theirs = shop.server.key(tenant(2), Role::Admin).await;
    let json = [("content-type", "application/json")];
    let path = "/v1/external/company/shop/1";
    let told = shop.server.send(Method::PUT, path, &theirs, &json, r#"{"name": "Theirs"}"#).await;
    assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
    assert_ne!(told.body["id"], json!(one));
    let analyst = shop.server.key(tenant(1), Role::Analyst).await;
    shop.server.send(Method::PUT, path, &analyst, &json, r#"{"name": "A"}"#).await.refused(403, "forbidden");
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
    assert_eq!(shop.outcome("company/shop/1", json!({ "name": "Acme", "owner": nino })).await.0, "created");
    let put = async |of: UserId, path: &str| {
        let key = shop.server.key_of(tenant(1), Role::Sales, Some(of)).await;
        let json = [("content-type", "application/json")];
        let path = format!("/v1/external/company/{path}");
        shop.server.send(Method::PUT, &path, &key, &json, r#"{"name": "Acme Ltd"}"#).await
    };
    assert_eq!(put(nino, "shop/1").await.ok()["outcome"], "changed");
    put(giorgi, "shop/1").await.refused(404, "not_found");
    assert_eq!(put(giorgi, "shop/2").await.status, StatusCode::CREATED);
    shop.close().await;
}
