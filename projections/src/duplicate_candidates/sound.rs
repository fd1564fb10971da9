//! How a name sounds, in two ways: a phonetic code, and a coarse skeleton of consonants that scripts share.

use super::fold::{Script, Word};
use rphonetic::DoubleMetaphone;

/// Longer codes tell more names apart than they lose.
const CODE_LENGTH: usize = 6;

/// The phonetic code of an ASCII word; the word itself where there is nothing to hear.
pub(crate) fn code(word: &str) -> String {
    let code = DoubleMetaphone::new(Some(CODE_LENGTH)).double_metaphone(word).primary();
    if code.is_empty() { word.to_owned() } else { code }
}

/// Spellings of one sound, longest first. What is left out is heard in one language and dropped in the next.
const SPELLINGS: &[(&str, &str)] = &[
    ("shch", "s"),
    ("tsch", "s"),
    ("dzh", "s"),
    ("sch", "s"),
    ("tch", "s"),
    ("dj", "s"),
    ("dz", "s"),
    ("ts", "s"),
    ("tz", "s"),
    ("cz", "s"),
    ("ch", "s"),
    ("sh", "s"),
    ("zh", "s"),
    ("kh", ""),
    ("gh", "k"),
    ("ph", "f"),
    ("th", "t"),
    ("dh", "t"),
    ("ce", "s"),
    ("ci", "s"),
    ("cy", "s"),
    ("ck", "k"),
    ("b", "b"),
    ("c", "k"),
    ("d", "t"),
    ("f", "f"),
    ("g", "k"),
    ("j", "s"),
    ("k", "k"),
    ("l", "l"),
    ("m", "m"),
    ("n", "n"),
    ("p", "b"),
    ("q", "k"),
    ("r", "r"),
    ("s", "s"),
    ("t", "t"),
    ("v", "f"),
    ("w", "w"),
    ("x", "ks"),
    ("z", "s"),
];

/// The consonants of a word, coarsely; a second reading where a `w` may be a vowel.
pub(crate) fn skeletons(word: &Word) -> Vec<String> {
    let read = consonants(word);
    let as_vowel = |at: usize| word.script == Script::Arabic && at > 0;
    let heard: String =
        read.char_indices().filter(|(at, c)| *c != 'w' || !as_vowel(*at)).map(|(_, c)| c).collect();
    let with = collapsed(&heard.replace('w', "f"));
    let without = collapsed(&heard.replace('w', ""));
    let mut skeletons = vec![with, without];
    skeletons.retain(|skeleton| !skeleton.is_empty());
    skeletons.dedup();
    if skeletons.is_empty() {
        skeletons.push(word.text.clone());
    }
    skeletons
}

fn consonants(word: &Word) -> String {
    let (mut rest, mut read) = (word.text.as_str(), String::new());
    while let Some(first) = rest.chars().next() {
        let known = SPELLINGS.iter().find(|(spelling, _)| rest.starts_with(spelling));
        let length = known.map_or(first.len_utf8(), |(spelling, _)| spelling.len());
        match known {
            Some((_, sound)) => read.push_str(sound),
            None if first.is_ascii_digit() => read.push(first),
            None => {}
        }
        rest = &rest[length..];
    }
    read
}

fn collapsed(sounds: &str) -> String {
    let mut out = String::new();
    for c in sounds.chars() {
        if !out.ends_with(c) {
            out.push(c);
        }
    }
    out
}
