//! Questions to the read models, as of now or of the past.

use crate::error::Problem;
use crate::format::{Answered, Format, Listed};
use crate::page::{Pages, cut, limited, with_cursor};
use crate::principal::Principal;
use crate::query::Query;
use crate::{Api, commands, edge};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use kvali_domain::access::{Permission, Reach};
use kvali_domain::fields::Entity;
use kvali_domain::task::Cause;
use kvali_domain::{StreamId, UserId};
use kvali_eventstore::project::{AsOf, Projection, Query as Question};
use kvali_projections::deal_board::{self, Card, DealBoard};
use kvali_projections::duplicate_candidates::{
    Candidate, DuplicateCandidates, Filter, Hasher, List, RecordKind, Verdict,
};
use kvali_projections::field_completeness::{self, FieldCompleteness};
use kvali_projections::overdue_tasks::{self, OverdueTasks, Section};
use kvali_projections::search::{self, Search};
use kvali_projections::timeline::{self, Timeline};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(fuzzing)]
pub(crate) mod fuzz;

type Asked<T> = Result<Query<T>, Problem>;
type Told = Result<Response, Problem>;

/// How long a question waits for a position that is not in the log yet.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A question's fields, and as of when it is asked, which every one takes beside its own.
macro_rules! question {
    ($name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$doc])* pub(super) $field: $type,)*
            /// Answer no earlier than this position: to read one's own write.
            after: Option<i64>,
            /// A position, or an instant (RFC 3339).
            as_of: Option<String>,
            /// `known` (the default) or `happened`.
            clock: Option<String>,
        }

        impl $name {
            pub(super) fn when(&self) -> When {
                When { after: self.after, as_of: self.as_of.clone(), clock: self.clock.clone() }
            }
        }
    };
}

mod funnels;

pub(crate) use funnels::{Forecast, Funnel, Funnels, Standing, forecast, funnel, funnels, standing};

/// As of when.
pub(crate) struct When {
    /// Answer no earlier than this position: to read one's own write.
    after: Option<i64>,
    /// A position or an instant.
    as_of: Option<String>,
    /// `known` (the default) or `happened`.
    clock: Option<String>,
}

impl When {
    fn as_of(&self) -> Result<AsOf, Problem> {
        let known = match self.clock.as_deref() {
            None | Some("known") => true,
            Some("happened") => false,
            Some(other) => {
                let detail = format!("clock {other:?} is neither known nor happened");
                return Err(Problem::malformed("clock", detail));
            }
        };
        let Some(text) = &self.as_of else { return Ok(AsOf::NOW) };
        match text.parse::<i64>() {
            Ok(position) if known => Ok(AsOf::position(position)),
            Ok(_) => {
                let detail =
                    "a position goes with clock=known; give an instant for what had happened by then";
                Err(Problem::malformed("as_of", detail))
            }
            Err(_) => {
                let at = commands::instant("as_of", text)?;
                Ok(if known { AsOf::known(at) } else { AsOf::happened(at) })
            }
        }
    }
}

impl Api {
    /// Waits until the log has reached what somebody has written.
    async fn reached(&self, principal: &Principal, when: &When) -> Result<(), Problem> {
        let Some(position) = when.after else { return Ok(()) };
        let mut moved = self.store().moved();
        let until = Instant::now() + LONGEST_WAIT;
        loop {
            moved.borrow_and_update();
            let head = self.store().head(principal.tenant).await?;
            if head >= position {
                return Ok(());
            }
            if Instant::now() >= until {
                let detail = format!("position {position} is not in the log, which reaches to {head}");
                let problem = Problem::new(StatusCode::CONFLICT, "position_not_reached", detail);
                return Err(problem.about("after"));
            }
            let _over = tokio::time::timeout(Duration::from_millis(100), moved.changed()).await;
        }
    }

    async fn ask<Q>(
        &self,
        principal: &Principal,
        model: impl Projection + 'static,
        when: &When,
        question: Q,
    ) -> Result<(Q::Answer, Value), Problem>
    where
        Q: Question,
        Problem: From<Q::Error>,
    {
        let as_of = when.as_of()?;
        self.reached(principal, when).await?;
        let (store, tenant) = (self.store(), principal.tenant);
        let answered = store.ask(Arc::new(model), tenant, as_of, edge::now(), &|_, _| {}, question).await?;
        let stands = stands(answered.position, answered.at, answered.parked);
        Ok((answered.answer, stands))
    }
}

impl Api {
    /// What a record's reader may not see looks as if it were not there.
    pub(crate) async fn sees(
        &self,
        principal: &Principal,
        permission: Permission,
        stream: StreamId,
        what: &str,
    ) -> Result<(), Problem> {
        let reach = principal.reach(permission);
        if reach == Reach::All {
            return Ok(());
        }
        let mut next = Some(stream);
        // Of a merged record, the survivor's owner says.
        while let Some(stream) = next {
            let found = self.store().state(principal.tenant, stream).await?;
            let Some((_, state)) = found else { return Ok(()) };
            if !reach.covers(state.owner()) {
                self.record_denial(principal, permission, what).await?;
                return Err(Problem::not_found(what));
            }
            next = state.merged_into();
        }
        Ok(())
    }
}

