//! What each kind of record is said to hold, and the command for each part of it.

use super::{Known, Record};
use crate::error::Problem;
use chrono::NaiveDate;
use kvali_domain::company::{self, LegalIds};
use kvali_domain::contact_point::ContactPoint;
use kvali_domain::deal::{self, External, Open, Party};
use kvali_domain::field_changes::{FieldSetting, FieldValue};
use kvali_domain::{Command, Money, Personal, PipelineId, SourceId, StageId, UserId, contact, lead};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

impl Known {
    /// Whether the text is there already, or nothing is said.
    fn tells(&self, field: &str, text: &Personal) -> bool {
        text.is_blank() || self.value(field).and_then(serde_json::Value::as_str) == text.as_deref()
    }

    /// What is said of a field, if it is not there already.
    fn news_of<T: DeserializeOwned + PartialEq>(&self, field: &str, said: Option<T>) -> Option<T> {
        said.filter(|said| !self.is(field, said))
    }

    /// Whether a part of a name is told that is not there already.
    fn renames(&self, given: &Personal, family: &Personal, full: &Personal) -> bool {
        [("given", given), ("family", family), ("full", full)]
            .iter()
            .any(|(field, text)| !self.tells(field, text))
    }

    /// Those of the settings that change something.
    fn news(&self, settings: &[FieldSetting]) -> Vec<FieldSetting> {
        let differs = |setting: &&FieldSetting| {
            self.get::<FieldValue>(&format!("fields.{}", setting.field)) != setting.value
        };
        settings.iter().filter(differs).cloned().collect()
    }

    /// Whether the contact point is there, however it is written.
    fn has_point(&self, point: &ContactPoint) -> bool {
        let (kind, Ok(key)) = (&point.kind, point.key()) else { return false };
        let values = self.fields().filter_map(|field| field.strip_prefix("points.")?.strip_suffix(".value"));
        let mut values: Vec<&str> = values.collect();
        values.retain(|number| self.is(&format!("points.{number}.kind"), kind));
        values.iter().any(|number| self.is(&format!("points.{number}.value"), &key))
    }

    fn legal_ids(&self) -> Option<LegalIds> {
        let known: company::LegalIdsKnown = self.get("legal_ids")?;
        let text = |field: &str| Personal(self.get(field));
        Some(LegalIds {
            country: known.country,
            tax_id: text("tax_id"),
            registration_id: text("registration_id"),
        })
    }
}

/// What is left out stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Company {
    #[serde(default)]
    name: Personal,
    /// All of them.
    domains: Option<Vec<String>>,
    legal_ids: Option<LegalIds>,
    owner: Option<UserId>,
    #[serde(default)]
    fields: Vec<FieldSetting>,
    /// Another may hold the same domains and legal ids; needs a reason.
    #[serde(default)]
    override_duplicate: bool,
    #[serde(default)]
    reason: Personal,
}

impl Record for Company {
    const CLAIM: &'static str = company::EXTERNAL_CLAIM;

    fn created(&self, external: External) -> Result<Vec<Command>, Problem> {
        let create = company::Command::Create(company::Create {
            name: self.name.clone(),
            domains: self.domains.clone().unwrap_or_default(),
            legal_ids: self.legal_ids.clone(),
            external: Some(external),
            owner: self.owner,
            override_duplicate: self.override_duplicate,
            reason: self.reason.clone(),
        });
        let fields = filled(&self.fields).map(|fields| company::Command::SetFields { fields });
        Ok([Some(create), fields].into_iter().flatten().map(Command::from).collect())
    }

    fn changed(&self, known: &Known) -> Result<Vec<Command>, Problem> {
        let (override_duplicate, reason) = (self.override_duplicate, &self.reason);
        let name = (!known.tells("name", &self.name)).then(|| self.name.clone());
        let set_domains =
            |domains| company::Command::SetDomains { domains, override_duplicate, reason: reason.clone() };
        let set_legal_ids = |ids| company::Command::SetLegalIds {
            ids,
            replaces: known.legal_ids(),
            override_duplicate,
            reason: reason.clone(),
        };
        let owner = known.news_of("owner", self.owner);
        let assign = |owner| company::Command::Assign { owner, force: false, reason: Personal::default() };
        let fields = filled(&known.news(&self.fields));
        let commands = [
            name.map(|name| company::Command::Rename { name }),
            self.domains.clone().map(set_domains),
            self.legal_ids.clone().map(set_legal_ids),
            owner.map(assign),
            fields.map(|fields| company::Command::SetFields { fields }),
        ];
        Ok(commands.into_iter().flatten().map(Command::from).collect())
    }
}

