//! What deals are grouped by and what lies outside of them or is many: teams, sources, products, custom fields, and names.

use super::model::Tables;
use crate::sql::column;
use kvali_domain::deal::{self, Changed};
use kvali_domain::field_changes::{Changes, Held};
use kvali_domain::fields::{self, Entity, FieldValue};
use kvali_domain::{
    DealId, Event, FieldId, LeadId, ProductId, SourceId, TeamId, UserId, lead, loss_reasons, sources, team,
};
use kvali_eventstore::Opened;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Rows of which the last word stands: a key, and what it holds.
#[derive(Default, Debug)]
pub struct Features {
    names: BTreeMap<Uuid, (Kind, String)>,
    /// When a member joined; `None`: gone again.
    members: BTreeMap<(UserId, TeamId), Option<i64>>,
    lead_sources: BTreeMap<LeadId, SourceId>,
    deal_leads: BTreeMap<DealId, LeadId>,
    /// `None`: removed.
    lines: BTreeMap<(DealId, i32), Option<ProductId>>,
    fields: BTreeMap<(DealId, FieldId), Content>,
}

/// What has a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Team,
    Source,
    LossReason,
    /// A custom field of deals; its name is its key.
    Field,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::Source => "source",
            Self::LossReason => "loss_reason",
            Self::Field => "field",
        }
    }
}

/// What a deal has in a custom field.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Content {
    Nothing,
    Sealed,
    Clear(String),
}

impl Features {
    pub(super) fn apply(&mut self, opened: &Opened) {
        let (stream, position) = (opened.recorded.stream.0, opened.recorded.position);
        match &opened.event {
            Event::Deal(event) => self.deal(DealId(stream), event),
            Event::Team(event) => self.team(TeamId(stream), event, position),
            Event::Lead(event) => self.lead(LeadId(stream), event),
            Event::Sources(sources::Event::Defined(event)) => {
                self.name(event.source.0, Kind::Source, &event.code);
            }
            Event::LossReasons(loss_reasons::Event::Defined(event)) => {
                self.name(event.reason.0, Kind::LossReason, &event.label);
            }
            Event::Fields(fields::Event::Defined(event)) if event.entity == Entity::Deal => {
                self.name(event.field.0, Kind::Field, &event.key);
            }
            _ => {}
        }
    }

    fn name(&mut self, id: Uuid, kind: Kind, name: &str) {
        self.names.insert(id, (kind, name.to_owned()));
    }

    fn team(&mut self, team: TeamId, event: &team::Event, position: i64) {
        match event {
            team::Event::Created(event) => self.name(team.0, Kind::Team, &event.name),
            team::Event::Renamed(event) => self.name(team.0, Kind::Team, &event.to),
            team::Event::MemberAdded(event) => {
                self.members.insert((event.member, team), Some(position));
            }
            team::Event::MemberRemoved(event) => {
                self.members.insert((event.member, team), None);
            }
            team::Event::ManagerSet(_) | team::Event::ParentSet(_) => {}
        }
    }

    fn lead(&mut self, lead: LeadId, event: &lead::Event) {
        match event {
            lead::Event::Captured(lead::Captured { source: Some(source), .. }) => {
                self.lead_sources.insert(lead, *source);
            }
            lead::Event::Converted(lead::Converted { deal: Some(deal), .. }) => {
                self.deal_leads.insert(*deal, lead);
            }
            _ => {}
        }
    }

    fn deal(&mut self, deal: DealId, event: &deal::Event) {
        match event {
            deal::Event::LineAdded(event) => self.line(deal, event.line, Some(event.is.product)),
            deal::Event::LineChanged(event) => self.line(deal, event.line, Some(event.to.product)),
            deal::Event::LineRemoved(event) => self.line(deal, event.line, None),
            deal::Event::FieldsChanged(event) => self.fields(deal, &event.0),
            deal::Event::Merged(event) => self.change(deal, Changed::by(&event.changes)),
            deal::Event::Unmerged(event) => self.change(deal, Changed::by(&event.changes)),
            _ => {}
        }
    }

