//! Whom the company sells to: companies under their holdings, and two people in each.

use super::company::{self, Account, FAMILY, GIVEN, HOLDING};
use super::dice::Dice;
use super::scene::{START, Script};
use crate::ids;
use chrono::TimeDelta;
use kvali_domain::contact::{LifecycleStage, Role};
use kvali_domain::contact_point::{ContactPoint, Kind};
use kvali_domain::country::Country;
use kvali_domain::field_changes::FieldSetting;
use kvali_domain::fields::FieldValue;
use kvali_domain::merge::{self, Choice, Seen};
use kvali_domain::{ContactId, Personal, Target, company as org, contact, duplicate, subject};

/// Somebody, with an e-mail and a phone that nobody else has.
pub(crate) struct Person {
    pub(crate) given: Personal,
    pub(crate) family: Personal,
    pub(crate) points: Vec<ContactPoint>,
}

/// Kinds of people have phone numbers of their own.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Customer = 1,
    Deal = 2,
    Lead = 3,
}

impl Person {
    pub(crate) fn new(dice: &mut Dice, of: Of, nth: u32, domain: &str) -> Self {
        let ((given, first), (family, second)) = (dice.one_of(&GIVEN), dice.one_of(&FAMILY));
        let of = of as u32;
        let mail = format!("{first}.{second}.{of}{nth}@{domain}");
        let point = |kind, value| ContactPoint { kind, value: Personal::new(value), region: None };
        // Georgian mobile numbers of one block end in six digits; whoever comes after that is known by mail.
        let phone = (nth < 100_000).then(|| point(Kind::Phone, format!("+995555{of}{nth:05}")));
        let points = [point(Kind::Email, mail)].into_iter().chain(phone).collect();
        Self { given: Personal::new(*given), family: Personal::new(*family), points }
    }

    pub(crate) fn contact(self) -> contact::Create {
        let Self { given, family, points } = self;
        contact::Create { given, family, points, ..contact::Create::default() }
    }
}

pub(crate) fn script() -> Script {
    let mut script = Script::default();
    // Holdings first, as parents are there before their children.
    let (holdings, others): (Vec<_>, Vec<_>) = Account::all().partition(|account| account.branch == HOLDING);
    for (nth, account) in (0..).zip(holdings.into_iter().chain(others)) {
        tell(&mut script, account, nth);
    }
    forget(&mut script);
    meet_twice(&mut script);
    script
}

fn tell(script: &mut Script, account: Account, nth: u32) {
    let mut dice = Dice::new("account", nth);
    let (at, by, company) = (START + TimeDelta::minutes(1), ids::operator(), account.id());
    let owner = dice.below(8) as usize;
    let create = org::Create {
        name: Personal::new(account.name()),
        domains: vec![account.domain()],
        owner: Some(company::owner(owner)),
        ..org::Create::default()
    };
    script.tell(at, by, company.stream(), org::Command::Create(create));
    let industry = ["trade", "food", "travel"][account.customer % 3];
    script.tell(
        at,
        by,
        company.stream(),
        org::Command::SetFields { fields: vec![chosen("industry", industry)] },
    );
    if account.branch == HOLDING {
        let (country, from) = (Country::parse("GE").expect("in the table"), at.date_naive());
        let terms = org::GrantTerms { country, product: None, exclusive: false, from, until: None };
        script.tell(at, by, company.stream(), org::Command::GrantTerms(terms));
    } else {
        let holding = Account { branch: HOLDING, ..account }.id();
        let (parent, ancestors) = (Some(holding), vec![holding]);
        script.tell(at, by, company.stream(), org::Command::SetParent { parent, ancestors });
    }
    for (person, role) in [(0, Role::Director), (1, Role::Accountant)] {
        let contact = account.contact(person);
        let create = contact::Create {
            owner: Some(company::owner(owner)),
            ..Person::new(&mut dice, Of::Customer, nth * 2 + person, &account.domain()).contact()
        };
        let (title, from) = (Personal::default(), Some(at.date_naive()));
        let stage = if dice.percent(60) { LifecycleStage::Customer } else { LifecycleStage::Opportunity };
        let language = *dice.one_of(&["ka", "ka", "en", "de"]);
        for command in [
            contact::Command::Create(create),
            contact::Command::StartAffiliation { company, role, title, from },
            contact::Command::SetLifecycleStage { stage, reason: Personal::default() },
            contact::Command::SetFields { fields: vec![chosen("language", language)] },
        ] {
            script.tell(at, by, contact.stream(), command);
        }
    }
}

pub(crate) fn chosen(field: &str, option: &str) -> FieldSetting {
    FieldSetting { field: company::field(field), value: Some(FieldValue::Choice(option.to_owned())) }
}

/// Somebody asks to be forgotten.
fn forget(script: &mut Script) {
    let contact = ContactId(ids::invented("contact", "forgotten"));
    let person = Person::new(&mut Dice::new("forgotten", 0), Of::Customer, 99_999, "forgotten.example");
    let (added, asked) = (START + TimeDelta::days(30), START + TimeDelta::days(90));
    script.tell(added, company::head(), contact.stream(), contact::Command::Create(person.contact()));
    let subject = contact.into();
    let erase = subject::Command::Erase { subject };
    script.tell(asked, company::head(), subject.stream(), erase);
}

/// Two people are each known twice; one of them turns out to be two. And two who look alike are not the same.
fn meet_twice(script: &mut Script) {
    let contact = |nth: u32, which: &str| ContactId(ids::invented("twin", &format!("{nth} {which}")));
    let (added, found) = (START + TimeDelta::days(40), START + TimeDelta::days(60));
    for nth in 0..2 {
        for which in ["known", "again"] {
            let full = Person::new(&mut Dice::new("twin", nth), Of::Customer, 0, "twin.example");
            let full =
                Personal(full.given.0.zip(full.family.0).map(|(given, family)| format!("{given} {family}")));
            let create = contact::Create { full, ..contact::Create::default() };
            script.tell(
                added,
                company::head(),
                contact(nth, which).stream(),
                contact::Command::Create(create),
            );
        }
        let (survivor, loser) = (contact(nth, "known"), contact(nth, "again"));
        let seen = [survivor, loser].map(|id| Seen { id, version: 1 }).to_vec();
        let choices = vec![Choice { field: "name".to_owned(), from: survivor }];
        let merge = merge::Merge { losers: vec![loser], seen, choices };
        script.tell(found, company::head(), survivor.stream(), contact::Command::Merge(merge));
    }
    let unmerge = merge::Unmerge { merge: 1, chain: false };
    let (one, other) = (contact(1, "known"), contact(1, "again"));
    let known = found + TimeDelta::days(5);
    script.tell(known, company::head(), one.stream(), contact::Command::Unmerge(unmerge));
    let (one, other) = (Target::Contact(one), Target::Contact(other));
    let reject = duplicate::Command::Reject { one, other, reason: Personal::new("Father and son") };
    script.tell(known, company::head(), duplicate::pair(one, other), reject);
}
