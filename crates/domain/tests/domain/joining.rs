//! Random merges and unmerges, as somebody sends them who has looked at the preview.

use crate::dealing::BEGUN;
use crate::given::{World, on};
use crate::party::{BORIS, GLOBEX, INITECH};
use crate::sales::{ACME_LTD, ANNA, DEAL, LEAD};
use crate::stories::a_personal;
use kvali_domain::merge::{self, Choice, Preview, Seen};
use kvali_domain::{Command, ContactId, Order, StreamId, Target, company, contact, deal, duplicate, lead};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

pub(crate) fn previewed(world: &World, streams: &[StreamId]) -> Option<Preview> {
    let records: Option<Vec<_>> =
        streams.iter().map(|stream| world.state(*stream).map(|state| (*stream, state))).collect();
    merge::preview_of(&records?)
}

pub(crate) fn seen<I: From<Uuid>>(preview: &Preview) -> Vec<Seen<I>> {
    preview.seen.iter().map(|seen| Seen { id: seen.id.into(), version: seen.version }).collect()
}

/// For every conflict the value of the record that is named last.
pub(crate) fn last_of<I: From<Uuid>>(preview: &Preview) -> Vec<Choice<I>> {
    let conflicts = preview.fields.iter().filter(|field| field.conflict);
    let choice = |field: &merge::Compared| {
        let (from, _) = field.values.last().expect("a conflict is between values");
        Choice { field: field.field.clone(), from: (*from).into() }
    };
    conflicts.map(choice).collect()
}

/// A merge command as somebody sends it who has looked at the preview; others as they are.
pub(crate) fn looked_up(order: &Order, world: &World) -> Order {
    fn fill<I: merge::Id>(order: &Order, world: &World, asked: &merge::Merge<I>) -> merge::Merge<I> {
        let losers = asked.losers.iter().map(|loser| StreamId((*loser).into()));
        let streams: Vec<StreamId> = [world.survivor(order.stream)].into_iter().chain(losers).collect();
        match previewed(world, &streams) {
            Some(preview) => {
                merge::Merge { seen: seen(&preview), choices: last_of(&preview), ..asked.clone() }
            }
            None => asked.clone(),
        }
    }
    let command: Command = match &order.command {
        Command::Contact(contact::Command::Merge(asked)) => {
            contact::Command::Merge(fill(order, world, asked)).into()
        }
        Command::Company(company::Command::Merge(asked)) => {
            company::Command::Merge(fill(order, world, asked)).into()
        }
        Command::Lead(lead::Command::Merge(asked)) => lead::Command::Merge(fill(order, world, asked)).into(),
        Command::Deal(deal::Command::Merge(asked)) => deal::Command::Merge(fill(order, world, asked)).into(),
        other => other.clone(),
    };
    Order { stream: order.stream, command }
}

pub(crate) fn merged<I: Copy>(losers: &[I]) -> merge::Merge<I> {
    merge::Merge { losers: losers.to_vec(), seen: vec![], choices: vec![] }
}

/// Any merge or unmerge; the preview is looked up when the order is given.
pub(crate) fn an_order() -> BoxedStrategy<Order> {
    fn losers<I: Copy + std::fmt::Debug + 'static>(all: Vec<I>) -> impl Strategy<Value = merge::Merge<I>> {
        prop::collection::vec(select(all), 1..3).prop_map(|losers| merged(&losers))
    }
    let unmerge = || (1..4, any::<bool>()).prop_map(|(merge, chain)| merge::Unmerge { merge, chain });
    let contacts = || vec![ANNA, BORIS, ContactId(Uuid::from_u128(0xc0)), ContactId(Uuid::from_u128(0xc1))];
    let companies = || vec![ACME_LTD, GLOBEX, INITECH];
    let leads = || vec![LEAD, crate::leading::SECOND];
    let deals = || vec![BEGUN, DEAL, crate::stories::DEALS[1]];
    let contact = prop_oneof![
        4 => losers(contacts()).prop_map(contact::Command::Merge),
        2 => unmerge().prop_map(contact::Command::Unmerge),
        1 => select(contacts()).prop_map(|survivor| contact::Command::Yield { survivor }),
        1 => select(contacts()).prop_map(|survivor| contact::Command::Separate { survivor }),
    ];
    let company = prop_oneof![
        4 => losers(companies()).prop_map(company::Command::Merge),
        2 => unmerge().prop_map(company::Command::Unmerge),
        1 => select(companies()).prop_map(|survivor| company::Command::Yield { survivor }),
        1 => select(companies()).prop_map(|survivor| company::Command::Separate { survivor, domains: vec![] }),
    ];
    let lead = prop_oneof![
        4 => losers(leads()).prop_map(lead::Command::Merge),
        2 => unmerge().prop_map(lead::Command::Unmerge),
        1 => select(leads()).prop_map(|survivor| lead::Command::Yield { survivor }),
        1 => select(leads()).prop_map(|survivor| lead::Command::Separate { survivor }),
    ];
    let deal = prop_oneof![
        4 => losers(deals()).prop_map(deal::Command::Merge),
        2 => unmerge().prop_map(deal::Command::Unmerge),
        1 => select(deals()).prop_map(|survivor| deal::Command::Yield { survivor }),
        1 => select(deals()).prop_map(|survivor| deal::Command::Separate { survivor }),
    ];
    let target = || {
        let contact = select(contacts()).prop_map(Target::Contact);
        prop_oneof![3 => contact, 1 => select(leads()).prop_map(Target::Lead)]
    };
    let pair = (target(), target(), a_personal(), any::<bool>()).prop_map(|(one, other, reason, reject)| {
        let command = if reject {
            duplicate::Command::Reject { one, other, reason }
        } else {
            duplicate::Command::Confirm { one, other }
        };
        on(duplicate::pair(one, other), command)
    });
    prop_oneof![
        pair,
        (select(contacts()), contact).prop_map(|(id, command)| on(id.stream(), command)),
        (select(companies()), company).prop_map(|(id, command)| on(id.stream(), command)),
        (select(leads()), lead).prop_map(|(id, command)| on(id.stream(), command)),
        (select(deals()), deal).prop_map(|(id, command)| on(id.stream(), command)),
    ]
    .boxed()
}
