use crate::given::{Happened, given};
use crate::measuring::{define, entered, redefine, step, way};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::funnel::{
    Command, Defined, Definition, Event, NotADefinition, Redefined, Refusal, Retired, Rule,
};
use kvali_domain::{Claim, Refusal as AnyRefusal};

macro_rules! funnel_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Funnel($pattern))
    };
}

fn defined() -> Event {
    Event::Defined(Defined { name: "Way to win".to_owned(), version: 1, definition: way() })
}

fn retired() -> Event {
    Event::Retired(Retired { name: "Way to win".to_owned() })
}

fn log(events: impl IntoIterator<Item = Event>) -> Vec<Happened> {
    let events = events.into_iter().map(|event| at_start(FUNNEL.stream(), event));
    [sales()].into_iter().chain(events).collect()
}

#[test]
fn a_funnel_is_defined_by_stages_of_its_pipeline() {
    given(log([])).when(define(" Way to win ", way())).then([defined()]);
    given([])
        .when(define("Way to win", way()))
        .refused(funnel_refusal!(Refusal::NoSuchPipeline { pipeline: SALES }))
        .naming([&*SALES.to_string(), "name one that does"]);
}

#[test]
fn a_stage_that_the_pipeline_does_not_have_is_named_with_those_it_has() {
    let definition = Definition { steps: vec![step("Visit", &[NEW, NOWHERE])], ..way() };
    for (log, command) in
        [(log([]), define("Way", definition.clone())), (log([defined()]), redefine(definition.clone()))]
    {
        given(log)
            .when(command)
            .refused(funnel_refusal!(Refusal::UnknownStage { stage: NOWHERE, .. }))
            .naming([r#""Visit""#, &*NOWHERE.to_string(), r#""Sales""#, r#""Offer""#]);
    }
}

#[test]
fn what_does_not_go_with_the_rule_is_refused() {
    let window = Definition { rule: Rule::Entered, ..way() };
    given(log([]))
        .when(define("Way", window))
        .refused(funnel_refusal!(Refusal::NotADefinition(NotADefinition::WindowOnRule { .. })))
        .naming(["window 30d", "entered", "leave it out"]);
    let imputed = Definition { impute_lost: true, ..entered() };
    given(log([]))
        .when(define("Way", imputed))
        .refused(funnel_refusal!(Refusal::NotADefinition(NotADefinition::ImputeLostOnRule { .. })))
        .naming(["impute_lost", "entered"]);
    let twice = Definition { steps: vec![step("A", &[NEW]), step("B", &[NEW])], ..way() };
    given(log([]))
        .when(define("Way", twice))
        .refused(funnel_refusal!(Refusal::NotADefinition(NotADefinition::StageTwice { .. })))
        .naming(["steps[0]", "steps[1]"]);
}

#[test]
fn a_name_says_something_and_belongs_to_one_funnel_until_it_is_retired() {
    given(log([]))
        .when(define(" ", way()))
        .refused(funnel_refusal!(Refusal::Label(_)))
        .naming(["name is empty"]);
    assert_eq!(defined().claims(), [Claim::take("funnel.name", "way to win")]);
    assert_eq!(retired().claims(), [Claim::release("funnel.name", "way to win")]);
    given(log([defined()])).when(define("Way to win", way())).then_it_is_already_so();
    given(log([defined()]))
        .when(define("Way to win", entered()))
        .refused(funnel_refusal!(Refusal::AlreadyExists { .. }))
        .naming([r#""Way to win""#, "RedefineFunnel"]);
}

#[test]
fn each_new_definition_is_a_version() {
    let redefined = |version, definition| {
        let name = "Way to win".to_owned();
        Event::Redefined(Redefined { name, version, definition })
    };
    given(log([defined()])).when(redefine(entered())).then([redefined(2, entered())]);
    given(log([defined(), redefined(2, entered())])).when(redefine(entered())).then_it_is_already_so();
    given(log([defined(), redefined(2, entered())])).when(redefine(way())).then([redefined(3, way())]);
    given(log([]))
        .when(redefine(way()))
        .refused(funnel_refusal!(Refusal::NoSuchFunnel))
        .naming(["define it first"]);
}

#[test]
fn a_retired_funnel_takes_no_definition() {
    given(log([defined()])).when(Command::Retire {}).then([retired()]);
    given(log([defined(), retired()])).when(Command::Retire {}).then_it_is_already_so();
    given(log([defined(), retired()]))
        .when(redefine(entered()))
        .refused(funnel_refusal!(Refusal::FunnelRetired { .. }))
        .naming([r#""Way to win""#, "define another"]);
}
