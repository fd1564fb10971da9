use crate::configuring::activity_type;
use crate::given::{Happened, Tells, given, on};
use crate::sales::*;
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::activity_types::{self, Kind};
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::call::*;
use kvali_domain::decider::Describe;
use kvali_domain::dictionary::NotInDictionary;
use kvali_domain::{
    ActivityTypeId, CallId, Claim, ContactId, ContentHash, Due, Event as AnyEvent, Personal,
    Refusal as AnyRefusal, SubjectId, Target, TaskId, UserId, task,
};
use uuid::Uuid;

macro_rules! call_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Call($pattern))
    };
}

const TASK: TaskId = TaskId(Uuid::from_u128(0x7a51));
const LEAD: Belongs = Belongs::Lead(crate::sales::LEAD);
const MARI: ContactId = ContactId(Uuid::from_u128(0xc1));
const LEVAN: ContactId = ContactId(Uuid::from_u128(0xc2));
const OTHER_CALL: CallId = CallId(Uuid::from_u128(0xca11));

fn due() -> DateTime<Utc> {
    NOW + TimeDelta::hours(2)
}

fn happened(event: Event) -> Happened {
    on_call(CALL, event)
}

fn on_call(call: CallId, event: Event) -> Happened {
    Happened { stream: call.stream(), event: event.event(), occurred: instant("2024-06-01T08:00:00Z") }
}

fn began(direction: Direction) -> Event {
    Event::Started(Started {
        provider: "zadarma".to_owned(),
        provider_id: "in-17".to_owned(),
        direction,
        subject: CALL.into(),
        from: Personal::new("+995555000001"),
        to: Personal::new("+995322000000"),
    })
}

/// Beside the call there are a user, a lead and two contacts.
fn calling(direction: Direction) -> Vec<Happened> {
    let others = [lead_captured(crate::sales::LEAD, None), contact_known(MARI), contact_known(LEVAN)];
    [registered(NINO)].into_iter().chain(others).chain([happened(began(direction))]).collect()
}

fn ringing() -> Vec<Happened> {
    calling(Direction::Inbound)
}

fn dialled() -> Vec<Happened> {
    calling(Direction::Outbound)
}

fn after(mut log: Vec<Happened>, events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    log.extend(events.into_iter().map(happened));
    log
}

fn answered() -> Event {
    Event::Answered(Answered { by: NINO })
}

fn ended(duration_s: i32) -> Event {
    Event::Ended(Ended { duration_s })
}

fn missed() -> Event {
    Event::Missed(Missed { task: TASK, assignee: NINO, due: due() })
}

/// The task that follows a missed call.
fn to_call_back(targets: Vec<Target>) -> task::Event {
    task::Event::Created(task::Created {
        task: TASK,
        subject: Personal::new("Call back"),
        template: None,
        activity_type: None,
        kind: task::Kind::Call,
        result_required: false,
        start: None,
        due: Due::At(due()),
        assignee: NINO,
        targets,
        priority: task::Priority::Normal,
        estimate_minutes: None,
        forced: false,
        reason: Personal::default(),
    })
}

/// The call is missed, and the task stands in the same answer.
fn missed_with_task(targets: Vec<Target>) -> [AnyEvent; 2] {
    [AnyEvent::Call(missed()), AnyEvent::Task(to_call_back(targets))]
}

fn returned(by: Option<CallId>) -> Event {
    Event::MissedReturned(MissedReturned { task: TASK, by })
}

fn matched(from: Option<ContactId>, contact: ContactId, belongs_to: Belongs) -> Event {
    let (subject, reason) = (None, Personal::default());
    Event::Matched(Matched { from, contact, belongs_to, subject, reason })
}

fn register(provider: &str, provider_id: &str, from: &str, to: &str) -> Command {
    Command::Register {
        provider: provider.to_owned(),
        provider_id: provider_id.to_owned(),
        direction: Direction::Inbound,
        from: Personal::new(from),
        to: Personal::new(to),
    }
}

