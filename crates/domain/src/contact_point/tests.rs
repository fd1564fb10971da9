use super::*;
use proptest::prelude::*;

fn country(code: &str) -> Option<Country> {
    Country::parse(code)
}

fn of(kind: &Kind, text: &str, region: Option<Country>) -> Result<String, Problem> {
    key(kind, &Personal::new(text), region)
}

fn telegram() -> Kind {
    Kind::Handle { network: Network::parse(" Telegram").expect("a network") }
}

#[test]
fn one_phone_number_has_one_key_however_it_is_written() {
    for written in [
        "+995 555 12 34 56",
        "+995-555-12-34-56",
        "(+995) 555 123456",
        "+995 (555) 12.34.56",
        "+995 (0) 555 123456",
        "00995 555 123 456",
        "tel:+995-555-12-34-56",
        "TEL:+995555123456",
        "callto:+995555123456",
        "\u{202a}+995 555 12‑34‑56\u{202c}",
        "＋９９５ ５５５ １２３４５６",
        "\u{a0}+995 555 12 34 56\t",
        "+٩٩٥ ٥٥٥ ١٢٣٤٥٦",
    ] {
        assert_eq!(of(&Kind::Phone, written, None), Ok("+995555123456".to_owned()), "{written}");
    }
    for written in ["555 12 34 56", "(555) 123-456", "0 555 123456", "995 555 123456", "+995 555 123456"] {
        assert_eq!(of(&Kind::Phone, written, country("GE")), Ok("+995555123456".to_owned()), "{written}");
    }
}

