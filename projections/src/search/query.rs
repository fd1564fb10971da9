//! One search: candidates by their words, judged one by one.

use super::facts::Entity;
use super::score::fits;
use super::terms::{Token, tokens};
use crate::ask::AskError;
use crate::sql::sql;
use async_trait::async_trait;
use kvali_domain::UserId;
use kvali_domain::access::Reach;
use kvali_eventstore::project::{Look, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct Ask {
    /// Parts of names, beginnings of e-mail addresses, ends of phone numbers: all of them must fit.
    pub text: String,
    /// Only what is of this kind.
    pub entity: Option<Entity>,
    /// Also what is archived.
    pub archived: bool,
    /// Whose records can be found.
    pub reach: Reach,
    /// Go on after this hit.
    pub after: Option<Place>,
    pub limit: usize,
}

/// Where a hit stands among others: by its score, then by its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The bits of the score, so that it comes back as it was.
    score: u64,
    id: Uuid,
}

impl Place {
    fn comes_before(self, hit: &Hit) -> bool {
        let score = f64::from_bits(self.score);
        hit.score < score || (hit.score.to_bits() == self.score && hit.id > self.id)
    }
}

impl Hit {
    pub fn place(&self) -> Place {
        Place { score: self.score.to_bits(), id: self.id }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
pub struct Hit {
    /// Of one that was merged, the survivor.
    pub id: Uuid,
    pub entity: Entity,
    pub name: Option<String>,
    /// The values that fit best, as they were given.
    pub matched: Vec<String>,
    pub is_archived: bool,
    /// From 0 to 1; the best come first.
    pub score: f64,
}

const ENTITIES: [(Entity, &str); 5] = [
    (Entity::Contact, "contact"),
    (Entity::Company, "company"),
    (Entity::Lead, "lead"),
    (Entity::Deal, "deal"),
    (Entity::User, "user"),
];

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("kind {0:?} is none of contact, company, lead, deal, user")]
pub struct NotAnEntity(String);

impl std::str::FromStr for Entity {
    type Err = NotAnEntity;

    fn from_str(word: &str) -> Result<Self, NotAnEntity> {
        let known = ENTITIES.iter().find(|(_, known)| *known == word);
        known.map(|(entity, _)| *entity).ok_or_else(|| NotAnEntity(word.to_owned()))
    }
}

impl Entity {
    pub fn word(self) -> &'static str {
        ENTITIES.iter().find(|(entity, _)| *entity == self).expect("every kind is in the table").1
    }
}

/// Words that begin so, in the order of letters: the shortest first among those that begin alike.
const BEGINNING: &str = "select b.token, w.word, w.count from unnest($2::int[], $3::text[], $4::text[]) b (token, low, high) \
    cross join lateral (select word, count from {schema}.word where tenant_id = $1 and word >= b.low and word < b.high \
    order by word limit 300) w";

const NEAR: &str = "select n.token, w.word, w.count from ( \
      select distinct k.token, n.word from unnest($2::int[], $3::text[]) k (token, key) \
      cross join lateral (select word from {schema}.near where tenant_id = $1 and key = k.key order by word limit 300) n) n \
    cross join lateral (select word, count from {schema}.word where tenant_id = $1 and word = n.word limit 1) w";

/// Records by the words of one part, the best word first, that have one of each other part's words as well.
const RECORDS: &str = "select p.record_id from unnest($2::text[]) with ordinality w (word, rank) \
    cross join lateral (select record_id from {schema}.posting p where tenant_id = $1 and word = w.word{others} \
      and exists (select from {schema}.record r where r.tenant_id = $1 and r.record_id = p.record_id \
        and ($3::text is null or r.entity = $3) and ($4 or not r.is_archived) \
        and ($5::uuid[] is null or r.owner is null or r.owner = any ($5)) offset 0) \
    order by record_id limit {most}) p group by p.record_id order by min(w.rank), p.record_id limit {most}";

/// The few words of a record are read by its id: with hundreds of words to look for, each would be looked up by itself.
const OTHER: &str = " and exists (select from {schema}.posting o where o.tenant_id = $1 and o.record_id = p.record_id \
    and o.word || '' = any ({words}::text[]) offset 0)";