fn miss() -> Command {
    Command::Miss { task: TASK, assignee: NINO, due: due(), force: false, reason: Personal::default() }
}

fn found(outcome: Match) -> Command {
    Command::Match { outcome, reason: Personal::default() }
}

fn contact(contact: ContactId, belongs_to: Belongs) -> Command {
    found(Match::Contact { contact, belongs_to })
}

fn several(candidates: &[ContactId]) -> Command {
    found(Match::Several { candidates: candidates.to_vec() })
}

fn disposition(code: &str, comment: &str) -> Command {
    Command::SetDisposition { code: code.to_owned(), comment: Personal::new(comment) }
}

fn hash(digit: &str) -> ContentHash {
    ContentHash::parse(&digit.repeat(64)).expect("64 digits")
}

fn record(consent: Consent) -> Command {
    Command::AttachRecording { hash: hash("a"), consent }
}

fn attached(number: i32, digit: &str, consent: Basis, subject: SubjectId, reason: Personal) -> Event {
    Event::RecordingAttached(RecordingAttached { number, hash: hash(digit), consent, subject, reason })
}

#[test]
fn a_call_is_registered_once() {
    let command = || register("zadarma", "in-17", "+995555000001", "+995322000000");
    given([]).when(command()).then([began(Direction::Inbound)]);
    given(ringing())
        .when(command())
        .refused(call_refusal!(Refusal::AlreadyRegistered))
        .naming(["an id is used once"]);
}

#[test]
fn a_providers_call_id_belongs_to_one_call() {
    let claim = Claim::take("call.provider_id", "zadarma\u{1f}in-17");
    assert_eq!(began(Direction::Inbound).claims(), [claim]);
}

#[test]
fn provider_and_its_call_id_have_the_shape_of_ids() {
    for provider in ["", "Zadarma", "a b", &"z".repeat(65)] {
        given([])
            .when(register(provider, "in-17", "1", "2"))
            .refused(call_refusal!(Refusal::NotACode(_)))
            .naming(["provider", "a-z", "64"]);
    }
    for provider_id in ["", "a b", "a\u{1f}b", &"1".repeat(256)] {
        given([])
            .when(register("zadarma", provider_id, "1", "2"))
            .refused(call_refusal!(Refusal::NotAnId(_)))
            .naming(["provider_id", "255"]);
    }
}

#[test]
fn the_called_number_is_given_and_the_callers_may_be_withheld() {
    given([])
        .when(register("zadarma", "in-17", "+995555000001", " "))
        .refused(call_refusal!(Refusal::NoNumber))
        .naming(["`to`"]);
    let Event::Started(mut event) = began(Direction::Inbound) else { unreachable!("it is one") };
    event.from = Personal(None);
    given([]).when(register("zadarma", "in-17", " ", "+995322000000")).then([Event::Started(event)]);
}

#[test]
fn a_number_has_a_longest_length() {
    let (longest, longer) = ("1".repeat(MAX_NUMBER), "1".repeat(MAX_NUMBER + 1));
    for (from, to, field) in [(&*longer, "2", "from"), ("2", &longer, "to")] {
        given([])
            .when(register("zadarma", "in-17", from, to))
            .refused(call_refusal!(Refusal::TooLong(_)))
            .naming([field, "65", "at most 64"]);
    }
    let Event::Started(mut event) = began(Direction::Inbound) else { unreachable!("it is one") };
    event.to = Personal::new(longest.clone());
    given([]).when(register("zadarma", "in-17", "+995555000001", &longest)).then([Event::Started(event)]);
}

#[test]
fn numbers_are_sealed_under_the_calls_own_key() {
    let mut event = began(Direction::Inbound);
    let sealed: Vec<_> = event.personal().iter().map(|found| (found.subject, found.field)).collect();
    assert_eq!(sealed, [(SubjectId::from(CALL), "from"), (SubjectId::from(CALL), "to")]);
}

