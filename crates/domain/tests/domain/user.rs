use crate::given::{Happened, given};
use crate::sales::*;
use chrono_tz::Asia::Tbilisi;
use kvali_domain::absence::{Absence, Kind};
use kvali_domain::decider::Describe;
use kvali_domain::user::{
    AbsenceCancelled, AbsenceEnded, AbsencePlanned, AbsenceStarted, Activated, CapacitySet, Command,
    Deactivated, Event, Invited, Period, Refusal, Registered, User, WorkKind,
};
use kvali_domain::{Claim, Decider, Personal, Refusal as AnyRefusal, SubjectId};

macro_rules! user_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::User($pattern))
    };
}

fn gone_event() -> Event {
    Event::Deactivated(Deactivated { user: Some(NINO) })
}

fn register(name: &str) -> Command {
    Command::Register { user: NINO, name: Personal::new(name) }
}

#[test]
fn a_user_is_registered_and_active() {
    let event =
        Event::Registered(Registered { user: NINO, name: Personal::new("ნინო ბერიძე") });
    given([]).when(register("ნინო ბერიძე")).then([event]);
    given([registered(NINO)]).when(Command::Activate {}).then_it_is_already_so();
}

#[test]
fn a_user_is_registered_once_whatever_the_name() {
    for log in [vec![registered(NINO)], vec![registered(NINO), deactivated(NINO)]] {
        for name in ["ნინო ბერიძე", "გიორგი"] {
            given(log.clone())
                .when(register(name))
                .refused(user_refusal!(Refusal::AlreadyRegistered))
                .naming(["registered already"])
                .not_naming(["გიორგი", "ნინო"]);
        }
    }
}

#[test]
fn a_name_is_not_blank() {
    for name in [Personal::new(" "), Personal::new(""), Personal(None)] {
        given([])
            .when(Command::Register { user: NINO, name })
            .refused(user_refusal!(Refusal::BlankName))
            .naming(["visible character"]);
    }
}

#[test]
fn a_user_leaves_and_comes_back_once() {
    let back = || nino_event(Event::Activated(Activated {}));
    let gone: Vec<Happened> = vec![registered(NINO), deactivated(NINO)];
    given([registered(NINO)]).when(Command::Deactivate {}).then([gone_event()]);
    given(gone.clone()).when(Command::Deactivate {}).then_it_is_already_so();
    given(gone.clone()).when(Command::Activate {}).then([Event::Activated(Activated {})]);
    given(gone.into_iter().chain([back()])).when(Command::Activate {}).then_it_is_already_so();
}

#[test]
fn a_stranger_neither_leaves_nor_comes_back() {
    for command in [Command::Activate {}, Command::Deactivate {}] {
        given([])
            .when(command)
            .refused(user_refusal!(Refusal::NoSuchUser))
            .naming(["register the user first"]);
    }
}

#[test]
fn the_name_is_sealed_under_the_users_own_key() {
    let mut event = Event::Registered(Registered { user: NINO, name: Personal::new("ნინო") });
    let fields = event.personal();
    assert_eq!(fields.len(), 1);
    assert_eq!((fields[0].subject, fields[0].field), (SubjectId::from(NINO), "name"));
    assert!(gone_event().personal().is_empty());
}

mod invitations {
    use super::*;

    fn invite(name: &str, mail: &str) -> Command {
        Command::Invite { user: NINO, name: Personal::new(name), mail: Personal::new(mail) }
    }

    fn invited(mail: &str) -> Event {
        let name = Personal::new("Nino");
        Event::Invited(Invited { user: NINO, name, mail: Personal::new(mail) })
    }

    #[test]
    fn an_invited_user_is_activated_once() {
        given([]).when(invite("Nino", " nino@example.com ")).then([invited("nino@example.com")]);
        let log = vec![nino_event(invited("nino@example.com"))];
        given(log.clone()).when(Command::Activate {}).then([Event::Activated(Activated {})]);
        let log = log.into_iter().chain([nino_event(Event::Activated(Activated {}))]);
        given(log).when(Command::Activate {}).then_it_is_already_so();
    }

    #[test]
    fn an_invitation_may_be_withdrawn() {
        given([nino_event(invited("nino@example.com"))]).when(Command::Deactivate {}).then([gone_event()]);
    }

