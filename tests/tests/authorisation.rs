//! Every operation of the API's description, for every role, on a row of its own, of its team's, of somebody else's, of another
//! tenant's, and on what is not there.

use futures_util::{StreamExt, stream};
use hyper::{Method, StatusCode};
use kvali_domain::access::{self, Permission, Role, Scope};
use kvali_domain::pipeline::Policy;
use kvali_domain::{Command, StreamId, TeamId, TenantId, UserId, team, user};
use kvali_tests::http::{Answer, Server};
use kvali_tests::samples::Sales;
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Whose row is asked about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Row {
    Own,
    OfTeam,
    OfOthers,
    OfAnotherTenant,
    Missing,
}

const ROWS: [Row; 5] = [Row::Own, Row::OfTeam, Row::OfOthers, Row::OfAnotherTenant, Row::Missing];

/// The bounded role first: it changes no row but its own, so the others find them as they were.
const ROLES: [Role; 7] = [
    Role::Sales,
    Role::Support,
    Role::Analyst,
    Role::Auditor,
    Role::Integration,
    Role::HeadOfSales,
    Role::Admin,
];

/// The kinds of records that somebody owns.
const OWNED: [&str; 5] = ["company", "contact", "deal", "lead", "task"];

/// An id that nothing has.
const MISSING: &str = "00000000-0000-4000-8000-000000000000";
const JSON: (&str, &str) = ("content-type", "application/json");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

struct Scene {
    server: Server,
    admin: String,
    /// By kind and row.
    rows: BTreeMap<(&'static str, Row), String>,
    document: Value,
}

async fn tell(server: &Server, of: TenantId, stream: StreamId, command: impl Into<Command>) {
    accepted(server.store.handle(order(stream, command), envelope(of)).await);
}

async fn person(server: &Server, of: TenantId, name: &str) -> UserId {
    let user = UserId(new_id());
    let name = kvali_domain::Personal::new(name);
    tell(server, of, user.stream(), user::Command::Register { user, name }).await;
    user
}

/// A record of each kind, that is the owner's.
async fn records(
    server: &Server,
    admin: &str,
    sales: &Sales,
    owner: UserId,
) -> BTreeMap<&'static str, String> {
    let due = json!({ "day": { "date": "2036-03-31", "zone": "Asia/Tbilisi" } });
    let creations = [
        ("company", "create-company", json!({ "name": "Acme", "owner": owner })),
        ("contact", "create-contact", json!({ "given": "Nino", "owner": owner })),
        ("deal", "open-deal", json!({ "pipeline": sales.pipeline, "owner": owner })),
        ("lead", "capture-lead", json!({ "full": "Levan", "owner": owner })),
        ("task", "create-task", json!({ "subject": "Call", "assignee": owner, "due": due })),
    ];
    let mut made = BTreeMap::new();
    for (kind, command, body) in creations {
        let id = new_id().to_string();
        server.post(admin, &format!("/v1/{kind}/{id}/{command}"), &[], &body).await.ok();
        made.insert(kind, id);
    }
    made
}

impl Scene {
    /// With a key of that role, whose user has a team-mate, and a colleague of no team of his.
    async fn set_up(server: Server, role: Role) -> (Self, String) {
        let (here, there) = (TenantId(new_id()), TenantId(new_id()));
        let (sales, elsewhere) = (
            Sales::set_up(&server.store, here, Policy::PERMISSIVE).await,
            Sales::set_up(&server.store, there, Policy::PERMISSIVE).await,
        );
        let me = person(&server, here, "Me").await;
        let (mate, other) = (person(&server, here, "Mate").await, person(&server, here, "Other").await);
        let stranger = person(&server, there, "Stranger").await;
        tell(&server, here, access::STREAM, access::Command::GrantRole { user: me, role }).await;
        for (name, members) in [("North", vec![me, mate]), ("South", vec![other])] {
            let stream = TeamId(new_id()).stream();
            tell(&server, here, stream, team::Command::Create { name: name.to_owned(), parent: None }).await;
            for member in members {
                tell(&server, here, stream, team::Command::AddMember { member }).await;
            }
        }
        let key = server.key_of(here, role, Some(me)).await;
        let (admin, boss) = (server.key(here, Role::Admin).await, server.key(there, Role::Admin).await);
        let mut rows = BTreeMap::new();
        for (row, admin, sales, owner) in [
            (Row::Own, &admin, &sales, me),
            (Row::OfTeam, &admin, &sales, mate),
            (Row::OfOthers, &admin, &sales, other),
            (Row::OfAnotherTenant, &boss, &elsewhere, stranger),
        ] {
            for (kind, id) in records(&server, admin, sales, owner).await {
                rows.insert((kind, row), id);
            }
            let name = format!("group-{}", owner.0.simple());
            server.post(admin, "/v1/subscriptions", &[], &json!({ "name": name })).await;
            rows.insert(("subscriptions", row), name);
        }
        // A job is whose key sent it, whatever its rows are about.
        for (row, sender) in
            [(Row::Own, &key), (Row::OfTeam, &admin), (Row::OfOthers, &admin), (Row::OfAnotherTenant, &boss)]
        {
            let sent = server.send(Method::POST, "/v1/jobs", sender, &[LINES], "{}").await;
            assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.body);
            rows.insert(("jobs", row), sent.body["id"].as_str().expect("an id").to_owned());
        }
        let document = server.get(&key, "/openapi.json").await.ok();
        (Self { server, admin, rows, document }, key)
    }

    /// The name that stands for the row in a path of that kind; `None`: nobody owns such records.
    fn named(&self, kind: &str, row: Row) -> Option<String> {
        let known =
            self.rows.iter().find(|((of, is), _)| *of == kind && *is == row).map(|(_, name)| name.clone());
        let has_rows = self.rows.keys().any(|(of, _)| *of == kind);
        known.or_else(|| (row == Row::Missing && has_rows).then(|| new_id().to_string()))
    }
}