#[test]
fn a_call_that_is_not_registered_refuses_everything() {
    for command in [miss(), several(&[MARI, LEVAN]), disposition("spam", ""), Command::End { duration_s: 1 }]
    {
        given([registered(NINO)])
            .when(command)
            .refused(call_refusal!(Refusal::NoSuchCall))
            .naming(["register it first"]);
    }
}

#[test]
fn a_ringing_call_is_answered_by_an_active_user() {
    let answer = |by| Command::Answer { by };
    given(ringing()).when(answer(NINO)).then([answered()]);
    for stranger in [GIORGI, UserId(CALL.0)] {
        given(ringing().into_iter().chain([registered(GIORGI), deactivated(GIORGI)]))
            .when(answer(stranger))
            .refused(call_refusal!(Refusal::UserNotActive { .. }))
            .naming(["active user"]);
    }
    for events in [vec![answered()], vec![answered(), ended(5)]] {
        given(after(ringing(), events)).when(answer(NINO)).then_it_is_already_so();
    }
    for events in [vec![missed()], vec![answered()], vec![answered(), ended(5)]] {
        given(after(ringing(), events).into_iter().chain([registered(GIORGI)]))
            .when(answer(GIORGI))
            .refused(call_refusal!(Refusal::WrongPhase { .. }))
            .naming(["only a ringing call"]);
    }
}

#[test]
fn an_answered_call_ends_after_zero_or_more_seconds() {
    let end = |duration_s| Command::End { duration_s };
    for duration_s in [0, 61, i32::MAX] {
        given(after(ringing(), [answered()])).when(end(duration_s)).then([ended(duration_s)]);
    }
    given(after(ringing(), [answered()]))
        .when(end(-1))
        .refused(call_refusal!(Refusal::NegativeDuration { .. }))
        .naming(["zero or more"]);
    let over = || after(ringing(), [answered(), ended(61)]);
    given(over()).when(end(61)).then_it_is_already_so();
    given(over()).when(end(62)).refused(call_refusal!(Refusal::WrongPhase { .. })).naming(["has ended"]);
}

#[test]
fn an_unanswered_call_ends_with_zero_if_outbound_and_is_missed_if_inbound() {
    let end = |duration_s| Command::End { duration_s };
    given(dialled()).when(end(0)).then([ended(0)]);
    given(dialled())
        .when(end(1))
        .refused(call_refusal!(Refusal::WrongPhase { .. }))
        .naming(["AnswerCall", "duration of 0"]);
    given(ringing())
        .when(end(0))
        .refused(call_refusal!(Refusal::WrongPhase { .. }))
        .naming(["AnswerCall", "MissCall"]);
    given(dialled()).when(miss()).refused(call_refusal!(Refusal::Outbound)).naming(["EndCall"]);
}

#[test]
fn a_missed_call_names_the_task_to_call_back() {
    given(ringing()).when(miss()).then(missed_with_task(vec![]));
    for events in [vec![missed()], vec![missed(), returned(None)]] {
        given(after(ringing(), events)).when(miss()).then_it_is_already_so();
    }
    let another = || Command::Miss {
        task: TaskId(CALL.0),
        assignee: NINO,
        due: due(),
        force: false,
        reason: Personal::default(),
    };
    for events in [vec![missed()], vec![answered()], vec![answered(), ended(3)]] {
        given(after(ringing(), events))
            .when(another())
            .refused(call_refusal!(Refusal::WrongPhase { .. }))
            .naming(["only a ringing call can be missed"]);
    }
}

#[test]
fn the_task_to_call_back_is_for_an_active_user_and_due_later() {
    given(after(ringing(), []).into_iter().chain([deactivated(NINO)]))
        .when(miss())
        .refused(call_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { .. })))
        .naming(["active user"]);
    given(ringing())
        .at(due() + TimeDelta::seconds(1))
        .when(miss())
        .refused(call_refusal!(Refusal::DueBeforeMissed { .. }))
        .naming(["a later time"]);
    given(ringing())
        .at(due() + TimeDelta::seconds(1))
        .back_dated(instant("2024-07-03T08:00:00Z"))
        .when(miss())
        .then(missed_with_task(vec![]));
}

