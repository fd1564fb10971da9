//! Numbers under which a state knows a company: their shapes, and check digits where they are published.

use crate::Personal;
use crate::country::Country;
use schemars::JsonSchema;
use serde::Serialize;

/// Why a text is no such number. It never repeats the text: a sole trader's number is a personal one.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    #[error("a tax id of {country} is {accepted}")]
    TaxIdShape { country: Country, accepted: &'static str },
    #[error("the check digit of this tax id of {country} is wrong; look it up again")]
    TaxIdCheckDigit { country: Country },
    #[error("a registration id is 2 to 32 letters, digits, \"-\" or \"/\"")]
    RegistrationIdShape,
}

/// What is known of the tax ids of one country.
struct TaxId {
    country: &'static str,
    /// What may be written before it, and is left out of the key.
    prefix: &'static str,
    /// `#` is a digit, `@` a letter, `?` either; all else stands for itself.
    shapes: &'static [&'static str],
    accepted: &'static str,
    checks: fn(&str) -> bool,
}

const fn shape(
    country: &'static str,
    prefix: &'static str,
    shapes: &'static [&'static str],
    accepted: &'static str,
) -> TaxId {
    TaxId { country, prefix, shapes, accepted, checks: |_| true }
}

/// Georgia: Law on Entrepreneurs and the Revenue Service's register: 9 digits of an organisation, or the 11 of a person.
///
/// The Union: the shapes of VAT numbers in VIES, question 11 of its frequently asked questions
/// (<https://ec.europa.eu/taxation_customs/vies/#/faq>). In the Union a tax id is the VAT number.
///
/// Check digits: Germany ISO 7064 MOD 11,10 (Bundeszentralamt für Steuern, structure of the USt-IdNr.); Poland NIP, weights
/// 6 5 7 2 3 4 5 6 7 modulo 11 (regulation of the Minister of Finance on NIP); Russia INN, order of the Federal Tax
/// Service ЕД-7-14/559@ on the number's structure. Any other country: shape only, or no more than that it is a number.
const TAX_IDS: &[TaxId] = &[
    shape("GE", "", &["#########", "###########"], "9 digits of an organisation or 11 of a person"),
    TaxId {
        country: "RU",
        prefix: "",
        shapes: &["##########", "############"],
        accepted: "an INN of 10 digits, or of 12 for a person",
        checks: is_inn,
    },
    TaxId {
        country: "PL",
        prefix: "PL",
        shapes: &["##########"],
        accepted: "a NIP of 10 digits",
        checks: is_nip,
    },
    TaxId {
        country: "DE",
        prefix: "DE",
        shapes: &["#########"],
        accepted: "a VAT number, DE and 9 digits",
        checks: has_mod_11_10,
    },
    shape("AT", "AT", &["U########"], "a VAT number, ATU and 8 digits"),
    shape("BE", "BE", &["0#########", "1#########"], "a VAT number, BE and 10 digits, the first 0 or 1"),
    shape("BG", "BG", &["#########", "##########"], "a VAT number, BG and 9 or 10 digits"),
    shape("CY", "CY", &["########@"], "a VAT number, CY, 8 digits and a letter"),
    shape("CZ", "CZ", &["########", "#########", "##########"], "a VAT number, CZ and 8 to 10 digits"),
    shape("DK", "DK", &["########"], "a VAT number, DK and 8 digits"),
    shape("EE", "EE", &["#########"], "a VAT number, EE and 9 digits"),
    shape("GR", "EL", &["#########"], "a VAT number, EL and 9 digits"),
    shape(
        "ES",
        "ES",
        &["@########", "@#######@", "########@"],
        "a VAT number, ES and 9 characters, of which the first or the last is a letter",
    ),
    shape("FI", "FI", &["########"], "a VAT number, FI and 8 digits"),
    shape("FR", "FR", &["??#########"], "a VAT number, FR, 2 letters or digits and 9 digits"),
    shape("HR", "HR", &["###########"], "a VAT number, HR and 11 digits"),
    shape("HU", "HU", &["########"], "a VAT number, HU and 8 digits"),
    shape(
        "IE",
        "IE",
        &["#######@", "#######@@", "#@#####@", "#+#####@", "#*#####@"],
        "a VAT number, IE and 8 or 9 characters such as 1234567WA",
    ),
    shape("IT", "IT", &["###########"], "a VAT number, IT and 11 digits"),
    shape("LT", "LT", &["#########", "############"], "a VAT number, LT and 9 or 12 digits"),
    shape("LU", "LU", &["########"], "a VAT number, LU and 8 digits"),
    shape("LV", "LV", &["###########"], "a VAT number, LV and 11 digits"),
    shape("MT", "MT", &["########"], "a VAT number, MT and 8 digits"),
    shape("NL", "NL", &["#########B##"], "a VAT number, NL, 9 digits, B and 2 digits"),
    shape("PT", "PT", &["#########"], "a VAT number, PT and 9 digits"),
    shape(
        "RO",
        "RO",
        &["##", "###", "####", "#####", "######", "#######", "########", "#########", "##########"],
        "a VAT number, RO and 2 to 10 digits",
    ),
    shape("SE", "SE", &["############"], "a VAT number, SE and 12 digits"),
    shape("SI", "SI", &["########"], "a VAT number, SI and 8 digits"),
    shape("SK", "SK", &["##########"], "a VAT number, SK and 10 digits"),
];

