//! Where an import's commands go: to the log, or to a rehearsal that only looks at it.

use crate::connect::Session;
use crate::edge;
use crate::failure::Failure;
use crate::ids::{self, Fingerprint};
use kvali_domain::{
    ActorId, Channel, Claim, Command, CommandId, Occurred, Order, StageId, State, StreamId, Version,
};
use kvali_eventstore::{Answer, Choice, Envelope, KeyedIds, Outcome, Plan, Rehearsal};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Why an import's commands were sent; it stands in for reasons in words.
const REASON: &str = "imported";

/// How often imports had each deal enter a stage, and which stage was the last.
const TOLD: &str = "\
    select e.stream_id, count(*), (array_agg(coalesce(e.data ->> 'to', e.data ->> 'stage') order by e.version desc))[1] \
    from (select distinct unnest($2::uuid[]) as id) x cross join lateral (select * from kvali.event \
      where tenant_id = $1 and stream_id = x.id offset 0) e \
    where e.channel = 'import' \
      and e.event_type in ('deal.opened', 'deal.stage_changed', 'deal.won', 'deal.lost', 'deal.reopened') \
    group by e.stream_id";

/// What imports have said of where a deal stands.
pub(crate) struct Told {
    pub(crate) entries: i64,
    pub(crate) last: StageId,
}

pub(crate) struct Sink<'a> {
    session: &'a Session,
    rehearsal: Option<Rehearsal>,
    /// None for a dry run of a tenant without events, whose ids do not matter: it does not make the tenant's key.
    ids: Option<KeyedIds>,
    /// The run of the import, which all its commands bear.
    pub(crate) import: Uuid,
}

impl<'a> Sink<'a> {
    pub(crate) async fn open(
        session: &'a Session,
        import: &Fingerprint,
        dry_run: bool,
    ) -> Result<Self, Failure> {
        let Session { store, tenant, .. } = session;
        let rehearsal = dry_run.then(Rehearsal::default);
        let keyless = dry_run && store.head(*tenant).await? == 0;
        let ids = if keyless { None } else { Some(store.keyed_ids(*tenant).await?) };
        let mut sink = Self { session, rehearsal, ids, import: Uuid::nil() };
        sink.import = sink.id(import);
        Ok(sink)
    }

    /// Rows hold what must not be guessed from an id once it is erased.
    fn id(&self, identity: &Fingerprint) -> Uuid {
        self.ids.as_ref().map_or_else(|| identity.id(), |ids| ids.id(identity.bytes()))
    }

    pub(crate) async fn send(&mut self, plans: &[Plan]) -> Result<Vec<Outcome>, Failure> {
        let Session { store, tenant, .. } = self.session;
        Ok(match &mut self.rehearsal {
            None => store.handle_all(*tenant, plans).await?,
            Some(rehearsal) => store.rehearse(*tenant, rehearsal, plans).await?,
        })
    }

    /// Sends one command that the import cannot do without.
    pub(crate) async fn must(
        &mut self,
        step: &str,
        order: Order,
        version: Version,
    ) -> Result<Answer, Failure> {
        let identity = Fingerprint::of_command(order.stream, version, &order.command);
        let envelope = self.envelope(&identity, ids::importer());
        let id = envelope.command_id;
        let outcomes = self.send(&[Plan::new(order, envelope)]).await?;
        match outcomes.into_iter().next() {
            Some(Outcome::Accepted(answer)) => Ok(answer),
            Some(Outcome::Refused(refusal)) => Err(Failure::Refused { step: step.to_owned(), refusal }),
            Some(Outcome::Reused) => Err(kvali_eventstore::Error::CommandIdReused(id).into()),
            None => unreachable!("every plan has an outcome"),
        }
    }

    /// The state of a stream and its version, with what this import did to it.
    pub(crate) async fn state(&self, stream: StreamId) -> Result<Option<(Version, Arc<State>)>, Failure> {
        if let Some(seen) = self.rehearsal.as_ref().and_then(|rehearsal| rehearsal.state(stream)) {
            return Ok(Some(seen));
        }
        Ok(self.session.store.state(self.session.tenant, stream).await?)
    }