#[test]
fn the_task_to_call_back_follows_and_is_about_whom_the_call_belongs_to() {
    let about_lead = Target::Lead(crate::sales::LEAD);
    given(after(ringing(), [matched(None, MARI, LEAD)]))
        .when(miss())
        .then(missed_with_task(vec![about_lead]));
    let log = after(ringing(), [matched(None, MARI, Belongs::Deal(DEAL))]);
    given(log.into_iter().chain([sales(), opened()]))
        .when(miss())
        .then(missed_with_task(vec![Target::Deal(DEAL)]));
}

#[test]
fn a_call_is_not_missed_if_its_task_cannot_follow() {
    let taken = at_start(TASK.stream(), to_call_back(vec![]));
    given(ringing().into_iter().chain([taken]))
        .when(miss())
        .refused(|refusal| matches!(refusal, AnyRefusal::Task(task::Refusal::AlreadyCreated)))
        .naming(["id"]);
}

#[test]
fn a_call_with_one_contact_belongs_to_an_open_deal_or_to_a_lead() {
    given(ringing()).when(contact(MARI, LEAD)).then([matched(None, MARI, LEAD)]);
    let deal = Belongs::Deal(DEAL);
    let log = || after(ringing(), []).into_iter().chain([sales(), opened()]);
    given(log()).when(contact(MARI, deal)).then([matched(None, MARI, deal)]);
    given(log().chain([deal_event(lost(NEW, 2))]))
        .when(contact(MARI, deal))
        .refused(call_refusal!(Refusal::DealNotOpen { .. }))
        .naming(["open deal or a lead", "a call opens no deal"]);
    given(ringing())
        .when(contact(MARI, deal))
        .refused(call_refusal!(Refusal::NoSuchTarget(_)))
        .naming(["deal", "that exists"]);
}

#[test]
fn candidates_are_two_or_more_and_each_counts_once() {
    let event = || Event::Ambiguous(Ambiguous { candidates: vec![MARI, LEVAN] });
    given(ringing()).when(several(&[LEVAN, MARI, LEVAN])).then([event()]);
    given(after(ringing(), [event()])).when(several(&[LEVAN, MARI])).then_it_is_already_so();
    let crowd: Vec<_> = (0..=50).map(|number| ContactId(Uuid::from_u128(number))).collect();
    for candidates in [&[][..], &[MARI, MARI], &crowd] {
        given(ringing())
            .when(several(candidates))
            .refused(call_refusal!(Refusal::Candidates { .. }))
            .naming(["2 to 50", "`contact`", "`nobody`"]);
    }
}

#[test]
fn a_call_from_nobody_known_may_find_its_contact_later() {
    let nobody = || Event::Unmatched(Unmatched {});
    given(ringing()).when(found(Match::Nobody {})).then([nobody()]);
    given(after(ringing(), [nobody()])).when(found(Match::Nobody {})).then_it_is_already_so();
    given(after(ringing(), [nobody()])).when(contact(MARI, LEAD)).then([matched(None, MARI, LEAD)]);
}

#[test]
fn a_match_is_corrected_with_a_reason_and_not_undone() {
    let log = || after(ringing(), [matched(None, MARI, LEAD)]);
    given(log()).when(contact(MARI, LEAD)).then_it_is_already_so();
    given(log())
        .when(contact(LEVAN, LEAD))
        .refused(call_refusal!(Refusal::ReasonMissing))
        .naming(["`reason`", "reason code"]);
    given(log()).because("wrong_person").when(contact(LEVAN, LEAD)).then([matched(Some(MARI), LEVAN, LEAD)]);
    let reason = || Personal::new("his brother");
    let mut event = Event::Matched(Matched {
        from: Some(MARI),
        contact: LEVAN,
        belongs_to: LEAD,
        subject: Some(CALL.into()),
        reason: reason(),
    });
    assert_eq!(event.personal()[0].subject, CALL.into());
    let outcome = Match::Contact { contact: LEVAN, belongs_to: LEAD };
    given(log()).when(Command::Match { outcome, reason: reason() }).then([event]);
    for command in [several(&[MARI, LEVAN]), found(Match::Nobody {})] {
        given(log())
            .because("wrong_person")
            .when(command)
            .refused(call_refusal!(Refusal::AlreadyMatched { .. }))
            .naming(["another contact and a reason"]);
    }
}

