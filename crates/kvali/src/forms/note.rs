//! `kvali note`: what should be remembered.

use super::given::{About, from_word, words};
use super::{By, Directory, Form, order};
use crate::failure::Failure;
use clap::Subcommand;
use kvali_domain::note::{Command, Visibility};
use kvali_domain::{NoteId, Order};

#[derive(Subcommand)]
pub(crate) enum Note {
    /// Add a note about one deal, lead, contact or company
    Add {
        text: String,
        #[command(flatten)]
        about: About,
        #[arg(long, value_parser = from_word::<Visibility>, value_name = "team|private|all", default_value = "team")]
        visibility: Visibility,
    },
}

impl Form for Note {
    async fn orders(&self, directory: &Directory<'_>, by: &By) -> Result<Vec<Order>, Failure> {
        let Self::Add { text, about, visibility } = self;
        let [about] = about.targets(directory).await?[..] else {
            let words = "say what the note is about: one --deal, --lead, --contact or --company";
            return Err(Failure::Impossible(words.to_owned()));
        };
        let add = Command::Add { about, text: words(Some(text)), visibility: *visibility };
        Ok(vec![order(NoteId(by.id("note")).stream(), add)])
    }
}
