//! One number for the whole log. Whoever has noted it can tell later whether anything up to there was altered since.
//!
//! The digest of no events is 32 zero bytes; each event makes SHA-256 of the digest before it and of the SHA-256 of its
//! canonical bytes (`kvali_domain::canonical`). So anybody can compute it again without Kvali.

use crate::{Error, Store, read};
use chrono::{DateTime, Utc};
use kvali_domain::{Recorded, StreamId, TenantId, Version, canonical};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use uuid::Uuid;

/// Events read at once.
const PAGE: i64 = 5_000;
/// Faults that are told, at most.
const TOLD: usize = 100;

/// Of all events up to a position.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest([u8; 32]);

impl Digest {
    fn then(self, event: &Recorded) -> Self {
        let leaf = Sha256::digest(canonical::bytes(event));
        Self(Sha256::new().chain_update(self.0).chain_update(leaf).finalize().into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{0:?} is no digest of 64 hexadecimal digits")]
pub struct NotADigest(String);

impl std::str::FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let hash = blake3::Hash::from_hex(text.trim()).map_err(|_| NotADigest(text.to_owned()))?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// What was found from the first event to a position.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub position: i64,
    pub digest: Digest,
    /// When the last of them was recorded.
    pub recorded_at: Option<DateTime<Utc>>,
    /// The first ones, in the order of positions; none, where the log is sound.
    pub faults: Vec<Fault>,
}

/// What a sound log does not have. A missing position ends the inspection and is an error of its own.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    #[error("position {position} is version {found} of stream {stream}, and {expected} comes next there")]
    Version { position: i64, stream: StreamId, expected: Version, found: Version },
    #[error("position {position} was recorded at {found}, before the one before it")]
    BackInTime { position: i64, found: DateTime<Utc> },
    #[error("position {position} cannot be read: {why}")]
    Unreadable { position: i64, why: String },
    #[error("position {position} is of command {command}, which the table of commands does not tell of")]
    NoCommand { position: i64, command: Uuid },
}

impl Store {
    /// The digest of everything up to `to`, or of the whole log.
    pub async fn digest(
        &self,
        tenant: TenantId,
        to: Option<i64>,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<Inspection, Error> {
        let mut walk = Walk::default();
        self.walk(tenant, to, progress, async |events| {
            for event in events {
                walk.digest(&event.map_err(|damaged| damaged.error)?);
            }
            Ok(())
        })
        .await?;
        Ok(walk.found())
    }

    /// The same, and whether versions and recording times follow each other, everything can be read and opened (but for
    /// what was erased), and each event's command is known.
    pub async fn inspect(
        &self,
        tenant: TenantId,
        to: Option<i64>,
        progress: &(dyn Fn(i64, i64) + Sync),
    ) -> Result<Inspection, Error> {
        let mut walk = Walk::default();
        self.walk(tenant, to, progress, async |events| {
            let first = walk.position + 1;
            for event in events.iter().flatten() {
                walk.check(event);
                walk.digest(event);
            }
            walk.faults.extend(self.orphans(tenant, first, walk.position).await?);
            let opened = read::open(&self.inner.keyring, &self.inner.pool, tenant, events).await?;
            let unreadable = opened.into_iter().filter_map(Result::err).map(|damaged| Fault::Unreadable {
                position: damaged.position,
                why: crate::chain(&damaged.error),
            });
            walk.faults.extend(unreadable);
            Ok(())
        })
        .await?;
        Ok(walk.found())
    }

    /// Page by page, to a position or to the head.
    async fn walk(
        &self,
        tenant: TenantId,
        to: Option<i64>,
        progress: &(dyn Fn(i64, i64) + Sync),
        mut look: impl AsyncFnMut(Vec<Result<Recorded, read::Damaged>>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let head = self.head(tenant).await?;
        let until = to.unwrap_or(head);
        if !(0..=head).contains(&until) {
            return Err(Error::NoSuchPosition { position: until, head });
        }
        let mut at = 0;
        while at < until {
            let events = read::page(&self.inner.pool, tenant, at, PAGE.min(until - at)).await?;
            if events.is_empty() {
                return Err(Error::Gap { expected: at + 1, found: until });
            }
            at += i64::try_from(events.len()).expect("a page is small");
            look(events).await?;
            progress(at, until);
        }
        Ok(())
    }

    /// Events of commands that the table of commands does not have, or has otherwise.
    async fn orphans(&self, tenant: TenantId, first: i64, last: i64) -> Result<Vec<Fault>, Error> {
        let rows: Vec<(i64, Uuid)> = sqlx::query_as(
            "select e.position, e.command_id from kvali.event e left join lateral ( \
               select * from kvali.command where tenant_id = $1 and command_id = e.command_id limit 1) c on true \
              where e.tenant_id = $1 and e.position between $2 and $3 \
                and (e.position >= c.first_position and e.position < c.first_position + c.event_count \
                     and e.actor = c.actor) is not true \
              order by e.position limit $4",
        )
        .bind(tenant.0)
        .bind(first)
        .bind(last)
        .bind(i64::try_from(TOLD).expect("few are told"))
        .fetch_all(&mut *self.connection(tenant).await?)
        .await
        .map_err(Error::Read)?;
        Ok(rows.into_iter().map(|(position, command)| Fault::NoCommand { position, command }).collect())
    }
}

#[derive(Default)]
struct Walk {
    position: i64,
    digest: Digest,
    recorded_at: Option<DateTime<Utc>>,
    versions: HashMap<StreamId, Version>,
    faults: Vec<Fault>,
}

impl Walk {
    fn digest(&mut self, event: &Recorded) {
        self.position = event.position;
        self.digest = self.digest.then(event);
        self.recorded_at = Some(event.recorded_at);
    }

    fn check(&mut self, event: &Recorded) {
        let &Recorded { position, stream, version, recorded_at, .. } = event;
        let last = self.versions.insert(stream, version).unwrap_or(0);
        if version != last + 1 {
            self.faults.push(Fault::Version { position, stream, expected: last + 1, found: version });
        }
        if self.recorded_at.is_some_and(|before| recorded_at < before) {
            self.faults.push(Fault::BackInTime { position, found: recorded_at });
        }
    }

    fn found(mut self) -> Inspection {
        self.faults.truncate(TOLD);
        let Self { position, digest, recorded_at, faults, .. } = self;
        Inspection { position, digest, recorded_at, faults }
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn a_digest_reads_as_it_is_written() {
        let digest = Digest([0xa7; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let wrong = "a7".parse::<Digest>().unwrap_err().to_string();
        assert_eq!(wrong, "\"a7\" is no digest of 64 hexadecimal digits");
    }
}
