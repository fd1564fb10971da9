//! Names of organisations: their core, without legal forms, word by word.

use super::fold::words;
use super::level::Level;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct OrganisationName {
    pub(super) words: Vec<String>,
    /// All words in one.
    #[serde(skip)]
    pub(super) plain: String,
}

/// Folded; those of several letters with points are joined before they are looked up.
const LEGAL_FORMS: &[&str] = &[
    "ab",
    "ag",
    "ao",
    "aps",
    "as",
    "bv",
    "bvba",
    "co",
    "company",
    "corp",
    "corporation",
    "doo",
    "ead",
    "eg",
    "eood",
    "ev",
    "fop",
    "gbr",
    "gie",
    "gmbh",
    "ilp",
    "inc",
    "incorporated",
    "ip",
    "jsc",
    "kft",
    "kg",
    "kk",
    "lda",
    "limited",
    "llc",
    "llp",
    "lp",
    "lllp",
    "ltd",
    "ltda",
    "mbh",
    "nv",
    "oao",
    "ohg",
    "ood",
    "ooo",
    "oy",
    "oyj",
    "pao",
    "plc",
    "pllc",
    "pte",
    "pty",
    "pvt",
    "sa",
    "sarl",
    "sas",
    "se",
    "sia",
    "sl",
    "slu",
    "sp",
    "spa",
    "spj",
    "spk",
    "spzoo",
    "sro",
    "srl",
    "ss",
    "ssa",
    "shps",
    "sps",
    "snc",
    "tov",
    "uab",
    "ug",
    "zao",
    "zoo",
    "zrt",
];

const FILLERS: &[&str] = &[
    "a", "an", "and", "at", "by", "da", "de", "del", "der", "des", "di", "die", "for", "fur", "in", "la",
    "le", "of", "on", "the", "und", "y", "et",
];

/// Words that tell what an organisation does rather than which one it is.
const GENERIC: &[&str] = &[
    "academy",
    "advisors",
    "agency",
    "associates",
    "association",
    "bank",
    "bros",
    "brothers",
    "building",
    "business",
    "capital",
    "care",
    "center",
    "centre",
    "central",
    "charter",
    "child",
    "children",
    "childrens",
    "church",
    "city",
    "clinic",
    "club",
    "college",
    "commercial",
    "communications",
    "community",
    "computer",
    "construction",
    "consultants",
    "consulting",
    "council",
    "county",
    "daycare",
    "dental",
    "design",
    "development",
    "distribution",
    "early",
    "education",
    "electric",
    "elementary",
    "energy",
    "engineering",
    "enterprise",
    "enterprises",
    "equipment",
    "family",
    "federation",
    "finance",
    "financial",
    "first",
    "food",
    "foods",
    "foundation",
    "fund",
    "general",
    "global",
    "group",
    "health",
    "high",
    "holding",
    "holdings",
    "home",
    "hospital",
    "hotel",
    "industrial",
    "industries",
    "institute",
    "insurance",
    "international",
    "investment",
    "investments",
    "kids",
    "law",
    "learning",
    "legal",
    "logistics",
    "management",
    "manufacturing",
    "market",
    "marketing",
    "media",
    "medical",
    "ministry",
    "museum",
    "national",
    "network",
    "networks",
    "north",
    "office",
    "partners",
    "partnership",
    "pharma",
    "preschool",
    "primary",
    "products",
    "program",
    "project",
    "properties",
    "public",
    "real",
    "estate",
    "research",
    "restaurant",
    "retail",
    "school",
    "schools",
    "science",
    "security",
    "service",
    "services",
    "shop",
    "site",
    "society",
    "software",
    "solutions",
    "south",
    "state",
    "store",
    "studio",
    "supply",
    "system",
    "systems",
    "tech",
    "technologies",
    "technology",
    "trade",
    "trading",
    "training",
    "transport",
    "travel",
    "trust",
    "union",
    "united",
    "university",
    "ventures",
    "west",
    "works",
    "world",
    "youth",
];

