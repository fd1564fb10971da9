//! Personal data: sealed per subject before it is written, opened by whoever may, unreadable once the
//! subject's key is gone.
//!
//! `event.personal` is a list of entries: 16 bytes subject, one byte length and the field's name, a big-endian
//! `u32` length and the ciphertext (24 bytes nonce, then XChaCha20-Poly1305). The additional data binds an
//! entry to tenant, stream, version and field, so it cannot be moved to another event.

use crate::Error;
use crate::acting::acting_for;
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use dashmap::DashMap;
use kvali_domain::{Event, PersonalField, StreamId, SubjectId, TenantId, Version};
use sqlx::PgPool;
use std::collections::HashMap;
use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use std::sync::Arc;

const NONCE: usize = 24;

/// The key that wraps every tenant's key. It stands in a file outside the database.
#[derive(Clone)]
pub struct MasterKey(Key);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    pub fn generate() -> Self {
        Self(Key::generate())
    }

    /// Reads 64 hexadecimal digits from `path`; a missing file is made, readable by its owner only.
    pub fn load_or_create(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::MasterKeyFile { path: path.to_owned(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => parse(text.trim()).ok_or_else(|| failed(IoError::from(ErrorKind::InvalidData))),
            Err(error) if error.kind() == ErrorKind::NotFound => create(path).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }
}

fn parse(hex: &str) -> Option<MasterKey> {
    let hash = blake3::Hash::from_hex(hex).ok()?;
    Some(MasterKey(Key::from(*hash.as_bytes())))
}

/// Written whole under another name first; of two processes that create it at once, one wins and both use it.
fn create(path: &Path) -> Result<MasterKey, IoError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let key = Key::generate();
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{}", blake3::Hash::from_bytes(key.into()).to_hex())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    if let Some(parent) = path.parent() {
        // Without this a power cut could take the only copy of the key.
        std::fs::File::open(parent)?.sync_all()?;
    }
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => parse(std::fs::read_to_string(path)?.trim()).ok_or_else(|| ErrorKind::InvalidData.into()),
    }
}

pub(crate) struct Keyring {
    pool: PgPool,
    master: XChaCha20Poly1305,
    tenants: DashMap<TenantId, Arc<TenantKey>>,
}

/// A tenant's key: wraps its subjects' keys and hashes what must not stand in clear.
pub(crate) struct TenantKey {
    tenant: TenantId,
    wrap: XChaCha20Poly1305,
    hash: [u8; 32],
}

impl TenantKey {
    fn new(tenant: TenantId, key: &Key) -> Self {
        Self {
            tenant,
            wrap: XChaCha20Poly1305::new(key),
            hash: blake3::derive_key("kvali 1 tenant keyed hash", key),
        }
    }

    /// For what only the tenant's own processes may read; it opens with the same `bound_to` and no other.
    pub(crate) fn seal(&self, text: &[u8], bound_to: &[u8]) -> Vec<u8> {
        seal_bytes(&self.wrap, text, bound_to)
    }

    pub(crate) fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Option<Vec<u8>> {
        open_bytes(&self.wrap, sealed, bound_to)
    }

    /// A keyed hash: equal inputs of one tenant meet, and nobody without the key can guess at them.
    pub(crate) fn hash(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.hash, bytes)
    }

    /// The same of what comes piece by piece.
    pub(crate) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.hash)
    }
}

/// Makes ids that equal texts of one tenant share and that nobody without the tenant's key can guess from them.
#[derive(Clone)]
pub struct KeyedIds(pub(crate) Arc<TenantKey>);

impl KeyedIds {
    pub fn id(&self, bytes: &[u8]) -> uuid::Uuid {
        let hash = self.0.hash(bytes);
        let bytes = hash.as_bytes().first_chunk::<16>().expect("a hash has 32 bytes");
        uuid::Builder::from_custom_bytes(*bytes).into_uuid()
    }

    /// A number that equal bytes share.
    pub fn number(&self, bytes: &[u8]) -> i64 {
        let hash = self.0.hash(bytes);
        i64::from_be_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// Of whoever an outside system knows by that name.
    pub fn named(&self, kind: &str, text: &str) -> uuid::Uuid {
        self.id(format!("{kind}\u{1f}{text}").as_bytes())
    }
}

/// Ciphers of the subjects whose keys still exist.
pub(crate) type SubjectKeys = HashMap<SubjectId, XChaCha20Poly1305>;

impl Keyring {
    pub(crate) fn new(pool: PgPool, master: &MasterKey) -> Self {
        Self { pool, master: XChaCha20Poly1305::new(&master.0), tenants: DashMap::new() }
    }