#[test]
fn a_reason_has_a_longest_length() {
    let reason = || Personal::new("მ".repeat(MAX_REASON + 1));
    for command in [
        Command::Match { outcome: Match::Nobody {}, reason: reason() },
        record(Consent::NotRequired { reason: reason() }),
    ] {
        given(after(ringing(), [answered()]))
            .when(command)
            .refused(call_refusal!(Refusal::TooLong(_)))
            .naming(["reason", "at most 1000"]);
    }
}

/// The call rings; two ways that calls may go, of which one comes with a comment, and a type of tasks.
fn with_dispositions() -> Vec<Happened> {
    let of = |kind, result_required, id, code| {
        let body =
            activity_types::Defined { kind, result_required, ..activity_type(ActivityTypeId(id), code) };
        at_start(activity_types::STREAM, activity_types::Event::Defined(body))
    };
    let types = [
        of(Kind::Call, false, Uuid::from_u128(1), "no_answer"),
        of(Kind::Call, true, Uuid::from_u128(2), "talked"),
        of(Kind::Task, false, Uuid::from_u128(3), "visit"),
    ];
    ringing().into_iter().chain(types).collect()
}

fn disposed(from: Option<&str>, subject: SubjectId, comment: &str) -> Event {
    let (from, to) = (from.map(str::to_owned), "no_answer".to_owned());
    Event::DispositionSet(DispositionSet {
        from,
        to,
        subject,
        comment: Personal::new(comment).unless_blank(),
    })
}

#[test]
fn the_comment_of_a_disposition_is_sealed_under_whose_call_it_is() {
    let plain = || disposed(None, CALL.into(), "");
    given(with_dispositions()).when(disposition("no_answer", " ")).then([plain()]);
    given(after(with_dispositions(), [plain()])).when(disposition("NO_ANSWER", "")).then_it_is_already_so();
    given(after(with_dispositions(), [plain()]))
        .when(disposition("no_answer", "busy line"))
        .then([disposed(Some("no_answer"), CALL.into(), "busy line")]);
    given(after(with_dispositions(), [matched(None, MARI, LEAD)]))
        .when(disposition("no_answer", "busy line"))
        .then([disposed(None, MARI.into(), "busy line")]);
    given(with_dispositions())
        .when(disposition("no_answer", &"a".repeat(MAX_COMMENT + 1)))
        .refused(call_refusal!(Refusal::TooLong(_)))
        .naming(["comment", "at most 4000"]);
}

