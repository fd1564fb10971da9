//! People and teams: whom a question is about, and what they are called.

use super::super::answer::Person;
use super::super::record::{PersonRow, TeamRow};
use super::{Asked, QueryError};
use crate::rows::Tables;
use chrono_tz::Tz;
use kvali_domain::access::Reach;
use kvali_domain::pipeline::folded;
use kvali_domain::{Due, TeamId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(super) struct Who {
    people: BTreeMap<UserId, PersonRow>,
    /// Whom the question is about; `None`: everybody.
    chosen: Option<BTreeSet<UserId>>,
    zone: Tz,
}

impl Who {
    pub(super) async fn load(tables: &mut Tables<'_>, asked: &Asked) -> Result<Self, QueryError> {
        let people = tables.which::<PersonRow>("true order by name", |query| query).await?;
        let of = asked.of.as_deref().map(|name| person(&people, name)).transpose()?;
        let team = match &asked.team {
            Some(name) => {
                Some(team(&tables.which::<TeamRow>("true order by name", |query| query).await?, name)?)
            }
            None => None,
        };
        let chosen = match (of, team) {
            (Some(of), Some(team)) => Some(team.into_iter().filter(|member| *member == of).collect()),
            (of, team) => of.map(|of| BTreeSet::from([of])).or(team),
        };
        let chosen = match &asked.reach {
            Reach::All => chosen,
            Reach::Of(owners) => Some(match chosen {
                Some(chosen) => chosen.intersection(owners).copied().collect(),
                None => BTreeSet::clone(owners),
            }),
        };
        let people = people.into_iter().map(|person| (person.user_id, person)).collect();
        Ok(Self { people, chosen, zone: asked.zone })
    }

    /// For statements: null stands for everybody.
    pub(super) fn ids(&self) -> Option<Vec<Uuid>> {
        self.chosen.as_ref().map(|chosen| chosen.iter().map(|user| user.0).collect())
    }

    pub(super) fn person(&self, id: UserId) -> Person {
        Person { id, name: self.people.get(&id).and_then(|person| person.name.clone()) }
    }

    /// The zone that a due is told in.
    pub(super) fn zone(&self, due: Due, assignee: UserId) -> Tz {
        match due {
            Due::Day { zone, .. } => zone,
            Due::At(_) => self.people.get(&assignee).and_then(|person| person.zone).unwrap_or(self.zone),
        }
    }

    /// Whom the question is about, known or not.
    pub(super) fn everybody(&self) -> BTreeSet<UserId> {
        self.chosen.clone().unwrap_or_else(|| self.people.keys().copied().collect())
    }
}

fn person(people: &[PersonRow], name: &str) -> Result<UserId, QueryError> {
    let said = folded(name);
    let called = |person: &&PersonRow| {
        person.user_id.to_string() == said || person.name.as_deref().is_some_and(|name| folded(name) == said)
    };
    match people.iter().filter(called).collect::<Vec<_>>()[..] {
        [person] => Ok(person.user_id),
        [] => {
            let known = people.iter().filter_map(|person| person.name.clone()).collect();
            Err(QueryError::NoSuchUser { name: name.to_owned(), known })
        }
        ref several => {
            let ids = several.iter().map(|person| person.user_id.to_string()).collect();
            Err(QueryError::SeveralUsers { name: name.to_owned(), ids })
        }
    }
}

/// The members of the team and of the teams below it.
fn team(teams: &[TeamRow], name: &str) -> Result<BTreeSet<UserId>, QueryError> {
    let said = folded(name);
    let found = teams.iter().find(|team| folded(&team.name) == said || team.team_id.to_string() == said);
    let Some(found) = found else {
        let known = teams.iter().map(|team| team.name.clone()).collect();
        return Err(QueryError::NoSuchTeam { name: name.to_owned(), known });
    };
    let mut below: BTreeSet<TeamId> = BTreeSet::from([found.team_id]);
    let is_below = |below: &BTreeSet<TeamId>, team: &&TeamRow| {
        team.parent.is_some_and(|parent| below.contains(&parent)) && !below.contains(&team.team_id)
    };
    while let Some(next) = teams.iter().find(|team| is_below(&below, team)) {
        below.insert(next.team_id);
    }
    Ok(teams
        .iter()
        .filter(|team| below.contains(&team.team_id))
        .flat_map(|team| &team.members)
        .copied()
        .collect())
}
