//! Whose a record is, as events say it. The kinds of records say it alike.

use kvali_domain::{Event, UserId, company, contact, deal, lead, merge};

/// The owner from the event on, if it says so; `Some(None)`: nobody.
#[expect(clippy::option_option, reason = "to say nothing of an owner is not to say that there is none")]
pub(crate) fn said(event: &Event) -> Option<Option<UserId>> {
    macro_rules! alike {
        ($event:expr, $kind:ident) => {
            match $event {
                $kind::Event::Assigned(event) => Some(Some(event.to)),
                $kind::Event::Merged(event) => changed(&event.changes),
                $kind::Event::Unmerged(event) => changed(&event.changes),
                _ => None,
            }
        };
    }
    match event {
        Event::Contact(contact::Event::Created(event)) => Some(event.owner),
        Event::Company(company::Event::Created(event)) => Some(event.owner),
        Event::Lead(lead::Event::Captured(event)) => Some(event.owner),
        Event::Deal(deal::Event::Opened(event)) => Some(event.owner),
        Event::Lead(lead::Event::Unassigned(_) | lead::Event::Declined(_)) => Some(None),
        Event::Contact(event) => alike!(event, contact),
        Event::Company(event) => alike!(event, company),
        Event::Lead(event) => alike!(event, lead),
        Event::Deal(event) => alike!(event, deal),
        _ => None,
    }
}

#[expect(clippy::option_option, reason = "as above")]
fn changed(changes: &[merge::Change]) -> Option<Option<UserId>> {
    let change = changes.iter().find(|change| change.field == "owner")?;
    Some(merge::value(change.to.as_ref()))
}
