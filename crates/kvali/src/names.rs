//! Names for the ids in the log: of people, opened where their keys still exist, and of stages as they were called.

use crate::connect::Session;
use crate::failure::Failure;
use crate::ids;
use kvali_domain::deal::OpenDeal;
use kvali_domain::pipeline::{Class, Config, Pipeline};
use kvali_domain::{
    ActorId, Decider, Event, FieldId, LossReasonId, PipelineId, StageId, State, StreamId, TagId, UserId,
    Version, fields, loss_reasons, tags,
};
use kvali_eventstore::project::TIMER;
use std::collections::HashMap;
use std::sync::Arc;

/// Personal values that say what their bearer is called.
const NAMES: [&str; 5] = ["given", "family", "full", "name", "subject"];

pub(crate) struct Names<'a> {
    session: &'a Session,
    called: HashMap<StreamId, String>,
    pipelines: HashMap<PipelineId, Vec<(Version, Config)>>,
    deals: HashMap<StreamId, Option<Arc<OpenDeal>>>,
    dictionaries: HashMap<StreamId, Arc<State>>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self {
            session,
            called: HashMap::new(),
            pipelines: HashMap::new(),
            deals: HashMap::new(),
            dictionaries: HashMap::new(),
        }
    }

    pub(crate) async fn actor(&mut self, actor: ActorId) -> Result<String, Failure> {
        match actor {
            actor if actor == ids::importer() => Ok("import".to_owned()),
            actor if actor == ids::operator() => Ok("cli".to_owned()),
            actor if actor == TIMER => Ok("timer".to_owned()),
            actor => self.user(UserId(actor.0)).await,
        }
    }

    /// The name of a user; of one whose key is destroyed, or whom the log does not know, the id.
    pub(crate) async fn user(&mut self, id: UserId) -> Result<String, Failure> {
        self.of(id.stream()).await
    }

    /// What a person, a company or a task was called last; the id, if nobody can read it any more.
    pub(crate) async fn of(&mut self, stream: StreamId) -> Result<String, Failure> {
        if let Some(name) = self.called.get(&stream) {
            return Ok(name.clone());
        }
        let Session { store, tenant, .. } = self.session;
        let events = store.stream(*tenant, stream).await?;
        let mut name = None;
        for mut opened in store.open(*tenant, events).await? {
            let found = opened.event.personal();
            let said = found.iter().filter(|found| NAMES.contains(&found.field));
            let said: Vec<&str> = said.filter_map(|found| found.value.as_deref()).collect();
            name = (!said.is_empty()).then(|| said.join(" ")).or(name);
        }
        let name = name.unwrap_or_else(|| stream.to_string());
        self.called.insert(stream, name.clone());
        Ok(name)
    }

    pub(crate) async fn tag(&mut self, id: TagId) -> Result<String, Failure> {
        let name = match self.dictionary(tags::STREAM).await?.as_deref() {
            Some(State::Tags(tags)) => tags.get(id).map(|tag| tag.name.clone()),
            _ => None,
        };
        Ok(name.unwrap_or_else(|| id.to_string()))
    }

    pub(crate) async fn field(&mut self, id: FieldId) -> Result<String, Failure> {
        let label = match self.dictionary(fields::STREAM).await?.as_deref() {
            Some(State::Fields(fields)) => fields.get(id).map(|field| field.label.clone()),
            _ => None,
        };
        Ok(label.unwrap_or_else(|| id.to_string()))
    }

    /// What a stage was called in that version of its pipeline.
    pub(crate) async fn stage(
        &mut self,
        pipeline: PipelineId,
        version: Version,
        stage: StageId,
    ) -> Result<String, Failure> {
        Ok(self.known(pipeline, version, stage).await?.map_or_else(|| stage.to_string(), |(name, _)| name))
    }

    async fn known(
        &mut self,
        pipeline: PipelineId,
        version: Version,
        stage: StageId,
    ) -> Result<Option<(String, Class)>, Failure> {
        let versions = self.versions(pipeline).await?;
        let config = versions.iter().rev().find(|(of, _)| *of <= version);
        let stage = config.and_then(|(_, config)| config.stage(stage));
        Ok(stage.map(|stage| (stage.name.clone(), stage.class)))
    }

    /// The configuration in force now.
    pub(crate) async fn pipeline(&mut self, pipeline: PipelineId) -> Result<Option<&Config>, Failure> {
        Ok(self.versions(pipeline).await?.last().map(|(_, config)| config))
    }

    /// What a pipeline is called now.
    pub(crate) async fn pipeline_name(&mut self, pipeline: PipelineId) -> Result<String, Failure> {
        let config = self.pipeline(pipeline).await?;
        Ok(config.map_or_else(|| pipeline.to_string(), |config| config.name.clone()))
    }

    /// A deal as it stands now; none if that is no deal.
    pub(crate) async fn deal(&mut self, deal: StreamId) -> Result<Option<Arc<OpenDeal>>, Failure> {
        if !self.deals.contains_key(&deal) {
            let state = self.session.store.state(self.session.tenant, deal).await?;
            let record = state.and_then(|(_, state)| match &*state {
                State::Deal(deal) => deal.record().cloned().map(Arc::new),
                _ => None,
            });
            self.deals.insert(deal, record);
        }
        Ok(self.deals.get(&deal).cloned().flatten())
    }

    async fn versions(&mut self, id: PipelineId) -> Result<&[(Version, Config)], Failure> {
        if !self.pipelines.contains_key(&id) {
            let Session { store, tenant, .. } = self.session;
            let events = store.stream(*tenant, id.stream()).await?;
            let mut state = Pipeline::default();
            let mut versions = Vec::new();
            for opened in store.open(*tenant, events).await? {
                let Event::Pipeline(event) = opened.event else { continue };
                let version = opened.recorded.version;
                state.evolve(&event, version, &opened.recorded.occurred);
                versions.extend(state.config().map(|config| (version, config.clone())));
            }
            self.pipelines.insert(id, versions);
        }
        Ok(self.pipelines.get(&id).map_or(&[], Vec::as_slice))
    }

    pub(crate) async fn loss_reason(&mut self, id: LossReasonId) -> Result<String, Failure> {
        let label = match self.dictionary(loss_reasons::STREAM).await?.as_deref() {
            Some(State::LossReasons(reasons)) => reasons.get(id).map(|reason| reason.label.clone()),
            _ => None,
        };
        Ok(label.unwrap_or_else(|| id.to_string()))
    }

    async fn dictionary(&mut self, stream: StreamId) -> Result<Option<Arc<State>>, Failure> {
        if !self.dictionaries.contains_key(&stream) {
            let state = self.session.store.state(self.session.tenant, stream).await?;
            self.dictionaries.extend(state.map(|(_, state)| (stream, state)));
        }
        Ok(self.dictionaries.get(&stream).cloned())
    }
}
