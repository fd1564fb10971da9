//! Answers page by page, and what a history tells of each event.

use hyper::{Method, StatusCode};
use kvali_domain::access::{Permission, Role};
use kvali_domain::{Personal, UserId, user};
use kvali_tests::samples::{LEAD, OFFER};
use kvali_tests::shop::Shop;
use kvali_tests::{accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};
use std::collections::HashSet;
use uuid::Uuid;

async fn company(shop: &Shop, name: &str) -> Uuid {
    let id = new_id();
    let body = json!({ "name": name, "override_duplicate": true, "reason": "both are meant" });
    shop.tell(&format!("/v1/company/{id}/create-company"), body).await;
    id
}

/// The rows of every page, and how many pages there were.
async fn pages(shop: &Shop, path: &str, rows: &str) -> (Vec<Value>, usize) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let next = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = shop.server.get(&shop.admin, &format!("{path}&limit=3{next}")).await;
        let told = page.header("kvali-cursor").map(str::to_owned);
        let page = page.ok();
        assert_eq!(page["cursor"], json!(told), "the header says what the answer says");
        let rows = page["answer"].pointer(rows).and_then(Value::as_array).expect("a list");
        assert!((1..=3).contains(&rows.len()), "{path}: {} rows", rows.len());
        all.extend(rows.iter().cloned());
        (pages, cursor) = (pages + 1, told);
        if cursor.is_none() {
            return (all, pages);
        }
        assert!(pages < 100, "{path} comes to no end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_an_answer_are_the_whole_of_it() {
    let shop = Shop::open().await;
    let mut companies = Vec::new();
    for at in 0..7 {
        companies.push(company(&shop, &format!("Acme Tbilisi {}", ["Trade", "Trading"][at % 2])).await);
    }
    for at in 0..8 {
        let body = json!({ "pipeline": shop.sales.pipeline, "value": { "amount": (at % 3).to_string(), "currency": "GEL" } });
        shop.tell(&format!("/v1/deal/{}/open-deal", new_id()), body).await;
        let name = json!({ "name": format!("Acme Tbilisi Trade {at}") });
        shop.tell(&format!("/v1/company/{}/rename-company", companies[0]), name).await;
    }
    for (path, rows, least) in [
        ("/v1/board?pipeline=Sales", "/cards", 8),
        ("/v1/board?pipeline=Sales&sort=value", "/cards", 8),
        ("/v1/search?text=acme&kind=company", "", 7),
        (&*format!("/v1/timeline/{}?kind=company", companies[0]), "/entries", 9),
        ("/v1/duplicates?kind=company", "", 8),
        ("/v1/overdue?kind=deals_without_task", "/deals_without_task/rows", 8),
    ] {
        let whole = shop.server.get(&shop.admin, &format!("{path}&limit=1000")).await.ok();
        assert_eq!(whole["cursor"], Value::Null, "{path}");
        let whole = whole["answer"].pointer(rows).and_then(Value::as_array).expect("a list").clone();
        assert!(whole.len() >= least, "{path} has {} rows", whole.len());
        let (paged, count) = pages(&shop, path, rows).await;
        assert_eq!(count, whole.len().div_ceil(3), "{path}");
        let ids = |rows: &[Value]| -> Vec<Value> {
            let id = |row: &Value| {
                json!([row["deal"], row["id"], row["a"]["id"], row["b"]["id"], row["position"]])
            };
            rows.iter().map(id).collect()
        };
        let (mut paged, mut whole) = (ids(&paged), ids(&whole));
        if path.starts_with("/v1/search") {
            // Hits that score alike come in the order of their names within a page.
            paged.sort_by_key(Value::to_string);
            whole.sort_by_key(Value::to_string);
        }
        assert_eq!(paged, whole, "{path}");
        assert_eq!(paged.iter().map(Value::to_string).collect::<HashSet<_>>().len(), paged.len(), "{path}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_of_one_question_and_one_list() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        shop.tell(&format!("/v1/deal/{}/open-deal", new_id()), json!({ "pipeline": shop.sales.pipeline }))
            .await;
    }
    let get = async |path: &str| shop.server.get(&shop.admin, path).await;
    let cursor =
        get("/v1/board?pipeline=Sales&limit=1").await.ok()["cursor"].as_str().expect("more").to_owned();
    for (path, detail) in [
        (format!("/v1/board?pipeline=Sales&sort=value&cursor={cursor}"), "another question"),
        (format!("/v1/board?pipeline=Sales&cursor={}", &cursor[1..]), "no cursor"),
        (format!("/v1/overdue?cursor={cursor}"), "one list"),
    ] {
        let told = get(&path).await.refused(400, "malformed");
        assert_eq!(told["field"], "cursor", "{told}");
        assert!(told["detail"].as_str().is_some_and(|text| text.contains(detail)), "{told}");
    }
    // What is gone from the board meanwhile does not lose the place.
    let first = get("/v1/board?pipeline=Sales&limit=1").await.ok()["answer"]["cards"][0]["deal"].clone();
    let lost = json!({ "reason": shop.sales.reason });
    shop.tell(&format!("/v1/deal/{}/close-lost", first.as_str().expect("an id")), lost).await;
    let rest = get(&format!("/v1/board?pipeline=Sales&limit=1&cursor={cursor}")).await.ok();
    assert_eq!(rest["answer"]["cards"].as_array().map(Vec::len), Some(1));
    assert_ne!(rest["answer"]["cards"][0]["deal"], first);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_tells_what_each_event_changed() {
    let shop = Shop::open().await;
    let id = company(&shop, "Acme").await;
    shop.tell(&format!("/v1/company/{id}/rename-company"), json!({ "name": "Acme Ltd" })).await;
    let path = format!("/v1/streams/{id}");
    let history = shop.server.get(&shop.admin, &path).await.ok();
    let change = json!({ "field": "name", "before": "Acme", "after": "Acme Ltd" });
    assert_eq!(history["events"][1]["changes"], json!([change]));
    let analyst = shop.server.key(tenant(1), Role::Analyst).await;
    let masked = shop.server.get(&analyst, &path).await.ok();
    let change = json!({ "field": "name", "before": null, "after": null, "withheld": "masked" });
    assert_eq!(masked["events"][1]["changes"], json!([change]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensitive_values_are_for_those_who_have_the_right_to_them() {
    let shop = Shop::open().await;
    let id = company(&shop, "Acme").await;
    let [hobby, diagnosis] =
        [("hobby", "personal"), ("diagnosis", "sensitive")].map(|named| (new_id(), named));
    for (field, (key, class)) in [hobby, diagnosis] {
        let field = json!({ "field": field, "entity": "company", "key": key, "label": key, "type": "text", "class": class });
        shop.tell("/v1/field/-/define-field", field).await;
    }
    let [hobby, diagnosis] = [hobby.0, diagnosis.0];
    for (field, value) in [(hobby, "chess"), (diagnosis, "gout")] {
        let set = json!({ "fields": [{ "field": field, "value": { "text": value } }] });
        shop.tell(&format!("/v1/company/{id}/set-company-fields"), set).await;
    }
    for (role, sees_hobby, sees_diagnosis) in [
        (Role::Admin, true, true),
        (Role::HeadOfSales, true, true),
        (Role::Auditor, true, true),
        (Role::Sales, true, false),
        (Role::Support, true, false),
        (Role::Analyst, false, false),
        (Role::Integration, false, false),
    ] {
        let key = shop.server.key(tenant(1), role).await;
        let history = shop.server.get(&key, &format!("/v1/streams/{id}")).await.ok();
        let [personal, sensitive] = [1, 2].map(|at| &history["events"][at]);
        assert_eq!(personal.to_string().contains("chess"), sees_hobby, "{role:?}: {personal}");
        assert_eq!(sensitive.to_string().contains("gout"), sees_diagnosis, "{role:?}: {sensitive}");
        let withheld = if sees_diagnosis { Value::Null } else { json!("masked") };
        assert_eq!(sensitive["changes"][0]["withheld"], withheld, "{role:?}: {sensitive}");
        assert_eq!(sensitive["changes"][0]["field"], format!("fields.{diagnosis}"));
    }
    // What is classed as sensitive later is withheld from then on, whatever was written before.
    let sales = shop.server.key(tenant(1), Role::Sales).await;
    shop.tell("/v1/field/-/classify-field", json!({ "field": hobby, "class": "sensitive" })).await;
    let history = shop.server.get(&sales, &format!("/v1/streams/{id}")).await;
    assert!(!history.text.contains("chess") && history.status == StatusCode::OK, "{}", history.text);
    // A key may be narrowed to less than its role has.
    let narrowed = Some([Permission::Read, Permission::ReadPersonal, Permission::Audit].into());
    let key = shop.server.narrowed_key(tenant(1), Role::Auditor, None, narrowed).await;
    let trail = shop.server.get(&key, &format!("/v1/audit?object={id}")).await;
    assert!(trail.text.contains("Acme") && !trail.text.contains("gout"), "{}", trail.text);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn named_funnels_are_listed_and_their_counters_read() {
    let shop = Shop::open().await;
    let [nino, giorgi] = ["Nino", "Giorgi"].map(|name| (UserId(new_id()), name));
    for (user, name) in [nino, giorgi] {
        let register = user::Command::Register { user, name: Personal::new(name) };
        accepted(shop.server.store.handle(order(user.stream(), register), envelope(tenant(1))).await);
        let grant = json!({ "user": user, "role": "sales" });
        shop.tell("/v1/access/-/grant-role", grant).await;
        let open = json!({ "pipeline": shop.sales.pipeline, "owner": user });
        let deal = shop.tell(&format!("/v1/deal/{}/open-deal", new_id()), open).await["id"].clone();
        if name == "Nino" {
            let deal = deal.as_str().expect("an id");
            shop.tell(&format!("/v1/deal/{deal}/move-deal"), json!({ "to": OFFER })).await;
        }
    }
    let steps = json!([{ "name": "Lead", "stages": [LEAD] }, { "name": "Offer", "stages": [OFFER] }]);
    let definition = json!({ "pipeline": shop.sales.pipeline, "steps": steps, "rule": "entered" });
    shop.tell("/v1/funnel/-/define-funnel", json!({ "name": "Way to offer", "definition": definition }))
        .await;
    let listed = shop.server.get(&shop.admin, "/v1/funnels").await.ok();
    assert_eq!(listed["answer"][0]["name"], "Way to offer");
    assert_eq!(listed["answer"][0]["definition"]["rule"], "entered");
    let counted = shop.server.get(&shop.admin, "/v1/funnels/way%20to%20offer").await.ok();
    let counts = |told: &Value| [0, 1].map(|at| told["stages"][at]["count"].clone());
    assert_eq!(counts(&counted["answer"]), [json!(2), json!(1)]);
    assert_eq!(counted["answer"]["by"].as_array().map(Vec::len), Some(2));
    // The same as the question that looks at every deal.
    let asked = shop.server.get(&shop.admin, "/v1/funnel?name=Way%20to%20offer").await.ok();
    assert_eq!(counts(&asked["answer"]), [json!(2), json!(1)]);
    // A seller's are those of his own deals.
    let key = shop.server.key_of(tenant(1), Role::Sales, Some(giorgi.0)).await;
    let own = shop.server.get(&key, "/v1/funnels/Way%20to%20offer").await.ok();
    assert_eq!(counts(&own["answer"]), [json!(1), json!(0)]);
    let csv = [("accept", "text/csv")];
    let csv = shop.server.send(Method::GET, "/v1/funnels/Way%20to%20offer", &shop.admin, &csv, "").await;
    assert_eq!(csv.text.lines().count(), 3, "{}", csv.text);
    shop.server.get(&shop.admin, "/v1/funnels/Nix").await.refused(404, "not_found");
    let theirs = shop.server.key(tenant(2), Role::Admin).await;
    let other = shop.server.get(&theirs, "/v1/funnels/Way%20to%20offer").await;
    other.refused(404, "not_found");
    shop.close().await;
}
