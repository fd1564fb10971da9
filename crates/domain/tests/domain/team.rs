use crate::given::{Happened, given, on};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::team::{
    Command, Created, Event, ManagerSet, MemberAdded, MemberRemoved, ParentSet, Refusal, Renamed,
};
use kvali_domain::{Claim, Refusal as AnyRefusal, TeamId};

macro_rules! team_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Team($pattern))
    };
}

fn created(team: TeamId, name: &str, parent: Option<TeamId>) -> Happened {
    at_start(team.stream(), Event::Created(Created { name: name.to_owned(), parent }))
}

fn team_event(event: Event) -> Happened {
    at_start(TEAM.stream(), event)
}

fn sales_team() -> Happened {
    created(TEAM, "Sales", None)
}

/// Sales belongs to the region, the region to the company.
fn tree() -> Vec<Happened> {
    vec![
        created(COMPANY, "Company", None),
        created(REGION, "Region", Some(COMPANY)),
        created(TEAM, "Sales", Some(REGION)),
    ]
}

fn create(name: &str, parent: Option<TeamId>) -> Command {
    Command::Create { name: name.to_owned(), parent }
}

fn set_parent(chain: &[TeamId]) -> Command {
    Command::SetParent { chain: chain.to_vec() }
}

#[test]
fn a_team_is_created_alone_or_below_another() {
    let event = |parent| Event::Created(Created { name: "Sales".to_owned(), parent });
    given([]).when(create("Sales", None)).then([event(None)]);
    given([created(REGION, "Region", None)]).when(create("Sales", Some(REGION))).then([event(Some(REGION))]);
}

#[test]
fn a_parent_team_exists() {
    given([])
        .when(create("Sales", Some(REGION)))
        .refused(team_refusal!(Refusal::NoSuchParent { team: REGION }))
        .naming([&*REGION.to_string(), "name one that does"]);
}

