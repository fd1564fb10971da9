//! Durable subscriptions: the server keeps how far a group of services has come, and what could not be done.

use crate::event::digits;
use crate::{BackOff, Client, Error, Event, SHORT, answered, read};
use chrono::{DateTime, Utc};
use reqwest::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fmt::Display;
use std::time::{Duration, Instant};
use uuid::Uuid;

const WAIT: &str = "30s";
const PATIENCE: Duration = Duration::from_secs(45);

/// A subscription by its name.
#[derive(Clone)]
pub struct Subscription {
    client: Client,
    name: String,
    limit: u16,
    lease: Duration,
}

/// What was given out under one token.
#[derive(Deserialize, Clone, PartialEq, Debug)]
pub struct Batch {
    #[serde(deserialize_with = "digits")]
    pub token: i64,
    pub leased_until: DateTime<Utc>,
    pub events: Vec<Event>,
}

impl Subscription {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name, limit: 100, lease: Duration::from_secs(60) }
    }

    /// Events that are given out at once, at most.
    #[must_use]
    pub fn limit(mut self, limit: u16) -> Self {
        self.limit = limit;
        self
    }

    /// What is not settled by then is given to other members; in whole seconds.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Begins after `from`: `beginning`, `now`, a position or an instant. If it is there already, nothing changes.
    pub async fn create(&self, types: Option<&[&str]>, from: &str) -> Result<(), Error> {
        let body = json!({ "name": self.name, "types": types, "from": from });
        let request = self.client.request(Method::POST, &["v1", "subscriptions"]);
        answered(request.json(&body).timeout(SHORT)).await?;
        Ok(())
    }

    /// The next batch; `None` if nothing came while the server waited.
    pub async fn fetch(&self) -> Result<Option<Batch>, Error> {
        let body = json!({ "limit": self.limit, "lease": self.lease_words(), "wait": WAIT });
        let fetched: Value = read(self.post("fetch", &body, PATIENCE).await?).await?;
        if fetched["token"].is_null() {
            return Ok(None);
        }
        serde_json::from_value(fetched).map(Some).map_err(Error::Answer)
    }

    /// All that is in hand under that token is done.
    pub async fn ack(&self, token: i64) -> Result<(), Error> {
        self.post("ack", &json!({ "token": token }), SHORT).await?;
        Ok(())
    }

    /// The event could not be done: it comes again, with what follows it in its stream, after a pause.
    pub async fn nack(&self, token: i64, position: i64, reason: &str) -> Result<(), Error> {
        let reason: String = reason.chars().filter(|letter| *letter != '\0').take(200).collect();
        let body = json!({ "token": token, "positions": [position], "reason": reason });
        self.post("nack", &body, SHORT).await?;
        Ok(())
    }

    /// Keeps what is in hand for another lease.
    pub async fn extend(&self, token: i64) -> Result<(), Error> {
        self.post("extend", &json!({ "token": token, "lease": self.lease_words() }), SHORT).await?;
        Ok(())
    }

    /// Gives each event to `handle`, in the order of its stream, for ever. One that fails comes again; it may also come
    /// again after it was handled, so handling must do no harm twice.
    pub async fn run<E, F>(&self, mut handle: impl FnMut(Event) -> F) -> Result<(), Error>
    where
        E: Display,
        F: Future<Output = Result<(), E>>,
    {
        let mut back_off = BackOff::new();
        loop {
            let turn = async {
                match self.fetch().await? {
                    Some(batch) => self.work(&batch, &mut handle).await,
                    None => Ok(()),
                }
            };
            match turn.await {
                Ok(()) => back_off = BackOff::new(),
                // Another member has it now, or will be given it.
                Err(Error::Problem { code, .. }) if code == "old_token" => {}
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, subscription = self.name, "following broke off and is taken up again");
                    back_off.rest().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn work<E, F>(&self, batch: &Batch, handle: &mut impl FnMut(Event) -> F) -> Result<(), Error>
    where
        E: Display,
        F: Future<Output = Result<(), E>>,
    {
        let mut failed: HashSet<Uuid> = HashSet::new();
        let mut renewed = Instant::now();
        for event in &batch.events {
            if failed.contains(&event.stream) {
                continue;
            }
            if renewed.elapsed() > self.lease / 3 {
                self.extend(batch.token).await?;
                renewed = Instant::now();
            }
            if let Err(reason) = handle(event.clone()).await {
                let reason = reason.to_string();
                failed.insert(event.stream);
                self.done_before(batch, event).await?;
                self.nack(batch.token, event.position, &reason).await?;
            }
        }
        let streams: HashSet<Uuid> = batch.events.iter().map(|event| event.stream).collect();
        if failed.len() == streams.len() { Ok(()) } else { self.ack(batch.token).await }
    }

    /// What came before in the same stream is done; giving back would give it out again.
    async fn done_before(&self, batch: &Batch, failed: &Event) -> Result<(), Error> {
        let before = batch.events.iter().take_while(|event| event.position < failed.position);
        let positions: Vec<i64> =
            before.filter(|event| event.stream == failed.stream).map(|event| event.position).collect();
        if positions.is_empty() {
            return Ok(());
        }
        self.post("ack", &json!({ "token": batch.token, "positions": positions }), SHORT).await?;
        Ok(())
    }

    fn lease_words(&self) -> String {
        format!("{}s", self.lease.as_secs().max(1))
    }

    async fn post(&self, deed: &str, body: &Value, patience: Duration) -> Result<Response, Error> {
        let request = self.client.request(Method::POST, &["v1", "subscriptions", &self.name, deed]);
        answered(request.json(body).timeout(patience)).await
    }
}
