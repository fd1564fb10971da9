use crate::given::{Happened, given};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::user::{Activated, Command, Deactivated, Event, Refusal, Registered};
use kvali_domain::{Personal, Refusal as AnyRefusal, SubjectId};

macro_rules! user_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::User($pattern))
    };
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
    given([registered(NINO)]).when(Command::Deactivate {}).then([Event::Deactivated(Deactivated {})]);
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
    assert!(Event::Deactivated(Deactivated {}).personal().is_empty());
}