    #[test]
    fn nobody_is_invited_twice_or_after_being_registered() {
        for log in [registered(NINO), nino_event(invited("nino@example.com"))] {
            for command in [invite("Nino", "nino@example.com"), register("Nino")] {
                given([log.clone()])
                    .when(command)
                    .refused(user_refusal!(Refusal::AlreadyRegistered))
                    .not_naming(["nino@example.com"]);
            }
        }
    }

    #[test]
    fn an_invitation_needs_a_name_and_a_mail_address() {
        let _said =
            given([]).when(invite(" ", "nino@example.com")).refused(user_refusal!(Refusal::BlankName));
        for mail in [
            "",
            "nino",
            "@example.com",
            "nino@",
            "nino@example",
            "nino@.com",
            "nino@example.",
            "a@b@c.de",
            "ni no@example.com",
        ] {
            given([])
                .when(invite("Nino", mail))
                .refused(user_refusal!(Refusal::NoMailAddress))
                .naming(["name@example.com"]);
        }
    }

    #[test]
    fn a_mail_address_belongs_to_one_user_whatever_its_case_and_is_a_personal_key() {
        let claims = invited("Nino@Example.COM").claims();
        assert_eq!(claims, [Claim::take("user.mail", "nino@example.com").personal()]);
    }

    #[test]
    fn name_and_mail_of_an_invitation_are_sealed() {
        let mut event = invited("nino@example.com");
        assert!(!event.data().contains("nino@"));
        let fields: Vec<_> = event.personal().iter().map(|found| (found.subject, found.field)).collect();
        assert_eq!(fields, [(SubjectId::from(NINO), "name"), (SubjectId::from(NINO), "mail")]);
    }
}

#[test]
fn whoever_leaves_owns_no_open_work() {
    assert_eq!(gone_event().claims(), [Claim::none("user.work", NINO.to_string())]);
}

mod absences {
    use super::*;
    use kvali_domain::UserId;

    fn plan(from: &str, to: &str, substitute: Option<UserId>) -> Command {
        let (from, to, zone) = (date(from), date(to), Tbilisi);
        Command::PlanAbsence { kind: Kind::Vacation, from, to, zone, substitute }
    }

    fn planned(absence: i32, from: &str, to: &str, substitute: Option<UserId>) -> Event {
        let (from, to, zone) = (date(from), date(to), Tbilisi);
        Event::AbsencePlanned(AbsencePlanned { absence, kind: Kind::Vacation, from, to, zone, substitute })
    }

    fn started(absence: i32) -> Happened {
        nino_event(Event::AbsenceStarted(AbsenceStarted { absence }))
    }

    fn ended(absence: i32) -> Happened {
        nino_event(Event::AbsenceEnded(AbsenceEnded { absence }))
    }

    fn cancelled(absence: i32) -> Happened {
        nino_event(Event::AbsenceCancelled(AbsenceCancelled { absence }))
    }

    /// Absence 1 from 8 to 19 July; it is the 3rd.
    fn log(more: impl IntoIterator<Item = Happened>) -> Vec<Happened> {
        let first = nino_event(planned(1, "2024-07-08", "2024-07-19", None));
        [registered(NINO), first].into_iter().chain(more).collect()
    }

    fn nino(log: &[Happened]) -> User {
        let mut user = User::default();
        for happened in log {
            let kvali_domain::Event::User(event) = &happened.event else { continue };
            user.evolve(event, 1, &happened.occurred);
        }
        user
    }

    #[test]
    fn absences_are_numbered_from_1() {
        given([registered(NINO)]).when(plan("2024-07-08", "2024-07-08", None)).then([planned(
            1,
            "2024-07-08",
            "2024-07-08",
            None,
        )]);
        given(log([cancelled(1)])).when(plan("2024-07-08", "2024-07-19", None)).then([planned(
            2,
            "2024-07-08",
            "2024-07-19",
            None,
        )]);
    }

    #[test]
    fn an_absence_ends_no_earlier_than_it_begins() {
        given([registered(NINO)])
            .when(plan("2024-07-09", "2024-07-08", None))
            .refused(user_refusal!(Refusal::EndsBeforeItBegins { .. }))
            .naming(["2024-07-08", "2024-07-09"]);
    }

    #[test]
    fn planning_the_same_absence_again_is_already_so() {
        for log in [log([]), log([started(1)])] {
            given(log).when(plan("2024-07-08", "2024-07-19", None)).then_it_is_already_so();
        }
    }

