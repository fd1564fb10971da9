//! A contact point: where a person can be reached, and the key by which two are the same.
//!
//! | kind | key |
//! |---|---|
//! | e-mail | trimmed and lower-cased, the local part too: RFC 5321 lets a server tell `Nino@` from `nino@`, none in use does |
//! | phone | E.164, such as `+995555123456`; an extension follows as in RFC 3966: `;ext=12` |
//! | handle | trimmed, without leading `@`, lower-cased; one per network |
//!
//! Left out: provider rules (dots and `+tags` at Gmail), the equality of a domain and its `xn--` form, Unicode
//! normalisation, and links to profiles. They are evidence of a duplicate, not the same key.

use crate::country::Country;
use crate::{Claim, Given, Personal};
use email_address::{EmailAddress, Options};
use phonenumber::metadata::DATABASE;
use phonenumber::{Metadata, Type, country as country_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a command says of a contact point.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactPoint {
    pub kind: Kind,
    /// As somebody wrote it: spaces, brackets, `tel:`, `mailto:` and the like are understood.
    pub value: Personal,
    /// Of a phone number without a country code: the country that it is dialled in.
    #[serde(default)]
    pub region: Option<Country>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Email,
    Phone,
    /// A name on a network, such as `telegram`.
    Handle {
        network: Network,
    },
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Email => f.write_str("email"),
            Self::Phone => f.write_str("phone"),
            Self::Handle { network } => write!(f, "handle:{}", network.0),
        }
    }
}

/// The name of a network: 1 to 32 letters a–z, digits, `.`, `_` or `-`; capitals become small.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Network(String);

impl Network {
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim().to_ascii_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        ((1..=32).contains(&name.len()) && name.chars().all(fits)).then_some(Self(name))
    }
}

#[derive(thiserror::Error, Debug)]
#[error("network {0:?} is not 1 to 32 letters a-z, digits, \".\", \"_\" or \"-\", such as telegram")]
pub struct NotANetwork(String);

impl TryFrom<String> for Network {
    type Error = NotANetwork;
    fn try_from(name: String) -> Result<Self, NotANetwork> {
        Self::parse(&name).ok_or(NotANetwork(name))
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.0
    }
}

/// Why a text is no contact point. It never repeats the text, which is personal.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    #[error("the value is empty; give it at least one visible character")]
    Blank,
    #[error("this is no e-mail address; write it as name@example.com")]
    NotAnEmail,
    #[error(
        "this phone number names no country; write +country code first, such as +995, or name its `region`"
    )]
    NoCountryCode,
    #[error(
        "this is no phone number in use in its country; write it with all digits, such as +995 555 12 34 56, an \
         extension as ext. 12"
    )]
    NotAPhone,
    #[error("this is no handle; write a name of up to 128 characters without spaces")]
    NotAHandle,
}

/// Why contact points are not taken.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum NotTaken {
    #[error("contact point {place}: {problem}")]
    BadContactPoint { place: usize, problem: Problem },
    #[error("contact points {first} and {second} are the same; give it once")]
    SamePointTwice { first: usize, second: usize },
    #[error("nobody has more than {most} contact points; leave some out or remove one first")]
    TooManyPoints { most: usize },
}

/// More than any person has; keeps a state small whatever is sent.
pub(crate) const MOST: usize = 100;

/// Each point with its key, numbered from 1; no two are the same.
pub(crate) fn numbered(points: &[ContactPoint]) -> Result<Vec<(i32, &Kind, String)>, NotTaken> {
    if points.len() > MOST {
        return Err(NotTaken::TooManyPoints { most: MOST });
    }
    let mut numbered: Vec<(i32, &Kind, String)> = Vec::with_capacity(points.len());
    for (number, (place, point)) in (1..).zip((1..).zip(points)) {
        let key = point.key().map_err(|problem| NotTaken::BadContactPoint { place, problem })?;
        let same = |(_, kind, other): &(i32, &Kind, String)| **kind == point.kind && *other == key;
        if let Some(first) = numbered.iter().position(same) {
            return Err(NotTaken::SamePointTwice { first: first + 1, second: place });
        }
        numbered.push((number, &point.kind, key));
    }
    Ok(numbered)
}

