//! Ids for what people call things: users by e-mail or name, stages by name, deals by their number elsewhere.

use crate::connect::Session;
use crate::failure::Failure;
use kvali_domain::contact_point::{self, Kind, claimed, key};
use kvali_domain::deal::external_key;
use kvali_domain::handover::Work;
use kvali_domain::pipeline::{Config, Pipeline, folded};
use kvali_domain::{
    ActivityTypeId, Aggregate, CompanyId, Condition, ContactId, DealId, Event, FunnelId, LeadId,
    LossReasonId, Personal, PipelineId, SourceId, StageId, State, StreamId, TagId, TaskId, UserId,
    activity_types, company, contact, deal, funnel, lead, loss_reasons, pipeline, sources, tags, user,
};
use sqlx::Row;
use uuid::Uuid;

/// Who was ever registered or invited: every user has a key, and nothing else is asked of a record than its first event.
const USERS: &str = "select k.subject_id as user_id from kvali.subject_key k cross join lateral (select event_type \
    from kvali.event where tenant_id = $1 and stream_id = k.subject_id and version = 1 offset 0) e \
    where k.tenant_id = $1 and k.wrapped is not null and e.event_type = any($2) order by k.created_at, k.subject_id";
/// Whatever makes a record somebody's names him, so the server looks for the id in every event of the tenant.
const NAMING: &str = "select stream_id from kvali.event where tenant_id = $1 and event_type like any($2) \
    and strpos(data::text, $3) > 0 group by stream_id order by min(position)";
const WORKED_ON: [&str; 3] = ["deal.%", "lead.%", "task.%"];
const BEGINNINGS: [&str; 2] = ["user.registered", "user.invited"];

pub(crate) struct Directory<'a> {
    session: &'a Session,
}

/// By which claims things of a kind are found, beside their ids.
struct Known {
    noun: &'static str,
    is: fn(&State) -> bool,
    /// What it is named by.
    by: &'static str,
    external: &'static str,
    /// On an e-mail address or a phone number, kept as a keyed hash.
    point: Option<&'static str>,
    domain: Option<&'static str>,
}

const BY_POINT: &str = "e-mail, phone or id";
const LEAD: Known = Known {
    noun: "lead",
    is: |state| matches!(state, State::Lead(_)),
    by: BY_POINT,
    external: lead::EXTERNAL_CLAIM,
    point: Some(lead::POINT_CLAIM),
    domain: None,
};
const CONTACT: Known = Known {
    noun: "contact",
    is: |state| matches!(state, State::Contact(_)),
    by: BY_POINT,
    external: contact::EXTERNAL_CLAIM,
    point: Some(contact_point::CLAIM),
    domain: None,
};
const COMPANY: Known = Known {
    noun: "company",
    is: |state| matches!(state, State::Company(_)),
    by: "domain or id",
    external: company::EXTERNAL_CLAIM,
    point: None,
    domain: Some(company::DOMAIN_CLAIM),
};
const DEAL: Known = Known {
    noun: "deal",
    is: |state| matches!(state, State::Deal(_)),
    by: "id, here or in the system that it came from",
    external: deal::EXTERNAL_CLAIM,
    point: None,
    domain: None,
};