/// What an answer rests on.
fn stands(position: i64, at: DateTime<Utc>, parked_streams: i64) -> Value {
    json!({ "position": position, "at": at, "parked_streams": parked_streams })
}

/// The answer, and what it rests on, in the format that is asked for; `rows` leads to what CSV has lines of.
fn told(headers: &HeaderMap, answer: &impl Serialize, stands: Value, rows: &'static str) -> Told {
    told_page(headers, answer, stands, rows, None)
}

/// The same, and the cursor of the next page, if there is one.
fn told_page(
    headers: &HeaderMap,
    answer: &impl Serialize,
    stands: Value,
    rows: &'static str,
    cursor: Option<String>,
) -> Told {
    let answer = serde_json::to_value(answer).expect("answers hold no maps with odd keys");
    let next = cursor.clone();
    let response = Answered { answer, stands, rows, cursor }.told(Format::of(headers)?);
    Ok(with_cursor(response, next.as_deref()))
}

/// A word of a query that names one of several things.
pub(crate) fn said<T: FromStr>(field: &'static str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T::Err: std::fmt::Display,
{
    text.map(|text| text.parse().map_err(|error: T::Err| Problem::malformed(field, error.to_string())))
        .transpose()
}

question!(Board {
    pipeline: String,
    stage: Option<String>,
    owner: Option<String>,
    sort: Option<String>,
    limit: Option<i64>,
    /// Of the page before, to go on after it.
    cursor: Option<String>,
});

pub(crate) async fn board(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    pages: Pages,
    asked: Asked<Board>,
) -> Told {
    api.demand(&principal, Permission::ReadPersonal, "the board").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let question = deal_board::Ask {
        pipeline: asked.pipeline,
        stage: asked.stage,
        owner: asked.owner,
        reach: principal.reach(Permission::ReadPersonal),
        sort: said("sort", asked.sort.as_deref())?.unwrap_or_default(),
        limit: limited(asked.limit, 50)?,
        after: pages.place(asked.cursor.as_deref())?,
    };
    let (answer, stands) = api.ask(&principal, DealBoard, &when, question).await?;
    let named = answer.cards.iter().flat_map(Card::named);
    api.shows(&principal, "the board", named).await?;
    let next = answer.next.map(|place| pages.cursor(&place));
    told_page(&headers, &answer, stands, "/cards", next)
}

question!(Searched {
    text: String,
    kind: Option<String>,
    archived: Option<bool>,
    limit: Option<i64>,
    /// Of the page before, to go on after it.
    cursor: Option<String>,
});

pub(crate) async fn search(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    pages: Pages,
    asked: Asked<Searched>,
) -> Told {
    api.demand(&principal, Permission::ReadPersonal, "search").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let limit = usize::try_from(limited(asked.limit, 20)?).expect("a page is small");
    let question = search::Ask {
        text: asked.text,
        entity: said("kind", asked.kind.as_deref())?,
        archived: asked.archived.unwrap_or_default(),
        reach: principal.reach(Permission::ReadPersonal),
        after: pages.place(asked.cursor.as_deref())?,
        limit: limit + 1,
    };
    let (mut answer, stands) = api.ask(&principal, Search, &when, question).await?;
    let next = search::next(&mut answer, limit).map(|place| pages.cursor(&place));
    api.shows(&principal, "search", answer.iter().map(|hit| hit.id)).await?;
    told_page(&headers, &answer, stands, "", next)
}

question!(Entries {
    kind: Option<String>,
    limit: Option<i64>,
    /// Of the page before, to go on after it.
    cursor: Option<String>,
});

pub(crate) async fn timeline(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    pages: Pages,
    id: Result<Path<String>, PathRejection>,
    asked: Asked<Entries>,
) -> Told {
    api.demand(&principal, Permission::Read, "a timeline").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let Path(id) = id?;
    let customer = id.parse().map(StreamId).map_err(|_| Problem::not_found(timeline::CUSTOMER_KINDS))?;
    api.sees(&principal, Permission::Read, customer, timeline::CUSTOMER_KINDS).await?;
    let question = timeline::Ask {
        customer,
        kind: said("kind", asked.kind.as_deref())?,
        before: pages.place(asked.cursor.as_deref())?,
        limit: limited(asked.limit, 100)?,
    };
    let (answer, stands) = api.ask(&principal, Timeline, &when, question).await?;
    let next = answer.before.map(|before| pages.cursor(&before));
    told_page(&headers, &answer, stands, "/entries", next)
}

question!(Filled {
    kind: Option<Entity>,
    owner: Option<UserId>,
    rare: Option<f64>,
});

pub(crate) async fn completeness(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    asked: Asked<Filled>,
) -> Told {
    api.demand(&principal, Permission::Read, "completeness").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let rare = asked.rare.unwrap_or(0.05);
    if !(0.0..=1.0).contains(&rare) {
        return Err(Problem::malformed("rare", format!("rare {rare} is no share from 0 to 1")));
    }
    let question = field_completeness::Ask {
        entity: asked.kind,
        owner: asked.owner,
        reach: principal.reach(Permission::Read),
        rare,
    };
    let (answer, stands) = api.ask(&principal, FieldCompleteness, &when, question).await?;
    told(&headers, &answer, stands, "")
}

question!(Pairs {
    kind: Option<String>,
    level: Option<String>,
    owner: Option<UserId>,
    decided: Option<bool>,
    limit: Option<i64>,
    /// Of the page before, to go on after it.
    cursor: Option<String>,
});

pub(crate) async fn duplicates(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    pages: Pages,
    asked: Asked<Pairs>,
) -> Told {
    api.demand(&principal, Permission::ReadPersonal, "duplicates").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let kind = |word: &str| {
        let known = RecordKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| Problem::malformed("kind", format!("{word:?} is none of lead, contact, company")))
    };
    let level = |word: &str| {
        let known = [Verdict::Likely, Verdict::Possible].into_iter().find(|level| level.as_str() == word);
        known.ok_or_else(|| Problem::malformed("level", format!("{word:?} is neither likely nor possible")))
    };
    let filter = Filter {
        kind: asked.kind.as_deref().map(kind).transpose()?,
        verdict: asked.level.as_deref().map(level).transpose()?,
        owner: asked.owner.map(|owner| owner.0),
        reach: principal.reach(Permission::ReadPersonal),
        decided: asked.decided.unwrap_or_default(),
    };
    let keyed = api.store().keyed_ids(principal.tenant).await?;
    let hasher = Hasher::new(move |bytes| keyed.number(bytes));
    let limit = limited(asked.limit, 50)?;
    let after = pages.place(asked.cursor.as_deref())?;
    let question = List { hasher, filter, after, limit: limit + 1 };
    let (mut answer, stands) = api.ask(&principal, DuplicateCandidates, &when, question).await?;
    let next = cut(&mut answer, limit).map(Candidate::place);
    let pairs = answer.iter().flat_map(|pair| [pair.a.id, pair.b.id]);
    api.shows(&principal, "duplicates", pairs).await?;
    told_page(&headers, &answer, stands, "", next.map(|place| pages.cursor(&place)))
}