/// What is left out stays as it is; contact points are added to those there are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    #[serde(default)]
    given: Personal,
    #[serde(default)]
    family: Personal,
    #[serde(default)]
    full: Personal,
    #[serde(default)]
    points: Vec<ContactPoint>,
    /// Where the contact comes from; it is told when the contact is created, and stays.
    source: Option<SourceId>,
    owner: Option<UserId>,
    #[serde(default)]
    fields: Vec<FieldSetting>,
    /// Another may hold the same contact points; needs a reason.
    #[serde(default)]
    override_duplicate: bool,
    #[serde(default)]
    reason: Personal,
}

impl Record for Contact {
    const CLAIM: &'static str = contact::EXTERNAL_CLAIM;

    fn created(&self, external: External) -> Result<Vec<Command>, Problem> {
        let create = contact::Command::Create(contact::Create {
            given: self.given.clone(),
            family: self.family.clone(),
            full: self.full.clone(),
            points: self.points.clone(),
            source: self.source,
            external: Some(external),
            owner: self.owner,
            override_duplicate: self.override_duplicate,
            reason: self.reason.clone(),
        });
        let fields = filled(&self.fields).map(|fields| contact::Command::SetFields { fields });
        Ok([Some(create), fields].into_iter().flatten().map(Command::from).collect())
    }

    fn changed(&self, known: &Known) -> Result<Vec<Command>, Problem> {
        stays("source", known, self.source.as_ref(), "where a contact comes from stays")?;
        let rename = known.renames(&self.given, &self.family, &self.full).then(|| contact::Command::Rename {
            given: self.given.clone(),
            family: self.family.clone(),
            full: self.full.clone(),
        });
        let is_new = |point: &&ContactPoint| !known.has_point(point);
        let add = |point: &ContactPoint| contact::Command::AddPoint {
            contact_point: point.clone(),
            override_duplicate: self.override_duplicate,
            reason: self.reason.clone(),
        };
        let owner = known.news_of("owner", self.owner);
        let assign = |owner| contact::Command::Assign { owner, force: false, reason: Personal::default() };
        let fields = filled(&known.news(&self.fields));
        let commands = rename
            .into_iter()
            .chain(self.points.iter().filter(is_new).map(add))
            .chain(owner.map(assign))
            .chain(fields.map(|fields| contact::Command::SetFields { fields }));
        Ok(commands.map(Command::from).collect())
    }
}

/// What is left out stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lead {
    #[serde(default)]
    given: Personal,
    #[serde(default)]
    family: Personal,
    #[serde(default)]
    full: Personal,
    /// They are told when the lead is captured, and stay.
    #[serde(default)]
    points: Vec<ContactPoint>,
    #[serde(default)]
    company_name: Personal,
    /// What the lead wants; it is told when the lead is captured, and stays.
    #[serde(default)]
    message: Personal,
    /// It is told when the lead is captured, and stays.
    source: Option<SourceId>,
    owner: Option<UserId>,
    #[serde(default)]
    fields: Vec<FieldSetting>,
    /// Another lead may hold the same contact points; needs a reason.
    #[serde(default)]
    override_duplicate: bool,
    #[serde(default)]
    reason: Personal,
}

impl Record for Lead {
    const CLAIM: &'static str = lead::EXTERNAL_CLAIM;

    fn created(&self, external: External) -> Result<Vec<Command>, Problem> {
        let capture = lead::Command::Capture(lead::Capture {
            given: self.given.clone(),
            family: self.family.clone(),
            full: self.full.clone(),
            points: self.points.clone(),
            company_name: self.company_name.clone(),
            message: self.message.clone(),
            source: self.source,
            provider_event: None,
            external: Some(external),
            owner: self.owner,
            override_duplicate: self.override_duplicate,
            reason: self.reason.clone(),
        });
        let update = filled(&self.fields)
            .map(|fields| lead::Command::Update(lead::Update { fields, ..lead::Update::default() }));
        Ok([Some(capture), update].into_iter().flatten().map(Command::from).collect())
    }

