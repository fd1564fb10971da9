use crate::configuring::*;
use crate::given::{Happened, given};
use crate::sales::*;
use kvali_domain::decider::Describe;
use kvali_domain::fields::{
    Classification, Classified, Command, Defined, Entity, Event, Field, FieldOption, FieldProblem, FieldType,
    FieldValue, Fields, LONGEST_TEXT, OptionsChanged, REQUIRED_CLAIM, Refusal, Renamed, Retired,
};
use kvali_domain::label::LabelProblem;
use kvali_domain::{Claim, Decider, FieldId, Refusal as AnyRefusal};

macro_rules! field_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Fields($pattern))
    };
}

fn text(text: &str) -> FieldValue {
    FieldValue::Text(text.to_owned())
}

fn choice(key: &str) -> FieldValue {
    FieldValue::Choice(key.to_owned())
}

fn choices(keys: &[&str]) -> FieldValue {
    FieldValue::MultiChoice(keys.iter().map(|key| (*key).to_owned()).collect())
}

fn number(text: &str) -> FieldValue {
    FieldValue::Number(text.parse().expect("a decimal"))
}

fn colours() -> Defined {
    Defined { options: options(&["red", "blue"]), ..field(COLOURS, "colours", FieldType::MultiChoice) }
}

fn change(field: FieldId, keys: &[&str]) -> Command {
    Command::ChangeOptions { field, options: options(keys) }
}

fn folded(log: impl IntoIterator<Item = Happened>) -> Fields {
    let mut fields = Fields::default();
    for (version, happened) in (1..).zip(log) {
        let kvali_domain::Event::Fields(event) = happened.event else { unreachable!("field events only") };
        fields.evolve(&event, version, &happened.occurred);
    }
    fields
}

#[test]
fn a_field_is_defined_once() {
    for body in [size(), colours(), field(BIRTHDAY, "birthday", FieldType::Date)] {
        given([]).when(define_field(body.clone())).then([Event::Defined(body.clone())]);
        given([field_defined(body.clone())]).when(define_field(body)).then_it_is_already_so();
    }
    let spaced = Defined { key: " size ".to_owned(), ..size() };
    given([]).when(define_field(spaced)).then([Event::Defined(size())]);
    let shouted = Defined { key: "SIZE".to_owned(), ..size() };
    given([field_defined(size())]).when(define_field(shouted)).then_it_is_already_so();
}

