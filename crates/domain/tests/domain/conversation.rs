use crate::given::{Happened, Tells, given};
use crate::sales::*;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::conversation::*;
use kvali_domain::decider::Describe;
use kvali_domain::{Claim, ContactId, Personal, Refusal as AnyRefusal, SubjectId, Target, UserId};
use uuid::Uuid;

macro_rules! chat_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Conversation($pattern))
    };
}

const MARI: ContactId = ContactId(Uuid::from_u128(0xc1));
const LEVAN: ContactId = ContactId(Uuid::from_u128(0xc2));

fn happened(event: Event) -> Happened {
    Happened { stream: CHAT.stream(), event: event.event(), occurred: instant("2024-06-01T08:00:00Z") }
}

fn begun(contact: Option<ContactId>) -> Event {
    Event::Opened(Opened { channel: "whatsapp".to_owned(), thread_id: "wa-1".to_owned(), contact })
}

/// A conversation with nobody known, and what happened in it.
fn chat(events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    let around = [registered(NINO), contact_known(MARI), contact_known(LEVAN), lead_captured(LEAD, None)];
    [begun(None)].into_iter().chain(events).map(happened).chain(around).collect()
}

fn received_from(number: i32, message_id: &str, subject: SubjectId) -> Event {
    Event::MessageReceived(MessageReceived {
        number,
        channel: "whatsapp".to_owned(),
        message_id: message_id.to_owned(),
        subject,
        text: Personal::new("გამარჯობა"),
    })
}

fn received(number: i32, message_id: &str) -> Event {
    received_from(number, message_id, CHAT.into())
}

fn sent_to(number: i32, subject: SubjectId) -> Event {
    Event::MessageSent(MessageSent {
        number,
        purpose: Purpose::Service,
        consent: None,
        template: None,
        subject,
        text: Personal::new("hello"),
    })
}

fn sent(number: i32) -> Event {
    sent_to(number, CHAT.into())
}

const CLOSED: Event = Event::Closed(Closed {});

fn linked(to: Target) -> Event {
    Event::Linked(Linked { to })
}

fn open(channel: &str, thread_id: &str) -> Command {
    Command::Open { channel: channel.to_owned(), thread_id: thread_id.to_owned(), contact: None }
}

fn receive(message_id: &str) -> Command {
    Command::Receive { message_id: message_id.to_owned(), text: Personal::new("გამარჯობა") }
}

fn send(text: &str) -> Command {
    let (consent, template) = (None, None);
    Command::Send { text: Personal::new(text), purpose: Purpose::Service, consent, template }
}

fn marketing(consent: Option<&str>) -> Command {
    let (consent, template) = (consent.map(str::to_owned), None);
    Command::Send { text: Personal::new("hello"), purpose: Purpose::Marketing, consent, template }
}

fn report(message: i32, report: Report) -> Command {
    Command::RecordDelivery { message, report }
}

fn failed(code: &str) -> Report {
    Report::Failed { code: code.to_owned() }
}

fn message_failed() -> Event {
    Event::MessageFailed(MessageFailed { message: 1, code: "blocked".to_owned() })
}

const DELIVERED: Event = Event::MessageDelivered(MessageDelivered { message: 1 });
const READ: Event = Event::MessageRead(MessageRead { message: 1 });

fn assign(assignee: UserId) -> Command {
    Command::Assign { assignee, force: false, reason: Personal::default() }
}

fn given_to(from: Option<UserId>, to: UserId) -> Event {
    Event::Assigned(Assigned { from, to, forced: false, subject: None, reason: Personal::default() })
}

#[test]
fn a_conversation_is_opened_once() {
    given([]).when(open("whatsapp", "wa-1")).then([begun(None)]);
    let with_mari =
        Command::Open { channel: "whatsapp".to_owned(), thread_id: "wa-1".to_owned(), contact: Some(MARI) };
    given([contact_known(MARI)]).when(with_mari).then([begun(Some(MARI))]);
    for log in [chat([]), chat([CLOSED])] {
        given(log)
            .when(open("whatsapp", "wa-1"))
            .refused(chat_refusal!(Refusal::AlreadyOpened))
            .naming(["an id is used once"]);
    }
}

#[test]
fn threads_and_received_messages_belong_to_one_conversation_of_a_channel() {
    let (thread, message) = (
        Claim::take("conversation.thread_id", "whatsapp\u{1f}wa-1"),
        Claim::take("conversation.message_id", "whatsapp\u{1f}m-1"),
    );
    assert_eq!(begun(None).claims(), [thread]);
    assert_eq!(received(1, "m-1").claims(), [message]);
    assert_eq!(sent(1).claims(), []);
}

