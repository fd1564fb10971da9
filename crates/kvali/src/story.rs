//! Any customer's events in words: those of deals as their history tells them, all others by their permanent words and
//! what they say that can still be read.

use crate::failure::Failure;
use crate::names::Names;
use crate::words;
use kvali_domain::{Event, UserId, company, contact, conversation, lead, task};
use kvali_eventstore::Opened;

/// What happened, with the names that things had.
pub(crate) async fn what(names: &mut Names<'_>, opened: &Opened) -> Result<String, Failure> {
    let given_to = async |names: &mut Names<'_>, to: UserId| -> Result<String, Failure> {
        Ok(format!("assigned to {}", names.user(to).await?))
    };
    match &opened.event {
        Event::Deal(event) => match names.deal(opened.recorded.stream).await? {
            Some(deal) => words::what(names, &deal, event).await,
            None => Ok(plainly(opened)),
        },
        Event::Contact(contact::Event::Assigned(event)) => given_to(names, event.to).await,
        Event::Company(company::Event::Assigned(event)) => given_to(names, event.to).await,
        Event::Lead(lead::Event::Assigned(event)) => given_to(names, event.to).await,
        Event::Conversation(conversation::Event::Assigned(event)) => given_to(names, event.to).await,
        Event::Task(task::Event::Reassigned(event)) => given_to(names, event.to).await,
        Event::Contact(contact::Event::FieldsChanged(event)) => words::fields(names, &event.0).await,
        Event::Company(company::Event::FieldsChanged(event)) => words::fields(names, &event.0).await,
        Event::Lead(lead::Event::FieldsChanged(event)) => words::fields(names, &event.0).await,
        Event::Task(task::Event::Created(event)) => {
            let (assignee, due) = (names.user(event.assignee).await?, event.due);
            Ok(format!("{}; for {assignee}, due {due}", plainly(opened)))
        }
        Event::Contact(contact::Event::AffiliationStarted(event)) => {
            let company = names.of(event.company.stream()).await?;
            Ok(format!("{} at {company}", words::word(&event.role)))
        }
        Event::Contact(contact::Event::AffiliationEnded(event)) => {
            let company = names.of(event.company.stream()).await?;
            Ok(format!("no longer {} at {company}", words::word(&event.role)))
        }
        _ => Ok(plainly(opened)),
    }
}

/// The permanent word of the event, and the texts that it bears but for reasons.
fn plainly(opened: &Opened) -> String {
    let word = opened.event.event_type().split_once('.').map_or("", |(_, word)| word).replace('_', " ");
    let texts = texts(opened, |field| !REASONS.contains(&field));
    match (texts.is_empty(), opened.recorded.personal.is_some()) {
        (false, _) => format!("{word}: {}", texts.join(" ")),
        // Sealed, and nobody has the key any more.
        (true, true) if reason(opened).is_none() => format!("{word}: (erased)"),
        _ => word,
    }
}

const REASONS: [&str; 3] = ["reason", "comment", "evidence"];

/// Why, in words or as a code, if it is known.
pub(crate) fn reason(opened: &Opened) -> Option<String> {
    let said = texts(opened, |field| REASONS.contains(&field)).into_iter().next();
    said.or_else(|| opened.recorded.reason_code.clone())
}

fn texts(opened: &Opened, of: impl Fn(&str) -> bool) -> Vec<String> {
    let mut event = opened.event.clone();
    let found = event.personal();
    found.into_iter().filter(|found| of(found.field)).filter_map(|found| found.value.0.clone()).collect()
}
