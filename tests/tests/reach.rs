//! Whose records a seller sees and changes: his own, his team's, and nobody else's.

use hyper::StatusCode;
use kvali_domain::access::{self, Role};
use kvali_domain::deal::{self, Open};
use kvali_domain::pipeline::Policy;
use kvali_domain::{Command, CompanyId, DealId, Personal, StreamId, TeamId, UserId, company, team, user};
use kvali_tests::http::{Answer, Server};
use kvali_tests::samples::Sales;
use kvali_tests::{Database, accepted, envelope, new_id, order, tenant};
use serde_json::{Value, json};

/// Nino and Levan are one team, Giorgi is of another; each owns a deal and a company, and one of each is nobody's.
struct Office {
    database: Database,
    server: Server,
    sales: Sales,
    people: [UserId; 3],
    deals: [DealId; 4],
    companies: [CompanyId; 4],
}

const NAMES: [&str; 4] = ["Acme Nino", "Acme Levan", "Acme Giorgi", "Acme Nobody"];

impl Office {
    async fn set_up() -> Self {
        let database = Database::create().await;
        let server = Server::start(database.connect().await).await;
        let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
        let office = Self {
            database,
            server,
            sales,
            people: std::array::from_fn(|_| UserId(new_id())),
            deals: std::array::from_fn(|_| DealId(new_id())),
            companies: std::array::from_fn(|_| CompanyId(new_id())),
        };
        for (person, name) in office.people.iter().zip(NAMES) {
            office
                .tell(person.stream(), user::Command::Register { user: *person, name: Personal::new(name) })
                .await;
            let grant = access::Command::GrantRole { user: *person, role: Role::Sales };
            office.tell(access::STREAM, grant).await;
        }
        for (name, members) in [("North", &office.people[..2]), ("South", &office.people[2..])] {
            let team = TeamId(new_id()).stream();
            office.tell(team, team::Command::Create { name: name.to_owned(), parent: None }).await;
            for member in members {
                office.tell(team, team::Command::AddMember { member: *member }).await;
            }
        }
        for (at, name) in NAMES.into_iter().enumerate() {
            let owner = office.people.get(at).copied();
            let open = deal::Command::Open(Open { owner, ..Open::new(office.sales.pipeline) });
            office.tell(office.deals[at].stream(), open).await;
            let create = company::Create {
                name: Personal::new(name),
                domains: Vec::new(),
                legal_ids: None,
                external: None,
                owner,
                override_duplicate: false,
                reason: Personal::default(),
            };
            office.tell(office.companies[at].stream(), company::Command::Create(create)).await;
        }
        office
    }

    async fn tell(&self, stream: StreamId, command: impl Into<Command>) {
        accepted(self.server.store.handle(order(stream, command), envelope(tenant(1))).await);
    }

    async fn key(&self, of: UserId) -> String {
        self.server.key_of(tenant(1), Role::Sales, Some(of)).await
    }

    async fn rename(&self, key: &str, company: CompanyId, name: &str) -> Answer {
        let path = format!("/v1/company/{company}/rename-company");
        self.server.post(key, &path, &[], &json!({ "name": name })).await
    }
}