#[test]
fn channel_thread_and_message_have_the_shape_of_ids() {
    given([])
        .when(open("WhatsApp", "wa-1"))
        .refused(chat_refusal!(Refusal::NotACode(_)))
        .naming(["channel", "a-z"]);
    given([])
        .when(open("whatsapp", ""))
        .refused(chat_refusal!(Refusal::NotAnId(_)))
        .naming(["thread_id", "255"]);
    given(chat([]))
        .when(receive("m\u{1f}1"))
        .refused(chat_refusal!(Refusal::NotAnId(_)))
        .naming(["message_id", "255"]);
}

#[test]
fn a_conversation_that_is_not_open_yet_refuses_everything() {
    let link = Command::Link { to: Target::Contact(MARI) };
    for command in [receive("m-1"), send("hello"), report(1, Report::Read {}), Command::Close {}, link] {
        given([]).when(command).refused(chat_refusal!(Refusal::NoSuchConversation)).naming(["open it first"]);
    }
}

#[test]
fn messages_are_numbered_from_1_whoever_sent_them() {
    given(chat([])).when(receive("m-1")).then([received(1, "m-1")]);
    given(chat([received(1, "m-1")])).when(send("hello")).then([sent(2)]);
    given(chat([received(1, "m-1"), sent(2)])).when(receive("m-2")).then([received(3, "m-2")]);
}

#[test]
fn a_message_to_a_closed_conversation_reopens_it() {
    let back = || Event::Reopened(Reopened {});
    given(chat([sent(1), CLOSED])).when(receive("m-1")).then([back(), received(2, "m-1")]);
    given(chat([sent(1), CLOSED, back(), received(2, "m-1")])).when(send("hello")).then([sent(3)]);
}

#[test]
fn a_closed_conversation_sends_nothing_and_says_the_way_out() {
    for command in [send("hello"), assign(NINO)] {
        given(chat([CLOSED]))
            .when(command)
            .refused(chat_refusal!(Refusal::Closed))
            .naming(["OpenConversation", "next message"]);
    }
}

#[test]
fn a_sent_message_says_something_and_a_received_one_may_be_a_picture() {
    given(chat([]))
        .when(send(" "))
        .refused(chat_refusal!(Refusal::BlankMessage))
        .naming(["visible character"]);
    let Event::MessageReceived(mut event) = received(1, "m-1") else { unreachable!("it is one") };
    event.text = Personal(None);
    given(chat([]))
        .when(Command::Receive { message_id: "m-1".to_owned(), text: Personal::new(" ") })
        .then([Event::MessageReceived(event)]);
}

#[test]
fn a_message_has_a_longest_length() {
    let long = "მ".repeat(MAX_MESSAGE + 1);
    let received = Command::Receive { message_id: "m-1".to_owned(), text: Personal::new(&*long) };
    for command in [send(&long), received] {
        given(chat([])).when(command).refused(chat_refusal!(Refusal::TooLong(_))).naming([
            "text",
            "100001",
            "at most 100000",
        ]);
    }
}

#[test]
fn marketing_names_the_consent_that_it_rests_on() {
    let Event::MessageSent(mut event) = sent(1) else { unreachable!("it is one") };
    event.purpose = Purpose::Marketing;
    event.consent = Some("consent-17".to_owned());
    given(chat([])).when(marketing(Some("consent-17"))).then([Event::MessageSent(event)]);
    given(chat([]))
        .when(marketing(None))
        .refused(chat_refusal!(Refusal::ConsentMissing))
        .naming(["`consent`"]);
    given(chat([]))
        .when(marketing(Some("she said yes")))
        .refused(chat_refusal!(Refusal::NotAnId(_)))
        .naming(["consent", "without white space"]);
}

#[test]
fn a_template_is_named_with_its_version() {
    let with = |code: &str, version| Command::Send {
        text: Personal::new("hello"),
        purpose: Purpose::Service,
        consent: None,
        template: Some(Template { code: code.to_owned(), version }),
    };
    let Event::MessageSent(mut event) = sent(1) else { unreachable!("it is one") };
    event.template = Some(Template { code: "welcome".to_owned(), version: 1 });
    given(chat([])).when(with("welcome", 1)).then([Event::MessageSent(event)]);
    given(chat([]))
        .when(with("welcome", 0))
        .refused(chat_refusal!(Refusal::NoSuchTemplateVersion { .. }))
        .naming(["from 1"]);
    given(chat([]))
        .when(with("Welcome!", 1))
        .refused(chat_refusal!(Refusal::NotACode(_)))
        .naming(["template.code"]);
}

#[test]
fn texts_are_sealed_under_the_contacts_key_once_there_is_one() {
    let text = |mut event: Event| {
        let fields = event.personal();
        assert_eq!((fields.len(), fields[0].field), (1, "text"));
        fields[0].subject
    };
    assert_eq!([text(received(1, "m-1")), text(sent(1))], [SubjectId::from(CHAT); 2]);
    given([happened(begun(Some(MARI)))]).when(send("hello")).then([sent_to(1, MARI.into())]);
    given(chat([linked(Target::Contact(MARI))])).when(receive("m-1")).then([received_from(
        1,
        "m-1",
        MARI.into(),
    )]);
}

