//! Text of any script as small ASCII letters and digits, so that names meet whoever wrote them down.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// What a word was written in, as far as it matters for its consonants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Script {
    Latin,
    /// Writes short vowels nowhere, and long ones with consonants.
    Arabic,
    Other,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) script: Script,
}

/// The words of `text`: compatibility forms and capitals are folded, Mtavruli becomes Mkhedruli, digits and letters of
/// other scripts become ASCII, apostrophes vanish, and any other sign parts words.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let plain: String = text.nfkc().flat_map(char::to_lowercase).filter(|c| !is_apostrophe(*c)).collect();
    plain.split_whitespace().flat_map(romanised).collect()
}

/// The words of `text`, with one space between them.
pub(crate) fn fold(text: &str) -> String {
    words(text).into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

/// The letters and digits of `text` alone.
pub(crate) fn squeezed(text: &str) -> String {
    words(text).into_iter().map(|word| word.text).collect()
}

fn romanised(written: &str) -> Vec<Word> {
    let script = script(written);
    let written = match script {
        // The article is written or left out at will, and a final ta marbuta is heard as a vowel.
        Script::Arabic => {
            written.strip_prefix("ال").filter(|rest| rest.chars().count() > 2).unwrap_or(written)
        }
        _ => written,
    };
    let ascii: String = written
        .chars()
        .filter(|c| *c != 'ة')
        .flat_map(|c| any_ascii::any_ascii_char(c).chars())
        .filter(|c| !is_apostrophe(*c))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let parts = ascii.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| Word { text: part.to_owned(), script }).collect()
}

fn script(word: &str) -> Script {
    match word.chars().find(|c| c.is_alphabetic()) {
        Some('\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}') => Script::Arabic,
        // Latin with its supplements and extensions.
        None | Some(..='\u{24f}' | '\u{1e00}'..='\u{1eff}') => Script::Latin,
        Some(_) => Script::Other,
    }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '`' | '´' | '‘' | '’' | 'ʻ' | 'ʼ' | 'ʾ' | 'ʿ' | '″' | '"')
}
