//! One tenant's log as one file, and back into an empty tenant: rows as COPY writes them, after a manifest and before a
//! hash of all that stands before it. The tenant's key travels wrapped by another key, which is in a file of its own.

use crate::acting::acting_for;
use crate::{Error, MasterKey, Store, keyring};
use futures_util::TryStreamExt;
use kvali_domain::TenantId;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgCopyIn;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Transaction};
use std::io::{self, BufRead, Write};

/// Of the way in which files are written; later programs read earlier ones.
const FORMAT: u32 = 1;
/// Bytes that are sent to the server at once.
const CHUNK: usize = 256 * 1024;
/// Its row is one blob that is of use only together with the key that wraps it.
const KEY_TABLE: &str = "tenant_key";

#[derive(thiserror::Error, Debug)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] Error),
    #[error("reading or writing the tenant's tables failed; nothing was written")]
    Sql(#[from] sqlx::Error),
    #[error("reading or writing the file failed")]
    File(#[from] io::Error),
    #[error("this is no archive of a tenant of Kvali")]
    NotAnArchive,
    #[error("the archive is cut: its last line, with the hash of the others, is missing")]
    Cut,
    #[error("the archive was altered: the hash of its lines is not the one in its last line")]
    Altered,
    #[error("the archive is of schema {archive} and this database is at {database}; bring both to one Kvali")]
    Schema { archive: i64, database: i64 },
    #[error("tenant {tenant} is not empty here: {table} has rows; an archive goes into an empty tenant")]
    NotEmpty { tenant: TenantId, table: String },
    #[error("the archive's key does not open its tenant's key; give the one that was written with it")]
    WrongKey,
    #[error("the archive has a table {0:?}, which this database does not")]
    NoSuchTable(String),
}

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub kvali_tenant: u32,
    pub tenant: TenantId,
    pub schema: i64,
    pub head: i64,
    /// Of the log that was exported; the imported one counts on, so that cursors of before are told apart.
    pub epoch: i32,
    /// The tenant's key, wrapped by the archive's; absent if nothing was ever sealed.
    key: Option<String>,
    tables: Vec<Table>,
}

/// So many rows, one a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Table {
    name: String,
    columns: Vec<String>,
    rows: i64,
}

/// The last line.
#[derive(Serialize, Deserialize)]
struct Seal {
    blake3: String,
}

impl Manifest {
    pub fn rows(&self) -> i64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    fn of_line(line: &[u8]) -> Result<Self, ArchiveError> {
        let manifest: Self = serde_json::from_slice(line).map_err(|_| ArchiveError::NotAnArchive)?;
        if manifest.kvali_tenant == FORMAT { Ok(manifest) } else { Err(ArchiveError::NotAnArchive) }
    }
}

impl Store {
    /// Writes everything of `tenant` as it stands in one snapshot; `key` opens what is sealed in it.
    pub async fn export(
        &self,
        tenant: TenantId,
        key: &MasterKey,
        out: &mut impl Write,
    ) -> Result<Manifest, ArchiveError> {
        let mut connection = acting_for(&self.inner.pool, tenant).await?;
        let mut snapshot = connection.begin_with("begin isolation level repeatable read read only").await?;
        snapshot.execute("set local timezone = 'UTC'").await?;
        let manifest = self.manifest(&mut snapshot, tenant, key).await?;
        let mut hashed = Hashed { out, hasher: blake3::Hasher::new() };
        serde_json::to_writer(&mut hashed, &manifest).map_err(io::Error::from)?;
        hashed.write_all(b"\n")?;
        for table in &manifest.tables {
            copy_out(&mut snapshot, tenant, table, &mut hashed).await?;
        }
        let seal = Seal { blake3: hashed.hasher.finalize().to_hex().to_string() };
        serde_json::to_writer(&mut hashed, &seal).map_err(io::Error::from)?;
        hashed.write_all(b"\n")?;
        hashed.flush()?;
        Ok(manifest)
    }

