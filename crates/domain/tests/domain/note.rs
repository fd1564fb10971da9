use crate::given::{Happened, Tells, given};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::note::*;
use kvali_domain::{ContactId, ContentHash, Event as AnyEvent, Personal, Refusal as AnyRefusal};
use kvali_domain::{SubjectId, Target, subject};
use uuid::Uuid;

macro_rules! note_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Note($pattern))
    };
}

const HER: ContactId = ContactId(Uuid::from_u128(0xc1));
const MARI: Target = Target::Contact(HER);
const PINNED: Event = Event::Pinned(Pinned {});
const UNPINNED: Event = Event::Unpinned(Unpinned {});

fn added_about(about: Target, visibility: Visibility) -> Event {
    let (author, subject) = (ACTOR, NOTE.into());
    Event::Added(Added { about, author, visibility, subject, text: Personal::new("calls on Mondays") })
}

fn note(events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    let happened = |event: Event| Happened {
        stream: NOTE.stream(),
        event: event.event(),
        occurred: instant("2024-06-01T08:00:00Z"),
    };
    [added_about(MARI, Visibility::Team)].into_iter().chain(events).map(happened).collect()
}

fn revised(revision: i32, reason: Personal) -> Event {
    let text = Personal::new("calls on Tuesdays");
    Event::Revised(Revised { revision, subject: NOTE.into(), text, reason })
}

fn redacted(reason: &str) -> Event {
    Event::Redacted(Redacted {
        destroyed: NOTE.into(),
        subject: redaction_subject(NOTE),
        reason: Personal::new(reason).unless_blank(),
    })
}

fn hash(digit: &str) -> ContentHash {
    ContentHash::parse(&digit.repeat(64)).expect("64 digits")
}

fn attached(file: i32, digit: &str) -> Event {
    Event::FileAttached(FileAttached {
        file,
        media_type: "application/pdf".to_owned(),
        size_bytes: 1,
        hash: hash(digit),
        subject: NOTE.into(),
        name: Personal::new("ხელშეკრულება.pdf"),
    })
}

fn detached(file: i32) -> Event {
    Event::FileDetached(FileDetached { file })
}

fn add(about: Target, text: &str, visibility: Visibility) -> Command {
    Command::Add { about, text: Personal::new(text), visibility }
}

fn revise(text: &str, reason: &str) -> Command {
    Command::Revise { text: Personal::new(text), reason: Personal::new(reason) }
}

fn redact(reason: &str) -> Command {
    Command::Redact { reason: Personal::new(reason) }
}

fn attach(name: &str, media_type: &str, size_bytes: i32, digit: &str) -> Command {
    let (name, media_type) = (Personal::new(name), media_type.to_owned());
    Command::AttachFile { name, media_type, size_bytes, hash: hash(digit) }
}

fn contract(digit: &str) -> Command {
    attach("ხელშეკრულება.pdf", "application/pdf", 1, digit)
}

#[test]
fn a_note_is_added_by_its_author_about_what_exists() {
    for visibility in [Visibility::Team, Visibility::Private, Visibility::All] {
        given([contact_known(HER)])
            .when(add(MARI, "calls on Mondays", visibility))
            .then([added_about(MARI, visibility)]);
    }
    let about = || add(Target::Deal(DEAL), "calls on Mondays", Visibility::All);
    given([sales(), opened()]).when(about()).then([added_about(Target::Deal(DEAL), Visibility::All)]);
    given([]).when(about()).refused(note_refusal!(Refusal::NoSuchTarget(_))).naming(["deal", "that exists"]);
    given(note([]))
        .when(add(MARI, "calls on Mondays", Visibility::Team))
        .refused(note_refusal!(Refusal::AlreadyAdded))
        .naming(["ReviseNote"]);
}

#[test]
fn a_note_that_was_not_added_refuses_everything() {
    for command in [revise("a", "b"), redact("a"), Command::Pin {}, Command::Unpin {}, contract("a")] {
        given([]).when(command).refused(note_refusal!(Refusal::NoSuchNote)).naming(["add it first"]);
    }
}