    #[test]
    fn absences_do_not_meet() {
        for (from, to) in
            [("2024-07-19", "2024-07-25"), ("2024-07-01", "2024-07-08"), ("2024-07-10", "2024-07-10")]
        {
            for log in [log([]), log([started(1)])] {
                given(log)
                    .when(plan(from, to, None))
                    .refused(user_refusal!(Refusal::Overlaps { absence: 1, .. }))
                    .naming(["2024-07-08", "2024-07-19"]);
            }
        }
        given(log([])).when(plan("2024-07-20", "2024-07-20", None)).then([planned(
            2,
            "2024-07-20",
            "2024-07-20",
            None,
        )]);
    }

    #[test]
    fn an_absence_that_ended_early_leaves_its_days_free() {
        given(log([started(1), ended(1)])).when(plan("2024-07-18", "2024-07-19", None)).then([planned(
            2,
            "2024-07-18",
            "2024-07-19",
            None,
        )]);
    }

    #[test]
    fn an_absence_that_runs_on_keeps_its_days_until_today() {
        let at = "2024-07-22T08:00:00Z".parse().expect("an RFC 3339 time");
        let _said = given(log([started(1)]))
            .at(at)
            .when(plan("2024-07-22", "2024-07-23", None))
            .refused(user_refusal!(Refusal::Overlaps { absence: 1, .. }));
        given(log([started(1)])).at(at).when(plan("2024-07-23", "2024-07-23", None)).then([planned(
            2,
            "2024-07-23",
            "2024-07-23",
            None,
        )]);
    }

    #[test]
    fn a_substitute_is_another_active_user_who_is_there() {
        let command = || plan("2024-07-08", "2024-07-19", Some(GIORGI));
        let with = |more: Vec<Happened>| given([registered(NINO)].into_iter().chain(more));
        with(vec![registered(GIORGI), away(GIORGI, "2024-07-20", "2024-07-30", None)])
            .when(command())
            .then([planned(1, "2024-07-08", "2024-07-19", Some(GIORGI))]);
        for gone in [vec![], vec![registered(GIORGI), deactivated(GIORGI)]] {
            with(gone)
                .when(command())
                .refused(user_refusal!(Refusal::SubstituteNotActive { user: GIORGI }))
                .naming(["registered, active user"]);
        }
        with(vec![registered(GIORGI), away(GIORGI, "2024-07-19", "2024-07-30", None)])
            .when(command())
            .refused(user_refusal!(Refusal::SubstituteAbsent { user: GIORGI, .. }))
            .naming(["2024-07-19", "2024-07-30", "one who is there"]);
        with(vec![])
            .when(plan("2024-07-08", "2024-07-19", Some(NINO)))
            .refused(user_refusal!(Refusal::OwnSubstitute))
            .naming(["another user"]);
    }

    #[test]
    fn an_absence_starts_once_and_ends_once() {
        let (start, end) = (|| Command::StartAbsence { absence: 1 }, || Command::EndAbsence { absence: 1 });
        given(log([])).when(start()).then([Event::AbsenceStarted(AbsenceStarted { absence: 1 })]);
        given(log([started(1)])).when(start()).then_it_is_already_so();
        given(log([started(1)])).when(end()).then([Event::AbsenceEnded(AbsenceEnded { absence: 1 })]);
        given(log([started(1), ended(1)])).when(end()).then_it_is_already_so();
    }

    #[test]
    fn a_planned_absence_is_cancelled_once() {
        let cancel = || Command::CancelAbsence { absence: 1 };
        given(log([])).when(cancel()).then([Event::AbsenceCancelled(AbsenceCancelled { absence: 1 })]);
        given(log([cancelled(1)])).when(cancel()).then_it_is_already_so();
    }

    #[test]
    fn each_step_expects_the_one_before() {
        let (start, end) = (Command::StartAbsence { absence: 1 }, Command::EndAbsence { absence: 1 });
        let cancel = Command::CancelAbsence { absence: 1 };
        for (before, command, words) in [
            (log([]), &end, ["is planned", "running"]),
            (log([cancelled(1)]), &end, ["is cancelled", "running"]),
            (log([cancelled(1)]), &start, ["is cancelled", "planned"]),
            (log([started(1), ended(1)]), &start, ["is ended", "planned"]),
            (log([started(1)]), &cancel, ["is running", "planned"]),
            (log([started(1), ended(1)]), &cancel, ["is ended", "planned"]),
        ] {
            given(before)
                .when(command.clone())
                .refused(user_refusal!(Refusal::WrongProgress { absence: 1, .. }))
                .naming(words);
        }
    }