/// One operation of the description.
struct Operation<'a> {
    method: Method,
    path: &'a str,
    kind: &'a str,
    right: Option<Permission>,
    told: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, told) in methods.as_object().expect("methods") {
            let word = told["x-kvali-right"].as_str();
            let right = Permission::all().find(|permission| Some(permission.as_str()) == word);
            assert_eq!(word.is_some(), right.is_some(), "{path}: {word:?}");
            let kind = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
            let method = method.to_uppercase().parse().expect("a method");
            all.push(Operation { method, path, kind, right, told });
        }
    }
    all
}

impl Operation<'_> {
    /// Whether the path needs something to stand in it that there is one of, or none.
    fn has_row(&self) -> bool {
        self.path.contains('{')
    }

    fn is_create(&self, command: Option<&Command>) -> bool {
        command.is_some_and(Command::begins)
            || (self.method == Method::POST && self.path == "/v1/subscriptions")
    }

    fn command(&self) -> Option<Command> {
        let name = self.told["operationId"].as_str().unwrap_or_default();
        Command::decode(name, &self.told["requestBody"]["content"]["application/json"]["example"]).ok()
    }

    fn query(&self) -> String {
        let parameters = self.told["parameters"].as_array().into_iter().flatten();
        let needed = parameters.filter(|one| one["in"] == "query" && one["required"] == true);
        let said = needed.map(|one| match one["name"].as_str().unwrap_or_default() {
            "pipeline" => "pipeline=Sales".to_owned(),
            "from" => "from=2026-01-01".to_owned(),
            "to" => "to=2027-01-01".to_owned(),
            name => format!("{name}=acme"),
        });
        let mut said: Vec<String> = said.collect();
        if self.path == "/v1/funnel" {
            said.push("pipeline=Sales".to_owned());
        }
        said.join("&")
    }

    async fn ask(&self, server: &Server, key: &str, name: &str) -> Answer {
        let path = self.path.replace("{id}", name).replace("{name}", name);
        let asked = &self.told["requestBody"]["content"];
        let (media, body) = match (&asked["application/json"], &asked["application/x-ndjson"]["example"]) {
            (_, Value::String(lines)) => (LINES, lines.clone()),
            (Value::Null, _) => (JSON, String::new()),
            (json, _) if json["example"].is_null() => (JSON, "{}".to_owned()),
            (json, _) => (JSON, json["example"].to_string()),
        };
        let path = format!("{path}?{}", self.query());
        server.send(self.method.clone(), &path, key, &[media], body).await
    }
}

/// The answer without the name that was asked about, so that two can be compared.
fn anonymous(answer: &Answer, name: &str) -> (StatusCode, String) {
    (answer.status, answer.body.to_string().replace(name, "NAME"))
}

/// One cell: what the description and the table of rights call for, and what is answered.
async fn cell(scene: &Scene, key: &str, role: Role, operation: &Operation<'_>, row: Row) {
    let (server, command) = (&scene.server, operation.command());
    let home = command.as_ref().and_then(Command::home).map(|home| home.to_string());
    let kind = if ["streams", "timeline"].contains(&operation.kind) { "company" } else { operation.kind };
    let named = scene.named(kind, row);
    let owned = named.is_some();
    let name = home.or(named).unwrap_or_else(|| new_id().to_string());
    let at = format!("{} {} {} {row:?}", role.as_str(), operation.method, operation.path);
    let answer = operation.ask(server, key, &name).await;
    assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{at}: {}", answer.body);
    assert!(!answer.status.is_server_error(), "{at}: {}", answer.body);
    if operation.kind == "jobs" && operation.has_row() {
        let missing = operation.ask(server, key, MISSING).await;
        return job((&answer, &name), &missing, (role, row), &at);
    }
    let Some(right) = operation.right else { return };
    let Some(scope) = role.scope(right) else {
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::FORBIDDEN, "forbidden"),
            "{at}: {}",
            answer.body
        );
        return;
    };
    if !owned || operation.is_create(command.as_ref()) {
        assert_ne!(answer.status, StatusCode::FORBIDDEN, "{at}: {}", answer.body);
        return;
    }
    let is_of_people = OWNED.contains(&kind);
    let seen = if is_of_people { role.scope(Permission::Read) } else { Some(Scope::All) };
    let scope = if is_of_people { scope } else { Scope::All };
    let reaches = |scope: Scope| match row {
        Row::Own => true,
        Row::OfTeam => scope >= Scope::Team,
        Row::OfOthers => scope >= Scope::All,
        Row::OfAnotherTenant | Row::Missing => false,
    };
    let is_seen = seen.is_some_and(reaches);
    if is_seen && reaches(scope) {
        let is_passed = ![StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status);
        assert!(is_passed, "{at}: {}", answer.body);
    } else if is_seen {
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::FORBIDDEN, "not_yours"),
            "{at}: {}",
            answer.body
        );
    } else {
        let missing =
            if operation.path.contains("{id}") { new_id().to_string() } else { "no-such".to_owned() };
        let expected = operation.ask(server, key, &missing).await;
        assert_eq!(anonymous(&answer, &name), anonymous(&expected, &missing), "{at}");
        assert_ne!(answer.status, StatusCode::OK, "{at}: {}", answer.body);
    }
}