impl<'a> Directory<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self { session }
    }

    pub(crate) async fn lead(&self, said: &str) -> Result<LeadId, Failure> {
        Ok(LeadId(self.one(&LEAD, said).await?.0))
    }

    pub(crate) async fn contact(&self, said: &str) -> Result<ContactId, Failure> {
        Ok(ContactId(self.one(&CONTACT, said).await?.0))
    }

    pub(crate) async fn company(&self, said: &str) -> Result<CompanyId, Failure> {
        Ok(CompanyId(self.one(&COMPANY, said).await?.0))
    }

    /// Nobody is called by an id, so what looks like one must be there.
    pub(crate) async fn known_company(&self, said: &str) -> Result<Option<CompanyId>, Failure> {
        if Uuid::parse_str(said).is_ok() {
            return self.company(said).await.map(Some);
        }
        Ok(self.find(&COMPANY, said).await?.map(|found| CompanyId(found.0)))
    }

    pub(crate) async fn deal(&self, said: &str) -> Result<DealId, Failure> {
        Ok(DealId(self.one(&DEAL, said).await?.0))
    }

    async fn one(&self, known: &Known, said: &str) -> Result<StreamId, Failure> {
        let found = self.find(known, said).await?;
        found.ok_or_else(|| {
            let Known { noun, by, .. } = known;
            Failure::Impossible(format!("there is no {noun} {said:?} in this tenant; name it by its {by}"))
        })
    }

    async fn find(&self, known: &Known, said: &str) -> Result<Option<StreamId>, Failure> {
        if let Ok(id) = Uuid::parse_str(said)
            && let Some(state) = self.state(StreamId(id)).await?
        {
            if (known.is)(&state) {
                return Ok(Some(StreamId(id)));
            }
            let (noun, other) = (known.noun, state.aggregate());
            return Err(Failure::Impossible(format!("{id} is no {noun} but a {other}")));
        }
        let mut found = self.external(known.external, said).await?;
        if let (Some(claim), Some(key)) = (known.point, point(said)) {
            let key = self.session.store.personal_key(self.session.tenant, &key).await?;
            found.extend(self.named_by_id(claim, &key).await?);
        }
        if let Some(claim) = known.domain {
            found.extend(self.named_by_id(claim, &said.to_lowercase()).await?);
        }
        match &found[..] {
            [] => Ok(None),
            [(_, one)] => Ok(Some(*one)),
            several => {
                let names: Vec<_> = several.iter().map(|(name, _)| name.as_str()).collect();
                let (noun, names) = (known.noun, names.join(", "));
                Err(Failure::Impossible(format!("{said:?} is more than one {noun}; name one as {names}")))
            }
        }
    }

    /// Things that have the id in a system that they came from, each with its full name there; `SOURCE:ID` is one.
    async fn external(&self, claim: &str, said: &str) -> Result<Vec<(String, StreamId)>, Failure> {
        if let Some((source, id)) = said.split_once(':') {
            let found = self.holders(claim, &external_key(source, id)).await?;
            if !found.is_empty() {
                return Ok(found.into_iter().map(|stream| (said.to_owned(), stream)).collect());
            }
        }
        let found = self.query(
            "select key, holder from kvali.claim where tenant_id = $1 and kind = $2 \
             and right(key, length($3) + 1) = E'\\x1f' || $3 order by key",
            claim,
            said,
        );
        Ok(found.await?.into_iter().map(|(key, stream)| (key.replace('\u{1f}', ":"), stream)).collect())
    }

    async fn named_by_id(&self, claim: &str, key: &str) -> Result<Vec<(String, StreamId)>, Failure> {
        let found = self.holders(claim, key).await?;
        Ok(found.into_iter().map(|stream| (stream.to_string(), stream)).collect())
    }

    async fn holders(&self, claim: &str, key: &str) -> Result<Vec<StreamId>, Failure> {
        let found = self.query(
            "select key, holder from kvali.claim where tenant_id = $1 and kind = $2 and key = $3 order by holder",
            claim,
            key,
        );
        Ok(found.await?.into_iter().map(|(_, stream)| stream).collect())
    }

    async fn query(
        &self,
        sql: &'static str,
        claim: &str,
        key: &str,
    ) -> Result<Vec<(String, StreamId)>, Failure> {
        let rows = sqlx::query(sql).bind(self.session.tenant.0).bind(claim).bind(key);
        let rows = rows.fetch_all(&mut *self.session.connection().await?).await.map_err(Failure::LookUp)?;
        let found = rows.iter().map(|row| Ok((row.try_get("key")?, StreamId(row.try_get("holder")?))));
        found.collect::<Result<_, sqlx::Error>>().map_err(Failure::LookUp)
    }
}

/// The key by which an e-mail address or a phone number is claimed.
fn point(said: &str) -> Option<String> {
    [Kind::Email, Kind::Phone].into_iter().find_map(|kind| {
        let key = key(&kind, &Personal::new(said), None).ok()?;
        Some(claimed(&kind, &key))
    })
}