    #[test]
    fn one_absence_runs_at_a_time() {
        let second = nino_event(planned(2, "2024-08-01", "2024-08-02", None));
        given(log([second, started(1)]))
            .when(Command::StartAbsence { absence: 2 })
            .refused(user_refusal!(Refusal::StillRunning { running: 1 }))
            .naming(["EndAbsence"]);
    }

    #[test]
    fn an_unknown_absence_is_answered_with_their_number() {
        for absence in [0, 2, i32::MIN, i32::MAX] {
            for command in [
                Command::StartAbsence { absence },
                Command::EndAbsence { absence },
                Command::CancelAbsence { absence },
            ] {
                given(log([]))
                    .when(command)
                    .refused(user_refusal!(Refusal::NoSuchAbsence { last: 1, .. }))
                    .naming(["there are 1"]);
            }
        }
    }

    #[test]
    fn whoever_started_is_absent_until_the_end_is_told() {
        let at = |text: &str| text.parse().expect("an RFC 3339 time");
        for (log, now, absent) in [
            (log([]), "2024-07-07T19:59:59Z", false),
            (log([]), "2024-07-07T20:00:00Z", true),
            (log([]), "2024-07-19T19:59:59Z", true),
            (log([]), "2024-07-19T20:00:00Z", false),
            (log([started(1)]), "2024-07-03T10:00:00Z", true),
            (log([started(1)]), "2024-09-01T10:00:00Z", true),
            (log([started(1), ended(1)]), "2024-07-10T10:00:00Z", false),
            (log([cancelled(1)]), "2024-07-10T10:00:00Z", false),
        ] {
            assert_eq!(nino(&log).is_absent(at(now)).is_some(), absent, "{now}");
        }
        let user = nino(&log([]));
        let on = |day: &str| user.absent_on(date(day), NOW).map(|absence| absence.number);
        assert_eq!(
            [on("2024-07-07"), on("2024-07-08"), on("2024-07-19"), on("2024-07-20")],
            [None, Some(1), Some(1), None]
        );
    }

    #[test]
    fn the_last_day_of_the_calendar_has_none_after_it() {
        let (from, to) = (chrono::NaiveDate::MIN, chrono::NaiveDate::MAX);
        let command = Command::PlanAbsence { kind: Kind::Other, from, to, zone: Tbilisi, substitute: None };
        let event =
            AbsencePlanned { absence: 1, kind: Kind::Other, from, to, zone: Tbilisi, substitute: None };
        given([registered(NINO)]).when(command).then([Event::AbsencePlanned(event.clone())]);
        let user = nino(&[registered(NINO), nino_event(Event::AbsencePlanned(event))]);
        assert_eq!(user.is_absent(NOW).map(Absence::back), Some(to));
        assert!(
            user.is_absent(chrono::DateTime::<chrono::Utc>::MAX_UTC).is_none(),
            "no local time is known there"
        );
    }
}

mod capacities {
    use super::*;

    fn set(count: i32) -> Command {
        Command::SetCapacity { work: WorkKind::Deals, period: Period::Week, count }
    }

    fn was_set(count: i32) -> Event {
        Event::CapacitySet(CapacitySet { work: WorkKind::Deals, period: Period::Week, count })
    }

    #[test]
    fn a_capacity_is_set_per_work_and_period() {
        for count in [0, i32::MAX] {
            given([registered(NINO)]).when(set(count)).then([was_set(count)]);
        }
        let other = Command::SetCapacity { work: WorkKind::Deals, period: Period::Day, count: 5 };
        let event = CapacitySet { work: WorkKind::Deals, period: Period::Day, count: 5 };
        given([registered(NINO), nino_event(was_set(5))]).when(other).then([Event::CapacitySet(event)]);
    }

    #[test]
    fn the_last_capacity_is_the_one_in_force() {
        let log = || [registered(NINO), nino_event(was_set(5)), nino_event(was_set(3))];
        given(log()).when(set(3)).then_it_is_already_so();
        given(log()).when(set(5)).then([was_set(5)]);
    }

    #[test]
    fn a_capacity_is_zero_or_more() {
        given([registered(NINO)])
            .when(set(-1))
            .refused(user_refusal!(Refusal::NegativeCapacity { count: -1 }))
            .naming(["zero or more"]);
    }
}
