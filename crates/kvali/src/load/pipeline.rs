//! The pipeline that an import fills: made as the file needs it, or grown by the stages that it lacks.

use super::sink::Sink;
use crate::failure::Failure;
use crate::ids;
use crate::import::map::{self, StageClass};
use kvali_domain::pipeline::{Class, Command, Config, NAME_CLAIM, Policy, Stage, folded};
use kvali_domain::{Order, PipelineId, StageId, State, Version};
use std::collections::HashMap;

/// A pipeline's stages by name.
pub(crate) struct Stages {
    pub(crate) pipeline: PipelineId,
    by_name: HashMap<String, (StageId, Class)>,
    /// Events that its making or growing added.
    pub(crate) events: Vec<(i64, i32)>,
}

impl Stages {
    /// A stage that the pipeline lacks gets an id that its rules refuse by name.
    pub(crate) fn find(&self, name: &str) -> (StageId, Class) {
        let known = self.by_name.get(name).or_else(|| self.by_name.get(&folded(name))).copied();
        known.unwrap_or_else(|| (ids::stage(self.pipeline, name), Class::Process))
    }

    fn new(pipeline: PipelineId, config: &Config, events: Vec<(i64, i32)>) -> Self {
        let stages = config.stages.iter().map(|stage| (folded(&stage.name), (stage.id, stage.class)));
        Self { pipeline, by_name: stages.collect(), events }
    }
}

/// The stages that a file needs, in order, each once.
#[derive(Default)]
pub(crate) struct Wanted(Vec<(String, Class)>);

impl Wanted {
    /// Names from several lists, the first mention deciding place and spelling.
    pub(crate) fn of<'a>(
        names: impl Iterator<Item = &'a String>,
        map: &map::Stages,
    ) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        for name in names {
            if !wanted.has(name) {
                wanted.0.push((name.clone(), class(map, name)));
            }
        }
        wanted.one_success()?;
        Ok(wanted)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| folded(other) == folded(name))
    }

    fn one_success(&self) -> Result<(), Failure> {
        let success: Vec<_> =
            self.0.iter().filter(|(_, class)| *class == Class::Success).map(|(name, _)| name).collect();
        if let [first, second, ..] = success[..] {
            return Err(Failure::Impossible(format!(
                "the map has two success stages, {first:?} and {second:?}, and a pipeline has one; \
                 say under [outcomes] that {second:?} means {first:?}"
            )));
        }
        Ok(())
    }

    /// A pipeline needs a way to end well and one to end badly, even if the file never takes it.
    fn completed(mut self) -> Self {
        for (class, name) in [(Class::Success, "Won"), (Class::Failure, "Lost")] {
            if !self.0.iter().any(|(_, other)| *other == class) {
                let unused = self.unused(name);
                self.0.push((unused, class));
            }
        }
        self
    }

    fn unused(&self, name: &str) -> String {
        let numbered = (2..).map(|n| format!("{name} (closed {n})"));
        let candidates = [name.to_owned(), format!("{name} (closed)")].into_iter().chain(numbered);
        candidates.into_iter().find(|name| !self.has(name)).expect("there are more numbers than stages")
    }
}

fn class(map: &map::Stages, name: &str) -> Class {
    match map.class(name) {
        StageClass::Process => Class::Process,
        StageClass::Success => Class::Success,
        StageClass::Failure => Class::Failure,
    }
}

/// Sees to it that the pipeline called `name` is there with the `wanted` stages.
pub(crate) async fn ensure(sink: &mut Sink<'_>, name: &str, wanted: Wanted) -> Result<Stages, Failure> {
    let holder = sink.holder(NAME_CLAIM, &folded(name)).await?;
    let id = holder.map_or_else(|| ids::pipeline(name), |stream| PipelineId(stream.0));
    let mut events = Vec::new();
    match configured(sink, id).await? {
        None => create(sink, id, name, wanted.completed(), &mut events).await?,
        Some((_, config)) if holder.is_none() => {
            return Err(Failure::Impossible(format!(
                "the pipeline that was made as {name:?} is called {:?} now; import into --pipeline {:?}",
                config.name, config.name
            )));
        }
        Some((version, config)) => grow(sink, id, version, &config, wanted, &mut events).await?,
    }
    let (_, config) = configured(sink, id).await?.expect("the pipeline was there or has just been made");
    Ok(Stages::new(id, &config, events))
}

async fn configured(sink: &Sink<'_>, id: PipelineId) -> Result<Option<(Version, Config)>, Failure> {
    let Some((version, state)) = sink.state(id.stream()).await? else { return Ok(None) };
    match &*state {
        State::Pipeline(pipeline) => Ok(pipeline.config().map(|config| (version, config.clone()))),
        _ => Ok(None),
    }
}

async fn create(
    sink: &mut Sink<'_>,
    id: PipelineId,
    name: &str,
    wanted: Wanted,
    events: &mut Vec<(i64, i32)>,
) -> Result<(), Failure> {
    let stages: Vec<Stage> =
        wanted.0.into_iter().map(|(name, class)| Stage { id: ids::stage(id, &name), name, class }).collect();
    let entry_stages = process(&stages);
    let command = Command::Create { name: name.to_owned(), stages, entry_stages, policy: Policy::PERMISSIVE };
    let order = Order { stream: id.stream(), command: command.into() };
    let answer = sink.must("creating the pipeline", order, 0).await?;
    events.extend(super::report::new_events(&answer));
    Ok(())
}

/// Adds stages only to a pipeline that imports fill. Any other is somebody's design: rows that do not fit it are
/// refused, one by one.
async fn grow(
    sink: &mut Sink<'_>,
    id: PipelineId,
    mut version: Version,
    config: &Config,
    wanted: Wanted,
    events: &mut Vec<(i64, i32)>,
) -> Result<(), Failure> {
    let missing = wanted.0.into_iter().filter(|(name, _)| config.stage_named(name).is_none());
    let missing: Vec<Stage> =
        missing.map(|(name, class)| Stage { id: ids::stage(id, &name), name, class }).collect();
    if config.policy != Policy::PERMISSIVE || missing.is_empty() {
        return Ok(());
    }
    let mut entry_stages = config.entry_stages.clone();
    entry_stages.extend(process(&missing));
    let additions = missing.into_iter().map(|stage| Command::AddStage { stage, before: None });
    for command in additions.chain([Command::SetEntryStages { stages: entry_stages }]) {
        let order = Order { stream: id.stream(), command: command.into() };
        let answer = sink.must("adding the file's stages to the pipeline", order, version).await?;
        events.extend(super::report::new_events(&answer));
        version += answer.event_count;
    }
    Ok(())
}

fn process(stages: &[Stage]) -> Vec<StageId> {
    stages.iter().filter(|stage| stage.class == Class::Process).map(|stage| stage.id).collect()
}
