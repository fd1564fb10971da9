//! What two profiles agree in, field by field.

use super::address::Street;
use super::details::Profile;
use super::level::{self, Level};
use super::name::Name;
use super::reach::{Email, phone_level};

/// What was found in one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding<'a> {
    pub field: &'a str,
    pub level: Level,
    /// What both say, where it is equal: a rare value says more than a common one.
    pub shared: Option<&'a str>,
}

/// Fields with weights of their own; any other compares as text under its own name.
pub const GIVEN: &str = "given_name";
pub const FAMILY: &str = "family_name";
pub const BIRTH_DATE: &str = "birth_date";
pub const IDENTIFIER: &str = "identifier";
pub const EMAIL: &str = "email";
pub const PHONE: &str = "phone";
pub const STREET: &str = "street";
pub const SECOND_LINE: &str = "second_line";
pub const PLACE: &str = "place";
/// The name of what the record is about.
pub const ORGANISATION: &str = "organisation";
/// The company that two people belong to.
pub const EMPLOYER: &str = "employer";
pub const DOMAIN: &str = "domain";

/// In a fixed order; fields that one of them lacks are left out.
pub fn compare<'a>(one: &'a Profile, other: &'a Profile) -> Vec<Finding<'a>> {
    let mut found = Vec::with_capacity(12);
    people(one, other, &mut found);
    let mut add = |field, level: Option<Level>, shared: Option<&'a str>| {
        if let Some(level) = level {
            found.push(Finding { field, level, shared: shared.filter(|_| level == Level::Equal) });
        }
    };
    let born = one.birth_date.zip(other.birth_date);
    add(BIRTH_DATE, born.map(|(one, other)| one.level(other)), None);
    let codes = |one: &String, other: &String| level::of_codes(one, other);
    add(IDENTIFIER, level::best(&one.identifiers, &other.identifiers, codes), None);
    add(EMAIL, level::best(&one.emails, &other.emails, Email::level), None);
    add(PHONE, level::best(&one.phones, &other.phones, |one, other| phone_level(one, other)), None);
    let (street, second_line) = lines(one, other);
    add(STREET, street, None);
    add(SECOND_LINE, second_line, None);
    let place = one.place.as_ref().zip(other.place.as_ref());
    add(PLACE, place.map(|(one, other)| one.level(other)), None);
    let (organisation, domain) =
        if one.is_person() && other.is_person() { (EMPLOYER, None) } else { (ORGANISATION, Some(DOMAIN)) };
    let names = one.organisation.as_ref().zip(other.organisation.as_ref());
    let shared = one.organisation.as_ref().map(|name| name.plain.as_str());
    add(organisation, names.map(|(one, other)| one.level(other)), shared);
    if let Some(domain) = domain {
        let same = |one: &String, other: &String| if one == other { Level::Equal } else { Level::Different };
        add(domain, level::best(&one.domains, &other.domains, same), None);
    }
    for (field, value) in &one.others {
        let held = other.others.iter().find(|(name, _)| name == field);
        add(field, held.map(|(_, held)| level::of_texts(value, held)), Some(value));
    }
    found
}

/// The two lines of an address, in either order. A number that stands apart goes with both lines, so that lines in each other's
/// place may agree as texts where their numbers do not.
fn lines(one: &Profile, other: &Profile) -> (Option<Level>, Option<Level>) {
    let level = |one: &Option<Street>, other: &Option<Street>| {
        one.as_ref().zip(other.as_ref()).map(|(one, other)| one.level(other))
    };
    let text = |one: &Option<Street>, other: &Option<Street>| {
        one.as_ref().zip(other.as_ref()).map(|(one, other)| level::of_texts(&one.line, &other.line))
    };
    let straight = (level(&one.street, &other.street), text(&one.second_line, &other.second_line));
    if straight.0.is_some_and(|level| level <= Level::Near) {
        return straight;
    }
    let across = [level(&one.street, &other.second_line), level(&one.second_line, &other.street)];
    if let Some(crossed) = across.into_iter().flatten().min().filter(|crossed| *crossed <= Level::Near) {
        let other_way = across.into_iter().flatten().max().filter(|_| across.iter().all(Option::is_some));
        return (Some(crossed), other_way);
    }
    match [text(&one.street, &other.second_line), text(&one.second_line, &other.street)] {
        [Some(one_way), Some(other_way)] if one_way.max(other_way) <= Level::Near => {
            (Some(Level::Alike), Some(one_way.max(other_way)))
        }
        _ => straight,
    }
}

/// Parts of a name that stand in each other's place count as near, not as different; also where one of them has changed.
fn people<'a>(one: &'a Profile, other: &'a Profile, found: &mut Vec<Finding<'a>>) {
    let level = |one: &Option<Name>, other: &Option<Name>| {
        one.as_ref().zip(other.as_ref()).map(|(one, other)| one.level(other))
    };
    let straight = [level(&one.given, &other.given), level(&one.family, &other.family)];
    let across = || {
        let levels = [level(&one.given, &other.family), level(&one.family, &other.given)];
        levels.iter().flatten().any(|level| *level <= Level::Near).then_some(levels)
    };
    let is_strange = straight.iter().flatten().all(|level| *level == Level::Different);
    let levels = match is_strange.then(across).flatten() {
        Some(levels) => levels.map(|level| level.map(|level| level.max(Level::Near))),
        None => straight,
    };
    let shared = [&one.given, &one.family].map(|name| name.as_ref().map(|name| name.plain.as_str()));
    for ((field, level), shared) in [GIVEN, FAMILY].into_iter().zip(levels).zip(shared) {
        if let Some(level) = level {
            found.push(Finding { field, level, shared: shared.filter(|_| level == Level::Equal) });
        }
    }
}
