//! A contact's row.

use super::custom;
use super::draft::{Draft, Known, Part, Record, Setting, claims, unless};
use super::points::{Point, points};
use crate::import::RowProblem;
use crate::import::records::{RecordRow, RecordRows};
use kvali_domain::contact::{Command, Contact, Create, Role};
use kvali_domain::contact_point::{self, Meant};
use kvali_domain::country::Country;
use kvali_domain::fields::Entity;
use kvali_domain::{Personal, State};

pub(super) fn draft(
    row: RecordRow,
    setting: &Setting,
    file: &mut RecordRows<'_>,
) -> Result<Draft, RowProblem> {
    let points = points(&row, setting, file)?;
    let fields = setting.fields.read(&row, file)?;
    let address = address(&row, file)?;
    let text = |key: &str| row.cells.get(key).map_or_else(Personal::default, Personal::new);
    let create = Create {
        given: text("given"),
        family: text("family"),
        full: text("name"),
        points: points.iter().map(|point| point.asked.clone()).collect(),
        ..Create::default()
    };
    let title = text("title");
    let company_key = if row.cells.contains_key("company_id") { "company_id" } else { "company" };
    let claims = claims(&Command::Create(create.clone()).into(), |_, at| {
        points.get(at.saturating_sub(1)).map_or("id", |point| point.key)
    });
    let overridable = claims.clone();
    let build = move |known: Known<'_>| {
        let mut parts = named(&create);
        parts.extend(points.iter().map(|point| reached(point, &known)));
        parts.extend(known.named.owner.map(|owner| {
            Part::new("owner", &[&owner.to_string()], move |state| {
                let so = record(state).is_some_and(|contact| contact.owner == Some(owner));
                unless(so, Command::Assign { owner, force: false, reason: Personal::default() })
            })
            .carried()
        }));
        parts.extend(address.map(|(country, lines)| {
            let content = [country.as_str(), lines.as_deref().unwrap_or_default()];
            Part::always("country", &content, Command::ChangeAddress { country, lines: lines.clone() })
        }));
        parts.extend(known.named.company.map(|company| {
            let employed = Command::StartAffiliation { company, role: Role::Employee, title, from: None };
            Part::always("company", &[&company.to_string()], employed).at(company_key)
        }));
        parts.extend(custom::parts(Entity::Contact, fields));
        let create = Create {
            override_duplicate: known.overrides(&overridable),
            external: Some(known.external),
            owner: known.named.owner,
            ..create
        };
        Record {
            before: State::Contact(Contact::default()),
            create: Some(Command::Create(create).into()),
            parts,
        }
    };
    Ok(Draft { row, claims, build: Box::new(build) })
}

fn named(create: &Create) -> Vec<Part> {
    let names = [&create.given, &create.family, &create.full];
    if names.iter().all(|name| name.is_blank()) {
        return Vec::new();
    }
    let Create { given, family, full, .. } = create.clone();
    let content = names.map(|name| name.as_deref().unwrap_or_default());
    let key = ["given", "family", "name"].into_iter().zip(names).find(|(_, name)| !name.is_blank());
    let part = Part::always("name", &content, Command::Rename { given, family, full }).carried();
    vec![part.at(key.map_or("name", |(key, _)| key))]
}

fn reached(point: &Point, known: &Known<'_>) -> Part {
    let Point { key, value, asked } = point;
    let claim = contact_point::claim(&asked.kind, value, Meant::Unique);
    let (has, clashes) = (known.has(&claim), known.overrides(&[(claim, key)]));
    let add = Command::AddPoint {
        contact_point: asked.clone(),
        override_duplicate: clashes,
        reason: Personal::default(),
    };
    let content = [asked.kind.to_string(), value.clone()];
    let part = Part::new("point", &[&content[1], &content[0]], move |_| unless(has, add.clone()));
    part.carried().at(key)
}

fn address(row: &RecordRow, file: &mut RecordRows<'_>) -> Result<Option<(Country, Personal)>, RowProblem> {
    let lines = row.cells.get("address").map_or_else(Personal::default, Personal::new);
    let country = country(row, file)?;
    if country.is_none() && !lines.is_blank() {
        file.leave_out("address");
    }
    Ok(country.map(|country| (country, lines)))
}

/// The cell's country, by its code.
pub(super) fn country(row: &RecordRow, file: &mut RecordRows<'_>) -> Result<Option<Country>, RowProblem> {
    let Some(cell) = row.cells.get("country") else { return Ok(None) };
    let country = Country::parse(&cell.to_uppercase());
    if country.is_none() {
        let why = "is no country's code of two letters, such as GE; translate it under [values.country]";
        file.unusable(row.line, "country", cell, why.to_owned())?;
    }
    Ok(country)
}

fn record(state: &State) -> Option<&kvali_domain::contact::Record> {
    match state {
        State::Contact(contact) => contact.record(),
        _ => None,
    }
}