#[test]
fn a_sent_message_is_delivered_then_read_or_it_fails() {
    let log = |events: &[Event]| chat([sent(1)].into_iter().chain(events.iter().cloned()));
    given(log(&[])).when(report(1, Report::Delivered {})).then([DELIVERED]);
    given(log(&[])).when(report(1, Report::Read {})).then([READ]);
    given(log(&[])).when(report(1, failed("blocked"))).then([message_failed()]);
    given(log(&[DELIVERED])).when(report(1, Report::Read {})).then([READ]);
    given(log(&[CLOSED])).when(report(1, Report::Read {})).then([READ]);
}

#[test]
fn a_report_that_comes_again_or_late_changes_nothing() {
    for (event, again) in [
        (DELIVERED, Report::Delivered {}),
        (READ, Report::Read {}),
        (READ, Report::Delivered {}),
        (message_failed(), failed("other_reason")),
    ] {
        given(chat([sent(1), event])).when(report(1, again)).then_it_is_already_so();
    }
}

#[test]
fn what_was_delivered_does_not_fail_and_what_failed_is_not_delivered() {
    for (event, against, was) in [
        (DELIVERED, failed("blocked"), "was delivered"),
        (READ, failed("blocked"), "was read"),
        (message_failed(), Report::Delivered {}, "failed"),
        (message_failed(), Report::Read {}, "failed"),
    ] {
        given(chat([sent(1), event]))
            .when(report(1, against))
            .refused(chat_refusal!(Refusal::OutOfOrder { .. }))
            .naming([was, "a new message"]);
    }
}

#[test]
fn only_messages_that_we_sent_are_delivered() {
    given(chat([received(1, "m-1")]))
        .when(report(1, Report::Read {}))
        .refused(chat_refusal!(Refusal::NotSentByUs { .. }))
        .naming(["received"]);
    for number in [i32::MIN, -1, 0, 2, i32::MAX] {
        given(chat([sent(1)]))
            .when(report(number, Report::Read {}))
            .refused(chat_refusal!(Refusal::NoSuchMessage { .. }))
            .naming(["last one is 1"]);
    }
    given(chat([sent(1)]))
        .when(report(1, failed("It was blocked")))
        .refused(chat_refusal!(Refusal::NotACode(_)))
        .naming(["code"]);
}

#[test]
fn a_conversation_is_assigned_to_an_active_user() {
    let nino = || given_to(None, NINO);
    given(chat([])).when(assign(NINO)).then([nino()]);
    given(chat([nino()])).when(assign(NINO)).then_it_is_already_so();
    given(chat([nino()]).into_iter().chain([registered(GIORGI)]))
        .when(assign(GIORGI))
        .then([given_to(Some(NINO), GIORGI)]);
    for stranger in [GIORGI, UserId(CHAT.0)] {
        given(chat([]).into_iter().chain([registered(GIORGI), deactivated(GIORGI)]))
            .when(assign(stranger))
            .refused(chat_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { .. })))
            .naming(["active user"]);
    }
}

#[test]
fn a_conversation_is_closed_once() {
    given(chat([])).when(Command::Close {}).then([CLOSED]);
    given(chat([CLOSED])).when(Command::Close {}).then_it_is_already_so();
}

#[test]
fn a_conversation_is_linked_with_what_exists_each_once() {
    let link = |to| Command::Link { to };
    let (deal, lead) = (Target::Deal(DEAL), Target::Lead(LEAD));
    let log = |events: &[Event]| chat(events.to_vec()).into_iter().chain([sales(), opened()]);
    given(log(&[])).when(link(deal)).then([linked(deal)]);
    given(log(&[linked(deal)])).when(link(lead)).then([linked(lead)]);
    given(log(&[linked(deal), linked(lead)])).when(link(deal)).then_it_is_already_so();
    given(log(&[CLOSED])).when(link(deal)).then([linked(deal)]);
    given(chat([]))
        .when(link(deal))
        .refused(chat_refusal!(Refusal::NoSuchTarget(_)))
        .naming(["deal", "that exists"]);
}

#[test]
fn the_contact_linked_last_is_whose_conversation_it_is() {
    let link = |contact| Command::Link { to: Target::Contact(contact) };
    let (mari, levan) = (|| linked(Target::Contact(MARI)), || linked(Target::Contact(LEVAN)));
    given(chat([mari()])).when(link(MARI)).then_it_is_already_so();
    given(chat([mari(), levan()])).when(send("hello")).then([sent_to(1, LEVAN.into())]);
    given(chat([mari(), levan()])).when(link(MARI)).then([mari()]);
    given(chat([mari(), levan(), mari()])).when(send("hello")).then([sent_to(1, MARI.into())]);
}
