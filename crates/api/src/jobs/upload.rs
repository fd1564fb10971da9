//! `POST /v1/jobs`: rows are read as they come and kept sealed, a part at a time; what is sent is never held whole.

use super::lines::Lines;
use super::row::Read;
use super::sheet::Sheet;
use super::told;
use crate::commands::{Said, word};
use crate::error::Problem;
use crate::fields::right;
use crate::principal::{Principal, command_id};
use crate::query::Query;
use crate::{Api, edge};
use axum::Json;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use kvali_eventstore::job::{Known, NewJob, Receipt, Receiving};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use uuid::Uuid;

/// Rows, and bytes of them, that are carried out together.
const ROWS_OF_PART: usize = 1_000;
const BYTES_OF_PART: usize = 1024 * 1024;
/// Jobs of a tenant that have not ended, at most.
const MOST_OPEN: i64 = 100;
/// Whoever sends nothing for so long has broken off.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// Of a table: what every row is done to, such as `company`.
    aggregate: Option<String>,
    /// Of a table: the command that every row is, such as `create-company`.
    command: Option<String>,
    /// Decide every row, and write nothing.
    #[serde(default)]
    dry_run: bool,
}

/// How rows are written.
enum Form {
    Lines,
    /// As paths have them, and the command's permanent word.
    Table {
        aggregate: String,
        command: String,
        name: &'static str,
    },
}

impl Form {
    fn of(headers: &HeaderMap, asked: &Asked) -> Result<Self, Problem> {
        if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(unsupported("send it without Content-Encoding"));
        }
        let media =
            headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match (media.as_str(), &asked.aggregate, &asked.command) {
            ("application/x-ndjson" | "application/ndjson" | "application/jsonl", None, None) => {
                Ok(Self::Lines)
            }
            ("application/x-ndjson" | "application/ndjson" | "application/jsonl", ..) => {
                let detail = "each line says its aggregate and command; leave them out of the query";
                let field = if asked.aggregate.is_some() { "aggregate" } else { "command" };
                Err(Problem::malformed(field, detail))
            }
            ("text/csv", Some(aggregate), Some(command)) => {
                let name = word(aggregate, command)?;
                Ok(Self::Table { aggregate: aggregate.clone(), command: command.clone(), name })
            }
            ("text/csv", aggregate, _) => {
                let detail = "say which command each row is: ?aggregate=company&command=create-company";
                let field = if aggregate.is_none() { "aggregate" } else { "command" };
                Err(Problem::malformed(field, detail))
            }
            _ => Err(unsupported("say Content-Type: application/x-ndjson, or text/csv")),
        }
    }

    fn format(&self) -> &'static str {
        match self {
            Self::Lines => "ndjson",
            Self::Table { .. } => "csv",
        }
    }

    fn command(&self) -> Option<&'static str> {
        match self {
            Self::Lines => None,
            Self::Table { name, .. } => Some(name),
        }
    }

    fn reader(&self) -> Reader {
        match self {
            Self::Lines => Reader::Lines(Lines::default()),
            Self::Table { aggregate, command, name } => Reader::Table(Sheet::new(aggregate, command, name)),
        }
    }
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

enum Reader {
    Lines(Lines),
    Table(Sheet),
}

impl Reader {
    fn feed(&mut self, bytes: &[u8], read: &mut Vec<Read>) -> Result<(), Problem> {
        match self {
            Self::Lines(lines) => {
                lines.feed(bytes, read);
                Ok(())
            }
            Self::Table(sheet) => sheet.feed(bytes, read),
        }
    }

    fn end(&mut self, read: &mut Vec<Read>) -> Result<(), Problem> {
        match self {
            Self::Lines(lines) => {
                lines.end(read);
                Ok(())
            }
            Self::Table(sheet) => sheet.end(read),
        }
    }
}

