//! Names for the ids in the log: of people, opened where their keys still exist, and of stages as they were called.

use crate::connect::Session;
use crate::failure::Failure;
use crate::ids;
use kvali_domain::pipeline::{Class, Config, Pipeline};
use kvali_domain::{ActorId, Event, LossReasonId, PipelineId, StageId, State, UserId, Version};
use kvali_domain::{Decider, loss_reasons, user};
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct Names<'a> {
    session: &'a Session,
    people: HashMap<UserId, String>,
    pipelines: HashMap<PipelineId, Vec<(Version, Config)>>,
    reasons: Option<Arc<State>>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self { session, people: HashMap::new(), pipelines: HashMap::new(), reasons: None }
    }

    pub(crate) async fn actor(&mut self, actor: ActorId) -> Result<String, Failure> {
        match actor {
            actor if actor == ids::importer() => Ok("import".to_owned()),
            actor if actor == ids::operator() => Ok("cli".to_owned()),
            actor => self.user(UserId(actor.0)).await,
        }
    }

    /// The name of a user; of one whose key is destroyed, or whom the log does not know, the id.
    pub(crate) async fn user(&mut self, id: UserId) -> Result<String, Failure> {
        if let Some(name) = self.people.get(&id) {
            return Ok(name.clone());
        }
        let Session { store, tenant, .. } = self.session;
        let events = store.stream(*tenant, id.stream()).await?;
        let opened = store.open(*tenant, events).await?;
        let name = opened.into_iter().rev().find_map(|opened| match opened.event {
            Event::User(user::Event::Registered(registered)) => registered.name.0,
            Event::User(user::Event::Invited(invited)) => invited.name.0,
            _ => None,
        });
        let name = name.unwrap_or_else(|| id.to_string());
        self.people.insert(id, name.clone());
        Ok(name)
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
        if self.reasons.is_none() {
            let Session { store, tenant, .. } = self.session;
            let state = store.state(*tenant, loss_reasons::STREAM).await?;
            self.reasons = state.map(|(_, state)| state);
        }
        let label = match self.reasons.as_deref() {
            Some(State::LossReasons(reasons)) => reasons.get(id).map(|reason| reason.label.clone()),
            _ => None,
        };
        Ok(label.unwrap_or_else(|| id.to_string()))
    }
}