impl ContactPoint {
    /// The key by which two contact points of one kind are the same.
    pub fn key(&self) -> Result<String, Problem> {
        key(&self.kind, &self.value, self.region)
    }
}

/// The key of `value`; `region` is the country that a phone number without a country code is dialled in.
pub fn key(kind: &Kind, value: &Personal, region: Option<Country>) -> Result<String, Problem> {
    let text: String = value.as_deref().unwrap_or_default().chars().filter(|c| !is_invisible(*c)).collect();
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::Blank);
    }
    match kind {
        Kind::Email => email(text).ok_or(Problem::NotAnEmail),
        Kind::Phone => phone(text, region),
        Kind::Handle { .. } => handle(text).ok_or(Problem::NotAHandle),
    }
}

/// The claim on a contact point's key, shared by all that can be reached there.
pub const CLAIM: &str = "contact_point";

/// The claimed key of a contact point whose own key is `key`.
pub fn claimed(kind: &Kind, key: &str) -> String {
    format!("{kind}\u{1f}{key}")
}

/// What a new holder of `key` claims: the key for itself, or beside others where a duplicate is meant.
pub fn claim(kind: &Kind, key: &str, meant: Meant) -> Claim {
    meant.claim(CLAIM, claimed(kind, key)).personal()
}

/// Whether another may hold the same key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meant {
    Unique,
    /// Somebody gave a reason for having it twice.
    Duplicate,
}

impl Meant {
    /// What a command's `override_duplicate` asks for; `None` where a duplicate lacks its reason.
    pub fn asked(override_duplicate: bool, reason: &Personal, given: &Given<'_>) -> Option<Self> {
        if override_duplicate {
            given.has_reason(reason).then_some(Self::Duplicate)
        } else {
            Some(Self::Unique)
        }
    }

    /// The claim on a key that is to be held alone, or beside others.
    pub fn claim(self, kind: &'static str, key: impl Into<String>) -> Claim {
        match self {
            Self::Unique => Claim::take(kind, key),
            Self::Duplicate => Claim::join(kind, key),
        }
    }
}

/// Marks of direction and of nothing that come along when a number is copied from a screen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn email(text: &str) -> Option<String> {
    let text = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(start), Some(rest)) => &rest[start + 1..],
        _ => text,
    };
    let text = match without_scheme(text, &["mailto:"]) {
        Some(address) => address.split('?').next().unwrap_or_default(),
        None => text,
    };
    let text = text.trim().to_lowercase();
    (!text.chars().any(char::is_control) && is_email(&text)).then_some(text)
}

fn is_email(text: &str) -> bool {
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    // In practice the crate knows ASCII only, so what other scripts write is shown to it as an `a`.
    let shown: String = text.chars().map(|c| if is_of_other_script(c) { 'a' } else { c }).collect();
    let domain = text.rsplit('@').next().unwrap_or_default();
    let top = domain.rsplit('.').next().unwrap_or_default();
    text.len() <= 254
        && EmailAddress::parse_with_options(&shown, options).is_ok()
        && domain.chars().all(in_domain)
        && !top.chars().all(|c| c.is_ascii_digit())
}

/// Whether this is a domain with at least two labels, in any script.
pub(crate) fn is_domain(text: &str) -> bool {
    text.chars().all(in_domain) && is_email(&format!("a@{text}"))
}

fn in_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-') || is_of_other_script(c)
}

/// Signs of vowels are no letters, yet stand in names; so this asks only that it is something to see.
fn is_of_other_script(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

fn without_scheme<'t>(text: &'t str, schemes: &[&str]) -> Option<&'t str> {
    let named =
        |scheme: &&&str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    schemes.iter().find(named).and_then(|scheme| text.get(scheme.len()..))
}

fn handle(text: &str) -> Option<String> {
    let text = text.trim_start_matches('@').to_lowercase();
    let fits = |c: char| !c.is_whitespace() && !c.is_control();
    ((1..=128).contains(&text.chars().count()) && text.chars().all(fits)).then_some(text)
}