/// People.
impl Directory<'_> {
    pub(crate) async fn user(&self, said: &str) -> Result<UserId, Failure> {
        if let Ok(id) = said.parse() {
            return Ok(id);
        }
        let Session { store, tenant, .. } = self.session;
        let mail = store.personal_key(*tenant, &folded(said)).await?;
        if let Some(holder) = self.holders(user::MAIL_CLAIM, &mail).await?.first() {
            return Ok(UserId(holder.0));
        }
        let people = self.people().await?;
        let namesakes: Vec<_> = people.iter().filter(|person| folded(&person.name) == folded(said)).collect();
        match &namesakes[..] {
            [one] => Ok(one.user),
            [] => {
                let names: Vec<_> = people.into_iter().map(|person| person.name).collect();
                Err(unknown("user", said, &names))
            }
            several => {
                let each: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(Failure::Impossible(format!(
                    "several users are called {said:?}; name one by e-mail or id: {}",
                    each.join(", ")
                )))
            }
        }
    }

    /// What is open and a user's: the records by which the log counts it.
    pub(crate) async fn work(&self, user: UserId) -> Result<Vec<Work>, Failure> {
        let (Session { store, tenant, .. }, id) = (self.session, user.to_string());
        if store.counted(*tenant, user::WORK_CLAIM, &id).await? == 0 {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(NAMING).bind(tenant.0).bind(&WORKED_ON[..]).bind(&id);
        let rows = rows.fetch_all(&mut *self.session.connection().await?).await.map_err(Failure::LookUp)?;
        let mut works = Vec::new();
        for row in rows {
            let stream = StreamId(row.try_get("stream_id").map_err(Failure::LookUp)?);
            let claims = self.history(stream).await?.into_iter().flat_map(|event| event.claims());
            let claims = claims.filter(|claim| claim.kind == user::WORK_CLAIM && claim.key == id);
            let counted = claims.fold(0, |counted, claim| match claim.condition {
                Condition::Count => counted + 1,
                Condition::Uncount => counted - 1,
                _ => counted,
            });
            let state = if counted > 0 { self.state(stream).await? } else { None };
            works.extend(state.and_then(|state| match &*state {
                State::Deal(_) => Some(Work::Deal(DealId(stream.0))),
                State::Lead(_) => Some(Work::Lead(LeadId(stream.0))),
                State::Task(_) => Some(Work::Task(TaskId(stream.0))),
                _ => None,
            }));
        }
        Ok(works)
    }

    /// All users whose names can still be read.
    async fn people(&self) -> Result<Vec<Person>, Failure> {
        let rows = sqlx::query(USERS).bind(self.session.tenant.0).bind(&BEGINNINGS[..]);
        let rows = rows.fetch_all(&mut *self.session.connection().await?).await.map_err(Failure::LookUp)?;
        let mut people = Vec::new();
        for row in rows {
            let user = UserId(row.try_get("user_id").map_err(Failure::LookUp)?);
            let history = self.history(user.stream()).await?;
            people.extend(history.into_iter().find_map(|event| match event {
                Event::User(user::Event::Registered(event)) => {
                    Some(Person { user, name: event.name.0?, mail: None })
                }
                Event::User(user::Event::Invited(event)) => {
                    Some(Person { user, name: event.name.0?, mail: event.mail.0 })
                }
                _ => None,
            }));
        }
        Ok(people)
    }
}

/// A user as somebody may mean him.
struct Person {
    user: UserId,
    name: String,
    mail: Option<String>,
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.mail {
            Some(mail) => write!(f, "{} ({mail})", self.user),
            None => self.user.fmt(f),
        }
    }
}