#[test]
fn texts_and_file_names_are_not_blank() {
    let blank = |field| move |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Note(Refusal::Blank { field: blank }) if *blank == field);
    given([]).when(add(MARI, " ", Visibility::Team)).refused(blank("text")).naming(["visible character"]);
    given(note([])).when(revise("", "")).refused(blank("text")).naming(["visible character"]);
    given(note([]))
        .when(attach("\t", "text/csv", 1, "a"))
        .refused(blank("name"))
        .naming(["visible character"]);
}

#[test]
fn texts_reasons_and_file_names_have_a_longest_length() {
    let letters = |count: usize| "მ".repeat(count);
    for (log, command, field, limit) in [
        (
            vec![contact_known(HER)],
            add(MARI, &letters(MAX_TEXT + 1), Visibility::Team),
            "text",
            "at most 20000",
        ),
        (note([]), revise(&letters(MAX_TEXT + 1), ""), "text", "at most 20000"),
        (note([]), revise("a", &letters(MAX_REASON + 1)), "reason", "at most 1000"),
        (note([]), redact(&letters(MAX_REASON + 1)), "reason", "at most 1000"),
        (note([]), attach(&letters(MAX_FILE_NAME + 1), "text/csv", 1, "a"), "name", "at most 255"),
    ] {
        given(log).when(command).refused(note_refusal!(Refusal::TooLong(_))).naming([field, limit]);
    }
    let Event::Added(mut event) = added_about(MARI, Visibility::Team) else { unreachable!("it is one") };
    event.text = Personal::new(letters(MAX_TEXT));
    given([contact_known(HER)])
        .when(add(MARI, &letters(MAX_TEXT), Visibility::Team))
        .then([Event::Added(event)]);
}

#[test]
fn an_author_revises_without_a_reason_and_others_with_one() {
    let none = Personal::default;
    given(note([])).when(revise("calls on Tuesdays", " ")).then([revised(2, none())]);
    given(note([revised(2, none())])).when(revise("calls on Tuesdays", "")).then([revised(3, none())]);
    given(note([]))
        .sent_by(NINO)
        .when(revise("calls on Tuesdays", " "))
        .refused(note_refusal!(Refusal::NotTheAuthor))
        .naming(["another's", "`reason`", "reason code"]);
    given(note([]))
        .sent_by(NINO)
        .when(revise("calls on Tuesdays", "she said so"))
        .then([revised(2, Personal::new("she said so"))]);
    given(note([]))
        .sent_by(NINO)
        .because("hand_over")
        .when(revise("calls on Tuesdays", ""))
        .then([revised(2, none())]);
    // Whoever revised a note has not become its author.
    given(note([revised(2, none())]))
        .sent_by(NINO)
        .when(revise("calls on Tuesdays", ""))
        .refused(note_refusal!(Refusal::NotTheAuthor))
        .naming(["another's"]);
}

#[test]
fn redacting_erases_the_notes_own_subject_with_it() {
    let key = SubjectId::from(NOTE);
    let erased = || AnyEvent::Subject(subject::Event::Erased(subject::Erased { subject: key }));
    for (reason, code) in [("names a third person", " "), (" ", "third_person")] {
        given(note([])).because(code).when(redact(reason)).then([redacted(reason).event(), erased()]);
    }
    given(note([]))
        .when(redact(" "))
        .refused(note_refusal!(Refusal::ReasonMissing))
        .naming(["`reason`", "reason code"]);
    given(note([redacted("names a third person")])).when(redact("again")).then_it_is_already_so();
}

#[test]
fn the_reason_of_a_redaction_is_not_sealed_with_the_key_that_it_destroys() {
    let mut event = redacted("names a third person");
    let sealed = event.personal()[0].subject;
    assert_eq!(sealed, redaction_subject(NOTE));
    assert_ne!(sealed, SubjectId::from(NOTE));
}