#[test]
fn numbers_of_other_countries_keep_what_belongs_to_them() {
    for (written, region, expected) in [
        ("8 (812) 333-44-55", "RU", "+78123334455"),
        ("+7 812 333 44 55", "GE", "+78123334455"),
        ("8 800 555 35 35", "RU", "+78005553535"),
        ("+44 (0)20 7946 0958", "GE", "+442079460958"),
        ("0044 (0)20 7946 0958", "GE", "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("+48 (0)22 694 00 00", "GE", "+48226940000"),
        ("0048 (0)22 694 00 00", "GE", "+48226940000"),
        ("+39 06 6982", "GE", "+39066982"),
        ("(212) 736-5000", "US", "+12127365000"),
        ("030 901820", "DE", "+4930901820"),
        ("032 2 99 11 22", "GE", "+995322991122"),
    ] {
        assert_eq!(of(&Kind::Phone, written, country(region)), Ok(expected.to_owned()), "{written}");
    }
}

#[test]
fn a_prefix_that_turns_into_another_is_understood() {
    // In Argentina a mobile is dialled with 15 after the area code, and called from abroad with 9 before it.
    assert_eq!(of(&Kind::Phone, "011 15-2345-6789", country("AR")), Ok("+5491123456789".to_owned()));
}

#[test]
fn an_extension_tells_two_desks_of_one_number_apart() {
    for written in [
        "+995 32 299 11 22 ext. 12",
        "+995322991122x12",
        "+995 32 299 11 22, доб. 12",
        "+995322991122;ext=12",
    ] {
        assert_eq!(of(&Kind::Phone, written, None), Ok("+995322991122;ext=12".to_owned()), "{written}");
    }
    let longest = of(&Kind::Phone, "+995 32 299 11 22 ext. 1234567", None);
    assert_eq!(longest, Ok("+995322991122;ext=1234567".to_owned()));
    for written in ["+995 32 299 11 22 ext.", "+995 32 299 11 22 ext. 12345678"] {
        assert_eq!(of(&Kind::Phone, written, None), Err(Problem::NotAPhone), "{written}");
    }
}

#[test]
fn a_national_number_needs_a_region() {
    assert_eq!(of(&Kind::Phone, "555 12 34 56", None), Err(Problem::NoCountryCode));
    let words = Problem::NoCountryCode.to_string();
    assert!(words.contains("+country code") && words.contains("`region`"), "{words}");
}

#[test]
fn what_nobody_can_dial_is_no_phone_number() {
    for written in [
        "+995 12",
        "+995 555 12 34 56 78 90",
        "+999 555 12 34 56",
        "call me",
        "+995 555 CALL",
        "+",
        "12+34",
        "+995 555 12 34 56 Nino",
        "++995 555 12 34 56",
    ] {
        assert_eq!(of(&Kind::Phone, written, country("GE")), Err(Problem::NotAPhone), "{written}");
    }
    let crafted = "+dwPAA;phone-context=AA";
    assert_eq!(of(&Kind::Phone, crafted, None), Err(Problem::NotAPhone));
}

#[test]
fn one_e_mail_address_has_one_key_however_it_is_written() {
    for written in [
        "nino.beridze@example.ge",
        " Nino.Beridze@Example.GE ",
        "mailto:nino.beridze@example.ge",
        "MAILTO:Nino.Beridze@example.ge?subject=Hi",
        "Nino Beridze <nino.beridze@example.ge>",
        "\u{feff}nino.beridze@example.ge\u{200b}\n",
    ] {
        assert_eq!(of(&Kind::Email, written, None), Ok("nino.beridze@example.ge".to_owned()), "{written}");
    }
}

#[test]
fn addresses_in_every_script_are_understood() {
    for (written, expected) in [
        ("info@ПРИМЕР.рф", "info@пример.рф"),
        ("ნინო@მაგალითი.გე", "ნინო@მაგალითი.გე"),
        ("info@münchen.DE", "info@münchen.de"),
        ("संपर्क@अंतर्राष्ट्रीय.भारत", "संपर्क@अंतर्राष्ट्रीय.भारत"),
        ("o'brien+crm@xn--e1afmkfd.xn--p1ai", "o'brien+crm@xn--e1afmkfd.xn--p1ai"),
    ] {
        assert_eq!(of(&Kind::Email, written, None), Ok(expected.to_owned()));
    }
}

#[test]
fn what_no_post_reaches_is_no_address() {
    for written in [
        "nino",
        "nino@",
        "@example.ge",
        "nino@localhost",
        "ni no@example.ge",
        "a@b@c.ge",
        "nino@exa mple.ge",
        "nino@example..ge",
        "nino@[127.0.0.1]",
        "a\u{1f}b@example.ge",
        "<>",
        "mailto:",
        "nino@-example.ge",
        "nino@192.168.0.1",
        "nino@exa_mple.ge",
    ] {
        assert_eq!(of(&Kind::Email, written, None), Err(Problem::NotAnEmail), "{written:?}");
    }
    assert_eq!(of(&Kind::Email, &format!("{}@example.ge", "a".repeat(300)), None), Err(Problem::NotAnEmail));
}

#[test]
fn a_handle_is_one_whatever_its_case_and_at_sign() {
    for written in ["@Nino_B", "nino_b", " NINO_B "] {
        assert_eq!(of(&telegram(), written, None), Ok("nino_b".to_owned()));
    }
    for written in ["nino b", "@", &"a".repeat(129)] {
        assert_eq!(of(&telegram(), written, None), Err(Problem::NotAHandle));
    }
}

#[test]
fn nothing_is_no_contact_point() {
    for kind in [Kind::Email, Kind::Phone, telegram()] {
        for value in [Personal(None), Personal::new(""), Personal::new(" \u{200b}\u{feff}")] {
            assert_eq!(key(&kind, &value, None), Err(Problem::Blank));
        }
    }
}

#[test]
fn the_same_handle_on_two_networks_is_claimed_twice() {
    let other = Kind::Handle { network: Network::parse("instagram").expect("a network") };
    assert_ne!(claimed(&telegram(), "nino"), claimed(&other, "nino"));
    assert_ne!(claimed(&Kind::Email, "a@b.ge"), claimed(&Kind::Phone, "a@b.ge"));
    assert!(Network::parse("a\u{1f}b").is_none() && Network::parse("").is_none());
}

#[test]
fn a_country_is_one_of_the_table() {
    assert!(Country::parse("GE").is_some() && Country::parse("XK").is_some());
    for code in ["ge", "XX", "G", "GEO", "E ", " G", "Ñ"] {
        assert!(Country::parse(code).is_none(), "{code}");
    }
}

fn a_region() -> impl Strategy<Value = Option<Country>> {
    prop::sample::select(vec![
        None,
        country("GE"),
        country("US"),
        country("RU"),
        country("IT"),
        country("AR"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is understood is understood again, as the same.
    #[test]
    fn no_text_breaks_it_and_a_key_is_its_own_key(
        text in prop_oneof![
            any::<String>(),
            "[+＋]?[(]?[0-9 ().٠-٩-]{1,22}",
            "(tel:)?[+]?[0-9;=x#]{1,20}(ext|доб|;phone-context=)?[0-9+]{0,9}",
            "[0-9]{3,17}",
            "[A-Za-zა-ჰа-я.<>?:]{0,9}@[A-Za-zა-ჰ.-]{0,12}[.][a-z]{0,4}>?",
        ],
        region in a_region(),
    ) {
        for kind in [Kind::Email, Kind::Phone, telegram()] {
            if let Ok(key) = of(&kind, &text, region) {
                prop_assert!(!key.chars().any(char::is_control));
                prop_assert_eq!(of(&kind, &key, None), Ok(key.clone()));
            }
        }
        is_domain(&text);
    }
}
