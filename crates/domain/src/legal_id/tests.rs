use super::*;

fn of(country: &str, text: &str) -> Result<String, Problem> {
    tax_id(Country::parse(country).expect("a country"), &Personal::new(text))
}

#[test]
fn numbers_that_are_in_use_are_accepted_however_they_are_written() {
    for (country, written, key) in [
        ("GE", "204 378 869", "204378869"),
        ("GE", "01008012345", "01008012345"),
        ("RU", "7707083893", "7707083893"),
        ("RU", "500100732259", "500100732259"),
        ("PL", "PL 526-000-12-46", "5260001246"),
        ("PL", "5260001246", "5260001246"),
        ("DE", "DE 136 695 976", "136695976"),
        ("DE", "DE 811 569 869", "811569869"),
        ("AT", "atu12345678", "U12345678"),
        ("GR", "EL123456789", "123456789"),
        ("NL", "NL123456789B01", "123456789B01"),
        ("ES", "ES-A12345678", "A12345678"),
        ("IE", "1234567WA", "1234567WA"),
        ("RO", "RO 18", "18"),
        ("US", "12-3456789", "123456789"),
    ] {
        assert_eq!(of(country, written), Ok(key.to_owned()), "{country} {written}");
    }
}

#[test]
fn a_number_of_another_shape_is_answered_with_the_shape() {
    for (country, written, accepted) in [
        ("GE", "12345678", "9 digits"),
        ("GE", "1234567890", "11 of a person"),
        ("RU", "77070838931", "10 digits"),
        ("PL", "52600012", "10 digits"),
        ("AT", "12345678", "ATU"),
        ("NL", "123456789X01", "NL"),
        ("ES", "123456789", "letter"),
        ("DE", "DE12345678", "9 digits"),
        ("US", "1", "4 to 20"),
        ("US", "ღღღღ", "4 to 20"),
        ("GE", "", "9 digits"),
        ("BE", "2123456789", "0 or 1"),
        ("CY", "123456789", "a letter"),
        ("FR", "12345678", "9 digits"),
        ("LT", "1234567890", "9 or 12"),
        ("IE", "12345678", "1234567WA"),
        ("RO", "1", "2 to 10"),
    ] {
        let words = of(country, written).expect_err("another shape").to_string();
        assert!(words.contains(accepted) && !(written.len() > 2 && words.contains(written)), "{words}");
    }
}

/// A check digit catches any single wrong digit.
#[test]
fn one_wrong_digit_is_noticed() {
    for (country, number) in
        [("RU", "7707083893"), ("RU", "500100732259"), ("PL", "5260001246"), ("DE", "136695976")]
    {
        for place in 0..number.len() {
            let digit = number.as_bytes()[place] - b'0';
            let wrong = format!("{}{}{}", &number[..place], (digit + 1) % 10, &number[place + 1..]);
            let expected = Problem::TaxIdCheckDigit { country: Country::parse(country).expect("a country") };
            assert_eq!(of(country, &wrong), Err(expected), "{country} {wrong}");
        }
    }
}

#[test]
fn a_registration_id_is_letters_and_digits() {
    let of = |text: &str| registration_id(&Personal::new(text));
    assert_eq!(of("HRB 12345"), Ok("HRB12345".to_owned()));
    assert_eq!(of("В-12/7"), Ok("В-12/7".to_owned()));
    for text in ["", "1", "12\u{1f}34", "a_b", &"1".repeat(33)] {
        assert_eq!(of(text), Err(Problem::RegistrationIdShape));
    }
}

#[test]
fn every_country_of_the_table_is_one_and_is_there_once() {
    for (place, rule) in TAX_IDS.iter().enumerate() {
        assert!(Country::parse(rule.country).is_some(), "{}", rule.country);
        assert!(TAX_IDS[..place].iter().all(|other| other.country != rule.country), "{}", rule.country);
    }
}