    async fn manifest(
        &self,
        snapshot: &mut PgConnection,
        tenant: TenantId,
        key: &MasterKey,
    ) -> Result<Manifest, ArchiveError> {
        let mut tables = Vec::new();
        for (name, columns) in tables_of_tenants(snapshot).await? {
            // Names come from the catalogue.
            let count = format!("select count(*) from kvali.{name} where tenant_id = $1");
            let rows =
                sqlx::query_scalar(AssertSqlSafe(count)).bind(tenant.0).fetch_one(&mut *snapshot).await?;
            tables.push(Table { name, columns, rows });
        }
        let ledger: Option<(i64, i32)> =
            sqlx::query_as("select head, epoch from kvali.ledger where tenant_id = $1")
                .bind(tenant.0)
                .fetch_optional(&mut *snapshot)
                .await?;
        let (head, epoch) = ledger.unwrap_or((0, 1));
        let wrapped: Option<Vec<u8>> =
            sqlx::query_scalar("select wrapped from kvali.tenant_key where tenant_id = $1")
                .bind(tenant.0)
                .fetch_optional(&mut *snapshot)
                .await?;
        let rewrap = |wrapped: Vec<u8>| {
            let wrapped = keyring::rewrapped(&wrapped, tenant, &self.inner.master_key, key);
            wrapped.map(|bytes| hex(&bytes)).ok_or(Error::WrongMasterKey)
        };
        let (schema, _) = self.schema().await?;
        let key = wrapped.map(rewrap).transpose()?;
        Ok(Manifest { kvali_tenant: FORMAT, tenant, schema, head, epoch, key, tables })
    }

    /// Brings an archive that `checked` has read into the empty tenant that it is of, all of it or nothing.
    pub async fn import(
        &self,
        manifest: &Manifest,
        key: &MasterKey,
        archive: &mut impl BufRead,
    ) -> Result<(), ArchiveError> {
        let (database, _) = self.schema().await?;
        if manifest.schema != database {
            return Err(ArchiveError::Schema { archive: manifest.schema, database });
        }
        let tenant = manifest.tenant;
        let mut connection = acting_for(&self.inner.pool, tenant).await?;
        let mut whole = connection.begin().await?;
        let known = tables_of_tenants(&mut whole).await?;
        for (name, _) in known.iter().chain([&(KEY_TABLE.to_owned(), Vec::new())]) {
            is_empty(&mut whole, tenant, name).await?;
        }
        let mut lines = Lines::new(archive);
        lines.next()?.ok_or(ArchiveError::NotAnArchive)?;
        for table in &manifest.tables {
            if !known.contains(&(table.name.clone(), table.columns.clone())) {
                return Err(ArchiveError::NoSuchTable(table.name.clone()));
            }
            copy_in(&mut whole, table, &mut lines).await?;
        }
        // What was read now is what was checked before.
        let seal = lines.hasher.finalize();
        let last = lines.next()?.ok_or(ArchiveError::Cut)?;
        let told: Seal = serde_json::from_slice(&last).map_err(|_| ArchiveError::Altered)?;
        if told.blake3 != seal.to_hex().as_str() {
            return Err(ArchiveError::Altered);
        }
        self.count_on(&mut whole, manifest, key).await?;
        whole.commit().await?;
        self.hint();
        Ok(())
    }

    /// The log counts on in an epoch of its own, under this installation's master key.
    async fn count_on(
        &self,
        whole: &mut Transaction<'_, Postgres>,
        manifest: &Manifest,
        key: &MasterKey,
    ) -> Result<(), ArchiveError> {
        let tenant = manifest.tenant;
        let events: (i64, i64) = sqlx::query_as(
            "select count(*), coalesce(max(position), 0) from kvali.event where tenant_id = $1",
        )
        .bind(tenant.0)
        .fetch_one(&mut **whole)
        .await?;
        if events != (manifest.head, manifest.head) {
            return Err(ArchiveError::Altered);
        }
        if let Some(wrapped) = &manifest.key {
            let wrapped = bytes(wrapped).ok_or(ArchiveError::NotAnArchive)?;
            let rewrapped = keyring::rewrapped(&wrapped, tenant, key, &self.inner.master_key);
            sqlx::query("insert into kvali.tenant_key (tenant_id, wrapped) values ($1, $2)")
                .bind(tenant.0)
                .bind(rewrapped.ok_or(ArchiveError::WrongKey)?)
                .execute(&mut **whole)
                .await?;
        }
        Ok(())
    }
}

