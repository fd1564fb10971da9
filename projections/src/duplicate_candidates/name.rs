//! Names of people, compared part by part.

use super::fold::{Word, words};
use super::level::{Level, of_texts};
use super::{nicknames, sound};
use serde::{Deserialize, Serialize};

/// A given name with what follows it, or a family name with its particles.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Name {
    words: Vec<Word>,
    /// All words in one.
    #[serde(skip)]
    pub(super) plain: String,
    /// The phonetic code of the word that is looked up.
    pub(super) code: String,
    pub(super) skeletons: Vec<String>,
    #[serde(skip)]
    forms: &'static [u16],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Given,
    Family,
}

const PARTICLES: &[&str] = &[
    "abu", "al", "bin", "da", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "el", "ibn", "la",
    "le", "mac", "mc", "st", "ter", "van", "von",
];

const TITLES: &[&str] = &[
    "mr", "mrs", "ms", "miss", "dr", "prof", "sir", "dame", "lady", "lord", "rev", "jr", "sr", "ii", "iii",
    "iv",
];

impl Name {
    pub(super) fn of(text: &str, part: Part) -> Option<Self> {
        Self::from_words(without_titles(words(text)), part)
    }

    fn from_words(words: Vec<Word>, part: Part) -> Option<Self> {
        let head = match part {
            Part::Given => words.first(),
            Part::Family => words.last(),
        }?;
        let (code, skeletons, forms) = (sound::code(&head.text), sound::skeletons(head), forms(head, part));
        Some(Self { code, skeletons, forms, plain: plain(&words), words })
    }

    /// What is not written down, because it follows from the rest.
    pub(super) fn restored(mut self, part: Part) -> Self {
        self.plain = plain(&self.words);
        self.forms = self.words.first().map_or(&[], |head| forms(head, part));
        self
    }

    /// The first letter of the first word.
    pub(super) fn initial(&self) -> &str {
        self.words.first().map_or("", |word| &word.text[..1])
    }

    pub(super) fn level(&self, other: &Self) -> Level {
        if self.plain == other.plain {
            return Level::Equal;
        }
        let level = of_texts(&self.plain, &other.plain);
        if level > Level::Near && self.shares_a_word(other) {
            return Level::Near;
        }
        if level == Level::Different && (self.may_be(other) || self.sounds_like(other)) {
            return Level::Alike;
        }
        level
    }

    fn shares_a_word(&self, other: &Self) -> bool {
        let long = |word: &&Word| word.text.len() >= 3;
        self.words.iter().filter(long).any(|word| other.words.iter().any(|held| held.text == word.text))
    }

    /// One is an initial or a short form of the other.
    fn may_be(&self, other: &Self) -> bool {
        let (one, another) = (&self.words[0].text, &other.words[0].text);
        let initial = (one.len() == 1 || another.len() == 1) && self.initial() == other.initial();
        initial || self.forms.iter().any(|form| other.forms.contains(form))
    }

    fn sounds_like(&self, other: &Self) -> bool {
        let crosses = self.words[0].script != other.words[0].script;
        let skeleton = |held: &String| other.skeletons.contains(held) && (crosses || held.len() >= 4);
        (self.code == other.code && self.code.len() >= 2) || self.skeletons.iter().any(skeleton)
    }
}

fn plain(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect()
}

fn forms(head: &Word, part: Part) -> &'static [u16] {
    if part == Part::Given { nicknames::lines(&head.text) } else { &[] }
}

/// Given and family name of a whole one: "Family, Given" or the last word with its particles.
pub(super) fn parted(full: &str) -> (Option<Name>, Option<Name>) {
    if let Some((family, given)) = full.split_once(',') {
        let parts = (Name::of(given, Part::Given), Name::of(family, Part::Family));
        if parts.0.is_some() && parts.1.is_some() {
            return parts;
        }
    }
    let mut given = without_titles(words(full));
    let mut family: Vec<Word> = given.pop().into_iter().collect();
    while given.len() > 1 && given.last().is_some_and(|word| PARTICLES.contains(&word.text.as_str())) {
        family.splice(0..0, given.pop());
    }
    if given.is_empty() {
        return (Name::from_words(family, Part::Given), None);
    }
    (Name::from_words(given, Part::Given), Name::from_words(family, Part::Family))
}

fn without_titles(words: Vec<Word>) -> Vec<Word> {
    let bare: Vec<Word> =
        words.iter().filter(|word| !TITLES.contains(&word.text.as_str())).cloned().collect();
    if bare.is_empty() { words } else { bare }
}
