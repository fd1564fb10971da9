//! Answers that come page by page: a cursor says after which row the next begins, and belongs to the question it was given
//! out for. What changes between two pages moves rows, but shows none of those that stay twice.

use crate::error::Problem;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::fmt::Display;

/// The question that pages are of: its path and filters, whatever their order.
pub(crate) struct Pages {
    question: [u8; MARK],
}

const MARK: usize = 8;
/// What may differ between two pages of one answer.
const OF_A_PAGE: [&str; 3] = ["cursor", "limit", "after"];

impl Pages {
    fn of(path: &str, query: &str) -> Self {
        let name = |pair: &&str| pair.split('=').next().is_some_and(|name| !OF_A_PAGE.contains(&name));
        let mut pairs: Vec<&str> = query.split('&').filter(name).collect();
        pairs.sort_unstable();
        Self { question: mark(format!("{path}?{}", pairs.join("&")).as_bytes()) }
    }

    /// Where the page begins; `None`, if it is the first.
    pub(crate) fn place<P: DeserializeOwned>(&self, cursor: Option<&str>) -> Result<Option<P>, Problem> {
        let Some(cursor) = cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
        let place = bytes.split_at_checked(2 * MARK).and_then(|(marks, place)| {
            let is_whole = marks[MARK..] == mark(place);
            Some((marks, serde_json::from_slice(place).ok()?)).filter(|_| is_whole)
        });
        let (marks, place) = place.ok_or_else(|| {
            Problem::malformed("cursor", "this is no cursor; give back one as it was given out")
        })?;
        if marks[..MARK] != self.question {
            let detail = "this cursor belongs to another question; ask again as the page before was asked, or without it";
            return Err(Problem::malformed("cursor", detail));
        }
        Ok(Some(place))
    }

    /// The cursor of the page that begins after that place.
    pub(crate) fn cursor(&self, place: &impl Serialize) -> String {
        let place = serde_json::to_vec(place).expect("a place is of numbers and ids");
        let bytes = [&self.question[..], &mark(&place), &place].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Rows of one page, at most.
pub(crate) const MOST: u16 = 1_000;

/// How many rows are asked for.
pub(crate) fn limited<T: Copy + PartialOrd + Display + From<u16>>(
    limit: Option<T>,
    usual: T,
) -> Result<T, Problem> {
    let limit = limit.unwrap_or(usual);
    if (T::from(1)..=T::from(MOST)).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::malformed("limit", format!("limit {limit} is not from 1 to {MOST}")))
}

/// Keeps a page of the rows, of which one more than that was asked for; its last, if there are more.
pub(crate) fn cut<T>(rows: &mut Vec<T>, limit: i64) -> Option<&T> {
    let limit = usize::try_from(limit).expect("a page is small");
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last()
}

/// An answer that says after what the next page begins, if there is one.
pub(crate) fn with_cursor(mut response: Response, next: Option<&str>) -> Response {
    let next = next.map(|text| HeaderValue::from_str(text).expect("a cursor is of letters and digits"));
    response.headers_mut().extend(next.map(|next| (HeaderName::from_static("kvali-cursor"), next)));
    response
}

/// Against cursors that were cut or mixed up; not against forgery, which gains nothing.
fn mark(bytes: &[u8]) -> [u8; MARK] {
    let hash = blake3::hash(bytes);
    std::array::from_fn(|at| hash.as_bytes()[at])
}

impl<S: Sync> FromRequestParts<S> for Pages {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.path(), parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn a_cursor_leads_to_its_place_in_the_same_question_alone() {
        let pages = Pages::of("/v1/board", "pipeline=Sales&sort=age&limit=5");
        let cursor = pages.cursor(&(7, "x"));
        let again = Pages::of("/v1/board", "sort=age&pipeline=Sales&limit=9&cursor=abc&after=3");
        assert_eq!(again.place(Some(&cursor)).expect("it is one of its own"), Some((7, "x".to_owned())));
        assert_eq!(again.place::<i32>(None).expect("the first page"), None);
        for other in
            [Pages::of("/v1/board", "pipeline=Sales"), Pages::of("/v1/search", "pipeline=Sales&sort=age")]
        {
            let told = other.place::<(i32, String)>(Some(&cursor)).expect_err("it is another's").detail;
            assert!(told.contains("another question"), "{told}");
        }
    }

    #[test]
    fn a_cursor_that_was_cut_or_changed_is_none() {
        let pages = Pages::of("/v1/board", "");
        let cursor = pages.cursor(&7);
        for at in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(pages.place::<i32>(Some(&changed)).is_err(), "{changed}");
            assert!(pages.place::<i32>(Some(&cursor[..at])).is_err());
        }
        assert!(pages.place::<i32>(Some("\u{7f}")).is_err());
    }
}
