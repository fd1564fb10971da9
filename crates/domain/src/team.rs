//! A team: its members, its manager, and the team that it belongs to.

use crate::decider::{Describe, changed, commands, events};
use crate::pipeline::folded;
use crate::{Claim, Decider, Given, Occurred, Reads, TeamId, UserId, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

commands! {
    /// The name is unique and not blank; the parent team exists.
    "CreateTeam" = Create {
        name: String,
        /// The team that it belongs to.
        #[serde(default)]
        parent: Option<TeamId>,
    } => [Created],
    /// The team exists; the name is unique and not blank.
    "RenameTeam" = Rename { name: String } => [Renamed],
    /// The team exists; the user is registered and active.
    "AddTeamMember" = AddMember { member: UserId } => [MemberAdded],
    /// The team exists.
    "RemoveTeamMember" = RemoveMember { member: UserId } => [MemberRemoved],
    /// The team exists; the manager is registered and active, and need not be a member.
    "SetManager" = SetManager { manager: UserId } => [ManagerSet],
    /// The chain names the new parent team, its parent, and so on up to a team that has none; the team itself is not in
    /// it. An empty chain: no parent.
    "SetParentTeam" = SetParent { chain: Vec<TeamId> } => [ParentSet],
}

events! {
    Created = "team.created",
    Renamed = "team.renamed",
    MemberAdded = "team.member_added",
    MemberRemoved = "team.member_removed",
    ManagerSet = "team.manager_set",
    ParentSet = "team.parent_set",
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parent: Option<TeamId>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Renamed {
    pub from: String,
    pub to: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MemberAdded {
    pub member: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MemberRemoved {
    pub member: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ManagerSet {
    pub from: Option<UserId>,
    pub to: UserId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ParentSet {
    pub from: Option<TeamId>,
    pub to: Option<TeamId>,
}

/// The claim that keeps team names unique, whatever their case.
pub const NAME_CLAIM: &str = "team.name";

/// The claims by which the teams of a member, the teams of a manager, and the teams below a team are found.
pub const MEMBER_CLAIM: &str = "team.member";
pub const MANAGER_CLAIM: &str = "team.manager";
pub const PARENT_CLAIM: &str = "team.parent";

impl Describe for Event {
    fn claims(&self) -> Vec<Claim> {
        match self {
            Self::Created(event) => {
                let below = event.parent.map(|parent| Claim::join(PARENT_CLAIM, parent.to_string()));
                below.into_iter().chain([Claim::take(NAME_CLAIM, folded(&event.name))]).collect()
            }
            Self::Renamed(event) if folded(&event.from) == folded(&event.to) => Vec::new(),
            Self::Renamed(event) => vec![
                Claim::release(NAME_CLAIM, folded(&event.from)),
                Claim::take(NAME_CLAIM, folded(&event.to)),
            ],
            Self::MemberAdded(event) => vec![Claim::join(MEMBER_CLAIM, event.member.to_string())],
            Self::MemberRemoved(event) => vec![Claim::release(MEMBER_CLAIM, event.member.to_string())],
            Self::ManagerSet(event) => moved(MANAGER_CLAIM, event.from, Some(event.to)),
            Self::ParentSet(event) => moved(PARENT_CLAIM, event.from, event.to),
        }
    }
}

fn moved(kind: &'static str, from: Option<impl ToString>, to: Option<impl ToString>) -> Vec<Claim> {
    let from = from.map(|from| Claim::release(kind, from.to_string()));
    from.into_iter().chain(to.map(|to| Claim::join(kind, to.to_string()))).collect()
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    #[error("this team does not exist; create it first")]
    NoSuchTeam,
    #[error("this team exists already as {name:?}; change it with its own commands")]
    AlreadyExists { name: String },
    #[error("name is empty; give it at least one visible character")]
    BlankName,
    #[error("user {user} is not a registered, active user; name one who is")]
    NotActive { user: UserId },
    #[error("team {team} does not exist; name one that does")]
    NoSuchParent { team: TeamId },
    #[error("team {team} would come to stand above itself; choose a parent outside of it")]
    Cycle { team: TeamId },
    #[error("the chain breaks at team {team}: above it stands {}; name every team up to one without a parent", above(*.parent))]
    BrokenChain { team: TeamId, parent: Option<TeamId> },
}

fn above(parent: Option<TeamId>) -> String {
    parent.map_or_else(|| "none".to_owned(), |parent| format!("team {parent}"))
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Team {
    #[default]
    Absent,
    Formed(Record),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub name: String,
    pub parent: Option<TeamId>,
    /// In the order of joining.
    pub members: Vec<UserId>,
    pub manager: Option<UserId>,
}

impl Team {
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Absent => None,
            Self::Formed(record) => Some(record),
        }
    }
}

impl Decider for Team {
    const AGGREGATE: &'static str = "team";
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn begins(command: &Command) -> bool {
        matches!(command, Command::Create { .. })
    }

    fn reads(&self, command: &Command) -> Vec<Reads> {
        let teams = |teams: &[TeamId]| teams.iter().map(|team| Reads::Team(team.stream())).collect();
        match command {
            Command::Create { parent, .. } => teams(parent.as_slice()),
            Command::SetParent { chain } => teams(chain),
            Command::AddMember { member: user } | Command::SetManager { manager: user } => {
                vec![Reads::User(user.stream())]
            }
            Command::Rename { .. } | Command::RemoveMember { .. } => Vec::new(),
        }
    }

    fn decide(&self, command: &Command, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (_, Command::Create { name, .. } | Command::Rename { name }) if name.trim().is_empty() => {
                Err(Refusal::BlankName)
            }
            (Self::Absent, Command::Create { name, parent }) => create(name, *parent, given),
            (Self::Absent, _) => Err(Refusal::NoSuchTeam),
            (Self::Formed(team), Command::Create { name, parent }) => {
                let same = team.name == *name && team.parent == *parent;
                let otherwise = || Refusal::AlreadyExists { name: team.name.clone() };
                if same { Ok(Vec::new()) } else { Err(otherwise()) }
            }
            (Self::Formed(team), Command::Rename { name }) => {
                let event = Renamed { from: team.name.clone(), to: name.clone() };
                Ok(changed(team.name != *name, Event::Renamed(event)))
            }
            (Self::Formed(team), Command::AddMember { member }) if team.members.contains(member) => {
                Ok(Vec::new())
            }
            (Self::Formed(_), Command::AddMember { member }) => {
                active(*member, given)?;
                Ok(vec![Event::MemberAdded(MemberAdded { member: *member })])
            }
            (Self::Formed(team), Command::RemoveMember { member }) => Ok(changed(
                team.members.contains(member),
                Event::MemberRemoved(MemberRemoved { member: *member }),
            )),
            (Self::Formed(team), Command::SetManager { manager }) if team.manager == Some(*manager) => {
                Ok(Vec::new())
            }
            (Self::Formed(team), Command::SetManager { manager }) => {
                active(*manager, given)?;
                Ok(vec![Event::ManagerSet(ManagerSet { from: team.manager, to: *manager })])
            }
            (Self::Formed(team), Command::SetParent { chain }) => set_parent(team, chain, given),
        }
    }

    fn evolve(&mut self, event: &Event, _: Version, _: &Occurred) {
        match (&mut *self, event) {
            (_, Event::Created(event)) => {
                let (name, parent) = (event.name.clone(), event.parent);
                *self = Self::Formed(Record { name, parent, members: Vec::new(), manager: None });
            }
            (Self::Absent, _) => {}
            (Self::Formed(team), event) => team.evolve(event),
        }
    }
}

impl Record {
    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Created(_) => {}
            Event::Renamed(event) => self.name.clone_from(&event.to),
            Event::MemberAdded(event) => self.members.push(event.member),
            Event::MemberRemoved(event) => self.members.retain(|member| *member != event.member),
            Event::ManagerSet(event) => self.manager = Some(event.to),
            Event::ParentSet(event) => self.parent = event.to,
        }
    }
}

/// A team that does not exist yet stands above nobody, so its parent closes no cycle.
fn create(name: &str, parent: Option<TeamId>, given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    if let Some(parent) = parent {
        formed(parent, given)?;
    }
    Ok(vec![Event::Created(Created { name: name.to_owned(), parent })])
}

/// Every link of the chain is read, so that of two commands that would close a cycle together one is decided anew.
fn set_parent(team: &Record, chain: &[TeamId], given: &Given<'_>) -> Result<Vec<Event>, Refusal> {
    for (at, link) in chain.iter().enumerate() {
        if link.stream() == given.stream {
            return Err(Refusal::Cycle { team: *link });
        }
        let parent = formed(*link, given)?.parent;
        if parent != chain.get(at + 1).copied() {
            return Err(Refusal::BrokenChain { team: *link, parent });
        }
    }
    let to = chain.first().copied();
    Ok(changed(team.parent != to, Event::ParentSet(ParentSet { from: team.parent, to })))
}

fn formed<'a>(team: TeamId, given: &Given<'a>) -> Result<&'a Record, Refusal> {
    let facts = given.facts;
    facts.get::<Team>(team.stream()).and_then(Team::record).ok_or(Refusal::NoSuchParent { team })
}

fn active(user: UserId, given: &Given<'_>) -> Result<(), Refusal> {
    if given.is_active(user) { Ok(()) } else { Err(Refusal::NotActive { user }) }
}
