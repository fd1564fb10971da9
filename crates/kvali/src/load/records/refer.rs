//! What a row says of others: its owner, the company that a contact works for, what a task is about, a deal's contact.

use super::held::Held;
use crate::failure::Failure;
use crate::import::records::{RecordRow, RecordRows};
use crate::import::{Kind, RowProblem};
use crate::load::batch::Loading;
use kvali_domain::{
    Claim, CompanyId, ContactId, DealId, LeadId, StreamId, Target, UserId, company, contact, deal, lead,
};

/// Whom and what a row names.
#[derive(Default)]
pub(super) struct Named {
    pub(super) owner: Option<UserId>,
    pub(super) company: Option<CompanyId>,
    pub(super) contact: Option<ContactId>,
    pub(super) about: Vec<Target>,
}

const ABOUT: [&str; 2] = ["about", "about_2"];

type OfStream = fn(StreamId) -> Target;

/// What a task can be about, in the order in which an id is looked for.
const TARGETS: [(&str, OfStream); 4] = [
    (contact::EXTERNAL_CLAIM, |stream| Target::Contact(ContactId(stream.0))),
    (company::EXTERNAL_CLAIM, |stream| Target::Company(CompanyId(stream.0))),
    (deal::EXTERNAL_CLAIM, |stream| Target::Deal(DealId(stream.0))),
    (lead::EXTERNAL_CLAIM, |stream| Target::Lead(LeadId(stream.0))),
];

/// The claim that says who a source's record is.
pub(super) fn claim(kind: Kind, source: &str, id: &str) -> Option<Claim> {
    let kind = match kind {
        Kind::Companies => company::EXTERNAL_CLAIM,
        Kind::Contacts => contact::EXTERNAL_CLAIM,
        Kind::Leads => lead::EXTERNAL_CLAIM,
        Kind::DealContacts => deal::EXTERNAL_CLAIM,
        Kind::Tasks | Kind::Users => return None,
    };
    Some(external(kind, source, id))
}

fn external(kind: &'static str, source: &str, id: &str) -> Claim {
    Claim::take(kind, deal::external_key(source, id))
}

/// The claims that say who is named.
pub(super) fn claims(kind: Kind, source: &str, row: &RecordRow) -> Vec<Claim> {
    let company = |key| row.cells.get(key).map(|id| external(company::EXTERNAL_CLAIM, source, id));
    let about = |key: &&str| row.cells.get(*key);
    match kind {
        Kind::Contacts => ["company", "company_id"].into_iter().filter_map(company).collect(),
        Kind::Tasks => ABOUT
            .iter()
            .filter_map(about)
            .flat_map(|id| TARGETS.map(|(claim, _)| external(claim, source, id)))
            .collect(),
        Kind::DealContacts => row
            .cells
            .get("contact")
            .map(|id| external(contact::EXTERNAL_CLAIM, source, id))
            .into_iter()
            .collect(),
        Kind::Companies | Kind::Leads | Kind::Users => Vec::new(),
    }
}

pub(super) async fn named(
    kind: Kind,
    row: &RecordRow,
    loading: &mut Loading<'_>,
    held: &Held,
    file: &mut RecordRows<'_>,
) -> Result<Result<Named, RowProblem>, Failure> {
    let about = match about(row, &loading.source, held, file) {
        Ok(about) => about,
        Err(problem) => return Ok(Err(problem)),
    };
    let company = match kind {
        Kind::Contacts => match company(row, loading, held, file) {
            Ok(company) => company,
            Err(problem) => return Ok(Err(problem)),
        },
        _ => None,
    };
    let contact = match contact_of(row, &loading.source, held, file) {
        Ok(contact) => contact,
        Err(problem) => return Ok(Err(problem)),
    };
    let owner = match row.cells.get("owner") {
        Some(name) => Some(loading.user(name).await?),
        None => None,
    };
    Ok(Ok(Named { owner, company, contact, about }))
}

/// By its id in the source, or by a name that becomes a company.
fn company(
    row: &RecordRow,
    loading: &mut Loading<'_>,
    held: &Held,
    file: &mut RecordRows<'_>,
) -> Result<Option<CompanyId>, RowProblem> {
    let find = |id: &str, source: &str| {
        held.first(&external(company::EXTERNAL_CLAIM, source, id)).map(|stream| CompanyId(stream.0))
    };
    if let Some(id) = row.cells.get("company_id") {
        if let Some(company) = find(id, &loading.source) {
            return Ok(Some(company));
        }
        let why = "is no company that this source has brought; import its companies first".to_owned();
        file.unusable(row.line, "company_id", id, why)?;
    }
    let Some(name) = row.cells.get("company") else {
        // A title is one in a company.
        if row.cells.contains_key("title") {
            file.leave_out("title");
        }
        return Ok(None);
    };
    Ok(Some(find(name, &loading.source).unwrap_or_else(|| loading.company(name))))
}

fn contact_of(
    row: &RecordRow,
    source: &str,
    held: &Held,
    file: &RecordRows<'_>,
) -> Result<Option<ContactId>, RowProblem> {
    let Some(id) = row.cells.get("contact") else { return Ok(None) };
    let found = held.first(&external(contact::EXTERNAL_CLAIM, source, id));
    let why = || "is no contact that this source has brought; import its contacts first".to_owned();
    let found = found.ok_or_else(|| file.problem(row.line, "contact", id, why()))?;
    Ok(Some(ContactId(found.0)))
}

fn about(
    row: &RecordRow,
    source: &str,
    held: &Held,
    file: &mut RecordRows<'_>,
) -> Result<Vec<Target>, RowProblem> {
    let mut about = Vec::new();
    for key in ABOUT {
        let Some(id) = row.cells.get(key) else { continue };
        let found =
            TARGETS.iter().find_map(|(kind, target)| held.first(&external(kind, source, id)).map(target));
        if let Some(target) = found {
            about.push(target);
        } else {
            let why = "is no contact, company, deal or lead that this source has brought; import those first";
            file.unusable(row.line, key, id, why.to_owned())?;
        }
    }
    Ok(about)
}