/// Reads the whole of an archive and tells what is in it, unless it was cut or altered.
pub fn checked(archive: &mut impl BufRead) -> Result<Manifest, ArchiveError> {
    let mut lines = Lines::new(archive);
    let manifest = Manifest::of_line(&lines.next()?.ok_or(ArchiveError::NotAnArchive)?)?;
    for _ in 0..manifest.rows() {
        lines.next()?.ok_or(ArchiveError::Cut)?;
    }
    let hash = lines.hasher.finalize();
    let seal = lines.next()?.ok_or(ArchiveError::Cut)?;
    if !seal.ends_with(b"\n") {
        return Err(ArchiveError::Cut);
    }
    let seal: Seal = serde_json::from_slice(&seal).map_err(|_| ArchiveError::Altered)?;
    let ends = lines.next()?.is_none();
    if ends && seal.blake3 == hash.to_hex().as_str() { Ok(manifest) } else { Err(ArchiveError::Altered) }
}

/// Tables of the log that have a tenant, with their columns; read models are folded anew instead.
async fn tables_of_tenants(connection: &mut PgConnection) -> Result<Vec<(String, Vec<String>)>, sqlx::Error> {
    sqlx::query_as(include_str!("archive/tables.sql")).bind(KEY_TABLE).fetch_all(connection).await
}

async fn is_empty(connection: &mut PgConnection, tenant: TenantId, table: &str) -> Result<(), ArchiveError> {
    // The name comes from the catalogue.
    let any = format!("select exists (select from kvali.{table} where tenant_id = $1)");
    let any: bool = sqlx::query_scalar(AssertSqlSafe(any)).bind(tenant.0).fetch_one(connection).await?;
    if any { Err(ArchiveError::NotEmpty { tenant, table: table.to_owned() }) } else { Ok(()) }
}

async fn copy_out(
    snapshot: &mut PgConnection,
    tenant: TenantId,
    table: &Table,
    out: &mut impl Write,
) -> Result<(), ArchiveError> {
    // Names come from the catalogue; COPY takes no bound values, and a tenant is hexadecimal digits.
    let (name, columns) = (&table.name, quoted(&table.columns));
    let statement =
        format!("copy (select {columns} from kvali.{name} where tenant_id = '{tenant}') to stdout");
    let mut rows = snapshot.copy_out_raw(&statement).await?;
    while let Some(bytes) = rows.try_next().await? {
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// By way of a table of the transaction's own, since nothing is copied straight into a table with row-level security.
async fn copy_in<R: BufRead>(
    whole: &mut Transaction<'_, Postgres>,
    table: &Table,
    lines: &mut Lines<'_, R>,
) -> Result<(), ArchiveError> {
    // Names were found in the catalogue.
    let (name, columns) = (&table.name, quoted(&table.columns));
    let make = format!(
        "create temporary table archived on commit drop as select {columns} from kvali.{name} limit 0"
    );
    whole.execute(AssertSqlSafe(make)).await?;
    let mut copy = whole.copy_in_raw(&format!("copy archived ({columns}) from stdin")).await?;
    if let Err(error) = send(&mut copy, table.rows, lines).await {
        // Else the connection would go on waiting for rows; that this one fails is known already.
        let _failed = copy.abort("the archive cannot be read").await;
        return Err(error);
    }
    copy.finish().await?;
    if name == "ledger" {
        whole.execute("update archived set epoch = epoch + 1").await?;
    }
    let keep = format!("insert into kvali.{name} ({columns}) select {columns} from archived");
    whole.execute(AssertSqlSafe(keep)).await?;
    whole.execute("drop table archived").await?;
    Ok(())
}

async fn send<R: BufRead>(
    copy: &mut PgCopyIn<&mut PgConnection>,
    rows: i64,
    lines: &mut Lines<'_, R>,
) -> Result<(), ArchiveError> {
    let mut chunk = Vec::with_capacity(CHUNK);
    for _ in 0..rows {
        chunk.extend(lines.next()?.ok_or(ArchiveError::Cut)?);
        if chunk.len() >= CHUNK {
            copy.send(&chunk[..]).await?;
            chunk.clear();
        }
    }
    copy.send(&chunk[..]).await?;
    Ok(())
}

fn quoted(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
    quoted.join(", ")
}

/// Lines with their ends, and the hash of those that were read.
struct Lines<'a, R> {
    from: &'a mut R,
    hasher: blake3::Hasher,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(from: &'a mut R) -> Self {
        Self { from, hasher: blake3::Hasher::new() }
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, io::Error> {
        let mut line = Vec::new();
        self.from.read_until(b'\n', &mut line)?;
        self.hasher.update(&line);
        Ok((!line.is_empty()).then_some(line))
    }
}

/// Hashes what passes.
struct Hashed<'a, W> {
    out: &'a mut W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
