use crate::given::{Happened, given};
use crate::sales::*;
use kvali_domain::SubjectId;
use kvali_domain::subject::{Command, Erased, Event};

fn erased(subject: SubjectId) -> Event {
    Event::Erased(Erased { subject })
}

#[test]
fn a_subject_is_erased_once() {
    let subject = SubjectId::from(NINO);
    let happened = Happened {
        stream: subject.stream(),
        event: kvali_domain::Event::Subject(erased(subject)),
        occurred: kvali_domain::Occurred::Instant { at: NOW },
    };
    given([]).when(Command::Erase { subject }).then([erased(subject)]);
    given([happened]).when(Command::Erase { subject }).then_it_is_already_so();
}

#[test]
fn a_subjects_stream_stands_apart_from_its_aggregates() {
    assert_ne!(SubjectId::from(NINO).stream(), NINO.stream());
    assert_ne!(SubjectId::from(DEAL).stream(), DEAL.stream());
    assert_ne!(SubjectId::from(NINO).stream(), SubjectId::from(GIORGI).stream());
}