/// The process and its dictionaries.
impl Directory<'_> {
    pub(crate) async fn pipeline(&self, said: &str) -> Result<(PipelineId, Config), Failure> {
        let found = if let Ok(id) = said.parse() {
            Some(id)
        } else {
            let found = self.holders(pipeline::NAME_CLAIM, &folded(said)).await?;
            found.first().map(|stream| PipelineId(stream.0))
        };
        if let Some(id) = found
            && let Some(config) = self.config(id).await?
        {
            return Ok((id, config));
        }
        let all = self.query(
            "select key, holder from kvali.claim where tenant_id = $1 and kind = $2 and $3 = '' order by key",
            pipeline::NAME_CLAIM,
            "",
        );
        let mut accepted = Vec::new();
        for (_, id) in all.await? {
            accepted.extend(self.config(PipelineId(id.0)).await?.map(|config| config.name));
        }
        Err(unknown("pipeline", said, &accepted))
    }

    /// A named funnel that is in force.
    pub(crate) async fn funnel(&self, said: &str) -> Result<FunnelId, Failure> {
        if let Ok(id) = said.parse() {
            return Ok(id);
        }
        if let Some(stream) = self.holders(funnel::NAME_CLAIM, &folded(said)).await?.first() {
            return Ok(FunnelId(stream.0));
        }
        let all = self.query(
            "select key, holder from kvali.claim where tenant_id = $1 and kind = $2 and $3 = '' order by key",
            funnel::NAME_CLAIM,
            "",
        );
        let accepted: Vec<String> = all.await?.into_iter().map(|(key, _)| key).collect();
        Err(unknown("funnel", said, &accepted))
    }

    async fn config(&self, id: PipelineId) -> Result<Option<Config>, Failure> {
        let pipeline: Option<Pipeline> = self.of(id.stream()).await?;
        Ok(pipeline.and_then(|pipeline| pipeline.config().cloned()))
    }

    /// The state of a deal, for what its pipeline calls things.
    pub(crate) async fn pipeline_of(&self, deal: DealId) -> Result<(PipelineId, Config), Failure> {
        let known: Option<deal::Deal> = self.of(deal.stream()).await?;
        let pipeline = known.as_ref().and_then(deal::Deal::record).map(|record| record.pipeline);
        let pipeline = pipeline.ok_or_else(|| Failure::Impossible(format!("{deal} is no deal")))?;
        self.pipeline(&pipeline.to_string()).await
    }

    pub(crate) async fn source(&self, code: &str) -> Result<SourceId, Failure> {
        let all: sources::Sources = self.of(sources::STREAM).await?.unwrap_or_default();
        all.by_code(code).map(|source| source.id).ok_or_else(|| unknown("source", code, &all.codes()))
    }

    pub(crate) async fn tag(&self, name: &str) -> Result<TagId, Failure> {
        let all: tags::Tags = self.of(tags::STREAM).await?.unwrap_or_default();
        all.named(name).map(|tag| tag.id).ok_or_else(|| unknown("tag", name, &all.names()))
    }

    pub(crate) async fn activity_type(&self, code: &str) -> Result<ActivityTypeId, Failure> {
        let all: activity_types::ActivityTypes = self.of(activity_types::STREAM).await?.unwrap_or_default();
        all.by_code(code).map(|known| known.id).ok_or_else(|| {
            unknown(
                "activity type",
                code,
                &all.codes_of(&[activity_types::Kind::Task, activity_types::Kind::Call]),
            )
        })
    }

    /// A reason that is not given is for the domain to ask for.
    pub(crate) async fn loss_reason(&self, code: Option<&String>) -> Result<Option<LossReasonId>, Failure> {
        let Some(code) = code else { return Ok(None) };
        let all: loss_reasons::LossReasons = self.of(loss_reasons::STREAM).await?.unwrap_or_default();
        let found = all.by_code(code).map(|reason| reason.id);
        found.map(Some).ok_or_else(|| unknown("loss reason", code, &all.active_codes()))
    }

    /// The folded state of a stream, if it is of that kind.
    pub(crate) async fn of<A: Aggregate + Clone>(&self, stream: StreamId) -> Result<Option<A>, Failure> {
        Ok(self.state(stream).await?.and_then(|state| A::of(&state).cloned()))
    }

    /// What happened to something, opened as far as its keys still exist.
    pub(crate) async fn history(&self, stream: StreamId) -> Result<Vec<Event>, Failure> {
        let Session { store, tenant, .. } = self.session;
        let events = store.stream(*tenant, stream).await?;
        Ok(store.open(*tenant, events).await?.into_iter().map(|opened| opened.event).collect())
    }

    pub(crate) async fn state(&self, stream: StreamId) -> Result<Option<std::sync::Arc<State>>, Failure> {
        let found = self.session.store.state(self.session.tenant, stream).await?;
        Ok(found.map(|(_, state)| state))
    }
}

/// A task has no number but its id; whether it is there, the domain says.
pub(crate) fn task(said: &str) -> Result<TaskId, Failure> {
    said.parse().map_err(|_| Failure::Impossible(format!("{said:?} is no id of a task")))
}

/// The id of what is named, if something is.
pub(crate) async fn maybe<'a, T>(
    said: Option<&'a str>,
    find: impl AsyncFnOnce(&'a str) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    match said {
        Some(said) => Ok(Some(find(said).await?)),
        None => Ok(None),
    }
}

pub(crate) fn stage(config: &Config, said: &str) -> Result<StageId, Failure> {
    if let Some(stage) = config.stage_named(said) {
        return Ok(stage.id);
    }
    if let Ok(id) = said.parse() {
        return Ok(id);
    }
    let names: Vec<_> = config.in_force().map(|stage| stage.name.clone()).collect();
    Err(unknown("stage", said, &names))
}

fn unknown(noun: &str, said: &str, accepted: &[String]) -> Failure {
    let accepted = if accepted.is_empty() { "none yet".to_owned() } else { accepted.join(", ") };
    Failure::Impossible(format!("there is no {noun} {said:?}; there are: {accepted}"))
}
