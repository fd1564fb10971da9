//! Random commands for leads.

use crate::given::on;
use crate::party;
use crate::sales::{ACME, ACME_LTD, ANNA, BREAKAGE, LEAD, PRICE, SALES};
use crate::stories::{DEALS, SECRET, a_name, a_personal, a_user};
use kvali_domain::contact_point::{ContactPoint, Kind};
use kvali_domain::deal::{self, External, Party};
use kvali_domain::field_changes::{FieldSetting, FieldValue};
use kvali_domain::lead::{
    AttemptChannel, AttemptOutcome, Capture, Command, Convert, ToCompany, ToContact, ToDeal, Update, Working,
};
use kvali_domain::{CompanyId, ContactId, FieldId, LeadId, Order, Personal, company, contact};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Captured at the beginning.
pub(crate) const SECOND: LeadId = LeadId(Uuid::from_u128(0x1eae));

const LEADS: [LeadId; 3] = [LEAD, SECOND, LeadId(Uuid::from_u128(0x1eaf))];

/// A field of leads that holds text.
pub(crate) const INTEREST: FieldId = FieldId(Uuid::from_u128(0xf1));

/// A field of leads, sensitive.
pub(crate) const ILLNESS: FieldId = FieldId(Uuid::from_u128(0xf3));

pub(crate) fn an_order() -> BoxedStrategy<Order> {
    (select(LEADS.to_vec()), a_lead_command()).prop_map(|(lead, command)| on(lead.stream(), command)).boxed()
}

fn a_capture() -> impl Strategy<Value = Capture> {
    let mail = select(vec!["SECRET@example.ge", "@SECRET", ""]).prop_map(|text| ContactPoint {
        kind: Kind::Email,
        value: Personal::new(text.replace("SECRET", SECRET)),
        region: None,
    });
    let external = || {
        select(vec![None, Some("17")])
            .prop_map(|id| id.map(|id| External { source: "form".to_owned(), id: id.to_owned() }))
    };
    let points = prop::collection::vec(mail, 0..2);
    (a_personal(), a_personal(), points, external(), external(), prop::option::of(a_user()), any::<bool>())
        .prop_map(|(full, company_name, points, provider_event, external, owner, override_duplicate)| {
            Capture {
                reason: full.clone(),
                full,
                company_name,
                points,
                provider_event,
                external,
                owner,
                override_duplicate,
                ..Capture::default()
            }
        })
}

fn an_update() -> impl Strategy<Value = Update> {
    let value = select(vec![None, Some(FieldValue::Text("red".to_owned())), Some(FieldValue::Bool(true))]);
    let secret = Some(FieldValue::Text(SECRET.to_owned()));
    let setting = prop_oneof![
        3 => (select(vec![INTEREST, INTEREST, party::SIZE]), value),
        1 => (Just(ILLNESS), select(vec![None, secret])),
    ]
    .prop_map(|(field, value)| FieldSetting { field, value });
    (a_personal(), a_personal(), prop::collection::vec(setting, 0..2))
        .prop_map(|(full, company_name, fields)| Update { full, company_name, fields, ..Update::default() })
}

fn a_conversion() -> impl Strategy<Value = Convert> {
    let contact = prop_oneof![
        select(vec![ANNA, party::BORIS]).prop_map(ToContact::Link),
        a_personal().prop_map(|full| ToContact::Create {
            id: ContactId(Uuid::from_u128(0xc5)),
            with: Box::new(contact::Create { full, ..contact::Create::default() }),
        }),
    ];
    let company = prop_oneof![
        Just(ToCompany::Link(ACME_LTD)),
        a_personal().prop_map(|name| ToCompany::Create {
            id: CompanyId(Uuid::from_u128(0xc6)),
            with: company::Create { name, ..company::Create::default() },
        }),
    ];
    let deal = select(DEALS.to_vec()).prop_map(|id| ToDeal { id, with: deal::Open::new(SALES) });
    (contact, prop::option::of(company), prop::option::of(deal))
        .prop_map(|(contact, company, deal)| Convert { contact, company, deal })
}

fn a_lead_command() -> BoxedStrategy<Command> {
    use AttemptChannel::{Call, Email};
    use AttemptOutcome::{NoAnswer, Reached};
    let status = select(vec![Working::New, Working::Contacted, Working::Nurturing]);
    let attempt = (select(vec![Call, Email]), select(vec![Reached, NoAnswer]), a_personal());
    let tag = || Just(party::VIP);
    let working = prop_oneof![
        2 => an_update().prop_map(Command::Update),
        2 => (a_user(), any::<bool>(), a_personal())
            .prop_map(|(owner, force, reason)| Command::Assign { owner, force, reason }),
        1 => Just(Command::Unassign {}),
        3 => Just(Command::Accept {}),
        2 => a_personal().prop_map(|reason| Command::Decline { reason }),
        2 => attempt
            .prop_map(|(channel, outcome, comment)| Command::RecordAttempt { channel, outcome, comment }),
        2 => Just(Command::RecordFirstResponse {}),
        2 => (status, a_personal()).prop_map(|(status, reason)| Command::ChangeStatus { status, reason }),
        2 => (a_name(), -1_i32..102)
            .prop_map(|(model, score)| Command::Score { model, score, factors: BTreeMap::new() }),
    ];
    let to_whom = || (prop::option::of(a_user()), any::<bool>(), a_personal());
    let ending = prop_oneof![
        3 => Just(Command::Qualify {}),
        2 => (prop::option::weighted(0.8, select(vec![PRICE, BREAKAGE])), a_personal())
            .prop_map(|(reason, comment)| Command::Disqualify { reason, comment }),
        3 => a_conversion().prop_map(|convert| Command::Convert(Box::new(convert))),
        1 => (select(DEALS.to_vec()), select(vec![ACME, Party::Contact(ANNA)]))
            .prop_map(|(deal, party)| Command::Attach { deal, party }),
        3 => to_whom().prop_map(|(owner, force, reason)| Command::Recycle { owner, force, reason }),
        1 => Just(Command::Archive {}),
        2 => to_whom().prop_map(|(owner, force, reason)| Command::Restore { owner, force, reason }),
    ];
    prop_oneof![
        1 => a_capture().prop_map(Command::Capture),
        8 => working,
        4 => ending,
        1 => tag().prop_map(|tag| Command::Tag { tag }),
        1 => tag().prop_map(|tag| Command::Untag { tag }),
    ]
    .boxed()
}
