//! One look at a customer's timeline.

use super::facts::EntryRow;
use crate::ask::AskError;
use crate::rows::parsed;
use crate::sql::sql;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kvali_domain::{ActorId, Event, StreamId};
use kvali_eventstore::project::{Look, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Contact,
    Company,
    Lead,
    Deal,
    Task,
    Meeting,
    Call,
    Conversation,
    Note,
    Duplicate,
    Erasure,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("kind {word:?} is none of {}", .known.join(", "))]
pub struct NotAKind {
    pub word: String,
    pub known: Vec<&'static str>,
}

const KINDS: [(Kind, &str); 11] = [
    (Kind::Contact, "contact"),
    (Kind::Company, "company"),
    (Kind::Lead, "lead"),
    (Kind::Deal, "deal"),
    (Kind::Task, "task"),
    (Kind::Meeting, "meeting"),
    (Kind::Call, "call"),
    (Kind::Conversation, "conversation"),
    (Kind::Note, "note"),
    (Kind::Duplicate, "duplicate"),
    (Kind::Erasure, "erasure"),
];

impl Kind {
    /// `None`: how the business is set up, and who works in it, is in nobody's timeline.
    pub(super) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Contact(_) => Self::Contact,
            Event::Company(_) => Self::Company,
            Event::Lead(_) => Self::Lead,
            Event::Deal(_) => Self::Deal,
            Event::Task(_) => Self::Task,
            Event::Meeting(_) => Self::Meeting,
            Event::Call(_) => Self::Call,
            Event::Conversation(_) => Self::Conversation,
            Event::Note(_) => Self::Note,
            Event::Duplicate(_) => Self::Duplicate,
            Event::Subject(_) => Self::Erasure,
            _ => return None,
        })
    }

    pub(super) fn is_customer(self) -> bool {
        matches!(self, Self::Contact | Self::Company | Self::Lead | Self::Deal)
    }

    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).expect("every kind is in the table").1
    }
}

impl std::str::FromStr for Kind {
    type Err = NotAKind;

    fn from_str(word: &str) -> Result<Self, NotAKind> {
        let known = KINDS.iter().find(|(_, known)| *known == word);
        known.map(|(kind, _)| *kind).ok_or_else(|| NotAKind {
            word: word.to_owned(),
            known: KINDS.iter().map(|(_, word)| *word).collect(),
        })
    }
}

/// Which entries are asked for, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// A contact, company, lead or deal; one that was merged stands for the survivor.
    pub customer: StreamId,
    pub kind: Option<Kind>,
    /// Go on before this position.
    pub before: Option<i64>,
    pub limit: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Page {
    pub customer: StreamId,
    pub kind: Kind,
    /// Those who were merged into it, in the order of their ids.
    pub aliases: Vec<StreamId>,
    pub entries: Vec<Entry>,
    /// Where to go on, if there are earlier entries.
    #[serde(skip)]
    pub before: Option<i64>,
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Entry {
    pub position: i64,
    /// Null: nobody knows when.
    pub occurred_at: Option<DateTime<Utc>>,
    pub kind: Kind,
    pub stream: StreamId,
    pub actor: ActorId,
    pub event_type: String,
}

/// What has a timeline.
pub const CUSTOMER_KINDS: &str = "contact, company, lead or deal";

/// Entries that one answer holds, at most.
const MOST: i64 = 1_000;

const CUSTOMER: &str =
    "select kind, merged_into from {schema}.customer where tenant_id = $1 and customer_id = $2";

const MERGED: &str = "select c.customer_id from unnest($2::uuid[]) s (id) cross join lateral \
    (select customer_id from {schema}.customer where tenant_id = $1 and merged_into = s.id offset 0) c";

const ENTRIES: &str = "select row_to_json(x)::text from ( \
    select distinct on (e.position) e.* from unnest($2::uuid[]) a (id) cross join lateral ( \
      select * from {schema}.entry where tenant_id = $1 and told_of = a.id and position < $3 \
         and ($4::text is null or kind = $4) order by position desc limit $5) e \
    order by e.position desc limit $5) x";

#[async_trait]
impl Query for Ask {
    type Answer = Page;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Page, AskError> {
        let (customer, kind) = self.survivor(look).await?;
        let aliases = aliases(customer, look).await?;
        let all: Vec<Uuid> = aliases.iter().copied().chain([customer]).collect();
        let limit = self.limit.clamp(1, MOST);
        let rows: Vec<String> = sqlx::query_scalar(sql(look.schema, ENTRIES))
            .bind(look.tenant.0)
            .bind(all)
            .bind(self.before.unwrap_or(i64::MAX))
            .bind(self.kind.map(Kind::word))
            .bind(limit + 1)
            .fetch_all(&mut *look.connection)
            .await?;
        let page = usize::try_from(limit).expect("a page is small");
        let more = rows.len() > page;
        let entries = rows.iter().take(page).map(|json| parsed::<EntryRow>(json).map(Entry::from));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        Ok(Page {
            customer: StreamId(customer),
            kind,
            aliases: aliases.into_iter().map(StreamId).collect(),
            before: entries.last().filter(|_| more).map(|entry| entry.position),
            entries,
        })
    }
}

impl Ask {
    async fn survivor(&self, look: &mut Look<'_>) -> Result<(Uuid, Kind), AskError> {
        let mut customer = self.customer.0;
        loop {
            let found: Option<(String, Option<Uuid>)> = sqlx::query_as(sql(look.schema, CUSTOMER))
                .bind(look.tenant.0)
                .bind(customer)
                .fetch_optional(&mut *look.connection)
                .await?;
            match found {
                Some((_, Some(into))) => customer = into,
                Some((kind, None)) => {
                    let kind = kind.parse().map_err(|error: NotAKind| sqlx::Error::Decode(error.into()))?;
                    return Ok((customer, kind));
                }
                None => {
                    return Err(AskError::NoSuchId { what: CUSTOMER_KINDS, id: self.customer.0 });
                }
            }
        }
    }
}

/// Everyone who was merged into `survivor`, also by way of others.
pub(crate) async fn aliases(survivor: Uuid, look: &mut Look<'_>) -> Result<Vec<Uuid>, AskError> {
    let (mut all, mut last) = (Vec::new(), vec![survivor]);
    while !last.is_empty() {
        last = sqlx::query_scalar(sql(look.schema, MERGED))
            .bind(look.tenant.0)
            .bind(&last)
            .fetch_all(&mut *look.connection)
            .await?;
        all.extend(&last);
    }
    all.sort();
    Ok(all)
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Self {
        Self {
            position: row.position,
            occurred_at: row.occurred_at,
            kind: row.kind,
            stream: row.stream_id,
            actor: row.actor,
            event_type: row.event_type,
        }
    }
}
