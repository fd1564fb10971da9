//! Where somebody can be reached, as it is compared: provider rules for mail, numbers by their ends, domains of one's own.

use super::level::{Level, is_a_slip_apart, of_texts};
use kvali_domain::Personal;
use kvali_domain::contact_point::{Kind, key};
use kvali_domain::free_mail::is_free_mail;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Email {
    pub(super) local: String,
    pub(super) domain: String,
}

impl Email {
    /// Tags after `+` are left out everywhere; dots where the provider leaves them out.
    pub(super) fn of(text: &str) -> Option<Self> {
        let canonical = key(&Kind::Email, &Personal::new(text), None).ok()?;
        let (local, domain) = canonical.rsplit_once('@')?;
        let local = local.split('+').next().filter(|local| !local.is_empty()).unwrap_or(local);
        let (local, domain) = match domain {
            "gmail.com" | "googlemail.com" => (local.replace('.', ""), "gmail.com"),
            domain => (local.to_owned(), domain),
        };
        Some(Self { local, domain: domain.to_owned() })
    }

    pub(super) fn level(&self, other: &Self) -> Level {
        match (of_texts(&self.local, &other.local), self.domain == other.domain) {
            (Level::Equal, true) => Level::Equal,
            (Level::Equal, false) | (Level::Near, true) => Level::Near,
            (Level::Near, false) => Level::Alike,
            (Level::Alike | Level::Different, _) => Level::Different,
        }
    }
}

/// Of two numbers that end alike, one may lack the codes of country and area.
const LOCAL_DIGITS: usize = 7;

/// The digits of a number, E.164 where the country is known; nothing for what is too short to be one.
pub(super) fn phone(text: &str) -> Option<String> {
    let number =
        key(&Kind::Phone, &Personal::new(text), None).unwrap_or_else(|_| super::fold::squeezed(text));
    let number = number.split(";ext=").next().unwrap_or_default();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (digits.len() >= 5).then(|| digits.to_owned())
}

/// The end of a number that every way of writing it has.
pub(super) fn local_digits(phone: &str) -> &str {
    &phone[phone.len().saturating_sub(LOCAL_DIGITS)..]
}

pub(super) fn phone_level(one: &str, other: &str) -> Level {
    let shorter = one.len().min(other.len());
    if shorter >= LOCAL_DIGITS && (one.ends_with(other) || other.ends_with(one)) || one == other {
        return Level::Equal;
    }
    if shorter >= LOCAL_DIGITS && (local_digits(one) == local_digits(other) || is_a_slip_apart(one, other)) {
        return Level::Near;
    }
    Level::Different
}

/// The registered domain of an address on the net, unless anybody has a mailbox there.
pub(super) fn own_domain(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let host = text.split("://").last().unwrap_or_default();
    let host = host.split(['/', '?', '#', ':']).next().unwrap_or_default().trim_end_matches('.');
    let registered = psl::domain_str(host)?;
    (!is_free_mail(registered)).then(|| registered.to_owned())
}
