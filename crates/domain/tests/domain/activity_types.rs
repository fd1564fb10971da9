use crate::configuring::*;
use crate::given::given;
use kvali_domain::Refusal as AnyRefusal;
use kvali_domain::activity_types::{Command, Defined, Event, Kind, Refusal};

macro_rules! type_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::ActivityTypes($pattern))
    };
}

fn define(body: Defined) -> Command {
    let Defined { activity_type, code, label, kind, result_required, minimum_lead_minutes } = body;
    Command::Define { activity_type, code, label, kind, result_required, minimum_lead_minutes }
}

#[test]
fn an_activity_type_is_defined_once() {
    let body = || activity_type(RING, "ring");
    given([]).when(define(body())).then([Event::Defined(body())]);
    given([activity_type_defined(RING, "ring")])
        .when(define(Defined { code: " RING".to_owned(), ..body() }))
        .then_it_is_already_so();
}

#[test]
fn an_activity_types_code_is_unique_and_keeps_its_meaning() {
    let body = || activity_type(RING, "ring");
    for other in [
        activity_type(VISIT, "Ring"),
        Defined { kind: Kind::Meeting, ..body() },
        Defined { result_required: false, ..body() },
        Defined { minimum_lead_minutes: 0, ..body() },
        Defined { label: "Telephone".to_owned(), ..body() },
    ] {
        let code = other.code.clone();
        given([activity_type_defined(RING, "ring")])
            .when(define(other))
            .refused(type_refusal!(Refusal::CodeTaken { .. }))
            .naming([&*code, "choose another code"]);
    }
    given([activity_type_defined(RING, "ring")])
        .when(define(activity_type(RING, "visit")))
        .refused(type_refusal!(Refusal::IdTaken { .. }))
        .naming([r#""ring""#, "use another id"]);
}

#[test]
fn a_lead_time_is_none_or_up_to_a_year() {
    let with = |minimum_lead_minutes| Defined { minimum_lead_minutes, ..activity_type(RING, "ring") };
    for minutes in [0, 366 * 24 * 60] {
        given([]).when(define(with(minutes))).then([Event::Defined(with(minutes))]);
    }
    for minutes in [-1, 366 * 24 * 60 + 1, i32::MIN] {
        given([])
            .when(define(with(minutes)))
            .refused(type_refusal!(Refusal::LeadTime { .. }))
            .naming(["0 to 527040"]);
    }
}

#[test]
fn an_activity_types_code_and_label_say_something() {
    for (code, label, field) in [(" ", "Ring", "code"), ("ring", "", "label")] {
        let body = Defined { code: code.to_owned(), label: label.to_owned(), ..activity_type(RING, "ring") };
        given([])
            .when(define(body))
            .refused(|refusal| refusal.code() == "blank")
            .naming([field, "visible character"]);
    }
}
