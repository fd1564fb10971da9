use crate::given::given;
use crate::sales::*;
use kvali_domain::loss_reasons::{Command, Defined, Event, Refusal, Retired};
use kvali_domain::{LossReasonId, Refusal as AnyRefusal};

macro_rules! reason_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::LossReasons($pattern))
    };
}

fn define(reason: LossReasonId, code: &str) -> Command {
    let label = "Lost: price".to_owned();
    Command::Define { reason, code: code.to_owned(), label, pipelines: vec![] }
}

#[test]
fn a_reason_is_defined_for_all_pipelines_or_for_some() {
    for pipelines in [vec![], vec![SALES, SERVICE]] {
        let (code, label) = ("ფასი", "ძალიან ძვირი");
        let command = Command::Define {
            reason: PRICE,
            code: format!(" {code} "),
            label: label.to_owned(),
            pipelines: pipelines.clone(),
        };
        let event = Defined { reason: PRICE, code: code.to_owned(), label: label.to_owned(), pipelines };
        given([]).when(command).then([Event::Defined(event)]);
    }
}

#[test]
fn defining_the_same_reason_again_is_already_so() {
    for code in ["price", " PRICE "] {
        given([reason(PRICE, "price", &[])]).when(define(PRICE, code)).then_it_is_already_so();
    }
}

#[test]
fn a_code_is_taken_whatever_its_case_and_script() {
    for (taken, code) in [("price", "Price"), ("цена", "ЦЕНА"), ("ფასი", "ᲤᲐᲡᲘ")] {
        given([reason(PRICE, taken, &[])])
            .when(define(TIMING, code))
            .refused(reason_refusal!(Refusal::CodeTaken { .. }))
            .naming([code, "choose another code"]);
    }
}

#[test]
fn a_code_with_another_meaning_is_taken() {
    let label = "Something else".to_owned();
    given([reason(PRICE, "price", &[])])
        .when(Command::Define { reason: PRICE, code: "price".to_owned(), label, pipelines: vec![] })
        .refused(reason_refusal!(Refusal::CodeTaken { .. }))
        .naming(["price", "choose another code"]);
}

#[test]
fn the_id_of_another_reason_is_refused_as_an_id() {
    given([reason(PRICE, "price", &[])])
        .when(define(PRICE, "timing"))
        .refused(reason_refusal!(Refusal::IdTaken { .. }))
        .naming([r#""price""#, "use another id"]);
}

#[test]
fn the_code_of_a_retired_reason_stays_taken() {
    given([reason(PRICE, "price", &[]), reason_retired(PRICE)])
        .when(define(PRICE, "price"))
        .refused(reason_refusal!(Refusal::CodeTaken { .. }))
        .naming(["price", "choose another code"]);
}

#[test]
fn code_and_label_are_not_blank() {
    let blank = |code: &str, label: &str| Command::Define {
        reason: PRICE,
        code: code.to_owned(),
        label: label.to_owned(),
        pipelines: vec![],
    };
    for (command, field) in [(blank(" ", "Price"), "code"), (blank("price", ""), "label")] {
        given([])
            .when(command)
            .refused(reason_refusal!(Refusal::Blank { .. }))
            .naming([field, "visible character"]);
    }
}

#[test]
fn a_reason_is_retired_once() {
    let retire = || Command::Retire { reason: PRICE };
    given([reason(PRICE, "price", &[])]).when(retire()).then([Event::Retired(Retired { reason: PRICE })]);
    given([reason(PRICE, "price", &[]), reason_retired(PRICE)]).when(retire()).then_it_is_already_so();
}

#[test]
fn an_unknown_reason_is_answered_with_those_in_force() {
    given([reason(PRICE, "price", &[]), reason(BREAKAGE, "breakage", &[]), reason_retired(BREAKAGE)])
        .when(Command::Retire { reason: TIMING })
        .refused(reason_refusal!(Refusal::NoSuchReason { .. }))
        .naming([r#"there are "price""#])
        .not_naming(["breakage"]);
}
