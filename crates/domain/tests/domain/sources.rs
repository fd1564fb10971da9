use crate::configuring::*;
use crate::given::{Happened, given};
use crate::sales::at_start;
use kvali_domain::label::LabelProblem;
use kvali_domain::sources::{ChannelType, Command, Defined, Event, Refusal, STREAM};
use kvali_domain::{Refusal as AnyRefusal, SourceId};

macro_rules! source_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Sources($pattern))
    };
}

fn define(source: SourceId, code: &str, label: &str) -> Command {
    let (code, label) = (code.to_owned(), label.to_owned());
    Command::Define { source, code, label, channel: ChannelType::Event }
}

fn defined(source: SourceId, code: &str) -> Event {
    let (code, label) = (code.to_owned(), "გამოფენა".to_owned());
    Event::Defined(Defined { source, code, label, channel: ChannelType::Event })
}

fn fair() -> Happened {
    at_start(STREAM, defined(FAIR, "fair"))
}

#[test]
fn a_source_is_defined_once() {
    given([]).when(define(FAIR, " fair ", "გამოფენა ")).then([defined(FAIR, "fair")]);
    given([fair()]).when(define(FAIR, "Fair", "გამოფენა")).then_it_is_already_so();
}

#[test]
fn a_sources_code_is_unique_whatever_its_case() {
    given([fair()])
        .when(define(SITE, "FAIR", "გამოფენა"))
        .refused(source_refusal!(Refusal::CodeTaken { .. }))
        .naming(["FAIR", "choose another code"]);
    given([fair()])
        .when(define(FAIR, "fair", "Something else"))
        .refused(source_refusal!(Refusal::CodeTaken { .. }))
        .naming(["choose another code"]);
    let another_channel = Command::Define {
        source: FAIR,
        code: "fair".to_owned(),
        label: "გამოფენა".to_owned(),
        channel: ChannelType::Phone,
    };
    given([fair()])
        .when(another_channel)
        .refused(source_refusal!(Refusal::CodeTaken { .. }))
        .naming(["choose another code"]);
}

#[test]
fn an_id_is_one_sources() {
    given([fair()])
        .when(define(FAIR, "site", "Site"))
        .refused(source_refusal!(Refusal::IdTaken { .. }))
        .naming([r#""fair""#, "use another id"]);
}

#[test]
fn a_sources_code_and_label_say_something() {
    for (command, field) in [(define(FAIR, "\t", "Fair"), "code"), (define(FAIR, "fair", ""), "label")] {
        given([])
            .when(command)
            .refused(source_refusal!(Refusal::Label(LabelProblem::Blank { .. })))
            .naming([field, "visible character"]);
    }
}
