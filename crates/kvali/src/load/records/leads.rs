//! A lead's row.

use super::custom;
use super::draft::{Draft, Known, Part, Record, Setting, claims, unless};
use super::points::points;
use crate::import::RowProblem;
use crate::import::records::{RecordRow, RecordRows};
use kvali_domain::fields::Entity;
use kvali_domain::lead::{Capture, Command, Lead, Update};
use kvali_domain::{Personal, State};

pub(super) fn draft(
    row: RecordRow,
    setting: &Setting,
    file: &mut RecordRows<'_>,
) -> Result<Draft, RowProblem> {
    let points = points(&row, setting, file)?;
    let fields = setting.fields.read(&row, file)?;
    let text = |key: &str| row.cells.get(key).map_or_else(Personal::default, Personal::new);
    let capture = Capture {
        given: text("given"),
        family: text("family"),
        full: text("name"),
        company_name: text("company"),
        message: text("message"),
        points: points.iter().map(|point| point.asked.clone()).collect(),
        ..Capture::default()
    };
    let claims = claims(&Command::Capture(capture.clone()).into(), |_, at| {
        points.get(at.saturating_sub(1)).map_or("id", |point| point.key)
    });
    let claimed = claims.clone();
    let build = move |known: Known<'_>| {
        let mut parts = named(&capture);
        parts.extend(known.named.owner.map(|owner| {
            Part::new("owner", &[&owner.to_string()], move |state| {
                let so = matches!(state, State::Lead(Lead::Known(lead)) if lead.owner == Some(owner));
                unless(so, Command::Assign { owner, force: false, reason: Personal::default() })
            })
            .carried()
        }));
        parts.extend(custom::parts(Entity::Lead, fields));
        let capture = Capture {
            override_duplicate: known.overrides(&claimed),
            external: Some(known.external),
            owner: known.named.owner,
            ..capture
        };
        Record { before: State::Lead(Lead::default()), create: Some(Command::Capture(capture).into()), parts }
    };
    Ok(Draft { row, claims, build: Box::new(build) })
}

/// There is no command that adds a contact point to a lead, so only names follow a newer export.
fn named(capture: &Capture) -> Vec<Part> {
    let texts = [&capture.given, &capture.family, &capture.full, &capture.company_name];
    if texts.iter().all(|text| text.is_blank()) {
        return Vec::new();
    }
    let Capture { given, family, full, company_name, .. } = capture.clone();
    let content = texts.map(|text| text.as_deref().unwrap_or_default());
    let update = Update { given, family, full, company_name, fields: Vec::new() };
    let keys = ["given", "family", "name", "company"].into_iter().zip(texts);
    let key = keys.into_iter().find(|(_, text)| !text.is_blank()).map_or("name", |(key, _)| key);
    vec![Part::always("name", &content, Command::Update(update)).carried().at(key)]
}
