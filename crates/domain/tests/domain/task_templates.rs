use crate::configuring::*;
use crate::given::{Happened, given};
use crate::sales::at_start;
use kvali_domain::Refusal as AnyRefusal;
use kvali_domain::activity_types::{self, Kind};
use kvali_domain::dictionary::NotInDictionary;
use kvali_domain::pipeline::Clock;
use kvali_domain::task_templates::{Command, Defined, Event, Refusal};

macro_rules! template_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::TaskTemplates($pattern))
    };
}

fn define(body: Defined) -> Command {
    let Defined { template, subject, activity_type, offset_days, clock, .. } = body;
    Command::Define { template, subject, activity_type, offset_days, clock }
}

fn call_back() -> Defined {
    template(CALL_BACK, "დავურეკოთ")
}

fn types() -> [Happened; 1] {
    [activity_type_defined(RING, "ring")]
}

#[test]
fn a_task_template_is_defined_once() {
    given(types()).when(define(call_back())).then([Event::Defined(call_back())]);
    given(types().into_iter().chain([template_defined(call_back())]))
        .when(define(call_back()))
        .then_it_is_already_so();
}

#[test]
fn a_task_template_that_changes_gets_a_new_version() {
    let log =
        |templates: Vec<Defined>| types().into_iter().chain(templates.into_iter().map(template_defined));
    let second = Defined { version: 2, clock: Clock::Calendar, ..call_back() };
    given(log(vec![call_back()])).when(define(second.clone())).then([Event::Defined(second.clone())]);
    let third = Defined { version: 3, ..call_back() };
    given(log(vec![call_back(), second.clone()])).when(define(call_back())).then([Event::Defined(third)]);
    given(log(vec![call_back(), second.clone()])).when(define(second)).then_it_is_already_so();
}

#[test]
fn a_task_template_is_of_an_activity_type_that_exists() {
    given(types())
        .when(define(Defined { activity_type: VISIT, ..call_back() }))
        .refused(template_refusal!(Refusal::Dictionary(NotInDictionary::ActivityTypeUnknown { .. })))
        .naming([&*VISIT.to_string(), r#"accepted: "ring""#]);
    given([])
        .when(define(call_back()))
        .refused(template_refusal!(Refusal::Dictionary(NotInDictionary::ActivityTypeUnknown { .. })))
        .naming(["accepted: none"]);
    let demo = activity_types::Defined { kind: Kind::Meeting, ..activity_type(VISIT, "demo") };
    let log =
        types().into_iter().chain([at_start(activity_types::STREAM, activity_types::Event::Defined(demo))]);
    given(log)
        .when(define(Defined { activity_type: VISIT, ..call_back() }))
        .refused(template_refusal!(Refusal::Dictionary(NotInDictionary::ActivityTypeUnknown { .. })))
        .naming([r#"accepted: "ring""#])
        .not_naming(["demo"]);
}

#[test]
fn an_offset_is_a_number_of_days_from_now_on() {
    for offset_days in [-1, 3661, i32::MAX] {
        given(types())
            .when(define(Defined { offset_days, ..call_back() }))
            .refused(template_refusal!(Refusal::Offset { .. }))
            .naming(["0 to 3660"]);
    }
    for offset_days in [0, 3660] {
        let body = Defined { offset_days, ..call_back() };
        given(types()).when(define(body.clone())).then([Event::Defined(body)]);
    }
}

#[test]
fn a_subject_says_something() {
    given(types())
        .when(define(Defined { subject: " ".to_owned(), ..call_back() }))
        .refused(|refusal| refusal.code() == "blank")
        .naming(["subject", "visible character"]);
}