const POSTINGS: &str = "select x.id, p.word, p.slot from unnest($2::uuid[]) x (id) cross join lateral \
    (select word, slot from {schema}.posting where tenant_id = $1 and record_id = x.id offset 0) p";

const FOUND: &str = "select r.record_id, r.entity, r.name_of, r.owner, r.is_archived, r.merged_into \
    from unnest($2::uuid[]) x (id) \
    cross join lateral (select * from {schema}.record where tenant_id = $1 and record_id = x.id limit 1) r";

const VALUES: &str = "select x.id, v.slot, v.text from unnest($2::uuid[]) x (id) cross join lateral \
    (select slot, text from {schema}.value where tenant_id = $1 and record_id = x.id offset 0) v";

/// Words of one part, and records, that are judged at most.
const MOST_WORDS: usize = 300;
const MOST_RECORDS: usize = 200;
/// Postings of the best words that are looked through for them: a record has a word in a few of its values, and of many
/// records that have one part, some have the others.
const ENOUGH_ALONE: i64 = 800;
const ENOUGH_TOGETHER: i64 = 20_000;

#[async_trait]
impl Query for Ask {
    type Answer = Vec<Hit>;
    type Error = AskError;

    async fn ask(self, look: &mut Look<'_>) -> Result<Vec<Hit>, AskError> {
        let tokens = tokens(&self.text);
        if tokens.is_empty() {
            return Err(AskError::NothingSearched { text: self.text });
        }
        let meant = meant(&tokens, look).await?;
        let ids = self.records(&meant, look).await?;
        let judged = judged(&meant, &ids, look).await?;
        let known = known(ids, look).await?;
        let best = self.best(judged, &known);
        Ok(told(best, look).await?)
    }
}

/// Keeps a page of the hits, of which one more than that was asked for, and tells where the next page begins.
pub fn next(hits: &mut Vec<Hit>, limit: usize) -> Option<Place> {
    if hits.len() <= limit {
        return None;
    }
    hits.truncate(limit);
    hits.last().map(Hit::place)
}

fn in_order(one: &Hit, other: &Hit) -> Ordering {
    other.score.total_cmp(&one.score).then(one.id.cmp(&other.id))
}

/// The words that one part may mean.
struct Meant {
    /// How well each fits.
    fits: HashMap<String, f64>,
    /// The best first, each with how much is found by it.
    words: Vec<(String, i64)>,
    /// What is found by them together.
    postings: i64,
}

impl Meant {
    fn of(token: &Token, words: BTreeMap<&str, i64>) -> Self {
        let fit = words.into_iter().filter_map(|(word, count)| Some((fits(token, word)?, word, count)));
        let mut fit: Vec<(f64, &str, i64)> = fit.collect();
        fit.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1)));
        fit.truncate(MOST_WORDS);
        Self {
            fits: fit.iter().map(|(score, word, _)| ((*word).to_owned(), *score)).collect(),
            words: fit.iter().map(|(_, word, count)| ((*word).to_owned(), *count)).collect(),
            postings: fit.iter().map(|(.., count)| count).sum(),
        }
    }

    /// The best words by which at least so much is found, if there is so much.
    fn best(&self, enough: i64) -> Vec<&str> {
        let found =
            self.words.iter().scan(0, |found, (_, count)| Some(std::mem::replace(found, *found + count)));
        let words = self.words.iter().zip(found).take_while(|(_, found)| *found < enough);
        words.map(|((word, _), _)| word.as_str()).collect()
    }
}

