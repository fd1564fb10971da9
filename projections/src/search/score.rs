//! How well a word that is searched for fits one that a record has.

use super::terms::{Token, skeletons};

/// From 0 to 1; none where they have nothing in common.
pub(super) fn fits(token: &Token, word: &str) -> Option<f64> {
    match token {
        Token::Word(wanted) => fits_word(wanted, word),
        Token::Address(wanted) => begins(wanted, word),
        Token::Number { backwards, word: digits } => begins(backwards, word).or_else(|| begins(digits, word)),
    }
}

fn fits_word(wanted: &str, word: &str) -> Option<f64> {
    if word.starts_with(['@', '#']) {
        return None;
    }
    begins(wanted, word).or_else(|| mistyped(wanted, word)).or_else(|| sounds(wanted, word))
}

/// The same, or its beginning: the more of it, the better.
fn begins(wanted: &str, word: &str) -> Option<f64> {
    let share = || ratio(wanted.len(), word.len());
    word.starts_with(wanted).then(|| if wanted.len() == word.len() { 1.0 } else { 0.75 + 0.2 * share() })
}

/// One letter too few, too many, another, or swapped with its neighbour.
fn mistyped(wanted: &str, word: &str) -> Option<f64> {
    let long = wanted.len().min(word.len()) >= 3 && wanted.len().max(word.len()) >= 4;
    (long && wanted.len().abs_diff(word.len()) <= 1 && strsim::osa_distance(wanted, word) == 1).then_some(0.7)
}

/// The same consonants: the closer the rest, the better.
fn sounds(wanted: &str, word: &str) -> Option<f64> {
    let alike = !skeletons(wanted).is_disjoint(&skeletons(word));
    alike.then(|| 0.3 + 0.35 * strsim::normalized_damerau_levenshtein(wanted, word))
}

#[expect(clippy::cast_precision_loss, reason = "words are short")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::fits;
    use crate::search::terms::Token;

    #[test]
    fn the_same_stands_before_a_beginning_before_a_typo_before_a_likeness() {
        let token = Token::Word("beridze".into());
        let of = |word| fits(&token, word).unwrap_or_default();
        let falling = [of("beridze"), of("beridzeebi"), of("berize"), of("bariadze"), of("kapanadze")];
        assert!(falling.windows(2).all(|pair| pair[0] > pair[1]), "{falling:?}");
        assert_eq!(fits(&token, "kapanadze"), None);
    }
}