/// The key of a tax id: capitals, without blanks, punctuation and the country's prefix.
pub fn tax_id(country: Country, text: &Personal) -> Result<String, Problem> {
    let text = bare(text, &[' ', '\u{a0}', '-', '.', '/', '\t']);
    let Some(rule) = TAX_IDS.iter().find(|rule| rule.country == country.as_str()) else {
        let fits = (4..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let accepted = "4 to 20 letters and digits";
        return if fits { Ok(text) } else { Err(Problem::TaxIdShape { country, accepted }) };
    };
    let number = text.strip_prefix(rule.prefix).unwrap_or(&text);
    if !rule.shapes.iter().any(|shape| has_shape(number, shape)) {
        return Err(Problem::TaxIdShape { country, accepted: rule.accepted });
    }
    if !(rule.checks)(number) {
        return Err(Problem::TaxIdCheckDigit { country });
    }
    Ok(number.to_owned())
}

/// The key of a number in a register of companies: capitals, without blanks.
pub fn registration_id(text: &Personal) -> Result<String, Problem> {
    let text = bare(text, &[' ', '\u{a0}', '\t']);
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '/');
    let fits = (2..=32).contains(&text.chars().count()) && text.chars().all(fits);
    if fits { Ok(text) } else { Err(Problem::RegistrationIdShape) }
}

fn bare(text: &Personal, left_out: &[char]) -> String {
    let text = text.as_deref().unwrap_or_default().trim().to_uppercase();
    text.chars().filter(|c| !left_out.contains(c)).collect()
}

fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(c, sign): (char, char)| match sign {
        '#' => c.is_ascii_digit(),
        '@' => c.is_ascii_uppercase(),
        '?' => c.is_ascii_alphanumeric(),
        literal => c == literal,
    };
    text.len() == shape.len() && text.chars().zip(shape.chars()).all(fits)
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn weighed(digits: &[u32], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// A sum of 10 modulo 11 is never given out, and equals no digit.
fn is_nip(text: &str) -> bool {
    let digits = digits(text);
    digits.len() == 10 && weighed(&digits, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == digits[9]
}

fn is_inn(text: &str) -> bool {
    let digits = digits(text);
    let check = |weights: &[u32]| weighed(&digits, weights) % 11 % 10;
    match digits.len() {
        10 => check(&[2, 4, 10, 3, 5, 9, 4, 6, 8]) == digits[9],
        12 => {
            check(&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == digits[10]
                && check(&[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]) == digits[11]
        }
        _ => false,
    }
}

/// ISO 7064 MOD 11,10 over all digits, the last of which is the check digit.
fn has_mod_11_10(text: &str) -> bool {
    let digits = digits(text);
    let Some((check, digits)) = digits.split_last() else { return false };
    let product = digits.iter().fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        2 * (if sum == 0 { 10 } else { sum }) % 11
    });
    (11 - product) % 10 == *check
}

#[cfg(test)]
mod tests;
