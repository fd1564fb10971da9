//! A subscription that one member at a time has for itself: every event in the order of the log, and a checkpoint that it
//! moves. Others stand by until its lease runs out.

use super::settle::detached;
use super::{SubscribeError, Subscription, is_wanted};
use chrono::{DateTime, Utc};
use kvali_domain::Recorded;
use std::time::Duration;

/// What whoever has the subscription holds.
#[derive(Clone)]
pub struct Alone {
    subscription: Subscription,
    token: i64,
    types: Option<Vec<String>>,
    /// Every event up to here was settled when it was taken.
    pub checkpoint: i64,
    /// Of the log that positions are of.
    pub epoch: i32,
}

/// What comes next in the log.
pub struct Page {
    /// Those of the wanted types.
    pub events: Vec<Recorded>,
    /// The position up to which the log was looked at.
    pub through: i64,
}

#[derive(sqlx::FromRow)]
struct Taken {
    token: i64,
    cursor: i64,
    types: Option<Vec<String>>,
    epoch: i32,
    log_epoch: i32,
}

impl Subscription {
    /// Takes it for so long; `None` while another member has it.
    pub async fn take(&self, lease: Duration) -> Result<Option<Alone>, SubscribeError> {
        let this = self.clone();
        let taken = detached(async move {
            let (mut transaction, _) = this.lock().await?;
            let taken: Option<Taken> = sqlx::query_as(include_str!("take.sql"))
                .bind(this.tenant.0)
                .bind(&this.name)
                .bind(lease)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(SubscribeError::read)?;
            if taken.as_ref().is_some_and(|taken| taken.epoch != taken.log_epoch) {
                return Err(SubscribeError::AnotherLog);
            }
            transaction.commit().await.map_err(SubscribeError::read)?;
            Ok(taken)
        });
        let taken = taken.await?;
        Ok(taken.map(|Taken { token, cursor, types, epoch, .. }| Alone {
            subscription: self.clone(),
            token,
            types,
            checkpoint: cursor,
            epoch,
        }))
    }
}

impl Alone {
    /// The next events after a position, as far as one page of so many reaches.
    pub async fn read(&self, after: i64, limit: u16) -> Result<Page, SubscribeError> {
        let Subscription { store, tenant, .. } = &self.subscription;
        let mut events = store.read(*tenant, after, i64::from(limit)).await?;
        let through = events.last().map_or(after, |last| last.position);
        events.retain(|event| is_wanted(self.types.as_deref(), &event.event_type));
        Ok(Page { events, through })
    }

    /// Everything up to there is done. Refused once another member has the subscription.
    pub async fn settle(&self, through: i64) -> Result<(), SubscribeError> {
        let this = self.clone();
        let settled = detached(async move {
            let Subscription { tenant, name, .. } = &this.subscription;
            let (mut transaction, _) = this.subscription.lock().await?;
            let moved = sqlx::query(
                "update kvali.subscription s set cursor = $4 where s.tenant_id = $1 and s.name = $2 \
                 and exists (select from kvali.subscription_lease i \
                              where i.tenant_id = s.tenant_id and i.subscription = s.name and i.token = $3)",
            )
            .bind(tenant.0)
            .bind(name)
            .bind(this.token)
            .bind(through)
            .execute(&mut *transaction)
            .await
            .map_err(SubscribeError::read)?;
            transaction.commit().await.map_err(SubscribeError::read)?;
            if moved.rows_affected() == 1 { Ok(()) } else { Err(SubscribeError::OldToken) }
        });
        settled.await
    }

    /// Keeps the subscription for so long from now.
    pub async fn extend(&self, lease: Duration) -> Result<DateTime<Utc>, SubscribeError> {
        self.subscription.extend(self.token, lease).await
    }

    /// Lets others take it at once.
    pub async fn let_go(self) -> Result<(), SubscribeError> {
        self.subscription.give_up(self.token).await
    }
}