#[test]
fn a_key_is_unique_among_the_fields_of_its_entity_also_when_retired() {
    let twin = || Defined { key: "Size".to_owned(), ..field(COLOURS, "", FieldType::Text) };
    for log in [vec![field_defined(size())], vec![field_defined(size()), field_retired(SIZE)]] {
        given(log)
            .when(define_field(twin()))
            .refused(field_refusal!(Refusal::KeyTaken { .. }))
            .naming([r#"deal field "Size""#, "choose another key"]);
    }
    let of_a_lead = Defined { entity: Entity::Lead, label: "Size".to_owned(), ..twin() };
    given([field_defined(size())]).when(define_field(of_a_lead.clone())).then([Event::Defined(of_a_lead)]);
}

#[test]
fn a_key_with_another_meaning_is_taken_and_an_id_is_one_fields() {
    let other = Defined { kind: FieldType::Text, options: vec![], ..size() };
    given([field_defined(size())])
        .when(define_field(other))
        .refused(field_refusal!(Refusal::KeyTaken { .. }))
        .naming([r#""size""#]);
    given([field_defined(size())])
        .when(define_field(Defined { key: "width".to_owned(), ..size() }))
        .refused(field_refusal!(Refusal::IdTaken { .. }))
        .naming([r#"deal field "size""#, "use another id"]);
}

#[test]
fn keys_and_labels_say_something_and_are_not_too_long() {
    for (body, name) in [
        (Defined { key: " ".to_owned(), ..size() }, "key is empty"),
        (Defined { label: String::new(), ..size() }, "label is empty"),
        (Defined { options: options(&["s", "\t"]), ..size() }, "option key is empty"),
    ] {
        given([])
            .when(define_field(body))
            .refused(field_refusal!(Refusal::Label(LabelProblem::Blank { .. })))
            .naming([name, "visible character"]);
    }
    given([field_defined(size())])
        .when(Command::Rename { field: SIZE, label: "ა".repeat(201) })
        .refused(|refusal| refusal.code() == "too_long")
        .naming(["201 characters", "up to 200"]);
}

#[test]
fn choices_have_options_and_nothing_else_has() {
    for kind in [FieldType::Choice, FieldType::MultiChoice] {
        given([])
            .when(define_field(field(SIZE, "size", kind)))
            .refused(field_refusal!(Refusal::OptionsMissing { .. }))
            .naming([kind.as_str(), "name them in `options`"]);
    }
    for kind in [FieldType::Text, FieldType::Number, FieldType::Money, FieldType::Date, FieldType::Bool] {
        given([])
            .when(define_field(Defined { kind, ..size() }))
            .refused(field_refusal!(Refusal::OptionsUnasked { .. }))
            .naming([kind.as_str(), "leave them out"]);
    }
    given([])
        .when(define_field(Defined { options: options(&["s", " S"]), ..size() }))
        .refused(field_refusal!(Refusal::OptionTwice { .. }))
        .naming([r#""S""#, "each needs its own"]);
}

#[test]
fn a_default_is_valid_for_the_type() {
    for (body, default) in [
        (size(), choice("m")),
        (colours(), choices(&["blue", "red"])),
        (field(SIZE, "size", FieldType::Number), number("12.50")),
    ] {
        let body = Defined { default: Some(default), ..body };
        given([]).when(define_field(body.clone())).then([Event::Defined(body)]);
    }
    given([])
        .when(define_field(Defined { default: Some(choice("xl")), ..size() }))
        .refused(field_refusal!(Refusal::Default(FieldProblem::UnknownOption { .. })))
        .naming([r#""size""#, r#"accepted: "s", "m", "l""#])
        .not_naming(["xl"]);
    given([])
        .when(define_field(Defined { default: Some(text("m")), ..size() }))
        .refused(|refusal| refusal.code() == "wrong_type")
        .naming(["takes a choice, not a text"]);
}

#[test]
fn an_option_that_is_left_out_is_retired_and_comes_back_when_it_is_named_again() {
    let changed = |keys: &[&str], retired: &[&str]| {
        let retired = retired.iter().map(|key| (*key).to_owned()).collect();
        Event::OptionsChanged(OptionsChanged { field: SIZE, options: options(keys), retired })
    };
    let less = changed(&["l", "xl"], &["s", "m"]);
    given([field_defined(size())]).when(change(SIZE, &["l", "xl"])).then([less.clone()]);
    let log = || [field_defined(size()), field_event(less.clone())];
    given(log()).when(change(SIZE, &["l", "xl"])).then_it_is_already_so();
    given(log()).when(change(SIZE, &["s", "l", "xl"])).then([changed(&["s", "l", "xl"], &[])]);

    let fields = folded(log());
    let known: Vec<(&str, bool)> = fields
        .get(SIZE)
        .expect("it was defined")
        .options
        .iter()
        .map(|known| (known.option.key.as_str(), known.active))
        .collect();
    assert_eq!(known, [("l", true), ("xl", true), ("s", false), ("m", false)]);
    let back = folded(log().into_iter().chain([field_event(changed(&["s", "l", "xl"], &[]))]));
    assert_eq!(back.check(Entity::Deal, SIZE, &choice("s")), Ok(()));
    assert!(back.check(Entity::Deal, SIZE, &choice("m")).is_err());
}

#[test]
fn an_option_gets_another_label_and_another_place() {
    let relabelled = vec![FieldOption { key: "l".to_owned(), label: "დიდი".to_owned() }];
    let all: Vec<FieldOption> = relabelled.into_iter().chain(options(&["s", "m"])).collect();
    given([field_defined(size())])
        .when(Command::ChangeOptions { field: SIZE, options: all.clone() })
        .then([Event::OptionsChanged(OptionsChanged { field: SIZE, options: all, retired: vec![] })]);
}

#[test]
fn the_default_stays_among_the_options() {
    let body = Defined { default: Some(choice("m")), ..size() };
    given([field_defined(body)])
        .when(change(SIZE, &["s", "l"]))
        .refused(field_refusal!(Refusal::DefaultOption { .. }))
        .naming([r#""m" is the field's default"#, "keep it"]);
    let body = Defined { default: Some(choices(&["red", "blue"])), ..colours() };
    given([field_defined(body)])
        .when(change(COLOURS, &["red", "green"]))
        .refused(field_refusal!(Refusal::DefaultOption { .. }))
        .naming([r#""blue" is the field's default"#]);
}

#[test]
fn options_are_changed_of_a_choice_that_is_in_force() {
    given([field_defined(field(BIRTHDAY, "birthday", FieldType::Date))])
        .when(change(BIRTHDAY, &["s"]))
        .refused(field_refusal!(Refusal::OptionsUnasked { .. }))
        .naming(["date"]);
    given([field_defined(size())])
        .when(change(SIZE, &[]))
        .refused(field_refusal!(Refusal::OptionsMissing { .. }))
        .naming(["at least one option"]);
    given([field_defined(size()), field_defined(colours()), field_retired(SIZE)])
        .when(change(SIZE, &["s"]))
        .refused(field_refusal!(Refusal::RetiredField { .. }))
        .naming([r#""size" is retired"#, r#"one of "colours""#]);
}

#[test]
fn a_field_is_renamed_once_and_keeps_its_key() {
    let rename = || Command::Rename { field: SIZE, label: " ზომა ".to_owned() };
    let event =
        Event::Renamed(Renamed {
            field: SIZE, from: "Label of size".to_owned(), to: "ზომა".to_owned()
        });
    given([field_defined(size())]).when(rename()).then([event.clone()]);
    let log = [field_defined(size()), field_event(event)];
    given(log.clone()).when(rename()).then_it_is_already_so();
    let fields = folded(log);
    let field = fields.by_key(Entity::Deal, "size").expect("it has its key");
    assert_eq!((field.label.as_str(), field.key.as_str()), ("ზომა", "size"));
}

#[test]
fn a_field_is_classified_also_when_it_is_retired() {
    let event = Event::Classified(Classified {
        field: SIZE,
        from: Classification::None,
        to: Classification::Personal,
    });
    let classify = || Command::Classify { field: SIZE, class: Classification::Personal };
    given([field_defined(size()), field_retired(SIZE)]).when(classify()).then([event.clone()]);
    let log = [field_defined(size()), field_event(event)];
    given(log.clone()).when(classify()).then_it_is_already_so();
    let sealed = |log| folded(log).get(SIZE).is_some_and(Field::is_sealed);
    assert!(sealed(log.to_vec()) && !sealed(log[..1].to_vec()));
}

#[test]
fn a_field_is_retired_once_and_only_while_no_stage_requires_it() {
    let event = Event::Retired(Retired { field: SIZE });
    given([field_defined(size())]).when(Command::Retire { field: SIZE }).then([event.clone()]);
    given([field_defined(size()), field_retired(SIZE)])
        .when(Command::Retire { field: SIZE })
        .then_it_is_already_so();
    assert_eq!(event.claims(), [Claim::none(REQUIRED_CLAIM, SIZE.to_string())]);
    assert_eq!(Event::Defined(size()).claims(), []);
}

#[test]
fn a_field_that_nobody_defined_is_answered_with_those_in_force() {
    for command in [
        change(BIRTHDAY, &["s"]),
        Command::Rename { field: BIRTHDAY, label: "Birthday".to_owned() },
        Command::Classify { field: BIRTHDAY, class: Classification::Personal },
        Command::Retire { field: BIRTHDAY },
    ] {
        given([field_defined(size()), field_defined(colours()), field_retired(SIZE)])
            .when(command)
            .refused(field_refusal!(Refusal::NoSuchField { .. }))
            .naming([r#"there are "colours""#])
            .not_naming(["size"]);
    }
}

/// One field of each type, and a value that it takes.
fn one_of_each() -> Vec<(Defined, FieldValue)> {
    let id = |at: u128| FieldId(uuid::Uuid::from_u128(at));
    vec![
        (field(id(1), "a text", FieldType::Text), text("თბილისი")),
        (field(id(2), "a number", FieldType::Number), number("-12.50")),
        (field(id(3), "a money", FieldType::Money), FieldValue::Money(usd("1054.00"))),
        (field(id(4), "a date", FieldType::Date), FieldValue::Date(date("2024-06-30"))),
        (field(id(5), "a bool", FieldType::Bool), FieldValue::Bool(false)),
        (size(), choice("s")),
        (colours(), choices(&["red", "blue"])),
    ]
}

#[test]
fn a_field_takes_values_of_its_own_type_and_of_no_other() {
    let all = one_of_each();
    let fields = folded(all.iter().map(|(body, _)| field_defined(body.clone())));
    for (body, _) in &all {
        for (other, value) in &all {
            let answer = fields.check(Entity::Deal, body.field, value);
            if body.field == other.field {
                assert_eq!(answer, Ok(()), "{}", body.key);
            } else {
                let words = answer.expect_err("it is of another type").to_string();
                let (accepted, given) = (body.kind.as_str(), other.kind.as_str());
                assert!(words.contains(&format!("takes a {accepted}, not a {given}")), "{words}");
            }
        }
    }
}

#[test]
fn a_text_says_something_and_is_not_endless() {
    let body = field(SIZE, "remark", FieldType::Text);
    let fields = folded([field_defined(body)]);
    for wrong in ["", " \t", &"ა".repeat(LONGEST_TEXT + 1)] {
        let problem = fields.check(Entity::Deal, SIZE, &text(wrong)).expect_err("no such text");
        assert!(problem.to_string().contains("1 to 10000 characters"), "{problem}");
    }
    assert_eq!(fields.check(Entity::Deal, SIZE, &text(&"ა".repeat(LONGEST_TEXT))), Ok(()));
}

#[test]
fn several_choices_are_each_an_option_in_force_and_named_once() {
    let fields = folded([field_defined(colours())]);
    let problem = |keys: &[&str]| {
        let problem = fields.check(Entity::Deal, COLOURS, &choices(keys)).expect_err("not accepted");
        assert!(problem.to_string().contains(r#""red", "blue""#), "{problem}");
        problem
    };
    assert!(matches!(problem(&[]), FieldProblem::NothingChosen { .. }));
    assert!(matches!(problem(&["red", "green"]), FieldProblem::UnknownOption { .. }));
    assert!(matches!(problem(&["red", "red"]), FieldProblem::ChosenTwice { .. }));
}

#[test]
fn a_field_is_one_of_its_entity_and_in_force() {
    let log = [field_defined(size()), field_defined(colours()), field_retired(COLOURS)];
    let fields = folded(log);
    let problem = |entity, field| fields.check(entity, field, &choice("s")).expect_err("not accepted");
    let retired = problem(Entity::Deal, COLOURS).to_string();
    assert!(
        retired.contains(r#""colours" is retired"#) && retired.contains(r#"accepted: "size""#),
        "{retired}"
    );
    let unknown = problem(Entity::Deal, BIRTHDAY).to_string();
    assert!(unknown.contains(r#"it has "size""#), "{unknown}");
    let of_a_lead = problem(Entity::Lead, SIZE).to_string();
    assert!(of_a_lead.contains("a lead has no field") && of_a_lead.contains("it has none"), "{of_a_lead}");
}

#[test]
fn a_value_is_written_with_its_type_and_never_printed() {
    for (value, json) in [
        (text("ნინო"), r#"{"text":"ნინო"}"#),
        (number("12.50"), r#"{"number":"12.50"}"#),
        (FieldValue::Money(usd("5")), r#"{"money":{"amount":"5","currency":"USD"}}"#),
        (FieldValue::Date(date("2024-06-30")), r#"{"date":"2024-06-30"}"#),
        (FieldValue::Bool(true), r#"{"bool":true}"#),
        (choice("s"), r#"{"choice":"s"}"#),
        (choices(&["s"]), r#"{"multi_choice":["s"]}"#),
    ] {
        assert_eq!(serde_json::to_string(&value).expect("a value is JSON"), json);
        assert_eq!(serde_json::from_str::<FieldValue>(json).expect("it is read back"), value);
    }
    assert_eq!(format!("{:?}", text("ნინო")), "FieldValue(text…)");
}

#[test]
fn fields_are_found_by_their_class_retired_or_not() {
    let classed = |defined: Defined, class| Defined { class, ..defined };
    let fields = folded([
        field_defined(classed(size(), Classification::Personal)),
        field_defined(classed(colours(), Classification::Sensitive)),
        field_defined(field(BIRTHDAY, "birthday", FieldType::Date)),
        field_retired(COLOURS),
    ]);
    let found = |class| fields.classed(class).collect::<Vec<_>>();
    assert_eq!(found(Classification::Personal), [size().field]);
    assert_eq!(found(Classification::Sensitive), [COLOURS]);
    assert_eq!(found(Classification::None), [BIRTHDAY]);
}
