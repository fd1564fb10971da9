//! A company's row.

use super::contacts::country;
use super::custom;
use super::draft::{Draft, Known, Part, Record, Setting, claims, unless};
use crate::import::RowProblem;
use crate::import::records::{RecordRow, RecordRows};
use kvali_domain::company::{Command, Company, Create, DOMAIN_CLAIM, LegalIds};
use kvali_domain::fields::Entity;
use kvali_domain::{Claim, Personal, State};

pub(super) fn draft(
    row: RecordRow,
    setting: &Setting,
    file: &mut RecordRows<'_>,
) -> Result<Draft, RowProblem> {
    let fields = setting.fields.read(&row, file)?;
    let name = row.cells.get("name").map_or_else(Personal::default, Personal::new);
    let mut create = Create { name, ..Create::default() };
    if let Some(cell) = row.cells.get("domain") {
        let asked = Create { domains: vec![host(cell)], ..create.clone() };
        match refused(&asked) {
            None => create = asked,
            Some(why) => file.unusable(row.line, "domain", cell, why)?,
        }
    }
    if let Some((key, cell, ids)) = legal_ids(&row, file)? {
        let asked = Create { legal_ids: Some(ids), ..create.clone() };
        match refused(&asked) {
            None => create = asked,
            Some(why) => file.unusable(row.line, key, cell, why)?,
        }
    }
    let territory = row.cells.get("territory").cloned();
    let claims = claims(&Command::Create(create.clone()).into(), |claim, _| key(claim));
    let claimed = claims.clone();
    let build = move |known: Known<'_>| {
        let overrides = known.overrides(&claimed);
        let mut parts = Vec::new();
        parts.extend(create.name.as_deref().map(|name| {
            Part::always("name", &[name], Command::Rename { name: create.name.clone() }).carried()
        }));
        parts.extend(create.domains.first().map(|domain| domain_part(domain, overrides)));
        parts.extend(create.legal_ids.as_ref().map(|ids| {
            let has = claimed.iter().any(|(claim, key)| key.ends_with("_id") && known.has(claim));
            legal_part(ids, has, overrides)
        }));
        parts.extend(known.named.owner.map(|owner| {
            Part::new("owner", &[&owner.to_string()], move |state| {
                let so = record(state).is_some_and(|company| company.owner == Some(owner));
                unless(so, Command::Assign { owner, force: false, reason: Personal::default() })
            })
            .carried()
        }));
        parts.extend(territory.map(|territory| {
            let set = Command::SetTerritory { territory: Some(territory.clone()) };
            Part::always("territory", &[&territory], set)
        }));
        parts.extend(custom::parts(Entity::Company, fields));
        let create = Create {
            override_duplicate: overrides,
            external: Some(known.external),
            owner: known.named.owner,
            ..create
        };
        Record {
            before: State::Company(Company::default()),
            create: Some(Command::Create(create).into()),
            parts,
        }
    };
    Ok(Draft { row, claims, build: Box::new(build) })
}

/// Beside the domains that the company has.
fn domain_part(domain: &str, override_duplicate: bool) -> Part {
    let asked = domain.to_lowercase();
    let choose = move |state: &State| {
        let mut domains: Vec<String> =
            record(state).map_or_else(Vec::new, |company| company.domains.iter().cloned().collect());
        let so = domains.contains(&asked);
        if !so {
            domains.push(asked.clone());
        }
        unless(so, Command::SetDomains { domains, override_duplicate, reason: Personal::default() })
    };
    Part::new("domain", &[domain], choose).carried()
}

/// Ids that are known already are not replaced: what they were is sealed, and the rules ask for it.
fn legal_part(ids: &LegalIds, has: bool, override_duplicate: bool) -> Part {
    let LegalIds { country, tax_id, registration_id } = ids;
    let texts = [tax_id, registration_id].map(|id| id.as_deref().unwrap_or_default());
    let content = [texts[0], texts[1], country.as_str()];
    let reason = Personal::default();
    let set = Command::SetLegalIds { ids: ids.clone(), replaces: None, override_duplicate, reason };
    let key = if texts[0].is_empty() { "registration_id" } else { "tax_id" };
    Part::new("legal ids", &content, move |_| unless(has, set.clone())).carried().at(key)
}

/// The legal ids that the row names, with the cell to look at if they are none.
fn legal_ids<'r>(
    row: &'r RecordRow,
    file: &mut RecordRows<'_>,
) -> Result<Option<(&'static str, &'r str, LegalIds)>, RowProblem> {
    let country = country(row, file)?;
    let named = ["tax_id", "registration_id"].into_iter().find_map(|key| Some((key, row.cells.get(key)?)));
    let Some((key, cell)) = named else {
        // A company has a country by its legal ids alone.
        if country.is_some() {
            file.leave_out("country");
        }
        return Ok(None);
    };
    let Some(country) = country else {
        let why = "is an id of an unknown country; name the company's country in a column of its own";
        return file.unusable(row.line, key, cell, why.to_owned()).map(|()| None);
    };
    let text = |key: &str| row.cells.get(key).map_or_else(Personal::default, Personal::new);
    let ids = LegalIds { country, tax_id: text("tax_id"), registration_id: text("registration_id") };
    Ok(Some((key, cell, ids)))
}

/// Why the rules would not have a company like this, whoever held its keys.
fn refused(create: &Create) -> Option<String> {
    let named = Create { name: Personal::new("any"), ..create.clone() };
    let command: kvali_domain::Command = Command::Create(named).into();
    super::draft::tried(&command).err().map(|refusal| refusal.to_string())
}

/// The host of a web address; anything else as it is.
fn host(cell: &str) -> String {
    let text = cell.trim().to_lowercase();
    let text = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    let host = text.split(['/', '?', '#', ':']).next().unwrap_or_default();
    host.strip_prefix("www.").unwrap_or(host).to_owned()
}

fn key(claim: &Claim) -> &'static str {
    match claim.kind {
        DOMAIN_CLAIM => "domain",
        kind if kind.ends_with("tax_id") => "tax_id",
        kind if kind.ends_with("registration_id") => "registration_id",
        _ => "id",
    }
}

fn record(state: &State) -> Option<&kvali_domain::company::Record> {
    match state {
        State::Company(company) => company.record(),
        _ => None,
    }
}