    fn line(&mut self, deal: DealId, line: i32, product: Option<ProductId>) {
        self.lines.insert((deal, line), product);
    }

    fn fields(&mut self, deal: DealId, changes: &Changes) {
        let clear = |value: &FieldValue| Content::Clear(text(value));
        for change in &changes.changes {
            let content = change.to.as_ref().map_or(Content::Nothing, clear);
            self.fields.insert((deal, change.field), content);
        }
        if let Some(sealed) = changes.sealed {
            let content = if sealed.filled { Content::Sealed } else { Content::Nothing };
            self.fields.insert((deal, sealed.field), content);
        }
    }

    /// What a merge, or undoing one, says.
    fn change(&mut self, deal: DealId, changed: Changed) {
        for (line, product) in changed.products {
            self.line(deal, line, product);
        }
        for (field, held) in changed.fields {
            let content = match held {
                None => Content::Nothing,
                Some(Held::Sealed(_)) => Content::Sealed,
                Some(Held::Clear(value)) => Content::Clear(text(&value)),
            };
            self.fields.insert((deal, field), content);
        }
    }
}

/// A value as the name of its group. Of several options the set is one group.
fn text(value: &FieldValue) -> String {
    match value {
        FieldValue::Text(text) | FieldValue::Choice(text) => text.clone(),
        FieldValue::Number(number) => number.normalize().to_string(),
        FieldValue::Money(money) => format!("{} {}", money.amount.normalize(), money.currency),
        FieldValue::Date(date) => date.to_string(),
        FieldValue::Bool(yes) => yes.to_string(),
        FieldValue::MultiChoice(keys) => {
            let mut keys = keys.clone();
            keys.sort_unstable();
            keys.join(", ")
        }
    }
}

const NAMES: &str = "insert into {schema}.name (tenant_id, id, kind, name) \
    select $1, x.* from unnest($2::uuid[], $3::text[], $4::text[]) x \
    on conflict (tenant_id, id) do update set name = excluded.name";

const JOINED: &str = "insert into {schema}.member (tenant_id, user_id, team_id, joined_position) \
    select $1, x.* from unnest($2::uuid[], $3::uuid[], $4::bigint[]) x \
    on conflict (tenant_id, user_id, team_id) do update set joined_position = excluded.joined_position";

const LEFT: &str = "delete from {schema}.member m using unnest($2::uuid[], $3::uuid[]) x (user_id, team_id) \
    where m.tenant_id = $1 and m.user_id = x.user_id and m.team_id = x.team_id";

const LEAD_SOURCES: &str = "insert into {schema}.lead (tenant_id, lead_id, source_id) \
    select $1, x.* from unnest($2::uuid[], $3::uuid[]) x \
    on conflict (tenant_id, lead_id) do update set source_id = excluded.source_id";

const DEAL_LEADS: &str = "insert into {schema}.converted (tenant_id, deal_id, lead_id) \
    select $1, x.* from unnest($2::uuid[], $3::uuid[]) x \
    on conflict (tenant_id, deal_id) do update set lead_id = excluded.lead_id";

const LINES: &str = "insert into {schema}.line (tenant_id, deal_id, line, product_id) \
    select $1, x.* from unnest($2::uuid[], $3::int[], $4::uuid[]) x \
    on conflict (tenant_id, deal_id, line) do update set product_id = excluded.product_id";

const LINES_GONE: &str = "delete from {schema}.line l using unnest($2::uuid[], $3::int[]) x (deal_id, line) \
    where l.tenant_id = $1 and l.deal_id = x.deal_id and l.line = x.line";