/// Whoever sent it sees it, and whoever may grant access; for others it is not there.
fn job((answer, name): (&Answer, &str), missing: &Answer, (role, row): (Role, Row), at: &str) {
    let is_here = matches!(row, Row::Own | Row::OfTeam | Row::OfOthers);
    if row == Row::Own || (is_here && role.may(Permission::GrantAccess)) {
        assert_eq!(answer.status, StatusCode::OK, "{at}: {}", answer.body);
    } else {
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{at}: {}", answer.body);
        assert_eq!(anonymous(answer, name), anonymous(missing, MISSING), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_the_table_says_to_each_row_by_every_operation() {
    let database = Database::create().await;
    let mut cells = 0;
    for role in ROLES {
        let server = Server::start(database.connect().await).await;
        let (scene, key) = Scene::set_up(server, role).await;
        let operations = operations(&scene.document);
        assert!(operations.len() > 230, "{} operations", operations.len());
        // What makes a record, or takes one away, comes after what merely asks for it.
        let (gentle, rough): (Vec<_>, Vec<_>) = operations
            .iter()
            .partition(|one| one.method != Method::DELETE && !one.is_create(one.command().as_ref()));
        for operations in [gentle, rough] {
            let work = operations.into_iter().filter(|one| !one.path.contains("{aggregate}")).flat_map(
                |operation| {
                    let rows = if operation.has_row() { &ROWS[..] } else { &ROWS[..1] };
                    rows.iter().map(move |row| (operation, *row))
                },
            );
            cells += stream::iter(work)
                .map(|(operation, row)| {
                    let (scene, key) = (&scene, key.as_str());
                    async move { cell(scene, key, role, operation, row).await }
                })
                .buffer_unordered(4)
                .count()
                .await;
        }
        // Its own key and rows are still there, so every answer was about them.
        scene.server.get(&key, "/v1/me").await.ok();
        scene.server.get(&scene.admin, "/v1/me").await.ok();
        scene.server.stop().await;
    }
    assert!(cells > 7_000, "only {cells} cells");
    println!("{cells} cells");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_tells_one_tenant_of_anothers_records() {
    let database = Database::create().await;
    let server = Server::start(database.connect().await).await;
    let secrets = ["Zurab Secret", "secret@hidden.example"];
    let (one, other) = (tenant(1), tenant(2));
    for of in [one, other] {
        Sales::set_up(&server.store, of, Policy::PERMISSIVE).await;
    }
    let (admin, stranger) = (server.key(one, Role::Admin).await, server.key(other, Role::Admin).await);
    let id = Uuid::to_string(&new_id());
    let contact = json!({ "given": secrets[0], "points": [{ "kind": "email", "value": secrets[1] }] });
    server.post(&admin, &format!("/v1/contact/{id}/create-contact"), &[], &contact).await.ok();
    server.post(&admin, "/v1/subscriptions", &[], &json!({ "name": "secret-group" })).await;
    let document = server.get(&admin, "/openapi.json").await.ok();
    let mut asked = 0;
    for operation in operations(&document).iter().filter(|one| one.method == Method::GET) {
        for name in [id.as_str(), "secret-group"] {
            let answer = operation.ask(&server, &stranger, name).await;
            let told = answer.body.to_string();
            let leaks = secrets.iter().chain(&["secret-group"]).any(|secret| told.contains(secret));
            assert!(!leaks && !told.contains(&one.to_string()), "{}: {told}", operation.path);
            asked += 1;
        }
    }
    // Whoever may, is told: there was something to tell.
    let found = server.get(&admin, "/v1/search?text=zurab").await.ok();
    assert_eq!(found["answer"][0]["name"], secrets[0]);
    assert!(asked > 20);
    server.stop().await;
    database.drop().await;
}