    fn changed(&self, known: &Known) -> Result<Vec<Command>, Problem> {
        stays("source", known, self.source.as_ref(), "where a lead comes from stays")?;
        stays("message", known, self.message.0.as_ref(), "what a lead wrote stays")?;
        if !self.points.iter().all(|point| known.has_point(point)) {
            let detail = "a lead's contact points are those it was captured with; convert it, and add them to the contact";
            return Err(Problem::malformed("points", detail));
        }
        let renames = known.renames(&self.given, &self.family, &self.full);
        // A name is told whole.
        let part = |text: &Personal| if renames { text.clone() } else { Personal::default() };
        let [given, family, full] = [&self.given, &self.family, &self.full].map(part);
        let is_known = known.tells("company_name", &self.company_name);
        let company_name = if is_known { Personal::default() } else { self.company_name.clone() };
        let update = lead::Update { given, family, full, company_name, fields: known.news(&self.fields) };
        let update = (update != lead::Update::default()).then_some(lead::Command::Update(update));
        let owner = known.news_of("owner", self.owner);
        let assign = |owner| lead::Command::Assign { owner, force: false, reason: Personal::default() };
        Ok(update.into_iter().chain(owner.map(assign)).map(Command::from).collect())
    }
}

/// What is left out stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deal {
    /// A new deal needs one; one that is there goes to another only together with a stage of it.
    pipeline: Option<PipelineId>,
    stage: Option<StageId>,
    /// With whom; it is told when the deal is opened, and stays.
    party: Option<Party>,
    /// What the party is called, for a deal that is new.
    #[serde(default)]
    party_name: Personal,
    #[serde(default)]
    name: Personal,
    owner: Option<UserId>,
    value: Option<Money>,
    expected_close: Option<NaiveDate>,
    #[serde(default)]
    fields: Vec<FieldSetting>,
}

impl Record for Deal {
    const CLAIM: &'static str = deal::EXTERNAL_CLAIM;

    fn created(&self, external: External) -> Result<Vec<Command>, Problem> {
        let Self { stage, party, party_name, owner, value, expected_close, .. } = self;
        let Some(pipeline) = self.pipeline else {
            return Err(Problem::malformed(
                "pipeline",
                "there is no such deal yet; name the pipeline that it is opened in",
            ));
        };
        let open = deal::Command::Open(Open {
            stage: *stage,
            party: *party,
            party_name: party_name.clone(),
            owner: *owner,
            value: *value,
            expected_close: *expected_close,
            external: Some(external),
            ..Open::new(pipeline)
        });
        let name = (!self.name.is_blank()).then(|| deal::Command::Rename { name: self.name.clone() });
        let fields = filled(&self.fields).map(|fields| deal::Command::SetFields { fields });
        Ok([Some(open), name, fields].into_iter().flatten().map(Command::from).collect())
    }

    fn changed(&self, known: &Known) -> Result<Vec<Command>, Problem> {
        let detail = "with whom a deal is stays; send SetDealCompany or AddDealContact to its own path";
        stays("party", known, self.party.as_ref(), detail)?;
        let transferred = known.news_of("pipeline", self.pipeline);
        let moved = known.news_of("stage", self.stage);
        let goes = match (transferred, self.stage) {
            (Some(pipeline), Some(to)) => {
                Some(deal::Command::Transfer { pipeline, to, pipeline_version: None })
            }
            (Some(_), None) => {
                let detail = "the deal is in another pipeline; name the stage of this one that it goes to";
                return Err(Problem::malformed("stage", detail));
            }
            (None, _) => moved.map(|to| deal::Command::Move { to, pipeline_version: None }),
        };
        let name = (!known.tells("name", &self.name)).then(|| self.name.clone());
        let owner = known.news_of("owner", self.owner);
        let assign = |owner| deal::Command::Assign { owner, force: false, reason: Personal::default() };
        let value = known.news_of("value", self.value);
        let date = known.news_of("expected_close", self.expected_close);
        let fields = filled(&known.news(&self.fields));
        let commands = [
            value.map(|value| deal::Command::SetValue { value }),
            date.map(|date| deal::Command::SetExpectedClose { date }),
            name.map(|name| deal::Command::Rename { name }),
            owner.map(assign),
            fields.map(|fields| deal::Command::SetFields { fields }),
            // Last: what a stage requires may be among the others.
            goes,
        ];
        Ok(commands.into_iter().flatten().map(Command::from).collect())
    }
}

fn filled(fields: &[FieldSetting]) -> Option<Vec<FieldSetting>> {
    (!fields.is_empty()).then(|| fields.to_vec())
}

/// What is told at the beginning may be told again, but not otherwise.
fn stays<T>(field: &'static str, known: &Known, told: Option<&T>, why: &'static str) -> Result<(), Problem>
where
    T: DeserializeOwned + PartialEq,
{
    match told {
        Some(told) if !known.is(field, told) => Err(Problem::malformed(field, why)),
        _ => Ok(()),
    }
}
