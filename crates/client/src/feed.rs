//! The feed: for one reader, who keeps its cursor itself, in the same transaction as what it makes of the events.

use crate::{BackOff, Client, Error, Event, answered, read};
use reqwest::Method;
use std::time::Duration;

/// How long the server waits for an event; the client waits somewhat longer.
const WAIT: &str = "30s";
const PATIENCE: Duration = Duration::from_secs(45);
const CURSOR: &str = "kvali-cursor";

/// A reader of the log.
pub struct Feed {
    client: Client,
    cursor: String,
    types: Option<String>,
    limit: u16,
}

/// Events, and where to go on after them.
#[derive(Clone, Debug)]
pub struct Page {
    pub events: Vec<Event>,
    /// To be kept once the events are dealt with: `Client::feed` goes on after it.
    pub cursor: String,
}

impl Feed {
    pub(crate) fn new(client: Client, cursor: String) -> Self {
        Self { client, cursor, types: None, limit: 500 }
    }

    /// Only these: `deal.won`, or `deal.*` for all of an aggregate's.
    #[must_use]
    pub fn types(mut self, types: &[&str]) -> Self {
        self.types = Some(types.join(","));
        self
    }

    /// Events in a page, at most.
    #[must_use]
    pub fn limit(mut self, limit: u16) -> Self {
        self.limit = limit;
        self
    }

    /// The next page, which has at least one event: waits for one, and comes back when the server was away.
    pub async fn next(&mut self) -> Result<Page, Error> {
        let mut back_off = BackOff::new();
        loop {
            match self.ask().await {
                Ok(page) if page.events.is_empty() => back_off = BackOff::new(),
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "the feed broke off and is taken up again");
                    back_off.rest().await;
                }
                page => return page,
            }
        }
    }

    async fn ask(&mut self) -> Result<Page, Error> {
        let limit = self.limit.to_string();
        let mut query = vec![("after", &*self.cursor), ("limit", &limit), ("wait", WAIT)];
        query.extend(self.types.as_deref().map(|types| ("types", types)));
        let request = self.client.request(Method::GET, &["v1", "events"]).query(&query).timeout(PATIENCE);
        let response = answered(request).await?;
        let cursor = response.headers().get(CURSOR).and_then(|cursor| cursor.to_str().ok());
        let cursor = cursor.map_or_else(|| self.cursor.clone(), str::to_owned);
        let events = read(response).await?;
        self.cursor.clone_from(&cursor);
        Ok(Page { events, cursor })
    }
}
