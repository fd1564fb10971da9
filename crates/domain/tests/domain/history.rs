use kvali_domain::{DecodeError, Event, history};

#[test]
fn a_type_that_is_not_there_has_no_shape() {
    assert_eq!(history::current("deal.teleported"), 0);
    assert_eq!(history::current("deal.won"), 1);
}

#[test]
fn bytes_of_an_unknown_type_or_shape_are_an_error_that_names_it() {
    let unknown = Event::decode("deal.teleported", 1, "{}").expect_err("no such type");
    assert!(matches!(unknown, DecodeError::UnknownType { .. }), "{unknown}");
    assert!(unknown.to_string().contains("deal.teleported"));
    for version in [0, 2] {
        let unknown = Event::decode("deal.won", version, "{}").expect_err("no such shape");
        assert!(matches!(unknown, DecodeError::UnknownShape { .. }), "{unknown}");
        assert!(unknown.to_string().contains(&format!("shape {version} of deal.won")));
    }
}

#[test]
fn bytes_that_do_not_fit_are_an_error_that_names_the_type() {
    let malformed = Event::decode("deal.won", 1, r#"{"from":7}"#).expect_err("7 is no stage");
    assert!(matches!(malformed, DecodeError::Malformed { .. }));
    assert!(malformed.to_string().contains("deal.won"));
}
