//! Random but repeatable sales: many commands, valid and not, over a few deals.

use crate::samples::{CONTRACT, INTAKE, LEAD, OFFER, REPAIR, Sales, transfer};
use crate::{envelope, new_id, order};
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::deal::{self, Open};
use kvali_domain::money::Currency;
use kvali_domain::{Command, DealId, Money, Occurred, Order, Personal, PipelineId, UserId, user};
use kvali_eventstore::{Envelope, Store};

/// `SplitMix64`: enough for tests, and the same numbers everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.roll(from.len() as u64);
        &from[usize::try_from(at).expect("an index")]
    }
}

/// A company whose people click about at random.
pub struct Company {
    pub sales: Sales,
    pub service: PipelineId,
    pub deals: Vec<DealId>,
    pub users: Vec<UserId>,
    dice: Dice,
    clock: DateTime<Utc>,
}

impl Company {
    pub async fn found(store: &Store, sales: Sales, seed: u64) -> Self {
        let service = sales.service(store, "Service").await;
        let mut company = Self {
            sales,
            service,
            deals: (0..6).map(|_| DealId(new_id())).collect(),
            users: Vec::new(),
            dice: Dice::new(seed),
            clock: "2024-01-01T09:00:00Z".parse().expect("a date"),
        };
        for name in ["Nino", "Giorgi"] {
            let user = UserId(new_id());
            let register = user::Command::Register { user, name: Personal::new(name) };
            crate::accepted(
                store.handle(order(user.stream(), register), envelope(company.sales.tenant)).await,
            );
            company.users.push(user);
        }
        company
    }

    /// The next command, at a business time that sometimes stands still and sometimes is unknown.
    pub fn click(&mut self) -> (Order, Envelope) {
        let deal = *self.dice.pick(&self.deals);
        let command: Command = self.command().into();
        self.clock += TimeDelta::minutes(i64::try_from(self.dice.roll(4)).expect("small") * 17);
        let occurred = match self.dice.roll(12) {
            0 => Occurred::Unknown,
            1 => Occurred::Day {
                at: self.clock.date_naive().and_hms_opt(0, 0, 0).expect("midnight").and_utc(),
                zone: chrono_tz::UTC,
            },
            _ => Occurred::Instant { at: self.clock },
        };
        (order(deal.stream(), command), envelope(self.sales.tenant).occurred(occurred))
    }

    fn command(&mut self) -> deal::Command {
        let stage = *self.dice.pick(&[LEAD, OFFER, CONTRACT, LEAD, OFFER, CONTRACT, INTAKE, REPAIR]);
        let value = Money {
            amount: self.dice.roll(1000).into(),
            currency: Currency::parse(if self.dice.roll(2) == 0 { "EUR" } else { "GEL" })
                .expect("a currency"),
        };
        let owner = *self.dice.pick(&self.users);
        match self.dice.roll(16) {
            0..=2 => deal::Command::Open(Open {
                owner: Some(owner),
                value: Some(value),
                ..Open::new(self.sales.pipeline)
            }),
            3..=6 => deal::Command::Move { to: stage, pipeline_version: None },
            7 => deal::Command::CorrectStage {
                visit: i32::try_from(self.dice.roll(4)).expect("small"),
                to: stage,
                reason: Personal::new("a slip of the hand"),
            },
            8 => deal::Command::assign(owner),
            9 => deal::Command::SetValue { value },
            10 => deal::Command::CloseWon { pipeline_version: None },
            11 => deal::Command::CloseLost {
                reason: Some(self.sales.reason),
                stage: None,
                comment: Personal::new("too dear"),
                pipeline_version: None,
            },
            12 => transfer(self.service, *self.dice.pick(&[INTAKE, REPAIR])),
            13 => transfer(self.sales.pipeline, stage),
            _ => deal::Command::Reopen {
                to: stage,
                owner: None,
                force: false,
                reason: Personal::new("they came back"),
            },
        }
    }
}
