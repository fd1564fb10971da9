//! Leads: those that become deals, and those that do not.

use super::company::{self, Account, OWNERS, SOURCES};
use super::customers::{Of, Person};
use super::dice::Dice;
use super::scene::{END, START, Script};
use crate::ids;
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::field_changes::FieldSetting;
use kvali_domain::fields::FieldValue;
use kvali_domain::lead::{
    AttemptChannel, AttemptOutcome, Capture, Command, Convert, ToCompany, ToContact, ToDeal, Update, Working,
};
use kvali_domain::{ContactId, LeadId, Personal, UserId};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

const WISHES: [&str; 3] =
    ["Please send a price list", "გთხოვთ დამირეკოთ", "We open a second shop in spring and need an offer"];

/// A lead until it is worked on: captured, assigned, and tried to reach.
struct Beginning {
    id: LeadId,
    owner: UserId,
    at: DateTime<Utc>,
}

impl Beginning {
    fn tell(
        script: &mut Script,
        dice: &mut Dice,
        id: LeadId,
        capture: Capture,
        owner: UserId,
        at: DateTime<Utc>,
    ) -> Self {
        let (code, ..) = dice.weighted(&SOURCES);
        let message = Personal::new(*dice.one_of(&WISHES));
        let capture = Capture { source: Some(company::source(code)), message, ..capture };
        script.tell(at, ids::operator(), id.stream(), Command::Capture(capture));
        let assigned = at + TimeDelta::minutes(i64::from(5 + dice.below(300)));
        let assign = Command::Assign { owner, force: false, reason: Personal::default() };
        script.tell(assigned, company::head(), id.stream(), assign);
        Self { id, owner, at: assigned }
    }

    fn go_on(&mut self, script: &mut Script, minutes: u32, command: Command) {
        self.at += TimeDelta::minutes(i64::from(minutes));
        script.tell(self.at, self.owner, self.id.stream(), command);
    }

    fn be_reached(&mut self, script: &mut Script, dice: &mut Dice) {
        let attempt = |outcome| {
            let comment = Personal::default();
            Command::RecordAttempt { channel: AttemptChannel::Call, outcome, comment }
        };
        self.go_on(script, 10 + dice.below(120), Command::Accept {});
        if dice.percent(40) {
            self.go_on(script, 5, attempt(AttemptOutcome::NoAnswer));
        }
        self.go_on(script, 5 + dice.below(600), attempt(AttemptOutcome::Reached));
        self.go_on(script, 0, Command::RecordFirstResponse {});
        self.go_on(
            script,
            1,
            Command::ChangeStatus { status: Working::Contacted, reason: Personal::default() },
        );
    }
}

/// The lead that a deal comes of: it is converted at `at`, with the deal.
pub(crate) fn become_deal(
    script: &mut Script,
    nth: u32,
    (account, owner): (Account, UserId),
    deal: ToDeal,
    at: DateTime<Utc>,
) {
    let mut dice = Dice::new("lead of deal", nth);
    let id = LeadId(ids::invented("lead of deal", &nth.to_string()));
    let person = || Person::new(&mut Dice::new("person of deal", nth), Of::Deal, nth, &account.domain());
    let Person { given, family, points } = person();
    let company_name = Personal::new(account.name());
    let capture = Capture { given, family, points, company_name, ..Capture::default() };
    let mut lead = Beginning::tell(script, &mut dice, id, capture, owner, at - TimeDelta::days(3));
    lead.be_reached(script, &mut dice);
    let score = i32::try_from(40 + dice.below(60)).unwrap_or(50);
    let factors = BTreeMap::from([("fit".to_owned(), score - 10), ("budget".to_owned(), 10)]);
    lead.go_on(script, 1, Command::Score { model: "first".to_owned(), score, factors });
    lead.go_on(script, 60, Command::Qualify {});
    let contact = ContactId(ids::invented("contact of deal", &nth.to_string()));
    let contact = ToContact::Create { id: contact, with: Box::new(person().contact()) };
    let convert = Convert { contact, company: Some(ToCompany::Link(account.id())), deal: Some(deal) };
    script.tell(at, owner, id.stream(), Command::Convert(Box::new(convert)));
}

/// A lead that becomes nothing, or not yet.
pub(crate) fn peter_out(nth: u32) -> Script {
    let mut script = Script::default();
    let mut dice = Dice::new("lead", nth);
    let days = u32::try_from((END - START).num_days()).unwrap_or_default();
    let at = START + TimeDelta::minutes(i64::from(60 + dice.below((days - 1) * 24 * 60)));
    let owner = company::owner(dice.below(u32::try_from(OWNERS.len()).unwrap_or(1)) as usize);
    let id = LeadId(ids::invented("lead", &nth.to_string()));
    let Person { given, family, points } = Person::new(&mut dice, Of::Lead, nth, "mail.example");
    let capture = Capture { given, family, points, ..Capture::default() };
    let mut lead = Beginning::tell(&mut script, &mut dice, id, capture, owner, at);
    let script = &mut script;
    if dice.percent(25) {
        let staff = FieldValue::Number(Decimal::from(5 * (1 + dice.below(40))));
        let fields = vec![FieldSetting { field: company::field("staff"), value: Some(staff) }];
        lead.go_on(script, 1, Command::Update(Update { fields, ..Update::default() }));
        lead.go_on(script, 1, Command::Tag { tag: company::tag(dice.one_of::<&str>(&company::TAGS)) });
    }
    if dice.percent(10) {
        lead.go_on(script, 90, Command::Decline { reason: Personal::new("Not my region") });
        return std::mem::take(script);
    }
    lead.be_reached(script, &mut dice);
    let (code, _) = dice.weighted(&company::LOSS_REASONS);
    let reason = Some(company::reason(code));
    let disqualify = || Command::Disqualify { reason, comment: Personal::default() };
    if dice.percent(70) {
        lead.go_on(script, 60 + dice.below(20_000), disqualify());
        if dice.percent(25) {
            lead.go_on(
                script,
                30_000,
                Command::Recycle { owner: None, force: false, reason: Personal::default() },
            );
            if dice.percent(50) {
                lead.go_on(script, 5_000, disqualify());
            }
        }
    } else {
        let status = Working::Nurturing;
        lead.go_on(script, 3_000, Command::ChangeStatus { status, reason: Personal::default() });
    }
    std::mem::take(script)
}
