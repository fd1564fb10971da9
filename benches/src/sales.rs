//! Tenants that sell: a permissive pipeline, one owner, deals that open and move.

use chrono::{DateTime, Utc};
use kvali_domain::deal::{self, Open, Party};
use kvali_domain::money::Currency;
use kvali_domain::pipeline::{self, Class, Policy, Stage};
use kvali_domain::{
    ActorId, Channel, Command, CommandId, ContactId, DealId, Money, Order, Personal, PipelineId, StageId,
    StreamId, TenantId, UserId, user,
};
use kvali_eventstore::{Answer, Envelope, Outcome, Plan, Store};
use std::sync::Arc;
use uuid::Uuid;

pub const LEAD: StageId = StageId(Uuid::from_u128(0x51));
pub const OFFER: StageId = StageId(Uuid::from_u128(0x52));
pub const WON: StageId = StageId(Uuid::from_u128(0x53));
const LOST: StageId = StageId(Uuid::from_u128(0x54));

/// One tenant's pipeline and salesperson.
#[derive(Clone)]
pub struct Sales {
    pub store: Store,
    pub tenant: TenantId,
    pipeline: PipelineId,
    owner: UserId,
}

impl Sales {
    pub async fn set_up(store: &Store) -> Arc<Self> {
        let sales = Self {
            store: store.clone(),
            tenant: TenantId(new_id()),
            pipeline: PipelineId(new_id()),
            owner: UserId(new_id()),
        };
        let stage = |id, name: &str, class| Stage { id, name: name.into(), class };
        let pipeline = pipeline::Command::Create {
            name: "Sales".into(),
            stages: vec![
                stage(LEAD, "Lead", Class::Process),
                stage(OFFER, "Offer", Class::Process),
                stage(WON, "Won", Class::Success),
                stage(LOST, "Lost", Class::Failure),
            ],
            entry_stages: Vec::new(),
            policy: Policy::PERMISSIVE,
        };
        sales.send(sales.pipeline.stream(), pipeline).await;
        let register = user::Command::Register { user: sales.owner, name: Personal::new("Nino Abashidze") };
        sales.send(sales.owner.stream(), register).await;
        Arc::new(sales)
    }

    pub async fn set_up_many(store: &Store, count: usize) -> Vec<Arc<Self>> {
        let mut tenants = Vec::with_capacity(count);
        for _ in 0..count {
            tenants.push(Self::set_up(store).await);
        }
        tenants
    }

    /// Opens a deal with party, owner, value and expected close.
    pub fn open(&self, deal: DealId) -> Order {
        self.open_with(deal, ContactId(deal.0))
    }

    pub fn open_with(&self, deal: DealId, contact: ContactId) -> Order {
        self.open_by(deal, contact, self.owner)
    }

    /// One that is another's.
    pub fn open_for(&self, deal: DealId, owner: UserId) -> Order {
        self.open_by(deal, ContactId(deal.0), owner)
    }

    fn open_by(&self, deal: DealId, contact: ContactId, owner: UserId) -> Order {
        let open = Open {
            party: Some(Party::Contact(contact)),
            owner: Some(owner),
            value: Some(Money {
                amount: 1054.into(),
                currency: Currency::parse("GEL").expect("three capitals"),
            }),
            expected_close: now().date_naive().checked_add_days(chrono::Days::new(30)),
            ..Open::new(self.pipeline)
        };
        Order { stream: deal.stream(), command: deal::Command::Open(open).into() }
    }

    pub fn move_to(deal: DealId, to: StageId) -> Order {
        Order { stream: deal.stream(), command: deal::Command::Move { to, pipeline_version: None }.into() }
    }

    pub fn win(deal: DealId) -> Order {
        let win = deal::Command::CloseWon { pipeline_version: None };
        Order { stream: deal.stream(), command: win.into() }
    }

    pub fn pipeline(&self) -> PipelineId {
        self.pipeline
    }

    pub fn owner(&self) -> UserId {
        self.owner
    }

    /// As the HTTP edge would fill it.
    pub fn envelope(&self) -> Envelope {
        let actor = ActorId(self.owner.0);
        let mut envelope = Envelope::new(self.tenant, CommandId(new_id()), actor, Channel::Api, now());
        envelope.credential = Some("key 7f3a".into());
        envelope.request_id = Some(envelope.command_id.0.to_string());
        envelope.source_address = Some("203.0.113.17".into());
        envelope
    }

    pub fn plan(&self, order: Order) -> Plan {
        Plan::new(order, self.envelope())
    }

    /// Carries out one command, which adds one event.
    pub async fn carry_out(&self, order: Order) -> Answer {
        match self.store.handle(order, self.envelope()).await {
            Ok(Outcome::Accepted(answer)) if answer.event_count == 1 => answer,
            other => panic!("expected one event, got {other:?}"),
        }
    }

    /// Opens `count` deals and moves each twice: three events, and they stand in the stage of lead.
    pub async fn deals(&self, count: usize) -> Vec<DealId> {
        let deals: Vec<_> = (0..count).map(|_| DealId(new_id())).collect();
        let opened = deals.iter().map(|deal| self.open(*deal));
        let moved =
            [OFFER, LEAD].into_iter().flat_map(|to| deals.iter().map(move |deal| Self::move_to(*deal, to)));
        let plans: Vec<_> = opened.chain(moved).map(|order| self.plan(order)).collect();
        self.batch(&plans).await;
        deals
    }

    pub async fn batch(&self, plans: &[Plan]) {
        let outcomes = self.store.handle_all(self.tenant, plans).await.expect("the batch is appended");
        let accepted = outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Accepted(answer) if answer.event_count == 1));
        assert!(accepted, "every command adds one event");
    }

    async fn send(&self, stream: StreamId, command: impl Into<Command>) {
        self.carry_out(Order { stream, command: command.into() }).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark stands at the edge")]
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark stands at the edge")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