/// `202` with the job, as soon as all of it is kept. With an `Idempotency-Key`, the same again is the same job.
pub(crate) async fn upload(
    State(api): State<Api>,
    principal: Principal,
    asked: Result<Query<Asked>, Problem>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Query(asked) = asked?;
    let form = Form::of(&headers, &asked)?;
    if let Some(name) = form.command() {
        api.demand(&principal, right(name), name).await?;
    }
    let named = Said::of(&headers)?.idempotency_key;
    let named = named.map(|key| Uuid::new_v5(&command_id(&principal, &key), b"job"));
    let id = named.unwrap_or_else(edge::new_id);
    let (format, command, dry_run) = (form.format(), form.command(), asked.dry_run);
    let new = NewJob { id, sender: principal.sender(), format, command, dry_run };
    let said = format!("{format}\u{1f}{}\u{1f}{dry_run}\u{1f}", command.unwrap_or_default());
    let mut coming = Coming::of(&headers, body, api.inner.jobs.bytes)?;
    let is_repeated = match api.store().receive_job(principal.tenant, &new, &said).await? {
        Receipt::New(receiving) => {
            receive(&api, &principal, coming, form.reader(), receiving).await?;
            false
        }
        Receipt::Known(known) => {
            compare(&mut coming, known).await?;
            true
        }
        Receipt::Busy => return Err(busy()),
    };
    let job = api.store().job(principal.tenant, id).await?.ok_or_else(|| Problem::not_found("job"))?;
    let mut response = (StatusCode::ACCEPTED, Json(told(&job))).into_response();
    let location = HeaderValue::from_str(&format!("/v1/jobs/{id}")).expect("an id is of digits and letters");
    response.headers_mut().insert(header::LOCATION, location);
    if is_repeated {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn busy() -> Problem {
    let detail = "another request with this Idempotency-Key is being received; wait for its answer";
    Problem::new(StatusCode::CONFLICT, "contended", detail)
}

async fn compare(coming: &mut Coming, mut known: Known) -> Result<(), Problem> {
    while let Some(bytes) = coming.next().await? {
        known.passes(&bytes);
    }
    if known.is_the_same() {
        return Ok(());
    }
    let detail = "this Idempotency-Key was used for another job; choose a new one";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail))
}

/// All of it is kept, or nothing.
async fn receive(
    api: &Api,
    principal: &Principal,
    coming: Coming,
    reader: Reader,
    receiving: Receiving,
) -> Result<(), Problem> {
    let mut keeping = Keeping { receiving, part: Vec::new(), rows: 0, in_all: 0, most: api.inner.jobs.rows };
    let kept = match api.store().open_jobs(principal.tenant).await? {
        open if open > MOST_OPEN => Err(too_many()),
        _ => keeping.all(coming, reader).await,
    };
    if let Err(problem) = kept {
        keeping.receiving.abandon().await?;
        return Err(problem);
    }
    if !keeping.receiving.complete().await? {
        return Err(busy());
    }
    api.inner.job_came.send_replace(());
    Ok(())
}

fn too_many() -> Problem {
    let detail = format!("{MOST_OPEN} jobs of yours have not ended; wait until one has, or cancel one");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_jobs", detail)
}

/// What is sent, as it comes.
struct Coming {
    stream: BodyDataStream,
    bytes: usize,
    most: usize,
}

impl Coming {
    fn of(headers: &HeaderMap, body: Body, most: usize) -> Result<Self, Problem> {
        let said = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if said.is_some_and(|length: usize| length > most) {
            return Err(too_large(most));
        }
        Ok(Self { stream: body.into_data_stream(), bytes: 0, most })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await.map_err(|_| {
            let detail = format!("nothing came for {} s; send it again", PATIENCE.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "upload_broke_off", detail)
        })?;
        let Some(bytes) = next.transpose().map_err(|_| Problem::malformed("body", "the upload broke off"))?
        else {
            return Ok(None);
        };
        self.bytes += bytes.len();
        if self.bytes > self.most { Err(too_large(self.most)) } else { Ok(Some(bytes)) }
    }
}

fn too_large(most: usize) -> Problem {
    let detail = format!("a job has at most {most} bytes; send it in parts");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Rows on their way into the tables.
struct Keeping {
    receiving: Receiving,
    /// As JSON, one after the other.
    part: Vec<u8>,
    rows: usize,
    in_all: i32,
    most: i32,
}

impl Keeping {
    async fn all(&mut self, mut coming: Coming, mut reader: Reader) -> Result<(), Problem> {
        let mut read = Vec::new();
        while let Some(bytes) = coming.next().await? {
            self.receiving.passes(&bytes);
            reader.feed(&bytes, &mut read)?;
            self.keep(&mut read).await?;
        }
        reader.end(&mut read)?;
        self.keep(&mut read).await?;
        self.end_part().await?;
        if self.in_all == 0 { Err(Problem::malformed("body", "there are no rows")) } else { Ok(()) }
    }

    async fn keep(&mut self, read: &mut Vec<Read>) -> Result<(), Problem> {
        for read in read.drain(..) {
            if self.in_all == self.most {
                let detail = format!("a job has at most {} rows; send it in parts", self.most);
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_rows", detail));
            }
            self.in_all += 1;
            self.rows += 1;
            let row = read.numbered(self.in_all);
            serde_json::to_writer(&mut self.part, &row).expect("a row is written as JSON, into memory");
            if self.rows >= ROWS_OF_PART || self.part.len() >= BYTES_OF_PART {
                self.end_part().await?;
            }
        }
        Ok(())
    }

    async fn end_part(&mut self) -> Result<(), Problem> {
        if self.rows == 0 {
            return Ok(());
        }
        let rows = i32::try_from(self.rows).expect("a part has a thousand rows");
        let is_kept = self.receiving.add_part(rows, &self.part).await?;
        self.part.clear();
        self.rows = 0;
        if is_kept { Ok(()) } else { Err(busy()) }
    }
}
