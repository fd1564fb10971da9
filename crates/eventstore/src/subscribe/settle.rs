//! Settling what is in hand: done, given back, kept for longer; and beginning anew. Every change locks the subscription
//! first, and runs in a task of its own, which a caller that goes away does not break off.

use super::{From, MOST_TRIES, SubscribeError, Subscription};
use crate::Error;
use crate::acting::begin_locking;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgTransaction};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// Which of the events in hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    All,
    /// Up to that position.
    UpTo(i64),
    Each(HashSet<i64>),
}

impl Part {
    fn has(&self, position: i64) -> bool {
        match self {
            Self::All => true,
            Self::UpTo(last) => position <= *last,
            Self::Each(positions) => positions.contains(&position),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acked {
    /// Events that are still in hand under that token.
    pub left: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenBack {
    /// Events: those that were named, and the others of their streams.
    pub events: usize,
    /// Streams that are parked from now on.
    pub parked: Vec<Uuid>,
    pub left: usize,
}

/// A subscription that nobody else changes until the transaction ends.
#[derive(sqlx::FromRow)]
pub(super) struct Locked {
    types: Option<Vec<String>>,
    cursor: i64,
    behind: bool,
}

/// What one lease has in hand, in order.
#[derive(sqlx::FromRow, Clone)]
struct InHand {
    positions: Vec<i64>,
    streams: Vec<Uuid>,
}

impl InHand {
    fn pairs(&self) -> impl Iterator<Item = (i64, Uuid)> {
        self.positions.iter().copied().zip(self.streams.iter().copied())
    }

    /// Those of which `goes` holds, and the others.
    fn parted(&self, mut goes: impl FnMut(i64, Uuid) -> bool) -> (Self, Self) {
        let (gone, left): (Vec<_>, Vec<_>) =
            self.pairs().partition(|(position, stream)| goes(*position, *stream));
        (Self::of(gone), Self::of(left))
    }

    fn of(pairs: Vec<(i64, Uuid)>) -> Self {
        let (positions, streams) = pairs.into_iter().unzip();
        Self { positions, streams }
    }

    /// The first of each stream.
    fn firsts(&self) -> BTreeMap<Uuid, i64> {
        let mut firsts = BTreeMap::new();
        for (position, stream) in self.pairs() {
            firsts.entry(stream).or_insert(position);
        }
        firsts
    }
}

/// How what is given back is taken.
struct Return<'a> {
    /// 1 if it counts as a try.
    tries: i32,
    /// Before it is given out again; grows with the tries if it is not said.
    pause: Option<Duration>,
    failure: Option<&'a str>,
}

impl Subscription {
    /// They are done, and not given out any more.
    pub async fn ack(&self, token: i64, part: Part) -> Result<Acked, SubscribeError> {
        let this = self.clone();
        let acked = detached(async move {
            let (mut transaction, locked) = this.lock().await?;
            let in_hand = this.in_hand(&mut transaction, token).await?;
            let (done, left) = in_hand.parted(|position, _| part.has(position));
            this.keep(&mut transaction, token, &left).await?;
            if locked.behind {
                this.advance(&mut transaction, &locked, &done, &left).await?;
            }
            transaction.commit().await.map_err(SubscribeError::read)?;
            if locked.behind {
                this.store.hint();
            }
            Ok(Acked { left: left.positions.len() })
        });
        acked.await
    }

    /// They could not be done: each of their streams is given out again from there after a pause, until it is parked.
    pub async fn nack(
        &self,
        token: i64,
        part: Part,
        pause: Option<Duration>,
        failure: Option<String>,
    ) -> Result<GivenBack, SubscribeError> {
        let this = self.clone();
        let given_back = detached(async move {
            let (mut transaction, _) = this.lock().await?;
            let in_hand = this.in_hand(&mut transaction, token).await?;
            if let Part::Each(named) = &part {
                let strange =
                    named.iter().find(|position| in_hand.positions.binary_search(position).is_err());
                if let Some(position) = strange {
                    return Err(SubscribeError::NotInHand { position: *position });
                }
            }
            let named = in_hand.pairs().filter(|(position, _)| part.has(*position));
            let failed: HashSet<Uuid> = named.map(|(_, stream)| stream).collect();
            let (back, left) = in_hand.parted(|_, stream| failed.contains(&stream));
            let how = Return { tries: 1, pause, failure: failure.as_deref() };
            let parked = this.give_back(&mut transaction, &back, &how).await?;
            this.keep(&mut transaction, token, &left).await?;
            transaction.commit().await.map_err(SubscribeError::read)?;
            this.store.hint();
            Ok(GivenBack { events: back.positions.len(), parked, left: left.positions.len() })
        });
        given_back.await
    }

    /// Lets go of what is in hand, for others to take at once; it counts as no try.
    pub async fn give_up(&self, token: i64) -> Result<(), SubscribeError> {
        let this = self.clone();
        let given_up = detached(async move {
            let (mut transaction, _) = this.lock().await?;
            let in_hand = this.in_hand(&mut transaction, token).await?;
            let how = Return { tries: 0, pause: None, failure: None };
            this.give_back(&mut transaction, &in_hand, &how).await?;
            this.keep(&mut transaction, token, &InHand::of(Vec::new())).await?;
            transaction.commit().await.map_err(SubscribeError::read)
        });
        given_up.await
    }

    /// Keeps what is in hand for so long from now.
    pub async fn extend(&self, token: i64, lease: Duration) -> Result<DateTime<Utc>, SubscribeError> {
        let until: Option<DateTime<Utc>> = sqlx::query_scalar(
            "update kvali.subscription_lease set leased_until = clock_timestamp() + $4 \
             where tenant_id = $1 and subscription = $2 and token = $3 returning leased_until",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .bind(token)
        .bind(lease)
        .fetch_optional(&mut *self.connection().await?)
        .await
        .map_err(SubscribeError::read)?;
        until.ok_or(SubscribeError::OldToken)
    }

    /// All after `from` is given out anew. What lies before and is still owed stays owed; whatever is in hand is given back.
    pub async fn rewind(&self, from: From) -> Result<i64, SubscribeError> {
        let position = self.place(from).await?;
        let this = self.clone();
        let rewound = detached(async move {
            let (mut transaction, _) = this.lock().await?;
            this.return_all(&mut transaction, "true", &Return { tries: 0, pause: None, failure: None })
                .await?;
            sqlx::query(
                "with later as (delete from kvali.subscription_stream b using kvali.subscription s \
                   where s.tenant_id = $1 and s.name = $2 and b.tenant_id = $1 and b.subscription = $2 \
                     and (b.position > $3 or s.epoch <> coalesce((select epoch from kvali.ledger where tenant_id = $1), 1))) \
                 update kvali.subscription set cursor = $3, token = token + 1, \
                        epoch = coalesce((select epoch from kvali.ledger where tenant_id = $1), 1) \
                  where tenant_id = $1 and name = $2",
            )
            .bind(this.tenant.0)
            .bind(&this.name)
            .bind(position)
            .execute(&mut *transaction)
            .await
            .map_err(SubscribeError::read)?;
            transaction.commit().await.map_err(SubscribeError::read)?;
            this.store.hint();
            Ok(position)
        });
        rewound.await
    }

    /// Gives leases that ran out to others; each counts as a try of all its streams.
    pub(super) async fn take_back(&self) -> Result<(), SubscribeError> {
        let this = self.clone();
        let taken = detached(async move {
            let (mut transaction, _) = this.lock().await?;
            let how = Return { tries: 1, pause: Some(Duration::ZERO), failure: Some("the lease ran out") };
            this.return_all(&mut transaction, "leased_until <= clock_timestamp()", &how).await?;
            transaction.commit().await.map_err(SubscribeError::read)
        });
        taken.await
    }

    /// Ends the leases that `condition`, which is a constant of this file, names.
    async fn return_all(
        &self,
        connection: &mut PgConnection,
        condition: &'static str,
        how: &Return<'_>,
    ) -> Result<(), SubscribeError> {
        let statement = format!(
            "delete from kvali.subscription_lease where tenant_id = $1 and subscription = $2 and {condition} \
             returning positions, streams"
        );
        let ended: Vec<InHand> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(self.tenant.0)
            .bind(&self.name)
            .fetch_all(&mut *connection)
            .await
            .map_err(SubscribeError::read)?;
        for in_hand in ended {
            self.give_back(connection, &in_hand, how).await?;
        }
        Ok(())
    }

    pub(super) async fn lock(&self) -> Result<(PgTransaction<'static>, Locked), SubscribeError> {
        let transaction = begin_locking(&self.store.inner.pool, self.tenant).await;
        let mut transaction = transaction.map_err(SubscribeError::read)?;
        let locked: Option<Locked> = sqlx::query_as(
            "select types, cursor, exists (select from kvali.subscription_stream b \
                where b.tenant_id = $1 and b.subscription = $2) as behind \
               from kvali.subscription where tenant_id = $1 and name = $2 for update",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(SubscribeError::read)?;
        Ok((transaction, locked.ok_or_else(|| self.no_such())?))
    }

    async fn in_hand(&self, connection: &mut PgConnection, token: i64) -> Result<InHand, SubscribeError> {
        let found: Option<InHand> = sqlx::query_as(
            "select positions, streams from kvali.subscription_lease \
             where tenant_id = $1 and subscription = $2 and token = $3",
        )
        .bind(self.tenant.0)
        .bind(&self.name)
        .bind(token)
        .fetch_optional(connection)
        .await
        .map_err(SubscribeError::read)?;
        found.ok_or(SubscribeError::OldToken)
    }

    /// What is left in hand under that token; nothing ends the lease.
    async fn keep(
        &self,
        connection: &mut PgConnection,
        token: i64,
        left: &InHand,
    ) -> Result<(), SubscribeError> {
        let lease = "where tenant_id = $1 and subscription = $2 and token = $3";
        let statement = if left.positions.is_empty() {
            format!(
                "delete from kvali.subscription_lease {lease} and $4::bigint[] = '{{}}' and $5::uuid[] = '{{}}'"
            )
        } else {
            format!("update kvali.subscription_lease set positions = $4, streams = $5 {lease}")
        };
        // Made of the constants above.
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(self.tenant.0)
            .bind(&self.name)
            .bind(token)
            .bind(&left.positions)
            .bind(&left.streams)
            .execute(connection)
            .await
            .map_err(SubscribeError::read)?;
        Ok(())
    }

    async fn advance(
        &self,
        connection: &mut PgConnection,
        locked: &Locked,
        done: &InHand,
        left: &InHand,
    ) -> Result<(), SubscribeError> {
        // A stream has come as far as the last event before the first that is left.
        let first_left = left.firsts();
        let mut through: HashMap<Uuid, i64> = HashMap::new();
        for (position, stream) in done.pairs() {
            if first_left.get(&stream).is_none_or(|first| position < *first) {
                through.insert(stream, position);
            }
        }
        let (streams, through): (Vec<Uuid>, Vec<i64>) = through.into_iter().unzip();
        sqlx::query(include_str!("advance.sql"))
            .bind(self.tenant.0)
            .bind(&self.name)
            .bind(streams)
            .bind(through)
            .bind(locked.cursor)
            .bind(&locked.types)
            .execute(connection)
            .await
            .map_err(SubscribeError::read)?;
        Ok(())
    }

    /// Answers with the streams that are parked by it.
    async fn give_back(
        &self,
        connection: &mut PgConnection,
        back: &InHand,
        how: &Return<'_>,
    ) -> Result<Vec<Uuid>, SubscribeError> {
        let (streams, positions): (Vec<Uuid>, Vec<i64>) = back.firsts().into_iter().unzip();
        let returned: Vec<(Uuid, bool)> = sqlx::query_as(include_str!("give_back.sql"))
            .bind(self.tenant.0)
            .bind(&self.name)
            .bind(streams)
            .bind(positions)
            .bind(how.tries)
            .bind(how.pause)
            .bind(how.failure)
            .bind(MOST_TRIES)
            .fetch_all(connection)
            .await
            .map_err(SubscribeError::read)?;
        Ok(returned.into_iter().filter(|(_, parked)| *parked).map(|(stream, _)| stream).collect())
    }
}

/// To its end, also if the caller goes away.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, SubscribeError>> + Send + 'static,
) -> Result<T, SubscribeError> {
    tokio::spawn(work).await.map_err(Error::Task)?
}