const FIELDS: &str = "insert into {schema}.deal_field (tenant_id, deal_id, field_id, value) \
    select $1, x.* from unnest($2::uuid[], $3::uuid[], $4::text[]) x \
    on conflict (tenant_id, deal_id, field_id) do update set value = excluded.value";

const FIELDS_GONE: &str = "delete from {schema}.deal_field f using unnest($2::uuid[], $3::uuid[]) x (deal_id, field_id) \
    where f.tenant_id = $1 and f.deal_id = x.deal_id and f.field_id = x.field_id";

impl Features {
    pub(super) async fn write(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        self.write_names(tables).await?;
        self.write_members(tables).await?;
        self.write_leads(tables).await?;
        self.write_lines(tables).await?;
        self.write_fields(tables).await
    }

    async fn write_names(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = self.names.iter().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let query = tables.query(NAMES).bind(column(&rows, |(id, _)| **id));
        let query = query.bind(column(&rows, |(_, (kind, _))| kind.word()));
        tables.execute(query.bind(column(&rows, |(_, (_, name))| name.clone()))).await
    }

    async fn write_members(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let (there, gone): (Vec<_>, Vec<_>) = self.members.iter().partition(|(_, joined)| joined.is_some());
        for (statement, rows) in [(JOINED, there), (LEFT, gone)] {
            if rows.is_empty() {
                continue;
            }
            let query = tables.query(statement).bind(column(&rows, |((user, _), _)| user.0));
            let query = query.bind(column(&rows, |((_, team), _)| team.0));
            let query = if statement == JOINED { query.bind(column(&rows, |(_, at)| **at)) } else { query };
            tables.execute(query).await?;
        }
        Ok(())
    }

    async fn write_leads(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        if !self.lead_sources.is_empty() {
            let (leads, sources): (Vec<Uuid>, Vec<Uuid>) =
                self.lead_sources.iter().map(|(lead, source)| (lead.0, source.0)).unzip();
            let query = tables.query(LEAD_SOURCES).bind(leads).bind(sources);
            tables.execute(query).await?;
        }
        if !self.deal_leads.is_empty() {
            let (deals, leads): (Vec<Uuid>, Vec<Uuid>) =
                self.deal_leads.iter().map(|(deal, lead)| (deal.0, lead.0)).unzip();
            let query = tables.query(DEAL_LEADS).bind(deals).bind(leads);
            tables.execute(query).await?;
        }
        Ok(())
    }

    async fn write_lines(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let (there, gone): (Vec<_>, Vec<_>) = self.lines.iter().partition(|(_, product)| product.is_some());
        for (statement, rows) in [(LINES, there), (LINES_GONE, gone)] {
            if rows.is_empty() {
                continue;
            }
            let query = tables.query(statement).bind(column(&rows, |((deal, _), _)| deal.0));
            let query = query.bind(column(&rows, |((_, line), _)| *line));
            let product = |(_, product): &(_, &Option<ProductId>)| product.map(|product| product.0);
            let query = if statement == LINES { query.bind(column(&rows, product)) } else { query };
            tables.execute(query).await?;
        }
        Ok(())
    }

    async fn write_fields(&self, tables: &mut Tables<'_>) -> Result<(), sqlx::Error> {
        let (gone, there): (Vec<_>, Vec<_>) =
            self.fields.iter().partition(|(_, content)| **content == Content::Nothing);
        for (statement, rows) in [(FIELDS, there), (FIELDS_GONE, gone)] {
            if rows.is_empty() {
                continue;
            }
            let query = tables.query(statement).bind(column(&rows, |((deal, _), _)| deal.0));
            let query = query.bind(column(&rows, |((_, field), _)| field.0));
            let value = |(_, content): &(_, &Content)| match content {
                Content::Clear(text) => Some(text.clone()),
                Content::Nothing | Content::Sealed => None,
            };
            let query = if statement == FIELDS { query.bind(column(&rows, value)) } else { query };
            tables.execute(query).await?;
        }
        Ok(())
    }
}
