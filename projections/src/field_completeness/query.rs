//! How complete the records of each kind are.

use super::facts::{Field, Filled, NOBODY};
use super::fillings::BUILT_IN;
use crate::ask::AskError;
use crate::rows::parsed;
use crate::sql::sql;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kvali_domain::access::Reach;
use kvali_domain::fields::Entity;
use kvali_domain::{FieldId, UserId};
use kvali_eventstore::project::{Look, Query};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct Ask {
    /// All kinds, unless one is named.
    pub entity: Option<Entity>,
    /// Only the records of this owner.
    pub owner: Option<UserId>,
    /// Whose records are counted at all.
    pub reach: Reach,
    /// A field is rarely filled below this share of the records, from 0 to 1.
    pub rare: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct OfEntity {
    pub entity: Entity,
    /// Those that stand for themselves, in use.
    pub records: i64,
    /// The mean share of fields that a record fills; null without records.
    pub completeness: Option<f64>,
    /// Built-in ones, then those defined and not retired, by their labels.
    pub fields: Vec<OfField>,
    /// The least complete first.
    pub owners: Vec<OfOwner>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct OfField {
    pub field: String,
    /// Of a custom field.
    pub id: Option<FieldId>,
    /// Records that fill it now.
    pub filled: i64,
    pub share: Option<f64>,
    /// When somebody, whoever owns the record, last filled it; null: never, or at no known time.
    pub last_filled_at: Option<DateTime<Utc>>,
    pub standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nobody ever filled it.
    Never,
    /// No record fills it now; some did.
    NoLonger,
    Rarely,
    Filled,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct OfOwner {
    /// Null: the records of nobody.
    pub owner: Option<UserId>,
    pub records: i64,
    pub completeness: Option<f64>,
}

/// Counts by owner and field; field '' counts records.
type Counts = BTreeMap<UserId, BTreeMap<String, i64>>;

const TALLIES: &str = "select owner, field, count from {schema}.tally \
    where tenant_id = $1 and entity = $2 and ($3::uuid is null or owner = $3) \
    and ($4::uuid[] is null or owner = any ($4))";
const FIELDS: &str = "select row_to_json(f)::text from {schema}.field f \
    where tenant_id = $1 and not is_retired order by entity, label, field_id";
const FILLED: &str = "select row_to_json(f)::text from {schema}.filled f where tenant_id = $1";

#[async_trait]
impl Query for Ask {
    type Answer = Vec<OfEntity>;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Vec<OfEntity>, AskError> {
        let mut custom = Vec::new();
        for json in rows(look, FIELDS).await? {
            custom.push(parsed::<Field>(&json)?);
        }
        let mut filled = BTreeMap::new();
        for json in rows(look, FILLED).await? {
            let row: Filled = parsed(&json)?;
            filled.insert((row.entity, row.field), row.last_at);
        }
        let mut answer = Vec::new();
        for (entity, built_in) in BUILT_IN {
            if self.entity.is_some_and(|asked| asked != entity) {
                continue;
            }
            let built_in = built_in.iter().map(|field| ((*field).to_owned(), None, (*field).to_owned()));
            let defined = custom.iter().filter(|field| field.entity == entity);
            let defined = defined.map(|field| {
                (field.label.clone(), Some(field.field_id), format!("field:{}", field.field_id))
            });
            let known = Known { entity, fields: built_in.chain(defined).collect(), filled: &filled };
            answer.push(known.answer(&self.counts(entity, look).await?, self.rare));
        }
        Ok(answer)
    }
}

async fn rows(look: &mut Look<'_>, statement: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(sql(look.schema, statement)).bind(look.tenant.0).fetch_all(&mut *look.connection).await
}

impl Ask {
    async fn counts(&self, entity: Entity, look: &mut Look<'_>) -> Result<Counts, sqlx::Error> {
        let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(sql(look.schema, TALLIES))
            .bind(look.tenant.0)
            .bind(entity.as_str())
            .bind(self.owner.map(|owner| owner.0))
            .bind(self.reach.owners().map(|owners| [owners, vec![NOBODY.0]].concat()))
            .fetch_all(&mut *look.connection)
            .await?;
        let mut counts = Counts::new();
        for (owner, field, count) in rows {
            counts.entry(UserId(owner)).or_default().insert(field, count);
        }
        Ok(counts)
    }
}

/// The fields of one kind of record: each with its label, its id if it is a custom one, and the key that it is counted by.
struct Known<'a> {
    entity: Entity,
    fields: Vec<(String, Option<FieldId>, String)>,
    filled: &'a BTreeMap<(Entity, String), Option<DateTime<Utc>>>,
}

impl Known<'_> {
    fn answer(&self, counts: &Counts, rare: f64) -> OfEntity {
        let sum = |key: &str| counts.values().filter_map(|of| of.get(key)).sum::<i64>();
        let records = sum("");
        let field = |(label, id, key): &(String, Option<FieldId>, String)| {
            let filled = sum(key);
            let (share, last) = (ratio(filled, records), self.filled.get(&(self.entity, key.clone())));
            let standing = match (filled, last) {
                (0, None) => Standing::Never,
                (0, Some(_)) => Standing::NoLonger,
                _ if share.is_some_and(|share| share < rare) => Standing::Rarely,
                _ => Standing::Filled,
            };
            let last_filled_at = last.copied().flatten();
            OfField { field: label.clone(), id: *id, filled, share, last_filled_at, standing }
        };
        let fields: Vec<OfField> = self.fields.iter().map(field).collect();
        let mut owners: Vec<OfOwner> = counts.iter().map(|(owner, of)| self.owner(*owner, of)).collect();
        owners.sort_by(|one, other| {
            let of = |owner: &OfOwner| owner.completeness.unwrap_or_default();
            of(one).total_cmp(&of(other)).then(one.owner.cmp(&other.owner))
        });
        let completeness = self.completeness(records, fields.iter().map(|field| field.filled).sum());
        OfEntity { entity: self.entity, records, completeness, fields, owners }
    }

    fn owner(&self, owner: UserId, of: &BTreeMap<String, i64>) -> OfOwner {
        let count = |key: &str| of.get(key).copied().unwrap_or_default();
        let records = count("");
        let filled = self.fields.iter().map(|(.., key)| count(key)).sum();
        let owner = Some(owner).filter(|owner| *owner != NOBODY);
        OfOwner { owner, records, completeness: self.completeness(records, filled) }
    }

    fn completeness(&self, records: i64, filled: i64) -> Option<f64> {
        let all = i64::try_from(self.fields.len()).expect("fields are few");
        ratio(filled, records * all)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of records stay far below what a float tells apart")]
fn ratio(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