#[test]
fn creating_the_same_team_again_is_already_so_and_another_one_is_refused() {
    given([sales_team()]).when(create("Sales", None)).then_it_is_already_so();
    for command in [create("Service", None), create("Sales", Some(REGION))] {
        given([sales_team()])
            .when(command)
            .refused(team_refusal!(Refusal::AlreadyExists { .. }))
            .naming([r#""Sales""#, "its own commands"]);
    }
}

#[test]
fn a_team_name_is_not_blank() {
    for (log, command) in
        [(vec![], create(" ", None)), (vec![sales_team()], Command::Rename { name: String::new() })]
    {
        given(log).when(command).refused(team_refusal!(Refusal::BlankName)).naming(["visible character"]);
    }
}

#[test]
fn a_team_name_is_unique_whatever_its_case() {
    let created = Event::Created(Created { name: " გაყიდვები A".to_owned(), parent: None });
    assert_eq!(created.claims(), [Claim::take("team.name", "გაყიდვები a")]);
    let renamed =
        |from: &str, to: &str| Event::Renamed(Renamed { from: from.to_owned(), to: to.to_owned() }).claims();
    assert_eq!(renamed("A", "B"), [Claim::release("team.name", "a"), Claim::take("team.name", "b")]);
    assert_eq!(renamed("A", "a"), []);
}

#[test]
fn the_teams_of_a_member_and_of_a_manager_and_those_below_a_team_can_be_looked_up() {
    let (nino, giorgi) = (NINO.to_string(), GIORGI.to_string());
    let (region, company) = (REGION.to_string(), COMPANY.to_string());
    let claims = [
        (
            Event::Created(Created { name: "A".to_owned(), parent: Some(REGION) }),
            vec![Claim::join("team.parent", &region), Claim::take("team.name", "a")],
        ),
        (Event::MemberAdded(MemberAdded { member: NINO }), vec![Claim::join("team.member", &nino)]),
        (Event::MemberRemoved(MemberRemoved { member: NINO }), vec![Claim::release("team.member", &nino)]),
        (Event::ManagerSet(ManagerSet { from: None, to: NINO }), vec![Claim::join("team.manager", &nino)]),
        (
            Event::ManagerSet(ManagerSet { from: Some(NINO), to: GIORGI }),
            vec![Claim::release("team.manager", &nino), Claim::join("team.manager", &giorgi)],
        ),
        (
            Event::ParentSet(ParentSet { from: Some(REGION), to: Some(COMPANY) }),
            vec![Claim::release("team.parent", &region), Claim::join("team.parent", &company)],
        ),
        (
            Event::ParentSet(ParentSet { from: Some(REGION), to: None }),
            vec![Claim::release("team.parent", &region)],
        ),
    ];
    for (event, expected) in claims {
        assert_eq!(event.claims(), expected, "{event:?}");
    }
}

#[test]
fn a_team_is_renamed_once() {
    let rename = |name: &str| Command::Rename { name: name.to_owned() };
    let event = Renamed { from: "Sales".to_owned(), to: "Service".to_owned() };
    given([sales_team()]).when(rename("Service")).then([Event::Renamed(event.clone())]);
    given([sales_team(), team_event(Event::Renamed(event))]).when(rename("Service")).then_it_is_already_so();
}

#[test]
fn active_users_join_and_leave_once() {
    let (add, remove) = (|| Command::AddMember { member: NINO }, || Command::RemoveMember { member: NINO });
    let joined =
        || vec![sales_team(), registered(NINO), team_event(Event::MemberAdded(MemberAdded { member: NINO }))];
    given([sales_team(), registered(NINO)])
        .when(add())
        .then([Event::MemberAdded(MemberAdded { member: NINO })]);
    given(joined()).when(add()).then_it_is_already_so();
    given(joined()).when(remove()).then([Event::MemberRemoved(MemberRemoved { member: NINO })]);
    given([sales_team()]).when(remove()).then_it_is_already_so();
    let left = team_event(Event::MemberRemoved(MemberRemoved { member: NINO }));
    given(joined().into_iter().chain([left])).when(remove()).then_it_is_already_so();
}

#[test]
fn who_left_still_leaves_the_team() {
    let joined = team_event(Event::MemberAdded(MemberAdded { member: NINO }));
    given([sales_team(), registered(NINO), joined, deactivated(NINO)])
        .when(Command::RemoveMember { member: NINO })
        .then([Event::MemberRemoved(MemberRemoved { member: NINO })]);
}

#[test]
fn members_and_managers_are_active_users() {
    for command in [Command::AddMember { member: NINO }, Command::SetManager { manager: NINO }] {
        for log in [vec![sales_team()], vec![sales_team(), registered(NINO), deactivated(NINO)]] {
            given(log)
                .when(command.clone())
                .refused(team_refusal!(Refusal::NotActive { user: NINO }))
                .naming([&*NINO.to_string(), "registered, active user"]);
        }
    }
}

#[test]
fn a_manager_is_set_and_replaced() {
    let manager = |user| Command::SetManager { manager: user };
    let set = |from, to| Event::ManagerSet(ManagerSet { from, to });
    let log = || vec![sales_team(), registered(NINO), registered(GIORGI)];
    given(log()).when(manager(NINO)).then([set(None, NINO)]);
    let led = || log().into_iter().chain([team_event(set(None, NINO))]);
    given(led()).when(manager(NINO)).then_it_is_already_so();
    given(led()).when(manager(GIORGI)).then([set(Some(NINO), GIORGI)]);
}

#[test]
fn a_team_goes_below_another_with_the_whole_chain_named() {
    let log =
        || vec![created(COMPANY, "Company", None), created(REGION, "Region", Some(COMPANY)), sales_team()];
    let event = ParentSet { from: None, to: Some(REGION) };
    given(log()).when(set_parent(&[REGION, COMPANY])).then([Event::ParentSet(event)]);
    given(log()).when(set_parent(&[])).then_it_is_already_so();
    given(tree()).when(set_parent(&[REGION, COMPANY])).then_it_is_already_so();
    let event = ParentSet { from: Some(REGION), to: None };
    given(tree()).when(set_parent(&[])).then([Event::ParentSet(event)]);
}

#[test]
fn a_chain_is_named_as_it_is() {
    for (chain, breaks_at, above) in [
        (&[REGION][..], REGION, format!("team {COMPANY}")),
        (&[COMPANY, REGION], COMPANY, "none".to_owned()),
        (&[REGION, REGION], REGION, format!("team {COMPANY}")),
    ] {
        given(tree())
            .when(set_parent(chain))
            .refused(|refusal| {
                matches!(refusal, AnyRefusal::Team(Refusal::BrokenChain { team, .. }) if *team == breaks_at)
            })
            .naming([&*breaks_at.to_string(), &*above]);
    }
    let _said = given([sales_team()])
        .when(set_parent(&[REGION]))
        .refused(team_refusal!(Refusal::NoSuchParent { team: REGION }));
}

#[test]
fn no_team_stands_above_itself() {
    for (team, chain) in
        [(COMPANY, vec![TEAM, REGION, COMPANY]), (TEAM, vec![TEAM]), (REGION, vec![TEAM, REGION])]
    {
        given(tree())
            .when(on(team.stream(), Command::SetParent { chain }))
            .refused(|refusal| matches!(refusal, AnyRefusal::Team(Refusal::Cycle { team: named }) if *named == team))
            .naming([&*team.to_string(), "outside of it"]);
    }
}

#[test]
fn a_chain_that_leaves_the_team_out_does_not_hide_a_cycle() {
    let _said = given(tree())
        .when(on(COMPANY.stream(), Command::SetParent { chain: vec![TEAM, REGION] }))
        .refused(team_refusal!(Refusal::BrokenChain { team: REGION, parent: Some(COMPANY) }));
}

#[test]
fn a_team_that_nobody_created_takes_no_orders() {
    for command in [
        Command::Rename { name: "A".to_owned() },
        Command::AddMember { member: NINO },
        Command::RemoveMember { member: NINO },
        Command::SetManager { manager: NINO },
        set_parent(&[]),
    ] {
        given([]).when(command).refused(team_refusal!(Refusal::NoSuchTeam)).naming(["create it first"]);
    }
}