/// What a generic word counts against one that tells organisations apart.
const GENERIC_SHARE: f64 = 0.35;

impl OrganisationName {
    pub(super) fn of(text: &str) -> Option<Self> {
        let all = joined_letters(words(text).into_iter().map(|word| word.text).collect());
        let said =
            |word: &&String| !LEGAL_FORMS.contains(&word.as_str()) && !FILLERS.contains(&word.as_str());
        let core: Vec<String> = all.iter().filter(said).cloned().collect();
        let words = if core.is_empty() { all } else { core };
        (!words.is_empty()).then(|| Self { plain: words.concat(), words })
    }

    /// What is not written down, because it follows from the rest.
    pub(super) fn restored(self) -> Self {
        Self { plain: self.words.concat(), ..self }
    }

    /// The words that tell it apart, most telling first.
    pub(super) fn telling(&self) -> Vec<&str> {
        let (generic, telling): (Vec<&str>, Vec<&str>) =
            self.words.iter().map(String::as_str).partition(|word| is_generic(word));
        telling.into_iter().chain(generic).collect()
    }

    pub(super) fn level(&self, other: &Self) -> Level {
        if self.plain == other.plain {
            return Level::Equal;
        }
        let numbers_differ = self.numbers() != other.numbers();
        let (shared, contained) = self.overlap(other);
        let spelling = strsim::jaro_winkler(&self.plain, &other.plain);
        match () {
            () if numbers_differ => {
                if shared >= 0.6 && (self.numbers().is_empty() || other.numbers().is_empty()) {
                    Level::Alike
                } else {
                    Level::Different
                }
            }
            () if shared >= 0.8 || spelling >= 0.96 => Level::Near,
            () if shared >= 0.55 || contained >= 0.99 || spelling >= 0.9 || self.abbreviates(other) => {
                Level::Alike
            }
            () => Level::Different,
        }
    }

    fn numbers(&self) -> Vec<&String> {
        let mut numbers: Vec<_> =
            self.words.iter().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).collect();
        numbers.sort_unstable();
        numbers
    }

    /// What both say of all that is said, and of what the shorter one says.
    fn overlap(&self, other: &Self) -> (f64, f64) {
        let (mine, theirs) = (self.weight(), other.weight());
        let mut left: Vec<&String> = other.words.iter().collect();
        let mut shared = 0.0;
        for word in &self.words {
            if let Some(at) = left.iter().position(|held| is_same_word(word, held)) {
                shared += weight(word).min(weight(left.remove(at)));
            }
        }
        (2.0 * shared / (mine + theirs), shared / mine.min(theirs))
    }

    fn weight(&self) -> f64 {
        self.words.iter().map(|word| weight(word)).sum()
    }

    fn abbreviates(&self, other: &Self) -> bool {
        let initials =
            |name: &Self| name.words.iter().filter_map(|word| word.chars().next()).collect::<String>();
        let stands_for = |short: &Self, long: &Self| long.words.len() >= 3 && short.plain == initials(long);
        stands_for(self, other) || stands_for(other, self)
    }
}

/// "l l c" and "s p a" as they are looked up.
fn joined_letters(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    let mut in_run = false;
    for word in words {
        let is_letter = word.len() == 1 && !word.as_bytes()[0].is_ascii_digit();
        match joined.last_mut() {
            Some(last) if in_run && is_letter => last.push_str(&word),
            _ => joined.push(word),
        }
        in_run = is_letter;
    }
    joined
}

fn is_same_word(one: &str, other: &str) -> bool {
    let shorter = one.len().min(other.len());
    one == other
        || (shorter >= 4 && strsim::jaro_winkler(one, other) >= 0.92)
        || (shorter >= 4 && (one.starts_with(other) || other.starts_with(one)))
}

fn is_generic(word: &str) -> bool {
    GENERIC.contains(&word)
}

fn weight(word: &str) -> f64 {
    if is_generic(word) { GENERIC_SHARE } else { 1.0 }
}