#[test]
fn a_disposition_is_the_code_of_an_activity_type_of_calls() {
    for code in ["visit", "sulked", ""] {
        given(with_dispositions())
            .when(disposition(code, ""))
            .refused(call_refusal!(Refusal::Dictionary(NotInDictionary::DispositionUnknown { .. })))
            .naming([r#"accepted: "no_answer", "talked""#]);
    }
    given(ringing())
        .when(disposition("no_answer", ""))
        .refused(call_refusal!(Refusal::Dictionary(_)))
        .naming(["accepted: none"]);
}

#[test]
fn a_disposition_whose_type_requires_a_result_comes_with_a_comment() {
    given(with_dispositions())
        .when(disposition("talked", " "))
        .refused(call_refusal!(Refusal::CommentMissing { .. }))
        .naming(["talked", "`comment`"]);
    let talked = |comment: &str| {
        let (subject, comment) = (CALL.into(), Personal::new(comment));
        Event::DispositionSet(DispositionSet { from: None, to: "talked".to_owned(), subject, comment })
    };
    given(with_dispositions()).when(disposition("Talked", "wants two")).then([talked("wants two")]);
    given(after(with_dispositions(), [talked("wants two")]))
        .when(disposition("talked", ""))
        .then_it_is_already_so();
}

#[test]
fn a_recording_needs_consent_or_a_reason_why_not() {
    let log = || after(ringing(), [answered()]);
    let (own, none) = (SubjectId::from(CALL), Personal::default);
    given(log()).when(record(Consent::Given {})).then([attached(1, "a", Basis::Given, own, none())]);
    given(log())
        .when(record(Consent::Refused {}))
        .refused(call_refusal!(Refusal::ConsentRefused))
        .naming(["`given`", "`not_required`"]);
    given(log())
        .when(record(Consent::NotRequired { reason: Personal::new(" ") }))
        .refused(call_refusal!(Refusal::ReasonMissing))
        .naming(["`reason`"]);
    given(log())
        .because("one_party_law")
        .when(record(Consent::NotRequired { reason: none() }))
        .then([attached(1, "a", Basis::NotRequired, own, none())]);
    let reason = || Personal::new("both are ours");
    given(after(log(), [matched(None, MARI, LEAD)]))
        .when(record(Consent::NotRequired { reason: reason() }))
        .then([attached(1, "a", Basis::NotRequired, MARI.into(), reason())]);
}

#[test]
fn recordings_are_numbered_and_each_is_attached_once() {
    let recorded = || attached(1, "a", Basis::Given, CALL.into(), Personal::default());
    let log = || after(ringing(), [answered(), recorded()]);
    given(log()).when(record(Consent::Given {})).then_it_is_already_so();
    let command = Command::AttachRecording { hash: hash("b"), consent: Consent::Given {} };
    given(log()).when(command).then([attached(2, "b", Basis::Given, CALL.into(), Personal::default())]);
    given(ringing())
        .when(record(Consent::Given {}))
        .refused(call_refusal!(Refusal::WrongPhase { .. }))
        .naming(["is ringing", "answered, ended or missed"]);
}

#[test]
fn a_content_hash_is_64_hexadecimal_digits_whatever_their_case() {
    assert_eq!(ContentHash::parse(&"A".repeat(64)), Some(hash("a")));
    assert_eq!(String::from(hash("A")), "a".repeat(64), "it is told in small letters");
    for text in ["", "a", &"a".repeat(63), &"a".repeat(65), &"g".repeat(64)] {
        assert_eq!(ContentHash::parse(text), None, "{text}");
    }
}

#[test]
fn a_missed_call_is_returned_once_by_an_outbound_call_if_one_is_named() {
    let back = |by| Command::Return { by };
    let log = || {
        let other = |call: CallId, direction| on_call(call, began(direction));
        let third = CallId(Uuid::from_u128(0xca12));
        after(ringing(), [missed()])
            .into_iter()
            .chain([other(OTHER_CALL, Direction::Outbound), other(third, Direction::Inbound)])
    };
    for by in [None, Some(OTHER_CALL)] {
        given(log()).when(back(by)).then([returned(by)]);
        given(log().chain([happened(returned(by))])).when(back(by)).then_it_is_already_so();
    }
    given(log().chain([happened(returned(None))]))
        .when(back(Some(OTHER_CALL)))
        .refused(call_refusal!(Refusal::AlreadyReturned))
        .naming(["returned already"]);
    for stranger in [CALL, CallId(Uuid::from_u128(0xca12)), CallId(Uuid::from_u128(0xca13))] {
        given(log())
            .when(back(Some(stranger)))
            .refused(call_refusal!(Refusal::NotAReturn { .. }))
            .naming(["registered outbound call"]);
    }
    given(after(ringing(), [answered()]))
        .when(on(CALL.stream(), back(None)))
        .refused(call_refusal!(Refusal::WrongPhase { .. }))
        .naming(["only a missed call"]);
}
