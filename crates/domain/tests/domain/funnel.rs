use crate::given::{Happened, given};
use crate::measuring::{define, entered, redefine, step, way};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::funnel::{
    Command, Defined, Definition, Event, Funnel, MAX_STEPS, NotADefinition, Redefined, Refusal, Retired,
    Rule, Start, Window,
};
use kvali_domain::{Claim, Decider, Occurred, Refusal as AnyRefusal, StageId};

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

#[test]
fn a_funnel_has_a_step_and_at_most_sixty_four_and_none_without_a_stage() {
    let of = |count: usize| {
        let steps = (0..count).map(|at| step("Step", &[StageId(uuid::Uuid::from_u128(at as u128))]));
        Definition { steps: steps.collect(), ..entered() }
    };
    assert_eq!(of(MAX_STEPS).check(), Ok(()));
    for count in [MAX_STEPS + 1, MAX_STEPS + 9] {
        assert_eq!(of(count).check(), Err(NotADefinition::TooManySteps { count }));
    }
    assert_eq!(of(0).check(), Err(NotADefinition::NoStep));
    let hollow = Definition { steps: vec![step("Talk", &[NEW]), step("Nothing", &[])], ..entered() };
    assert_eq!(hollow.check(), Err(NotADefinition::EmptyStep { at: 1, name: "Nothing".to_owned() }));
}

#[test]
fn a_window_is_so_many_minutes_hours_or_days() {
    for (text, seconds) in [("1m", 60), ("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000)] {
        let window: Window = text.parse().expect("a window");
        assert_eq!((window.micros(), window.to_string()), (seconds * 1_000_000, text.to_owned()));
    }
    for text in ["", "d", "0d", "00h", "-1d", "+1d", "1.5h", "30", "30s", "1 d", "d1", "99999999999d"] {
        let problem = text.parse::<Window>().expect_err(text).to_string();
        assert!(problem.contains(&format!("{text:?}")) && problem.contains("30d"), "{problem}");
    }
}

#[test]
fn rules_and_starts_are_called_by_their_words() {
    for (rule, word) in Rule::ALL {
        assert_eq!((word.parse(), rule.word()), (Ok(rule), word));
    }
    assert_eq!(("first".parse(), "best".parse()), (Ok(Start::First), Ok(Start::Best)));
    let unknown = "backwards".parse::<Rule>().expect_err("it is none").to_string();
    for (_, word) in Rule::ALL {
        assert!(unknown.contains(word), "{unknown}");
    }
    let unknown = "last".parse::<Start>().expect_err("it is none").to_string();
    assert!(unknown.contains("\"last\"") && unknown.contains("first"), "{unknown}");
}

#[test]
fn a_funnel_is_known_by_its_newest_definition() {
    let mut funnel = Funnel::default();
    assert_eq!(funnel.record(), None);
    let redefined = Redefined { name: "Way to win".to_owned(), version: 2, definition: entered() };
    for event in [defined(), Event::Redefined(redefined), retired()] {
        funnel.evolve(&event, 1, &Occurred::Unknown);
    }
    let record = funnel.record().expect("it was defined");
    assert_eq!((record.name.as_str(), record.version, record.retired), ("Way to win", 2, true));
    assert_eq!(record.definition, entered());
}