    /// The tenant's key, made on first use.
    pub(crate) async fn tenant(&self, tenant: TenantId) -> Result<Arc<TenantKey>, Error> {
        if let Some(key) = self.tenants.get(&tenant) {
            return Ok(key.clone());
        }
        let mut connection = acting_for(&self.pool, tenant).await.map_err(Error::Keys)?;
        let fresh = seal_bytes(&self.master, &Key::generate(), tenant.0.as_bytes());
        sqlx::query(
            "insert into kvali.tenant_key (tenant_id, wrapped) values ($1, $2) on conflict do nothing",
        )
        .bind(tenant.0)
        .bind(&fresh)
        .execute(&mut *connection)
        .await
        .map_err(Error::Keys)?;
        // A second statement: it sees the key of whoever was first.
        let wrapped: Vec<u8> =
            sqlx::query_scalar("select wrapped from kvali.tenant_key where tenant_id = $1")
                .bind(tenant.0)
                .fetch_one(&mut *connection)
                .await
                .map_err(Error::Keys)?;
        let key = open_bytes(&self.master, &wrapped, tenant.0.as_bytes()).and_then(to_key);
        let key = Arc::new(TenantKey::new(tenant, &key.ok_or(Error::WrongMasterKey)?));
        self.tenants.insert(tenant, key.clone());
        Ok(key)
    }

    /// Makes sure that every subject has a key, unless erased, and returns those that exist.
    pub(crate) async fn make(&self, key: &TenantKey, subjects: &[SubjectId]) -> Result<SubjectKeys, Error> {
        let ids: Vec<_> = subjects.iter().map(|subject| subject.0).collect();
        let fresh: Vec<_> = subjects
            .iter()
            .map(|subject| seal_bytes(&key.wrap, &Key::generate(), subject.0.as_bytes()))
            .collect();
        let mut connection = acting_for(&self.pool, key.tenant).await.map_err(Error::Keys)?;
        sqlx::query(
            "insert into kvali.subject_key (tenant_id, subject_id, wrapped) \
             select $1, id, wrapped from unnest($2::uuid[], $3::bytea[]) x (id, wrapped) order by id \
             on conflict do nothing",
        )
        .bind(key.tenant.0)
        .bind(&ids)
        .bind(&fresh)
        .execute(&mut *connection)
        .await
        .map_err(Error::Keys)?;
        self.existing(&mut connection, key, subjects).await
    }

    /// The keys of those subjects that have one. Never cached: an erasure by another process counts at once.
    pub(crate) async fn existing(
        &self,
        connection: &mut sqlx::PgConnection,
        key: &TenantKey,
        subjects: &[SubjectId],
    ) -> Result<SubjectKeys, Error> {
        let ids: Vec<_> = subjects.iter().map(|subject| subject.0).collect();
        let rows: Vec<(uuid::Uuid, Vec<u8>)> = sqlx::query_as(
            "select k.subject_id, k.wrapped from unnest($2::uuid[]) x (id) cross join lateral (select * from \
             kvali.subject_key where tenant_id = $1 and subject_id = x.id limit 1) k where k.wrapped is not null",
        )
        .bind(key.tenant.0)
        .bind(&ids)
        .fetch_all(connection)
        .await
        .map_err(Error::Keys)?;
        rows.into_iter()
            .map(|(id, wrapped)| {
                let subject = open_bytes(&key.wrap, &wrapped, id.as_bytes()).and_then(to_key);
                Ok((SubjectId(id), XChaCha20Poly1305::new(&subject.ok_or(Error::WrongMasterKey)?)))
            })
            .collect()
    }