fn ids(answer: &Value, field: &str) -> Vec<String> {
    let rows = answer.as_array().expect("a list");
    let mut ids: Vec<String> =
        rows.iter().map(|row| row[field].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

fn sorted(ids: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_changes_his_own_records_and_those_that_are_nobodys() {
    let office = Office::set_up().await;
    let key = office.key(office.people[0]).await;
    let [own, of_team, of_others, nobodys] = office.companies;
    office.rename(&key, own, "A").await.ok();
    office.rename(&key, nobodys, "B").await.ok();
    let told = office.rename(&key, of_team, "C").await.refused(403, "not_yours");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("ask the owner")), "{told}");
    // What is beyond his team's is told exactly as what is not there.
    let hidden = office.rename(&key, of_others, "D").await;
    let missing = office.rename(&key, CompanyId(new_id()), "D").await;
    assert_eq!((hidden.status, &hidden.body), (missing.status, &missing.body));
    // Nor is it joined to his own.
    let merge = json!({
        "losers": [of_team], "seen": [{ "id": own, "version": 2 }, { "id": of_team, "version": 1 }],
        "choices": [{ "field": "name", "from": own }, { "field": "owner", "from": own }],
    });
    let path = format!("/v1/company/{own}/merge-companies");
    office.server.post(&key, &path, &[], &merge).await.refused(403, "not_yours");
    // A head of sales does all of it.
    let head = office.server.key(tenant(1), Role::HeadOfSales).await;
    office.rename(&head, of_others, "E").await.ok();
    let batch = json!([
        { "aggregate": "company", "id": own, "command": "rename-company", "body": { "name": "F" } },
        { "aggregate": "company", "id": of_team, "command": "rename-company", "body": { "name": "F" } },
        { "aggregate": "company", "id": of_others, "command": "rename-company", "body": { "name": "F" } },
    ]);
    let verdicts = office.server.post(&key, "/v1/commands", &[], &batch).await.body;
    let statuses: Vec<&Value> =
        verdicts.as_array().expect("a list").iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, [&json!(200), &json!(403), &json!(missing.status.as_u16())]);
    let mut admin = office.database.admin().await;
    let denied: Vec<String> = sqlx::query_scalar("select what from kvali.denial order by recorded_at")
        .fetch_all(&mut admin)
        .await
        .expect("rows");
    assert_eq!(denied, ["RenameCompany", "MergeCompanies", "RenameCompany"]);
    office.server.stop().await;
    office.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_sees_what_is_his_teams() {
    let office = Office::set_up().await;
    let (server, key) = (&office.server, office.key(office.people[0]).await);
    let [own, of_team, of_others, nobodys] = office.companies;
    for seen in [own, of_team, nobodys] {
        server.get(&key, &format!("/v1/streams/{seen}")).await.ok();
        server.get(&key, &format!("/v1/timeline/{seen}")).await.ok();
    }
    for path in ["/v1/streams", "/v1/timeline"] {
        let hidden = server.get(&key, &format!("{path}/{of_others}")).await;
        let missing = server.get(&key, &format!("{path}/{}", new_id())).await;
        assert_eq!((hidden.status, &hidden.body), (StatusCode::NOT_FOUND, &missing.body), "{path}");
    }
    let board = server.get(&key, "/v1/board?pipeline=Sales").await.ok();
    let mine = sorted([0, 1, 3].map(|at| office.deals[at].to_string()));
    assert_eq!(ids(&board["answer"]["cards"], "deal"), mine);
    let counted: i64 = board["answer"]["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| column["deals"].as_i64().expect("a count"))
        .sum();
    assert_eq!(counted, 3);
    let found = server.get(&key, "/v1/search?text=acme&kind=company").await.ok();
    assert_eq!(ids(&found["answer"], "id"), sorted([own, of_team, nobodys].map(|id| id.to_string())));
    let filled = server.get(&key, "/v1/completeness?kind=company").await.ok();
    assert_eq!(filled["answer"][0]["records"], 3);
    let funnel = server.get(&key, "/v1/funnel?pipeline=Sales").await.ok();
    assert_eq!(funnel["answer"]["cases"], 3, "{funnel}");
    let head = server.key(tenant(1), Role::HeadOfSales).await;
    let all = server.get(&head, "/v1/search?text=acme&kind=company").await.ok();
    assert_eq!(all["answer"].as_array().map(Vec::len), Some(4));
    server.tell_to_stop();
    office.database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_sees_the_teams_below_his_own() {
    let office = Office::set_up().await;
    let (server, boss) = (&office.server, UserId(new_id()));
    office.tell(boss.stream(), user::Command::Register { user: boss, name: Personal::new("Boss") }).await;
    office.tell(access::STREAM, access::Command::GrantRole { user: boss, role: Role::Sales }).await;
    let key = office.key(boss).await;
    let of_others = format!("/v1/streams/{}", office.companies[2]);
    server.get(&key, &of_others).await.refused(404, "not_found");
    let (region, below) = (TeamId(new_id()), TeamId(new_id()));
    let create = |name: &str, parent| team::Command::Create { name: name.to_owned(), parent };
    // Sent over HTTP, so that the server knows of it at once.
    let admin = server.key(tenant(1), Role::Admin).await;
    let send = async |team: TeamId, command: &str, body: Value| {
        server.post(&admin, &format!("/v1/team/{team}/{command}"), &[], &body).await.ok();
    };
    office.tell(region.stream(), create("Region", None)).await;
    office.tell(below.stream(), create("Below", Some(region))).await;
    send(below, "add-team-member", json!({ "member": office.people[2] })).await;
    server.get(&key, &of_others).await.refused(404, "not_found");
    send(region, "set-manager", json!({ "manager": boss })).await;
    server.get(&key, &of_others).await.ok();
    send(below, "remove-team-member", json!({ "member": office.people[2] })).await;
    server.get(&key, &of_others).await.refused(404, "not_found");
    office.database.drop().await;
}
