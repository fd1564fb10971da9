use crate::given::{Happened, given};
use crate::sales::*;
use crate::staffing::key_of;
use kvali_domain::access::{
    Access, ApiKeyIssued, ApiKeyRevoked, Command, Event, Permission, Reach, Refusal, Role, RoleGranted,
    RoleRevoked, STREAM,
};
use kvali_domain::{ActorId, ApiKeyId, Decider, Occurred, Refusal as AnyRefusal, UserId, command_types};
use std::collections::BTreeSet;
use uuid::Uuid;

macro_rules! access_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Access($pattern))
    };
}

const KEY: ApiKeyId = ApiKeyId(id(300));

fn grant(user: UserId, role: Role) -> Command {
    Command::GrantRole { user, role }
}

fn revoke(user: UserId, role: Role) -> Command {
    Command::RevokeRole { user, role }
}

fn granted(user: UserId, role: Role) -> Event {
    Event::RoleGranted(RoleGranted { user, role })
}

fn revoked(user: UserId, role: Role) -> Event {
    Event::RoleRevoked(RoleRevoked { user, role })
}

fn issued(owner: Option<UserId>) -> ApiKeyIssued {
    ApiKeyIssued { owner, ..key_of(KEY, Role::Sales) }
}

fn log(events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    let events = events.into_iter().map(|event| at_start(STREAM, event));
    [registered(NINO), registered(GIORGI), registered(TAMAR), deactivated(TAMAR)]
        .into_iter()
        .chain(events)
        .collect()
}

#[test]
fn a_role_is_granted_to_an_active_user_and_revoked() {
    given(log([])).when(grant(NINO, Role::Sales)).then([granted(NINO, Role::Sales)]);
    given(log([granted(NINO, Role::Sales)])).when(grant(NINO, Role::Sales)).then_it_is_already_so();
    given(log([granted(NINO, Role::Sales)]))
        .when(grant(NINO, Role::Auditor))
        .then([granted(NINO, Role::Auditor)]);
    given(log([granted(NINO, Role::Sales)]))
        .when(revoke(NINO, Role::Sales))
        .then([revoked(NINO, Role::Sales)]);
    given(log([granted(NINO, Role::Sales)])).when(revoke(NINO, Role::Auditor)).then_it_is_already_so();
    let both = [granted(NINO, Role::Sales), revoked(NINO, Role::Sales)];
    given(log(both.clone())).when(revoke(NINO, Role::Sales)).then_it_is_already_so();
    given(log(both)).when(grant(NINO, Role::Sales)).then([granted(NINO, Role::Sales)]);
    for user in [TAMAR, UserId(id(399))] {
        given(log([]))
            .when(grant(user, Role::Sales))
            .refused(access_refusal!(Refusal::UserNotActive { .. }))
            .naming([&*user.to_string(), "active"]);
    }
}

#[test]
fn nobody_changes_roles_of_his_own() {
    let nino = || ActorId(NINO.0);
    given(log([]))
        .sent_by(nino())
        .when(grant(NINO, Role::Admin))
        .refused(access_refusal!(Refusal::OwnRole))
        .naming(["another admin"]);
    given(log([granted(NINO, Role::Sales)]))
        .sent_by(nino())
        .when(revoke(NINO, Role::Sales))
        .refused(access_refusal!(Refusal::OwnRole));
    given(log([])).sent_by(nino()).when(grant(GIORGI, Role::Admin)).then([granted(GIORGI, Role::Admin)]);
}

#[test]
fn the_last_admin_stays() {
    let other_roles = [granted(NINO, Role::Admin), granted(NINO, Role::Sales), granted(GIORGI, Role::Sales)];
    given(log(other_roles.clone()))
        .when(revoke(NINO, Role::Admin))
        .refused(access_refusal!(Refusal::LastAdmin { user: NINO }))
        .naming([&*NINO.to_string(), "another user"]);
    given(log(other_roles)).when(revoke(NINO, Role::Sales)).then([revoked(NINO, Role::Sales)]);
    let two = [granted(NINO, Role::Admin), granted(GIORGI, Role::Admin)];
    given(log(two.clone())).when(revoke(NINO, Role::Admin)).then([revoked(NINO, Role::Admin)]);
    let one_left = [two[0].clone(), two[1].clone(), revoked(NINO, Role::Admin)];
    given(log(one_left))
        .when(revoke(GIORGI, Role::Admin))
        .refused(access_refusal!(Refusal::LastAdmin { .. }));
}