#[test]
fn everything_else_is_sealed_under_the_notes_own_key() {
    let sealed = |mut event: Event| {
        let fields = event.personal();
        assert!(fields.iter().all(|found| found.subject == NOTE.into()));
        fields.iter().map(|found| found.field).collect::<Vec<_>>()
    };
    assert_eq!(sealed(added_about(MARI, Visibility::Team)), ["text"]);
    assert_eq!(sealed(revised(2, Personal::default())), ["text", "reason"]);
    assert_eq!(sealed(attached(1, "a")), ["name"]);
}

#[test]
fn a_redacted_note_takes_no_text_and_no_file_but_lets_go_of_what_it_has() {
    let log = || note([attached(1, "a"), PINNED, redacted("names a third person")]);
    for command in [revise("calls on Tuesdays", ""), Command::Pin {}, contract("b")] {
        given(log()).when(command).refused(note_refusal!(Refusal::Redacted)).naming(["AddNote"]);
    }
    given(log()).when(Command::DetachFile { file: 1 }).then([detached(1)]);
    given(log()).when(Command::Unpin {}).then([UNPINNED]);
}

#[test]
fn a_note_is_pinned_and_unpinned_once() {
    given(note([])).when(Command::Pin {}).then([PINNED]);
    given(note([PINNED])).when(Command::Pin {}).then_it_is_already_so();
    given(note([PINNED])).when(Command::Unpin {}).then([UNPINNED]);
    for events in [vec![], vec![PINNED, UNPINNED]] {
        given(note(events)).when(Command::Unpin {}).then_it_is_already_so();
    }
}

#[test]
fn files_are_numbered_from_1_and_a_content_is_attached_once() {
    given(note([])).when(contract("a")).then([attached(1, "a")]);
    given(note([attached(1, "a")])).when(contract("a")).then_it_is_already_so();
    given(note([attached(1, "a")])).when(contract("b")).then([attached(2, "b")]);
    given(note([attached(1, "a"), detached(1)])).when(contract("a")).then([attached(2, "a")]);
}

#[test]
fn a_file_has_1_byte_to_25_mib() {
    for size_bytes in [i32::MIN, -1, 0, MAX_FILE_BYTES + 1, i32::MAX] {
        given(note([]))
            .when(attach("a.pdf", "application/pdf", size_bytes, "a"))
            .refused(note_refusal!(Refusal::FileSize { .. }))
            .naming(["1 to 26214400"]);
    }
    let Event::FileAttached(mut event) = attached(1, "a") else { unreachable!("it is one") };
    event.size_bytes = MAX_FILE_BYTES;
    given(note([]))
        .when(attach("ხელშეკრულება.pdf", "application/pdf", MAX_FILE_BYTES, "a"))
        .then([Event::FileAttached(event)]);
}

#[test]
fn a_file_is_of_a_media_type_from_the_list_whatever_its_case() {
    for media_type in ["text/html", "image/svg+xml", "application/pdf; charset=x", ""] {
        given(note([]))
            .when(attach("a.pdf", media_type, 1, "a"))
            .refused(note_refusal!(Refusal::MediaType { .. }))
            .naming(MEDIA_TYPES.iter().copied());
    }
    given(note([])).when(attach("ხელშეკრულება.pdf", "Application/PDF", 1, "a")).then([attached(1, "a")]);
}

#[test]
fn a_file_is_detached_once_and_must_be_there() {
    let detach = |file| Command::DetachFile { file };
    given(note([attached(1, "a")])).when(detach(1)).then([detached(1)]);
    given(note([attached(1, "a"), detached(1)])).when(detach(1)).then_it_is_already_so();
    for file in [i32::MIN, 0, 2, i32::MAX] {
        given(note([attached(1, "a")]))
            .when(detach(file))
            .refused(note_refusal!(Refusal::NoSuchFile { .. }))
            .naming(["it has had 1", "numbered from 1"]);
    }
}
