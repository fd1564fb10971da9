//! `kvali merge`: records of one kind become one, and are told apart again.

use super::{By, Directory, Form, order};
use crate::failure::Failure;
use clap::{Args, Subcommand, ValueEnum};
use kvali_domain::merge::{self, Choice, Compared, Preview, Seen};
use kvali_domain::{Command, Order, State, StreamId, company, contact, deal, lead};
use std::sync::Arc;
use uuid::Uuid;

#[derive(Subcommand)]
pub(crate) enum Merge {
    /// Merge contacts into the first one
    Contacts(Records),
    /// Merge companies into the first one
    Companies(Records),
    /// Merge leads into the first one
    Leads(Records),
    /// Merge deals into the first one
    Deals(Records),
    /// Undo a merge: the others are records of their own again
    Undo {
        kind: Kind,
        /// Whoever the others were merged into
        survivor: String,
        /// Which merge of it, from 1
        #[arg(default_value_t = 1)]
        merge: i32,
        /// Undo its later merges as well
        #[arg(long)]
        chain: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    Contacts,
    Companies,
    Leads,
    Deals,
}

#[derive(Args)]
pub(crate) struct Records {
    /// The record that stays
    survivor: String,
    /// Those that go into it
    #[arg(required = true)]
    others: Vec<String>,
    /// Whose value stays of a field in conflict, such as owner=RECORD; `kvali merge preview` shows the conflicts
    #[arg(long, value_name = "FIELD=RECORD")]
    take: Vec<String>,
    /// Of all other fields in conflict the first record's value stays, if it has one
    #[arg(long)]
    keep: bool,
}

impl Kind {
    /// The stream of what somebody means.
    pub(crate) async fn find(self, directory: &Directory<'_>, said: &str) -> Result<StreamId, Failure> {
        Ok(match self {
            Self::Contacts => directory.contact(said).await?.stream(),
            Self::Companies => directory.company(said).await?.stream(),
            Self::Leads => directory.lead(said).await?.stream(),
            Self::Deals => directory.deal(said).await?.stream(),
        })
    }

    fn undo(self, unmerge: merge::Unmerge) -> Command {
        match self {
            Self::Contacts => contact::Command::Unmerge(unmerge).into(),
            Self::Companies => company::Command::Unmerge(unmerge).into(),
            Self::Leads => lead::Command::Unmerge(unmerge).into(),
            Self::Deals => deal::Command::Unmerge(unmerge).into(),
        }
    }

    fn merge(self, asked: &Asked) -> Command {
        match self {
            Self::Contacts => contact::Command::Merge(asked.of()).into(),
            Self::Companies => company::Command::Merge(asked.of()).into(),
            Self::Leads => lead::Command::Merge(asked.of()).into(),
            Self::Deals => deal::Command::Merge(asked.of()).into(),
        }
    }
}

/// A merge, whatever kind of record it is about.
struct Asked {
    losers: Vec<StreamId>,
    seen: Vec<Seen<Uuid>>,
    choices: Vec<Choice<Uuid>>,
}

impl Asked {
    fn of<I: From<Uuid>>(&self) -> merge::Merge<I> {
        let seen = |seen: &Seen<Uuid>| Seen { id: seen.id.into(), version: seen.version };
        let choice = |choice: &Choice<Uuid>| Choice { field: choice.field.clone(), from: choice.from.into() };
        merge::Merge {
            losers: self.losers.iter().map(|loser| loser.0.into()).collect(),
            seen: self.seen.iter().map(seen).collect(),
            choices: self.choices.iter().map(choice).collect(),
        }
    }
}

/// The records side by side, the survivor first.
pub(crate) async fn preview(
    directory: &Directory<'_>,
    kind: Kind,
    said: &[&String],
) -> Result<(Vec<StreamId>, Preview), Failure> {
    let (mut streams, mut states): (Vec<StreamId>, Vec<Arc<State>>) = (Vec::new(), Vec::new());
    for said in said {
        let mut stream = kind.find(directory, said).await?;
        let nobody = || Failure::Impossible(format!("there is nothing to merge under {said:?}"));
        let mut state = directory.state(stream).await?.ok_or_else(nobody)?;
        // The survivor of an earlier merge stands for whoever went into it; a loser must be named itself.
        while let Some(into) = state.merged_into().filter(|_| streams.is_empty()) {
            stream = into;
            state = directory.state(stream).await?.ok_or_else(nobody)?;
        }
        streams.push(stream);
        states.push(state);
    }
    let records: Vec<_> = streams.iter().copied().zip(states.iter().map(|state| &**state)).collect();
    let preview = merge::preview_of(&records)
        .ok_or_else(|| Failure::Impossible("these are not records of one kind".to_owned()))?;
    Ok((streams, preview))
}

impl Records {
    async fn orders(&self, directory: &Directory<'_>, kind: Kind) -> Result<Vec<Order>, Failure> {
        let said: Vec<&String> = [&self.survivor].into_iter().chain(&self.others).collect();
        let (streams, preview) = preview(directory, kind, &said).await?;
        let mut choices = Vec::new();
        for take in &self.take {
            let (field, from) = take.split_once('=').ok_or_else(|| {
                Failure::Impossible(format!("--take {take:?} is not FIELD=RECORD, such as owner=RECORD"))
            })?;
            let from = kind.find(directory, from).await?.0;
            choices.push(Choice { field: field.to_owned(), from });
        }
        if self.keep {
            let taken = |field: &Compared| choices.iter().any(|choice| choice.field == field.field);
            let open = preview.fields.iter().filter(|field| field.conflict && !taken(field));
            let own = open.filter(|field| field.values.iter().any(|(id, _)| *id == streams[0].0));
            let kept: Vec<_> =
                own.map(|field| Choice { field: field.field.clone(), from: streams[0].0 }).collect();
            choices.extend(kept);
        }
        let asked = Asked { losers: streams[1..].to_vec(), seen: preview.seen, choices };
        Ok(vec![order(streams[0], kind.merge(&asked))])
    }
}

impl Form for Merge {
    async fn orders(&self, directory: &Directory<'_>, _: &By) -> Result<Vec<Order>, Failure> {
        match self {
            Self::Contacts(records) => records.orders(directory, Kind::Contacts).await,
            Self::Companies(records) => records.orders(directory, Kind::Companies).await,
            Self::Leads(records) => records.orders(directory, Kind::Leads).await,
            Self::Deals(records) => records.orders(directory, Kind::Deals).await,
            Self::Undo { kind, survivor, merge, chain } => {
                let unmerge = merge::Unmerge { merge: *merge, chain: *chain };
                Ok(vec![order(kind.find(directory, survivor).await?, kind.undo(unmerge))])
            }
        }
    }
}
