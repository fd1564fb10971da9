//! Why a question has no answer, and finding what it names.

use kvali_domain::pipeline::folded;
use uuid::Uuid;

#[derive(thiserror::Error, Debug)]
pub enum AskError {
    #[error("there is no {what} {name:?}; there are {}", list(.known))]
    NoSuch { what: &'static str, name: String, known: Vec<String> },
    #[error("{text:?} has no letter and no digit to search for")]
    NothingSearched { text: String },
    #[error("there is no {what} {id}")]
    NoSuchId { what: &'static str, id: Uuid },
    #[error("{what} {name:?} may be {}; name one by its id", list(.known))]
    Several { what: &'static str, name: String, known: Vec<String> },
    #[error(transparent)]
    Store(#[from] kvali_eventstore::Error),
    #[error("reading the read model failed")]
    Read(#[from] sqlx::Error),
}

/// More names than anybody reads are not told.
const TOLD: usize = 30;

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let told = names.iter().take(TOLD).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(TOLD) {
        None | Some(0) => told,
        Some(more) => format!("{told} and {more} more"),
    }
}

/// Which of the known is meant, by its name without case, or by its id.
pub(crate) fn find(what: &'static str, name: &str, known: &[(Uuid, String)]) -> Result<Uuid, AskError> {
    let wanted = folded(name);
    let is_meant = |(id, called): &&(Uuid, String)| folded(called) == wanted || id.to_string() == wanted;
    let found: Vec<&(Uuid, String)> = known.iter().filter(is_meant).collect();
    let name = name.to_owned();
    match found.as_slice() {
        [(id, _)] => Ok(*id),
        [] => {
            let mut known: Vec<String> = known.iter().map(|(_, called)| called.clone()).collect();
            known.sort();
            known.dedup();
            Err(AskError::NoSuch { what, name, known })
        }
        several => Err(AskError::Several {
            what,
            name,
            known: several.iter().map(|(id, _)| id.to_string()).collect(),
        }),
    }
}
