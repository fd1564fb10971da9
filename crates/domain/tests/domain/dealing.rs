//! Random commands for what a deal has beside its way through the stages, and for deals that come of others.

use crate::given::on;
use crate::party;
use crate::sales::{ACME, ACME_LTD, ANNA, NOW, SALES, TASK};
use crate::stories::{DEALS, SECRET, a_deal_command, a_personal, a_stage_id, a_user, a_value};
use kvali_domain::deal::{Command, ContactRole, IdleSpell, Line, Matter, Open, VisitLimit};
use kvali_domain::field_changes::{FieldSetting, FieldValue};
use kvali_domain::pipeline::ForecastCategory;
use kvali_domain::{ContactId, DealId, FieldId, Order};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

/// A field of deals that holds text.
pub(crate) const PURPOSE: FieldId = FieldId(Uuid::from_u128(0xf2));

/// A field of deals, sensitive.
pub(crate) const ALLERGY: FieldId = FieldId(Uuid::from_u128(0xf4));

/// Opened at the beginning, with a value.
pub(crate) const BEGUN: DealId = DEALS[2];

/// A contact that is there from the beginning and nobody archives.
const MARI: ContactId = ContactId(Uuid::from_u128(0xc1));
const RECYCLED: DealId = DealId(Uuid::from_u128(0xdea5));
const BACK: DealId = DealId(Uuid::from_u128(0xdea6));
const AGAIN: DealId = DealId(Uuid::from_u128(0xdea7));

pub(crate) fn an_order() -> BoxedStrategy<Order> {
    let any_deal = || select(vec![DEALS[0], DEALS[1], BEGUN, BEGUN]);
    prop_oneof![
        3 => (any_deal(), a_deal_command()).prop_map(|(deal, command)| on(deal.stream(), command)),
        9 => (any_deal(), a_further_command()).prop_map(|(deal, command)| on(deal.stream(), command)),
        3 => a_sequel(),
    ]
    .boxed()
}

/// What a closed deal leads to.
fn a_sequel() -> BoxedStrategy<Order> {
    let owner = || option::of(a_user());
    let again = || Open { party: Some(ACME), ..Open::new(SALES) };
    prop_oneof![
        2 => owner().prop_map(|owner| on(BEGUN.stream(), Command::Revive { recycled: RECYCLED, owner })),
        2 => Just(on(RECYCLED.stream(), Command::CloseWon { pipeline_version: None })),
        2 => owner().prop_map(|owner| on(RECYCLED.stream(), Command::HandBack { deal: BACK, owner })),
        2 => select(vec![AGAIN, DEALS[1]]).prop_map(move |deal| {
            on(deal.stream(), Command::OpenRepeat { previous: BEGUN, with: again() })
        }),
    ]
    .boxed()
}

fn a_line() -> impl Strategy<Value = Line> {
    let decimal = |texts: Vec<&'static str>| {
        select(texts).prop_map(|text| text.parse::<rust_decimal::Decimal>().expect("a decimal"))
    };
    let (quantity, discount) =
        (vec!["1", "2.5", "3", "0", "79228162514264337593543950335"], vec!["0", "12.5", "20", "101"]);
    (decimal(quantity), a_value(), decimal(discount)).prop_map(|(quantity, unit_price, discount_percent)| {
        Line { product: party::CHAIR, quantity, unit_price, discount_percent }
    })
}

fn a_further_command() -> BoxedStrategy<Command> {
    let contact = || select(vec![ANNA, MARI, party::BORIS]);
    let role = select(vec![ContactRole::DecisionMaker, ContactRole::Payer]);
    let number = || prop_oneof![9 => 1_i32..3, 1 => 0_i32..4, 1 => any::<i32>()];
    let field = prop_oneof![
        3 => (select(vec![PURPOSE, PURPOSE, party::SIZE]), select(vec![None, Some("resale")])),
        1 => (Just(ALLERGY), select(vec![None, Some(SECRET)])),
    ]
    .prop_map(|(field, text)| FieldSetting {
        field,
        value: text.map(|text| FieldValue::Text(text.to_owned())),
    });
    let with = prop_oneof![
        3 => (contact(), role).prop_map(|(contact, role)| Command::AddContact { contact, role }),
        1 => contact().prop_map(|contact| Command::RemoveContact { contact }),
        4 => contact().prop_map(|contact| Command::SetPrimaryContact { contact }),
        1 => select(vec![ACME_LTD, party::GLOBEX]).prop_map(|company| Command::SetCompany { company }),
        3 => a_line().prop_map(|line| Command::AddLine { line }),
        3 => (number(), a_line()).prop_map(|(number, line)| Command::ChangeLine { number, line }),
        1 => number().prop_map(|number| Command::RemoveLine { number }),
        1 => prop::collection::vec(field, 0..2).prop_map(|fields| Command::SetFields { fields }),
    ];
    let day = (0_u64..40).prop_map(|days| NOW.date_naive() + chrono::Days::new(days));
    let category = select(vec![ForecastCategory::BestCase, ForecastCategory::Commit]);
    let forecast = prop_oneof![
        (-1_i32..102, a_personal())
            .prop_map(|(probability, reason)| Command::OverrideProbability { probability, reason }),
        Just(Command::ClearOverride {}),
        category.prop_map(|category| Command::SetForecastCategory { category }),
        (a_personal(), select(vec![None, Some(TASK)]))
            .prop_map(|(text, task)| Command::SetNextStep { text, task }),
        (day, a_personal()).prop_map(|(until, reason)| Command::PutOnHold { until, reason }),
        Just(Command::Resume {}),
        (select(vec![Matter::Discount, Matter::Close]), a_personal())
            .prop_map(|(matter, reason)| Command::RequestApproval { matter, reason }),
        number().prop_map(|approval| Command::GrantApproval { approval }),
        (number(), a_personal()).prop_map(|(approval, reason)| Command::RefuseApproval { approval, reason }),
    ];
    let marks = prop_oneof![
        1 => a_personal().prop_map(|name| Command::Rename { name }),
        1 => a_stage_id().prop_map(|to| Command::LeaveRetired { to }),
        1 => Just(Command::Tag { tag: party::VIP }),
        1 => Just(Command::Untag { tag: party::VIP }),
        2 => a_user().prop_map(|user| Command::Follow { user }),
        3 => a_user().prop_map(|user| Command::Unfollow { user }),
        4 => Just(Command::Archive {}),
        6 => Just(Command::Restore {}),
        1 => option::of((1..4, 0..3)).prop_map(|limit| Command::ReportStageLimit {
            limit: limit.map(|(visit, max_days)| VisitLimit { visit, max_days })
        }),
        1 => option::of(0..3).prop_map(|idle_days| Command::ReportIdle {
            spell: idle_days.map(|idle_days| IdleSpell { since: NOW, idle_days })
        }),
        1 => option::of(Just(NOW)).prop_map(|since| Command::ReportWithoutTask { since }),
    ];
    prop_oneof![with, forecast, marks].boxed()
}