fn phone(text: &str, region: Option<Country>) -> Result<String, Problem> {
    let text: String = text.chars().map(plain).collect::<String>().to_lowercase();
    let text = without_scheme(&text, &["tel:", "callto:"]).unwrap_or(&text).trim();
    let (text, extension) = without_extension(text);
    let digits = dialled(text).ok_or(Problem::NotAPhone)?;
    let number = match (digits.strip_prefix('+'), region) {
        (Some(number), _) => international(number),
        (None, Some(region)) => dialled_in(region, &digits),
        (None, None) => return Err(Problem::NoCountryCode),
    };
    let number = number.ok_or(Problem::NotAPhone)?;
    Ok(match extension {
        None => number,
        Some(extension) => format!("{number};ext={extension}"),
    })
}

/// The number plan decides, not the parser, which takes the 8 of +7 812 for the Russian trunk prefix.
fn international(number: &str) -> Option<String> {
    // No country code is the beginning of another.
    let of_code = |length: usize| {
        let (code, national) = number.split_at_checked(length)?;
        let metadata = DATABASE.by_code(&code.parse::<u16>().ok()?)?;
        metadata.into_iter().find_map(|metadata| in_plan(metadata, national))
    };
    (1..=3).find_map(of_code).or_else(|| parsed(None, &format!("+{number}")))
}

fn dialled_in(region: Country, digits: &str) -> Option<String> {
    let metadata = DATABASE.by_id(region.as_str())?;
    let with_code =
        || digits.starts_with(&metadata.country_code().to_string()).then(|| international(digits))?;
    let last = || parsed(region.as_str().parse().ok(), digits);
    in_plan(metadata, digits).or_else(with_code).or_else(last)
}

/// E.164 of a number that is in the country's plan, with or without its trunk prefix.
fn in_plan(metadata: &Metadata, national: &str) -> Option<String> {
    let trunk = metadata.national_prefix().and_then(|prefix| national.strip_prefix(prefix));
    let given_out = |national: &&str| {
        let of_kind = |kind: &Type| metadata.descriptors().get(*kind);
        KINDS.iter().filter_map(of_kind).any(|numbers| numbers.is_match(national))
    };
    let national = [Some(national), trunk].into_iter().flatten().find(given_out)?;
    Some(format!("+{}{national}", metadata.country_code()))
}

const KINDS: &[Type] = &[
    Type::FixedLine,
    Type::Mobile,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

/// What the parser knows beyond plans: carriers, and prefixes that turn into others.
fn parsed(region: Option<country_id::Id>, digits: &str) -> Option<String> {
    let number = phonenumber::parse(region, digits).ok().filter(phonenumber::is_valid)?;
    Some(format!("+{}{}", number.code().value(), number.national()))
}

/// Digits of other scripts and wide signs as ASCII.
fn plain(c: char) -> char {
    let zero = match c {
        '0'..='9' => '0',
        '٠'..='٩' => '٠',
        '۰'..='۹' => '۰',
        '０'..='９' => '０',
        '＋' => return '+',
        other => return other,
    };
    char::from_digit(u32::from(c) - u32::from(zero), 10).unwrap_or(c)
}

const EXTENSION_MARKS: &[&str] = &[";ext", "extension", "ext", "доб", "შიდა", "x", "#"];

/// The number before an extension, and the extension, if there is one of 1 to 7 digits.
fn without_extension(text: &str) -> (&str, Option<&str>) {
    let head = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let extension = &text[head.len()..];
    let head = head.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ':' | '='));
    let number = EXTENSION_MARKS.iter().find_map(|mark| head.strip_suffix(mark));
    match number {
        Some(number) if (1..=7).contains(&extension.len()) => {
            let number = number.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
            (number, Some(extension))
        }
        _ => (text, None),
    }
}

/// Only `+` and digits, so that nothing else reaches the parser; `None` if anything else than punctuation is left out.
fn dialled(text: &str) -> Option<String> {
    let international = text.trim_start_matches('(').starts_with(['+']) || text.starts_with("00");
    // "+44 (0)20 …" shows the trunk zero that is dialled at home only.
    let text = if international { text.replace("(0)", "") } else { text.to_owned() };
    let mut digits = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() => digits.push(c),
            '-' | '‐' | '‑' | '‒' | '–' | '—' | '−' | '.' | '·' | '(' | ')' | '/' => {}
            space if space.is_whitespace() => {}
            _ => return None,
        }
    }
    if let Some(rest) = digits.strip_prefix("00") {
        digits = format!("+{rest}");
    }
    (digits.len() <= 20).then_some(digits)
}

#[cfg(test)]
mod tests;
