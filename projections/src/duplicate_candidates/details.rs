//! What is known of a record as it was written, and the profile that is compared.

use super::address::{Place, Street};
use super::birth_date::BirthDate;
use super::fold::{fold, squeezed};
use super::name::{Name, Part, parted};
use super::organisation::OrganisationName;
use super::reach::{self, Email};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All of it is personal. Empty texts say nothing.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub given: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// The whole name of a person, where its parts are not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub full: String,
    /// A company's own name, or the company that a person belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub organisation: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub emails: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub phones: BTreeSet<String>,
    /// Domains of its own, never those of providers of free mail.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub domains: BTreeSet<String>,
    /// Tax and registration ids, social security numbers.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub identifiers: BTreeSet<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub birth_date: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub number: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub street: String,
    /// A building, a unit or whatever else the second line of an address holds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub second_line: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub postcode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub town: String,
    /// Anything else that is worth comparing, by the name of its field.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, String>,
}

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Details(…)")
    }
}

impl Details {
    /// An address in lines: the street first, then the place with its postal code.
    pub fn read_address(&mut self, lines: &str) {
        let mut parts = lines.split(['\n', ',', ';']).map(str::trim).filter(|part| !part.is_empty());
        let Some(street) = parts.next() else { return };
        street.clone_into(&mut self.street);
        for part in parts {
            let is_code = |word: &&str| {
                (3..=10).contains(&word.len()) && word.chars().filter(char::is_ascii_digit).count() >= 3
            };
            let (codes, town): (Vec<&str>, Vec<&str>) = part.split_whitespace().partition(is_code);
            if self.postcode.is_empty() {
                self.postcode = codes.concat();
            }
            if self.town.is_empty() {
                self.town = town.join(" ");
            }
        }
    }
}

/// Details as they are compared.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Profile {
    pub(super) given: Option<Name>,
    pub(super) family: Option<Name>,
    pub(super) organisation: Option<OrganisationName>,
    pub(super) emails: Vec<Email>,
    pub(super) phones: Vec<String>,
    pub(super) domains: Vec<String>,
    pub(super) identifiers: Vec<String>,
    pub(super) birth_date: Option<BirthDate>,
    pub(super) street: Option<Street>,
    pub(super) second_line: Option<Street>,
    pub(super) place: Option<Place>,
    /// In the order of their names.
    pub(super) others: Vec<(String, String)>,
}

impl Profile {
    pub fn of(details: &Details) -> Self {
        let (given, family) = names(details);
        let number = (!details.number.is_empty()).then_some(details.number.as_str());
        let mut domains: Vec<String> =
            details.domains.iter().filter_map(|domain| reach::own_domain(domain)).collect();
        let emails: Vec<Email> = details.emails.iter().filter_map(|email| Email::of(email)).collect();
        domains.extend(emails.iter().filter_map(|email| reach::own_domain(&email.domain)));
        domains.sort_unstable();
        domains.dedup();
        let others = details.others.iter().map(|(field, value)| (field.clone(), fold(value)));
        Self {
            organisation: OrganisationName::of(&details.organisation),
            phones: details.phones.iter().filter_map(|phone| reach::phone(phone)).collect(),
            identifiers: details
                .identifiers
                .iter()
                .map(|id| squeezed(id))
                .filter(|id| id.len() >= 3)
                .collect(),
            birth_date: BirthDate::parse(&details.birth_date),
            street: Street::of(number, &details.street),
            second_line: Street::of(number, &details.second_line).filter(|line| !line.stem.is_empty()),
            place: Place::of(&details.postcode, &details.town),
            others: others.filter(|(_, value)| !value.is_empty()).collect(),
            given,
            family,
            emails,
            domains,
        }
    }

    /// As the read model keeps it.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("texts and numbers are written in any case")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, postcard::Error> {
        let read: Self = postcard::from_bytes(bytes)?;
        Ok(Self {
            given: read.given.map(|name| name.restored(Part::Given)),
            family: read.family.map(|name| name.restored(Part::Family)),
            organisation: read.organisation.map(OrganisationName::restored),
            ..read
        })
    }

    pub fn is_person(&self) -> bool {
        self.given.is_some() || self.family.is_some()
    }
}

fn names(details: &Details) -> (Option<Name>, Option<Name>) {
    let given = Name::of(&details.given, Part::Given);
    let family = Name::of(&details.family, Part::Family);
    if given.is_none() && family.is_none() { parted(&details.full) } else { (given, family) }
}