    /// Destroys a subject's key for good; a tombstone keeps it from being made again.
    pub(crate) async fn destroy(&self, tenant: TenantId, subject: SubjectId) -> Result<(), Error> {
        let mut connection = acting_for(&self.pool, tenant).await.map_err(Error::Keys)?;
        sqlx::query(
            "insert into kvali.subject_key (tenant_id, subject_id, wrapped, erased_at) \
             values ($1, $2, null, clock_timestamp()) \
             on conflict (tenant_id, subject_id) do update set wrapped = null, erased_at = excluded.erased_at \
             where subject_key.wrapped is not null",
        )
        .bind(tenant.0)
        .bind(subject.0)
        .execute(&mut *connection)
        .await
        .map_err(Error::Keys)?;
        Ok(())
    }
}

/// A tenant's key that one master key wraps, wrapped by another. None, if another one wrapped it.
pub(crate) fn rewrapped(
    wrapped: &[u8],
    tenant: TenantId,
    from: &MasterKey,
    to: &MasterKey,
) -> Option<Vec<u8>> {
    let key = open_bytes(&XChaCha20Poly1305::new(&from.0), wrapped, tenant.0.as_bytes())?;
    Some(seal_bytes(&XChaCha20Poly1305::new(&to.0), &key, tenant.0.as_bytes()))
}

/// The subjects that `event` holds personal values of.
pub(crate) fn subjects(event: &mut Event) -> Vec<SubjectId> {
    event.personal().into_iter().filter(|field| field.value.0.is_some()).map(|field| field.subject).collect()
}

/// Whether a personal value of `event` holds U+0000, which no text in Postgres can.
pub(crate) fn holds_nul(event: &mut Event) -> bool {
    event.personal().iter().any(|field| field.value.as_deref().is_some_and(|text| text.contains('\0')))
}

/// Takes the personal values out of `event` and seals them. `Err` names a subject without a key.
pub(crate) fn seal(
    event: &mut Event,
    keys: &SubjectKeys,
    place: (TenantId, StreamId, Version),
) -> Result<Option<Vec<u8>>, SubjectId> {
    let mut out = Vec::new();
    for PersonalField { subject, field, value } in event.personal() {
        let Some(text) = value.0.take() else { continue };
        let cipher = keys.get(&subject).ok_or(subject)?;
        let sealed = seal_bytes(cipher, text.as_bytes(), &bound_to(place, field));
        out.extend_from_slice(subject.0.as_bytes());
        out.push(u8::try_from(field.len()).expect("field names are short"));
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(&u32::try_from(sealed.len()).expect("a text is under 1 GB").to_be_bytes());
        out.extend_from_slice(&sealed);
    }
    Ok((!out.is_empty()).then_some(out))
}

/// Puts back those personal values whose keys still exist.
pub(crate) fn unseal(
    event: &mut Event,
    personal: &[u8],
    keys: &SubjectKeys,
    place: (TenantId, StreamId, Version),
) -> Result<(), Error> {
    for (subject, field, sealed) in entries(personal) {
        let Some(cipher) = keys.get(&subject) else { continue };
        let text = open_bytes(cipher, sealed, &bound_to(place, field));
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Error::Unsealed { subject })?;
        for slot in event.personal().into_iter().filter(|slot| slot.subject == subject && slot.field == field)
        {
            slot.value.0 = Some(text.clone());
        }
    }
    Ok(())
}

/// The entries of a personal part: subject, field, ciphertext.
pub(crate) fn entries(mut bytes: &[u8]) -> impl Iterator<Item = (SubjectId, &str, &[u8])> {
    std::iter::from_fn(move || {
        let (subject, rest) = bytes.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first()?;
        let (field, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (sealed, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        bytes = rest;
        Some((SubjectId(uuid::Uuid::from_bytes(*subject)), std::str::from_utf8(field).ok()?, sealed))
    })
}

fn bound_to((tenant, stream, version): (TenantId, StreamId, Version), field: &str) -> Vec<u8> {
    [tenant.0.as_bytes(), stream.0.as_bytes(), version.to_be_bytes().as_slice(), field.as_bytes()].concat()
}

fn seal_bytes(cipher: &XChaCha20Poly1305, text: &[u8], bound_to: &[u8]) -> Vec<u8> {
    let nonce = XNonce::generate();
    let sealed = cipher.encrypt(&nonce, Payload { msg: text, aad: bound_to });
    let sealed = sealed.expect("XChaCha20-Poly1305 seals anything under 256 GB");
    [nonce.as_slice(), &sealed].concat()
}

fn open_bytes(cipher: &XChaCha20Poly1305, sealed: &[u8], bound_to: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound_to }).ok()
}

fn to_key(bytes: Vec<u8>) -> Option<Key> {
    <[u8; 32]>::try_from(bytes).ok().map(Key::from)
}