#[test]
fn a_key_is_issued_once_under_a_name() {
    let issue = || Command::IssueApiKey(issued(None));
    given(log([])).when(issue()).then([Event::ApiKeyIssued(issued(None))]);
    let spaced = ApiKeyIssued { name: "  Till ".to_owned(), ..issued(None) };
    given(log([])).when(Command::IssueApiKey(spaced)).then([Event::ApiKeyIssued(issued(None))]);
    let known = Event::ApiKeyIssued(issued(None));
    given(log([known.clone()])).when(issue()).then_it_is_already_so();
    let other = ApiKeyIssued { role: Role::Admin, ..issued(None) };
    given(log([known.clone()]))
        .when(Command::IssueApiKey(other))
        .refused(access_refusal!(Refusal::KeyExists { key: KEY }))
        .naming([&*KEY.to_string(), "another id"]);
    let gone = Event::ApiKeyRevoked(ApiKeyRevoked { key: KEY });
    given(log([known, gone])).when(issue()).refused(access_refusal!(Refusal::KeyExists { .. }));
    let nameless = ApiKeyIssued { name: " ".to_owned(), ..issued(None) };
    given(log([])).when(Command::IssueApiKey(nameless)).refused(access_refusal!(Refusal::Label(_)));
}

#[test]
fn a_key_gives_no_right_that_its_owner_does_not_have() {
    let issue = || Command::IssueApiKey(issued(Some(NINO)));
    given(log([granted(NINO, Role::Sales)])).when(issue()).then([Event::ApiKeyIssued(issued(Some(NINO)))]);
    given(log([granted(NINO, Role::Analyst)]))
        .when(issue())
        .refused(access_refusal!(Refusal::NotTheOwnersRole { owner: NINO, .. }))
        .naming(["sales", "analyst"]);
    given(log([])).when(issue()).refused(access_refusal!(Refusal::NotTheOwnersRole { .. })).naming(["none"]);
    given(log([granted(TAMAR, Role::Sales)]))
        .when(Command::IssueApiKey(issued(Some(TAMAR))))
        .refused(access_refusal!(Refusal::UserNotActive { user: TAMAR }));
}

#[test]
fn a_key_expires_later_than_now() {
    let until = |expires| Command::IssueApiKey(ApiKeyIssued { expires: Some(expires), ..issued(None) });
    given(log([]))
        .when(until(NOW))
        .refused(access_refusal!(Refusal::ExpiresInThePast { .. }))
        .naming(["later time"]);
    let later = NOW + chrono::TimeDelta::microseconds(1);
    let event = ApiKeyIssued { expires: Some(later), ..issued(None) };
    given(log([])).when(until(later)).then([Event::ApiKeyIssued(event)]);
}

#[test]
fn a_key_is_revoked_for_good() {
    let command = Command::RevokeApiKey { key: KEY };
    let known = Event::ApiKeyIssued(issued(None));
    let gone = Event::ApiKeyRevoked(ApiKeyRevoked { key: KEY });
    given(log([known.clone()])).when(command.clone()).then([gone.clone()]);
    given(log([known, gone])).when(command.clone()).then_it_is_already_so();
    given(log([]))
        .when(command)
        .refused(access_refusal!(Refusal::NoSuchKey { key: KEY }))
        .naming([&*KEY.to_string()]);
}

#[test]
fn a_key_is_valid_until_it_expires_or_is_revoked() {
    let mut access = Access::default();
    let expires = NOW + chrono::TimeDelta::days(1);
    let of_nino = ApiKeyIssued { expires: Some(expires), ..issued(Some(NINO)) };
    let mut happens = |event| access.evolve(&event, 1, &Occurred::Instant { at: NOW });
    happens(Event::ApiKeyIssued(of_nino));
    happens(Event::ApiKeyIssued(ApiKeyIssued { key: ApiKeyId(id(301)), ..issued(None) }));
    happens(Event::ApiKeyRevoked(ApiKeyRevoked { key: ApiKeyId(id(301)) }));
    let key = access.key(KEY).expect("it was issued");
    assert!(key.is_valid(NOW) && !key.is_valid(expires));
    assert_eq!(key.actor(), ActorId(NINO.0));
    let other = access.key(ApiKeyId(id(301))).expect("it was issued");
    assert!(!other.is_valid(NOW));
    assert_eq!(other.actor(), ActorId(id(301)));
    assert_eq!(access.keys().count(), 2);
    assert_eq!(access.roles(NINO).next(), None);
}