/// Of each part, in their order.
async fn meant(tokens: &[Token], look: &mut Look<'_>) -> Result<Vec<Meant>, sqlx::Error> {
    let (mut places, mut lows) = (Vec::new(), Vec::new());
    for (place, token) in (0..).zip(tokens) {
        for low in token.beginnings() {
            places.push(place);
            lows.push(low);
        }
    }
    let mut rows: Vec<(i32, String, i64)> = sqlx::query_as(sql(look.schema, BEGINNING))
        .bind(look.tenant.0)
        .bind(&places)
        .bind(&lows)
        .bind(lows.iter().map(|low| format!("{low}\u{10ffff}")).collect::<Vec<_>>())
        .fetch_all(&mut *look.connection)
        .await?;
    let (mut places, mut keys) = (Vec::new(), Vec::new());
    for (place, token) in (0_i32..).zip(tokens) {
        for key in token.near() {
            places.push(place);
            keys.push(key);
        }
    }
    let near: Vec<(i32, String, i64)> = sqlx::query_as(sql(look.schema, NEAR))
        .bind(look.tenant.0)
        .bind(places)
        .bind(keys)
        .fetch_all(&mut *look.connection)
        .await?;
    rows.extend(near);
    let of = |(place, token): (i32, &Token)| {
        let own = rows.iter().filter(|(of, ..)| *of == place);
        Meant::of(token, own.map(|(_, word, count)| (word.as_str(), *count)).collect())
    };
    Ok((0..).zip(tokens).map(of).collect())
}

/// How well a record fits, and by which of its values.
struct Judged {
    id: Uuid,
    score: f64,
    slots: BTreeSet<String>,
}

impl Judged {
    fn of(id: Uuid, meant: &[Meant], words: &[(String, String)]) -> Option<Self> {
        let (mut sum, mut used, mut slots) = (0.0, BTreeSet::new(), BTreeSet::new());
        for part in meant {
            let fit = words.iter().filter_map(|(word, slot)| Some((*part.fits.get(word)?, word, slot)));
            let (score, word, slot) = fit.max_by(|one, other| one.0.total_cmp(&other.0))?;
            sum += score;
            used.insert(word);
            slots.insert(slot.clone());
        }
        // A name that says nothing else stands before one that says more.
        let named = words.iter().filter(|(_, slot)| slot == "name").count().max(1);
        let whole = share(used.len().min(named), named);
        Some(Self { id, score: 0.95 * sum / share(meant.len(), 1) + 0.05 * whole, slots })
    }
}

#[expect(clippy::cast_precision_loss, reason = "words are few")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

async fn judged(meant: &[Meant], ids: &[Uuid], look: &mut Look<'_>) -> Result<Vec<Judged>, sqlx::Error> {
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(sql(look.schema, POSTINGS))
        .bind(look.tenant.0)
        .bind(ids)
        .fetch_all(&mut *look.connection)
        .await?;
    let mut words: BTreeMap<Uuid, Vec<(String, String)>> = BTreeMap::new();
    for (id, word, slot) in rows {
        words.entry(id).or_default().push((word, slot));
    }
    Ok(words.iter().filter_map(|(id, words)| Judged::of(*id, meant, words)).collect())
}

struct Record {
    entity: Entity,
    name_of: Uuid,
    owner: Option<UserId>,
    is_archived: bool,
    merged_into: Option<Uuid>,
}

/// The records, and those that they were merged into.
async fn known(ids: Vec<Uuid>, look: &mut Look<'_>) -> Result<BTreeMap<Uuid, Record>, sqlx::Error> {
    type Row = (Uuid, String, Uuid, Option<Uuid>, bool, Option<Uuid>);
    let (mut known, mut wanted) = (BTreeMap::new(), ids);
    while !wanted.is_empty() {
        let rows: Vec<Row> = sqlx::query_as(sql(look.schema, FOUND))
            .bind(look.tenant.0)
            .bind(std::mem::take(&mut wanted))
            .fetch_all(&mut *look.connection)
            .await?;
        let into: Vec<Uuid> = rows.iter().filter_map(|(.., into)| *into).collect();
        for (id, entity, name_of, owner, is_archived, merged_into) in rows {
            let owner = owner.map(UserId);
            let entity = entity.parse().map_err(|error: NotAnEntity| sqlx::Error::Decode(error.into()))?;
            known.insert(id, Record { entity, name_of, owner, is_archived, merged_into });
        }
        wanted = into.into_iter().filter(|id| !known.contains_key(id)).collect();
    }
    Ok(known)
}