question!(Overdue {
    /// Lists, parted by commas; all of them, unless some are named.
    kind: Option<String>,
    /// A person by name or id.
    of: Option<String>,
    /// A team by name or id, with the teams below it.
    team: Option<String>,
    cause: Option<Cause>,
    /// `due` (the default), `assignee` or `slips`.
    sort: Option<String>,
    limit: Option<i64>,
    /// Of the page before, where one list is asked for.
    cursor: Option<String>,
    /// Whose days are meant where a due names no zone.
    #[schemars(with = "Option<String>")]
    zone: Option<Tz>,
    /// Of what was done late: done at this instant or later, and before that one.
    from: Option<String>,
    to: Option<String>,
});

pub(crate) async fn overdue(
    State(api): State<Api>,
    principal: Principal,
    headers: HeaderMap,
    pages: Pages,
    asked: Asked<Overdue>,
) -> Told {
    api.demand(&principal, Permission::ReadPersonal, "overdue tasks").await?;
    let Query(asked) = asked?;
    let when = asked.when();
    let sections = match asked.kind.as_deref() {
        None => Section::ALL.to_vec(),
        Some(words) => {
            let sections = words.split(',').map(str::trim).map(str::parse::<Section>);
            let sections: Result<Vec<_>, _> = sections.collect();
            sections.map_err(|error| Problem::malformed("kind", error.to_string()))?
        }
    };
    let is_paged = sections.len() == 1;
    if asked.cursor.is_some() && !is_paged {
        let detail = "a cursor goes on with one list; name it with kind";
        return Err(Problem::malformed("cursor", detail));
    }
    let question = overdue_tasks::Asked {
        sections,
        of: asked.of,
        team: asked.team,
        cause: asked.cause,
        sorting: said("sort", asked.sort.as_deref())?.unwrap_or_default(),
        limit: usize::try_from(limited(asked.limit, 50)?).expect("a page is small"),
        after: pages.place(asked.cursor.as_deref())?,
        reach: principal.reach(Permission::ReadPersonal),
        zone: asked.zone.unwrap_or(Tz::UTC),
        from: asked.from.as_deref().map(|text| commands::instant("from", text)).transpose()?,
        to: asked.to.as_deref().map(|text| commands::instant("to", text)).transpose()?,
    };
    let (answer, stands) = api.ask(&principal, OverdueTasks, &when, question).await?;
    api.shows(&principal, "overdue tasks", answer.named()).await?;
    let next = answer.next().filter(|_| is_paged).map(|place| pages.cursor(&place));
    told_page(&headers, &answer, stands, "", next)
}
