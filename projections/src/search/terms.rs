//! By which words a value is found, and which words a search looks for.

use crate::duplicate_candidates::fold::{Script, Word, squeezed, words};
use crate::duplicate_candidates::sound;
use kvali_domain::free_mail::is_free_mail;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Name,
    Email,
    Phone,
    Handle,
}

/// Nobody's name has more words, and no word is longer.
const MOST_WORDS: usize = 24;
const LONGEST: usize = 48;

/// The words that a value is indexed by.
pub(super) fn of_value(kind: Kind, text: &str) -> BTreeSet<String> {
    match kind {
        Kind::Name => plain(text).collect(),
        Kind::Email => {
            let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
            let of_domain = domain.rsplit_once('.').map_or("", |(name, _)| name);
            let of_domain = if is_free_mail(domain) { "" } else { of_domain };
            [address(text)].into_iter().chain(named(local)).chain(named(of_domain)).collect()
        }
        Kind::Phone => number(text).into_iter().collect(),
        Kind::Handle => [address(text)].into_iter().chain(named(text)).collect(),
    }
}

/// Names in an address, without the numbers that tell namesakes apart: those are found by the whole address.
fn named(text: &str) -> Vec<String> {
    let letters =
        |word: String| word.split(|c: char| c.is_ascii_digit()).map(str::to_owned).collect::<Vec<_>>();
    plain(text).flat_map(letters).filter(|word| word.len() >= 2).collect()
}

fn plain(text: &str) -> impl Iterator<Item = String> {
    words(text).into_iter().take(MOST_WORDS).map(|word| word.text.chars().take(LONGEST).collect())
}

fn address(text: &str) -> String {
    let text = text.trim().trim_start_matches('@').to_lowercase();
    ['@'].into_iter().chain(text.chars().take(LONGEST)).collect()
}

/// A number from its last digit to its first, so that its end is a beginning; an extension is left out.
fn number(text: &str) -> Option<String> {
    let number = text.split(";ext=").next().unwrap_or_default();
    let digits: String = squeezed(number).chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then(|| backwards(&digits))
}

fn backwards(digits: &str) -> String {
    ['#'].into_iter().chain(digits.chars().rev()).collect()
}

/// The keys that a word is near by: itself and what is left without one letter, and its consonants.
pub(super) fn near(word: &str) -> BTreeSet<String> {
    if word.starts_with(['@', '#']) {
        return BTreeSet::new();
    }
    without_one(word).into_iter().chain(skeletons(word)).collect()
}

/// Shorter words are too many to be one letter apart by mistake.
const SHORTEST: usize = 4;

fn without_one(word: &str) -> BTreeSet<String> {
    if word.len() < SHORTEST {
        return BTreeSet::new();
    }
    let without = |at: usize| format!("d{}{}", &word[..at], &word[at + 1..]);
    (0..word.len()).map(without).chain([format!("d{word}")]).collect()
}

/// Two scripts share consonants; a word of which fewer than two are heard says too little.
pub(super) fn skeletons(word: &str) -> BTreeSet<String> {
    let word = Word { text: word.to_owned(), script: Script::Latin };
    let heard = sound::skeletons(&word).into_iter().filter(|skeleton| skeleton.len() >= 2);
    heard.map(|skeleton| format!("s{skeleton}")).collect()
}

/// One part of what is searched for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// As folded words are.
    Word(String),
    /// The beginning of an address, with its '@'.
    Address(String),
    /// The end of a number, backwards, with its '#'; and as a word.
    Number { backwards: String, word: String },
}

/// More parts are not looked at.
const MOST_TOKENS: usize = 8;
const FEWEST_DIGITS: usize = 4;

pub(super) fn tokens(text: &str) -> Vec<Token> {
    if let Some(number) = as_number(text) {
        return vec![number];
    }
    let parts = text.split_whitespace().flat_map(|part| {
        if part.contains('@') {
            return vec![Token::Address(address(part))];
        }
        match as_number(part) {
            Some(number) => vec![number],
            None => plain(part).map(Token::Word).collect(),
        }
    });
    parts.take(MOST_TOKENS).collect()
}

/// A part that is nothing but a number. The zero that is dialled at home is no part of it.
fn as_number(text: &str) -> Option<Token> {
    let is_of_number = |c: char| c.is_numeric() || c.is_whitespace() || "+-()./".contains(c);
    let word = squeezed(text);
    let digits = word.trim_start_matches('0');
    let is_number = text.chars().all(is_of_number) && digits.len() >= FEWEST_DIGITS;
    is_number.then(|| Token::Number { backwards: backwards(digits), word: word.clone() })
}

impl Token {
    /// Beginnings of the words that are meant.
    pub(super) fn beginnings(&self) -> Vec<&str> {
        match self {
            Self::Word(word) | Self::Address(word) => vec![word],
            Self::Number { backwards, word } => vec![backwards, word],
        }
    }

    pub(super) fn near(&self) -> BTreeSet<String> {
        match self {
            Self::Word(word) => near(word),
            Self::Address(_) | Self::Number { .. } => BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Token, near, of_value, skeletons, tokens};

    fn shares(one: &str, other: &str) -> bool {
        let word = |text: &str| of_value(Kind::Name, text).into_iter().next().unwrap();
        let (one, other) = (word(one), word(other));
        one == other || !near(&one).is_disjoint(&near(&other))
    }

    #[test]
    fn a_name_meets_itself_in_another_script() {
        for (written, typed) in [
            ("გიორგი", "giorgi"),
            ("ბერიძე", "beridze"),
            ("Юрий", "yuri"),
            ("Иванов", "ivanov"),
            ("محمد", "muhammad"),
            ("Müller", "muller"),
        ] {
            assert!(shares(written, typed), "{written} {typed}");
        }
    }

    #[test]
    fn one_letter_too_few_too_many_or_swapped_is_near() {
        for typed in ["berize", "beriddze", "beridxe", "beirdze", "ebridze"] {
            assert!(shares("Beridze", typed), "{typed}");
        }
        assert!(!shares("Beridze", "Kapanadze"));
    }

    #[test]
    fn an_address_is_found_by_its_beginning_and_its_words_but_not_by_where_everybody_has_a_mailbox() {
        let words = of_value(Kind::Email, "nino.beridze@acme.ge");
        assert_eq!(
            words.into_iter().collect::<Vec<_>>(),
            ["@nino.beridze@acme.ge", "acme", "beridze", "nino"]
        );
        let words = of_value(Kind::Email, "nino85@gmail.com");
        assert_eq!(words.into_iter().collect::<Vec<_>>(), ["@nino85@gmail.com", "nino"]);
    }

    #[test]
    fn a_number_is_found_by_its_end() {
        let words = of_value(Kind::Phone, "+995555123456;ext=12");
        assert_eq!(words.into_iter().collect::<Vec<_>>(), ["#654321555599"]);
        let number = |text| match &tokens(text)[..] {
            [Token::Number { backwards, .. }] => backwards.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(number("12 34 56"), "#654321");
        assert_eq!(number("(0555) 123-456"), "#654321555");
        assert_eq!(tokens("12"), [Token::Word("12".into())]);
    }

    #[test]
    fn what_is_searched_for_is_parted_by_what_it_is() {
        let expected = [
            Token::Word("nino".into()),
            Token::Address("@nino@acme".into()),
            Token::Number { backwards: "#4321".into(), word: "1234".into() },
        ];
        assert_eq!(tokens("Nino NINO@acme 1234"), expected);
        assert!(tokens(" – ").is_empty());
        assert!(skeletons("o").is_empty());
    }
}