    pub(crate) async fn holder(&self, kind: &str, key: &str) -> Result<Option<StreamId>, Failure> {
        Ok(self.session.store.holder(self.session.tenant, kind, key).await?)
    }

    /// The streams that hold the keys of these claims, in their order.
    pub(crate) async fn holders(&self, claims: &[Claim]) -> Result<Vec<Vec<StreamId>>, Failure> {
        let mut holders = self.session.store.holders(self.session.tenant, claims).await?;
        let rehearsed = |claim| self.rehearsal.as_ref().and_then(|rehearsal| rehearsal.holders(claim));
        for (claim, holders) in claims.iter().zip(&mut holders) {
            if let Some(rehearsed) = rehearsed(claim) {
                *holders = rehearsed.to_vec();
            }
        }
        Ok(holders)
    }

    /// What imports have said of where these deals stand.
    pub(crate) async fn told(&self, deals: &[StreamId]) -> Result<HashMap<StreamId, Told>, Failure> {
        let ids: Vec<Uuid> = deals.iter().map(|deal| deal.0).collect();
        let tenant = self.session.tenant;
        let mut connection = self.session.connection().await?;
        let rows = sqlx::query_as(TOLD).bind(tenant.0).bind(&ids).fetch_all(&mut *connection);
        let rows: Vec<(Uuid, i64, String)> = rows.await.map_err(Failure::LookUp)?;
        let told = |(deal, entries, last): (Uuid, i64, String)| {
            Some((StreamId(deal), Told { entries, last: last.parse().ok()? }))
        };
        Ok(rows.into_iter().filter_map(told).collect())
    }

    /// The id of whoever bears a name.
    pub(crate) fn keyed_id(&self, kind: &str, name: &str) -> Uuid {
        self.ids.as_ref().map_or_else(|| ids::invented(kind, name), |ids| ids.named(kind, name))
    }

    fn envelope(&self, identity: &Fingerprint, actor: ActorId) -> Envelope {
        let id = CommandId(self.id(identity));
        let envelope = Envelope::new(self.session.tenant, id, actor, Channel::Import, edge::now());
        Envelope { reason_code: Some(REASON.to_owned()), correlation: self.import, ..envelope }
    }

    /// A plan for a deal, chosen when its state is known.
    pub(crate) fn plan(
        &self,
        stream: StreamId,
        identity: &Fingerprint,
        by: ActorId,
        occurred: Occurred,
        choose: impl Fn(&kvali_domain::deal::Deal) -> Choice + Send + Sync + 'static,
    ) -> Plan {
        let absent = kvali_domain::deal::Deal::default();
        Plan {
            stream,
            envelope: self.envelope(identity, by).occurred(occurred),
            before: State::Deal(absent.clone()),
            fingerprint: identity.bytes().to_vec(),
            choose: Box::new(move |state| match state {
                State::Deal(deal) => choose(deal),
                // The rules refuse a deal's command on another aggregate's stream, whichever it is.
                _ => choose(&absent),
            }),
            begins: false,
            erases: None,
        }
    }

    /// A plan for a record of any kind, chosen when its state is known.
    pub(crate) fn record_plan(
        &self,
        stream: StreamId,
        identity: &Fingerprint,
        occurred: Occurred,
        before: State,
        choose: Box<dyn Fn(&State) -> Choice + Send + Sync>,
    ) -> Plan {
        let envelope = self.envelope(identity, ids::importer()).occurred(occurred);
        let fingerprint = identity.bytes().to_vec();
        Plan { stream, envelope, before, fingerprint, choose, begins: false, erases: None }
    }

    /// A plan that registers something before its first use, at a time nobody knows.
    pub(crate) fn registration(&self, stream: StreamId, command: impl Into<Command>) -> Plan {
        let order = Order { stream, command: command.into() };
        let identity = Fingerprint::of_command(stream, 0, &order.command);
        Plan::new(order, self.envelope(&identity, ids::importer()).occurred(Occurred::Unknown))
    }
}