/// A hit, with whose name and which values it is told by.
struct Best {
    hit: Hit,
    names: [Uuid; 3],
    found: Judged,
}

impl Ask {
    /// Records that have a word for every part; those are looked through that the rarest part has.
    async fn records(&self, meant: &[Meant], look: &mut Look<'_>) -> Result<Vec<Uuid>, sqlx::Error> {
        let mut parts: Vec<&Meant> = meant.iter().collect();
        parts.sort_by_key(|part| part.postings);
        let others = (6..).zip(&parts[1..]).map(|(at, _)| OTHER.replace("{words}", &format!("${at}")));
        let others: String = others.collect();
        let statement = RECORDS.replace("{others}", &others).replace("{most}", &MOST_RECORDS.to_string());
        let enough = if parts.len() == 1 { ENOUGH_ALONE } else { ENOUGH_TOGETHER };
        let rarest = parts[0].best(enough);
        let mut query = sqlx::query_scalar(sql(look.schema, &statement)).bind(look.tenant.0).bind(rarest);
        query = query.bind(self.entity.map(Entity::word)).bind(self.archived).bind(self.reach.owners());
        for part in &parts[1..] {
            query = query.bind(part.words.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>());
        }
        query.fetch_all(&mut *look.connection).await
    }

    /// The survivors of what was found, each once, the best first.
    fn best(&self, judged: Vec<Judged>, known: &BTreeMap<Uuid, Record>) -> Vec<Best> {
        let mut best: BTreeMap<Uuid, Best> = BTreeMap::new();
        for found in judged {
            let Some((id, record)) = survivor(found.id, known) else { continue };
            let Record { entity, name_of, owner, is_archived, .. } = *record;
            let is_asked = self.entity.is_none_or(|asked| asked == entity) && (self.archived || !is_archived);
            let passes = is_asked && self.reach.covers(owner);
            let (score, names) = (found.score, [name_of, id, found.id]);
            if passes && best.get(&id).is_none_or(|known| known.hit.score < score) {
                let hit = Hit { id, entity, name: None, matched: Vec::new(), is_archived, score };
                best.insert(id, Best { hit, names, found });
            }
        }
        let goes_on = |best: &Best| self.after.is_none_or(|place| place.comes_before(&best.hit));
        let mut best: Vec<Best> = best.into_values().filter(goes_on).collect();
        best.sort_by(|one, other| in_order(&one.hit, &other.hit));
        best.truncate(self.limit);
        best
    }
}

fn survivor(id: Uuid, known: &BTreeMap<Uuid, Record>) -> Option<(Uuid, &Record)> {
    let (mut id, mut record) = (id, known.get(&id)?);
    while let Some(into) = record.merged_into {
        (id, record) = (into, known.get(&into)?);
    }
    Some((id, record))
}

/// Looks up what is told of the hits.
async fn told(best: Vec<Best>, look: &mut Look<'_>) -> Result<Vec<Hit>, sqlx::Error> {
    let ids: BTreeSet<Uuid> = best.iter().flat_map(|best| best.names).collect();
    let rows: Vec<(Uuid, String, String)> = sqlx::query_as(sql(look.schema, VALUES))
        .bind(look.tenant.0)
        .bind(ids.into_iter().collect::<Vec<_>>())
        .fetch_all(&mut *look.connection)
        .await?;
    let mut values: BTreeMap<Uuid, BTreeMap<String, String>> = BTreeMap::new();
    for (id, slot, text) in rows {
        values.entry(id).or_default().insert(slot, text);
    }
    let named = |id: &Uuid| NAMING.iter().find_map(|slot| values.get(id)?.get(*slot).cloned());
    let tell = |Best { mut hit, names, found }| {
        hit.name = names.iter().find_map(named);
        let of = values.get(&found.id);
        hit.matched = found.slots.iter().filter_map(|slot| of?.get(slot).cloned()).collect();
        hit
    };
    Ok(best.into_iter().map(tell).collect())
}

/// What a record is called by: its name, else that of the party of a deal or of the company of a lead.
const NAMING: [&str; 3] = ["name", "party", "company_name"];
