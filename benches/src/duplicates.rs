//! (i) Duplicate candidates among a million contacts: what looking for those of one changed contact takes, keeping its keys,
//! and how much room a contact needs.

use crate::Scale;
use crate::ground::Ground;
use kvali_domain::TenantId;
use kvali_domain::match_rule::Key;
use kvali_projections::duplicate_candidates::{
    Ask, BLOCK_LIMIT, Details, DuplicateCandidates, Hasher, Profile, keys,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Contacts that change, one after the other.
const CHANGES: usize = 2_000;
/// Rows of one insert.
const CHUNK: usize = 10_000;

pub async fn run(ground: &Ground, scale: Scale) {
    let tenant = TenantId(Uuid::from_u128(0x7e0a_00f1));
    let keyed = ground.store.keyed_ids(tenant).await.expect("the tenant's key is made");
    let bench = Bench {
        tenant,
        schema: ground.store.live(&DuplicateCandidates).await.expect("the read model is made").schema_name,
        hasher: Hasher::new(move |bytes| keyed.number(bytes)),
        kinds: Key::ALL.into_iter().collect(),
    };
    let mut connection = ground.connect().await;
    println!(
        "(i) {} synthetic contacts with name, e-mail and phone, every second with an address:",
        scale.contacts
    );
    bench.fill(&mut connection, scale.contacts).await;
    bench.room(&mut connection, scale.contacts).await;
    let mut who = Vec::with_capacity(CHANGES);
    let mut upkeep = Vec::with_capacity(CHANGES);
    let mut compared = 0;
    for nth in 0..CHANGES {
        let at = scattered(nth) % scale.contacts;
        compared += bench.look(&mut connection, &changed(at), &mut who).await;
        bench.keep(&mut connection, at, &mut upkeep).await;
    }
    println!("    {compared} possible duplicates found for {CHANGES} changed contacts");
    print("(i) candidates of a changed contact", &mut who);
    print("(i) upkeep of its keys", &mut upkeep);
}

struct Bench {
    tenant: TenantId,
    schema: String,
    hasher: Hasher,
    kinds: BTreeSet<Key>,
}

impl Bench {
    fn sql(&self, statement: &str) -> AssertSqlSafe<String> {
        // The store made the schema's name from a constant and two numbers; the other is a constant, too.
        AssertSqlSafe(
            statement.replace("{schema}", &self.schema).replace("{crowd}", &BLOCK_LIMIT.to_string()),
        )
    }

    fn keys(&self, details: &Details) -> String {
        let keys = keys(&Profile::of(details), &self.hasher, &self.kinds);
        format!("{{{}}}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    async fn fill(&self, connection: &mut PgConnection, contacts: usize) {
        connection.execute(self.sql("drop index {schema}.compared_keys")).await.expect("the index is there");
        for start in (0..contacts).step_by(CHUNK) {
            let ids: Vec<usize> = (start..contacts.min(start + CHUNK)).collect();
            let details: Vec<Details> = ids.iter().map(|at| contact(*at)).collect();
            let uuids: Vec<Uuid> = ids.iter().map(|at| id(*at)).collect();
            sqlx::query(self.sql(
                "insert into {schema}.record select $1, id, 'contact', born, null, false, false, null, known::json \
                 from unnest($2::uuid[], $3::bigint[], $4::text[]) x (id, born, known)",
            ))
            .bind(self.tenant.0)
            .bind(&uuids)
            .bind(ids.iter().map(|at| i64::try_from(*at).expect("a million")).collect::<Vec<_>>())
            .bind(details.iter().map(known).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await
            .expect("the contacts are new");
            sqlx::query(self.sql(
                "insert into {schema}.compared select $1, id, keys::bigint[], profile \
                 from unnest($2::uuid[], $3::text[], $4::bytea[]) x (id, keys, profile)",
            ))
            .bind(self.tenant.0)
            .bind(&uuids)
            .bind(details.iter().map(|details| self.keys(details)).collect::<Vec<_>>())
            .bind(details.iter().map(|details| Profile::of(details).to_bytes()).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await
            .expect("the contacts are new");
        }
        for statement in [
            "create index compared_keys on {schema}.compared using gin (keys) with (fastupdate = off)",
            "insert into {schema}.crowd select tenant_id, key, count(*) from {schema}.compared, unnest(keys) key \
             group by tenant_id, key having count(*) > {crowd}",
            "vacuum analyze {schema}.record",
            "vacuum analyze {schema}.compared",
        ] {
            connection.execute(self.sql(statement)).await.expect("a superuser may say so");
        }
    }

    async fn room(&self, connection: &mut PgConnection, contacts: usize) {
        let (bytes, keys, crowds): (i64, i64, i64) = sqlx::query_as(self.sql(
            "select pg_total_relation_size('{schema}.record') + pg_total_relation_size('{schema}.compared') + \
             pg_total_relation_size('{schema}.crowd'), \
             (select sum(cardinality(keys)) from {schema}.compared), (select count(*) from {schema}.crowd)",
        ))
        .fetch_one(connection)
        .await
        .expect("the catalogue answers");
        let contacts = i64::try_from(contacts).expect("a million");
        println!(
            "    {} bytes per contact, {}.{} keys per contact, {crowds} keys of more than {BLOCK_LIMIT}",
            bytes / contacts,
            keys / contacts,
            keys * 10 / contacts % 10
        );
    }

    /// Looks for the candidates of one contact, scores and all; answers with how many are possible.
    async fn look(
        &self,
        connection: &mut PgConnection,
        details: &Details,
        times: &mut Vec<Duration>,
    ) -> usize {
        let start = Instant::now();
        let mut transaction = connection.begin().await.expect("the server answers");
        let mut ask = Ask {
            connection: &mut transaction,
            tenant: self.tenant,
            schema: &self.schema,
            hasher: self.hasher.clone(),
        };
        let found = ask.who(details).await.expect("the read model answers");
        transaction.rollback().await.expect("the server answers");
        times.push(start.elapsed());
        found.len()
    }

    /// Writes a contact's row with other keys; the commit belongs to the page of events that it is part of.
    async fn keep(&self, connection: &mut PgConnection, at: usize, times: &mut Vec<Duration>) {
        let details = changed(at);
        let (known, keys, profile) = (known(&details), self.keys(&details), Profile::of(&details).to_bytes());
        let mut transaction = connection.begin().await.expect("the server answers");
        let start = Instant::now();
        let record =
            "update {schema}.record set known = $3::text::json where tenant_id = $1 and record_id = $2";
        let query = sqlx::query(self.sql(record)).bind(self.tenant.0).bind(id(at)).bind(known);
        query.execute(&mut *transaction).await.expect("the contact is there");
        let compared = "update {schema}.compared set keys = $3::text::bigint[], profile = $4 \
             where tenant_id = $1 and record_id = $2";
        let query = sqlx::query(self.sql(compared)).bind(self.tenant.0).bind(id(at)).bind(keys).bind(profile);
        query.execute(&mut *transaction).await.expect("the contact is there");
        times.push(start.elapsed());
        transaction.commit().await.expect("the server answers");
    }
}

fn print(label: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let millis = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1_000.0;
    println!("{label:<36} p50 {:.2} p99 {:.2} ms", millis(50), millis(99));
}

fn id(at: usize) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + at as u128)
}

/// The row's JSON, as the read model writes it.
fn known(details: &Details) -> String {
    let numbered = |values: &BTreeSet<String>, first: usize| {
        let values = values.iter().zip(first..).map(|(value, number)| format!("\"{number}\":\"{value}\""));
        values.collect::<Vec<_>>().join(",")
    };
    let address = [&details.street, &details.postcode, &details.town].map(String::as_str).join(", ");
    format!(
        "{{\"given\":\"{}\",\"family\":\"{}\",\"emails\":{{{}}},\"phones\":{{{}}},\"address\":\"{address}\"}}",
        details.given,
        details.family,
        numbered(&details.emails, 1),
        numbered(&details.phones, 2),
    )
}

/// Names as skewed as people's: the first of each list are borne by many.
fn contact(at: usize) -> Details {
    let given = syllables(skewed(at, 1, 3_000));
    let family = syllables(skewed(at, 2, 60_000) + 10_000);
    let mut details = Details {
        emails: [format!("{given}.{family}{}@{}.com", at % 997, syllables(skewed(at, 3, 20_000)))].into(),
        phones: [format!("+9955{:08}", mixed(at, 4) % 100_000_000)].into(),
        ..Details::default()
    };
    if at.is_multiple_of(2) {
        details.street = format!("{} {} street", 1 + mixed(at, 5) % 200, syllables(skewed(at, 6, 20_000)));
        details.postcode = format!("{:04}", mixed(at, 7) % 10_000);
        details.town = syllables(skewed(at, 8, 2_000));
    }
    details.given = given;
    details.family = family;
    details
}

/// The same contact with another phone and a slip in the name.
fn changed(at: usize) -> Details {
    let mut details = contact(at);
    details.phones = [format!("+9955{:08}", mixed(at, 9) % 100_000_000)].into();
    details.given.push('a');
    details
}

fn syllables(mut number: usize) -> String {
    const SYLLABLES: [&str; 40] = [
        "ba", "be", "bi", "da", "do", "el", "fa", "ga", "ge", "go", "ha", "il", "ja", "ka", "ke", "ki", "la",
        "le", "li", "lo", "ma", "me", "mi", "na", "ne", "ni", "no", "or", "pa", "pe", "ra", "ri", "ro", "sa",
        "sha", "ta", "te", "ti", "va", "za",
    ];
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[number % SYLLABLES.len()]);
        number /= SYLLABLES.len();
        if number == 0 {
            return word;
        }
    }
}

/// Small numbers far more often than large ones, below `most`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a number below 2^32"
)]
fn skewed(at: usize, salt: u64, most: usize) -> usize {
    let share = (mixed(at, salt) % 1_000_000) as f64 / 1_000_000.0;
    (share * share * share * most as f64) as usize
}

fn scattered(nth: usize) -> usize {
    mixed(nth, 11)
}

/// The finaliser of `SplitMix64`: the same contacts in every run.
fn mixed(at: usize, salt: u64) -> usize {
    let number = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt << 48);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((number ^ (number >> 31)) >> 1).unwrap_or(0)
}