/// As the table has it, written once more and not by the same hand: who may do what.
#[test]
fn each_role_may_do_this_and_no_more() {
    let may: [(Role, &[&str]); 7] = [
        (
            Role::Admin,
            &[
                "audit",
                "configure",
                "erase",
                "follow",
                "grant_access",
                "merge",
                "read",
                "read_personal",
                "read_sensitive",
                "staff",
                "work",
            ],
        ),
        (
            Role::HeadOfSales,
            &["configure", "merge", "read", "read_personal", "read_sensitive", "staff", "work"],
        ),
        (Role::Sales, &["merge", "read", "read_personal", "work"]),
        (Role::Support, &["read", "read_personal", "work"]),
        (Role::Analyst, &["follow", "read"]),
        (Role::Auditor, &["audit", "follow", "read", "read_personal", "read_sensitive"]),
        (Role::Integration, &["follow", "merge", "read", "work"]),
    ];
    assert_eq!(may.map(|(role, _)| role), Role::ALL);
    for (role, expected) in may {
        let permitted: BTreeSet<&str> =
            Permission::all().filter(|permission| role.may(*permission)).map(Permission::as_str).collect();
        assert_eq!(permitted, expected.iter().copied().collect(), "{}", role.as_str());
    }
}

#[test]
fn a_right_reaches_as_far_as_the_table_says() {
    let bounded: Vec<(&str, &str, &str)> = Permission::all()
        .flat_map(|permission| Role::ALL.map(|role| (permission, role, role.scope(permission))))
        .filter_map(|(permission, role, scope)| Some((permission.as_str(), role.as_str(), scope?.as_str())))
        .filter(|(.., scope)| *scope != "all")
        .collect();
    let expected = [
        ("work", "sales", "own"),
        ("merge", "sales", "own"),
        ("read", "sales", "team"),
        ("read_personal", "sales", "team"),
    ];
    assert_eq!(bounded, expected);
    let erase: Vec<Role> = Permission::Erase.roles().collect();
    assert_eq!(erase, [Role::Admin]);
    let by_team: Vec<Role> = Role::ALL.into_iter().filter(|role| role.is_bounded_by_team()).collect();
    assert_eq!(by_team, [Role::Sales]);
}

#[test]
fn a_reach_covers_its_owners_and_what_is_nobodys() {
    let [nino, levan] = [UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2))];
    let reach = Reach::of([nino]);
    assert!(reach.covers(Some(nino)) && reach.covers(None) && !reach.covers(Some(levan)));
    assert_eq!(reach.owners(), Some(vec![nino.0]));
    assert!(Reach::All.covers(Some(levan)) && Reach::All.owners().is_none());
}

#[test]
fn roles_are_called_by_their_words() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_value(role).expect("a word"), role.as_str());
    }
    let words = "boss".parse::<Role>().expect_err("it is none").to_string();
    for role in Role::ALL {
        assert!(words.contains(role.as_str()), "{words}");
    }
}

#[test]
fn each_command_takes_the_right_of_what_it_changes() {
    let rights: BTreeSet<(&str, &str)> = [
        ("CloseWon", "work"),
        ("CaptureLead", "work"),
        ("AddNote", "work"),
        ("MergeDeals", "merge"),
        ("UnmergeContacts", "merge"),
        ("RejectDuplicate", "merge"),
        ("CreatePipeline", "configure"),
        ("DefineField", "configure"),
        ("DefineFunnel", "configure"),
        ("RegisterUser", "staff"),
        ("CreateTeam", "staff"),
        ("HandOverWork", "staff"),
        ("GrantRole", "grant_access"),
        ("IssueApiKey", "grant_access"),
        ("EraseSubject", "erase"),
        ("RedactNote", "erase"),
    ]
    .into();
    let mut met = BTreeSet::new();
    for known in command_types() {
        let command = kvali_domain::Command::decode(known.name, &known.example).expect("its example fits");
        let right = (known.name, Permission::of(&command).as_str());
        if rights.iter().any(|(name, _)| *name == known.name) {
            met.insert(right);
        }
    }
    assert_eq!(met, rights);
}

#[test]
fn a_key_may_be_narrowed_to_some_rights_of_its_role() {
    let narrowed = |scopes: &[Permission]| {
        let scopes = Some(scopes.iter().copied().collect());
        ApiKeyIssued { scopes, ..issued(None) }
    };
    let read = narrowed(&[Permission::Read, Permission::Work]);
    given(log([])).when(Command::IssueApiKey(read.clone())).then([Event::ApiKeyIssued(read)]);
    given(log([]))
        .when(Command::IssueApiKey(narrowed(&[Permission::Read, Permission::Erase])))
        .refused(access_refusal!(Refusal::ScopeBeyondRole { scope: Permission::Erase, .. }))
        .naming(["sales", "erase", "read_personal"]);
    given(log([])).when(Command::IssueApiKey(narrowed(&[]))).refused(access_refusal!(Refusal::NoScopes));
    assert_eq!("read_personal".parse(), Ok(Permission::ReadPersonal));
    let told = "see".parse::<Permission>().expect_err("it is none").to_string();
    assert!(Permission::all().all(|right| told.contains(right.as_str())), "{told}");
}
