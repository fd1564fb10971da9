//! Blocking keys: two records are compared if they share one. A keyed hash of each is stored, so keys show nothing.

use super::address::Place;
use super::birth_date::BirthDate;
use super::details::Profile;
use super::name::Name;
use super::reach::local_digits;
use super::sound;
use kvali_domain::match_rule::Key;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many other fields help to find whoever has neither mail nor telephone.
const OTHERS: usize = 2;

/// A keyed hash that is the same whenever the bytes are.
#[derive(Clone)]
pub struct Hasher(Arc<Hash>);

type Hash = dyn Fn(&[u8]) -> i64 + Send + Sync;

impl Hasher {
    pub fn new(hash: impl Fn(&[u8]) -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(hash))
    }

    pub fn hash(&self, kind: &str, parts: &[&str]) -> i64 {
        let mut bytes = kind.as_bytes().to_vec();
        for part in parts {
            bytes.push(0x1f);
            bytes.extend_from_slice(part.as_bytes());
        }
        (self.0)(&bytes)
    }
}

/// The keys of a record, in order and each once.
pub fn keys(profile: &Profile, hasher: &Hasher, kinds: &BTreeSet<Key>) -> BTreeSet<i64> {
    let mut keys = Keys { hasher, kinds, found: BTreeSet::new() };
    keys.reach(profile);
    keys.names(profile);
    keys.people(profile);
    keys.places(profile);
    keys.organisation(profile);
    keys.found
}

struct Keys<'a> {
    hasher: &'a Hasher,
    kinds: &'a BTreeSet<Key>,
    found: BTreeSet<i64>,
}

impl Keys<'_> {
    /// `label` parts the keys of one kind from each other.
    fn add(&mut self, kind: Key, label: &str, parts: &[&str]) {
        if self.kinds.contains(&kind) && parts.iter().all(|part| !part.is_empty()) {
            self.found.insert(self.hasher.hash(label, parts));
        }
    }

    fn reach(&mut self, profile: &Profile) {
        let name = skeleton(profile);
        for email in &profile.emails {
            self.add(Key::Email, "email", &[&email.local, &email.domain]);
            self.add(Key::Email, "mailbox", &[&email.local, &name]);
        }
        for phone in &profile.phones {
            self.add(Key::Phone, "phone", &[phone]);
            self.add(Key::Phone, "phone+name", &[local_digits(phone), &name]);
        }
        for identifier in &profile.identifiers {
            self.add(Key::Identifier, "identifier", &[identifier]);
        }
    }

    /// Both parts of the name in the order of the alphabet, so that it does not matter which is which.
    fn names(&mut self, profile: &Profile) {
        match (&profile.given, &profile.family) {
            (Some(given), Some(family)) => {
                self.add(Key::Name, "name", &sorted(&given.code, &family.code));
                for one in &given.skeletons {
                    for other in &family.skeletons {
                        self.add(Key::Name, "consonants", &sorted(one, other));
                    }
                }
            }
            (Some(name), None) | (None, Some(name)) => {
                self.add(Key::Name, "single name", &[&name.code]);
                for skeleton in &name.skeletons {
                    self.add(Key::Name, "single consonants", &[skeleton]);
                }
            }
            (None, None) => {}
        }
    }

    /// Either part of the name, so that it does not matter which is which.
    fn people(&mut self, profile: &Profile) {
        if let (Some(given), Some(family)) = (&profile.given, &profile.family) {
            self.add(Key::Name, "name+initial", &[&family.code, given.initial()]);
            self.add(Key::Name, "name+initial", &[&given.code, family.initial()]);
        }
        let born = profile.birth_date.map(BirthDate::digits).unwrap_or_default();
        let place = profile.place.as_ref().map(place_key).unwrap_or_default();
        let town = profile.place.as_ref().map(|place| sound::code(&place.town)).unwrap_or_default();
        for name in [&profile.given, &profile.family].into_iter().flatten() {
            self.add(Key::NameAndPlace, "name+place", &[&name.code, place]);
            self.add(Key::NameAndBirth, "name+born", &[&name.code, &born]);
            self.add(Key::NameAndPlace, "name+town", &[&name.code, &town]);
            if profile.emails.is_empty() && profile.phones.is_empty() {
                for (field, value) in profile.others.iter().take(OTHERS) {
                    self.add(Key::NameAndPlace, "name+other", &[&name.code, field, value]);
                }
            }
        }
        self.add(Key::NameAndBirth, "born", &[&born]);
    }

    fn places(&mut self, profile: &Profile) {
        let place = profile.place.as_ref().map(place_key).unwrap_or_default();
        let town = profile.place.as_ref().map(|place| sound::code(&place.town)).unwrap_or_default();
        let lines = [&profile.street, &profile.second_line].into_iter().flatten();
        for line in lines {
            let number = line.number.as_deref().unwrap_or_default();
            self.add(Key::Street, "number+street", &[number, &line.code()]);
            self.add(Key::Street, "street+place", &[&line.code(), place]);
            // As it sounds: postal codes are mistyped more than they are told apart by.
            self.add(Key::Street, "street+town", &[&line.code(), &town]);
            self.add(Key::Street, "number+place", &[number, place]);
        }
    }

    fn organisation(&mut self, profile: &Profile) {
        if profile.is_person() {
            return;
        }
        for domain in &profile.domains {
            self.add(Key::Domain, "domain", &[domain]);
        }
        let Some(name) = &profile.organisation else { return };
        let telling = name.telling();
        self.add(Key::Organisation, "organisation", &[&name.plain]);
        if let [first, second, ..] = telling[..] {
            self.add(Key::Organisation, "two words", &sorted(&sound::code(first), &sound::code(second)));
        }
        for word in telling.iter().take(2) {
            if let Some(place) = &profile.place {
                self.add(Key::Organisation, "word+postcode", &[&sound::code(word), place_key(place)]);
            }
        }
    }
}

fn place_key(place: &Place) -> &str {
    if place.postcode.is_empty() { &place.town } else { &place.postcode }
}

fn sorted<'a>(one: &'a str, other: &'a str) -> [&'a str; 2] {
    if one <= other { [one, other] } else { [other, one] }
}

/// The family name's consonants, or those of what there is.
fn skeleton(profile: &Profile) -> String {
    let name: Option<&Name> = profile.family.as_ref().or(profile.given.as_ref());
    let of_organisation = || profile.organisation.as_ref().map(|name| sound::code(name.telling()[0]));
    name.map(|name| name.skeletons[0].clone()).or_else(of_organisation).unwrap_or_default()
}
