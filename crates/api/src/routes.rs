//! Every route there is: what answers it, who may ask, and what the API's description says of it.

use crate::cloud_event::CloudEvent;
use crate::openapi::shapes::{
    Acked, Answered, AnyCommand, Batch, CommandAnswer, Delivery, Extended, GivenBack, History, Job, JobRows,
    Me, NewSecret, NewWebhook, Nothing, ParkedStream, Ready, Replayed, Rewound, SentAgain, Subscription,
    Text, Trail, Upserted, Verdict, Webhook,
};
use crate::{
    Api, audit, batch, commands, feed, health, jobs, openapi, principal, queries, query, streams,
    subscriptions, upsert, webhooks,
};
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Router, middleware};
use kvali_domain::access::Permission::{self, Audit, Follow, GrantAccess, Read, ReadPersonal, Work};
use kvali_projections::conversion_funnel::{self, ForecastAnswer};
use kvali_projections::deal_board::Board;
use kvali_projections::duplicate_candidates::Candidate;
use kvali_projections::field_completeness::OfEntity;
use kvali_projections::{overdue_tasks, search, timeline};
use schemars::{Schema, SchemaGenerator};

/// What a route is asked with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum With {
    Nothing,
    Query,
    Body,
    /// A query, and a body of rows.
    Rows,
}

/// A route as the description tells it.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) says: &'static str,
    /// `None`: whoever has a key, or needs none.
    pub(crate) right: Option<Permission>,
    pub(crate) with: With,
    pub(crate) asked: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) status: u16,
    pub(crate) media: &'static str,
    pub(crate) answer: fn(&mut SchemaGenerator) -> Schema,
}

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain";
const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";

macro_rules! routes {
    ($($method:ident $path:literal: $handler:expr, $right:expr, $with:ident $asked:ty => $status:literal $media:ident $answer:ty, $says:literal;)+) => {
        /// In the order of the description.
        pub(crate) const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            says: $says,
            right: $right,
            with: With::$with,
            asked: |generator| generator.subschema_for::<$asked>(),
            status: $status,
            media: $media,
            answer: |generator| generator.subschema_for::<$answer>(),
        },)+];

        pub(crate) fn router() -> Router<Api> {
            Router::new()$(.route($path, asking(With::$with, $path, $method($handler))))+
        }
    };
}

/// What takes no query is not asked with one: a parameter that would be passed over is refused, as it is elsewhere.
fn asking(with: With, path: &str, route: MethodRouter<Api>) -> MethodRouter<Api> {
    match with {
        With::Nothing | With::Body if path.starts_with("/v1/") => {
            route.layer(middleware::from_fn(query::none))
        }
        _ => route,
    }
}

routes! {
    get "/healthz": health::live, None, Nothing Nothing => 200 PLAIN Text, "Whether the process lives";
    get "/readyz": health::ready, None, Nothing Nothing => 200 JSON Ready, "Whether it can answer, and how far its read models are behind";
    get "/metrics": health::metrics, None, Nothing Nothing => 200 PLAIN Text, "Figures for Prometheus";
    get "/openapi.json": openapi::document, None, Nothing Nothing => 200 JSON AnyCommand, "This description";
    get "/v1/me": principal::me, None, Nothing Nothing => 200 JSON Me, "Whose key it is, and what it may do";
    post "/v1/commands": batch::carry_out, None, Body Batch => 207 JSON Vec<Verdict>, "Up to 1,000 commands in order, each with a verdict of its own";
    get "/v1/events": feed::events, Some(Follow), Query feed::Asked => 200 CLOUD_EVENTS Vec<CloudEvent>, "The feed: the log in order and without gaps, by long poll or as server-sent events";
    get "/v1/streams/{id}": streams::history, Some(Read), Nothing Nothing => 200 JSON History, "The history of one record";
    put "/v1/external/company/{source}/{id}": upsert::put::<upsert::Company>, Some(Work), Body upsert::Company => 201 JSON Upserted, "A company by the id that another system knows it by: created (201), changed or left as it is";
    put "/v1/external/contact/{source}/{id}": upsert::put::<upsert::Contact>, Some(Work), Body upsert::Contact => 201 JSON Upserted, "A contact by the id that another system knows it by";
    put "/v1/external/deal/{source}/{id}": upsert::put::<upsert::Deal>, Some(Work), Body upsert::Deal => 201 JSON Upserted, "A deal by the id that another system knows it by";
    put "/v1/external/lead/{source}/{id}": upsert::put::<upsert::Lead>, Some(Work), Body upsert::Lead => 201 JSON Upserted, "A lead by the id that another system knows it by";
    get "/v1/audit": audit::audit, Some(Audit), Query audit::Asked => 200 JSON Trail, "Who did what, when, why and by which path; also as lines and as CSV";
    get "/v1/board": queries::board, Some(ReadPersonal), Query queries::Board => 200 JSON Answered<Board>, "What stands where, with age and next task";
    get "/v1/completeness": queries::completeness, Some(Read), Query queries::Filled => 200 JSON Answered<Vec<OfEntity>>, "Which fields are filled, per owner";
    get "/v1/duplicates": queries::duplicates, Some(ReadPersonal), Query queries::Pairs => 200 JSON Answered<Vec<Candidate>>, "Records that may be one";
    get "/v1/forecast": queries::forecast, Some(Read), Query queries::Forecast => 200 JSON Answered<ForecastAnswer>, "What will be won in a period, by category and by probability";
    get "/v1/funnel": queries::funnel, Some(Read), Query queries::Funnel => 200 JSON Answered<conversion_funnel::Answer>, "How many deals came how far";
    get "/v1/funnels": queries::funnels, Some(Read), Query queries::Funnels => 200 JSON Answered<Vec<conversion_funnel::Named>>, "Funnels that have a name, as they are defined";
    get "/v1/funnels/{name}": queries::standing, Some(Read), Query queries::Standing => 200 JSON Answered<conversion_funnel::StandingAnswer>, "What is counted of a named funnel, whole and per owner, however many deals there are";
    get "/v1/jobs": jobs::list, None, Nothing Nothing => 200 JSON Vec<Job>, "Jobs that one sent, the newest first; of everybody, for whoever may grant access";
    post "/v1/jobs": jobs::upload, None, Rows jobs::Asked => 202 JSON Job, "Many commands as lines or as a table, carried out in order and later, each with a verdict";
    get "/v1/jobs/{id}": jobs::one, None, Nothing Nothing => 200 JSON Job, "How far one is";
    post "/v1/jobs/{id}/cancel": jobs::cancel, None, Nothing Nothing => 200 JSON Job, "Begin nothing more of it; what is done stays done";
    get "/v1/jobs/{id}/rows": jobs::rows, None, Query jobs::OfRows => 200 JSON JobRows, "What became of each row; also as lines and as CSV";
    get "/v1/overdue": queries::overdue, Some(ReadPersonal), Query queries::Overdue => 200 JSON Answered<overdue_tasks::Answer>, "What is late and why, what stands still, who has how much to do";
    get "/v1/search": queries::search, Some(ReadPersonal), Query queries::Searched => 200 JSON Answered<Vec<search::Hit>>, "People, companies and deals by name, mail or phone";
    get "/v1/subscriptions": subscriptions::list, Some(Follow), Nothing Nothing => 200 JSON Vec<Subscription>, "Groups of services that share the feed, and how far each is";
    post "/v1/subscriptions": subscriptions::create, Some(Follow), Body subscriptions::Create => 201 JSON Subscription, "A new one; 200 if it is there already";
    get "/v1/subscriptions/{name}": subscriptions::one, Some(Follow), Nothing Nothing => 200 JSON Subscription, "One of them";
    delete "/v1/subscriptions/{name}": subscriptions::delete, Some(Follow), Nothing Nothing => 204 JSON Nothing, "Take it away";
    post "/v1/subscriptions/{name}/fetch": subscriptions::fetch, Some(Follow), Body subscriptions::Ask => 200 JSON subscriptions::Fetched, "The next events, leased to whoever asks";
    post "/v1/subscriptions/{name}/ack": subscriptions::ack, Some(Follow), Body subscriptions::Ack => 200 JSON Acked, "They are done";
    post "/v1/subscriptions/{name}/nack": subscriptions::nack, Some(Follow), Body subscriptions::Nack => 200 JSON GivenBack, "They are to be given out again, later";
    post "/v1/subscriptions/{name}/extend": subscriptions::extend, Some(Follow), Body subscriptions::Extend => 200 JSON Extended, "More time for what is leased";
    post "/v1/subscriptions/{name}/rewind": subscriptions::rewind, Some(Follow), Body subscriptions::Rewind => 200 JSON Rewound, "Go on from another place";
    get "/v1/subscriptions/{name}/parked": subscriptions::parked, Some(Follow), Nothing Nothing => 200 JSON Vec<ParkedStream>, "Streams that were given up after too many tries";
    post "/v1/subscriptions/{name}/parked/replay": subscriptions::replay, Some(Follow), Body subscriptions::Replay => 200 JSON Replayed, "Give them out again";
    get "/v1/timeline/{id}": queries::timeline, Some(Read), Query queries::Entries => 200 JSON Answered<timeline::Page>, "Everything about one customer, newest first";
    get "/v1/webhooks": webhooks::list, Some(GrantAccess), Nothing Nothing => 200 JSON Vec<Webhook>, "Where events are sent to, and how far each is";
    post "/v1/webhooks": webhooks::create, Some(GrantAccess), Body webhooks::Create => 201 JSON NewWebhook, "Send events to a URL; the secret that signs them is shown once";
    get "/v1/webhooks/{id}": webhooks::one, Some(GrantAccess), Nothing Nothing => 200 JSON Webhook, "One of them";
    delete "/v1/webhooks/{id}": webhooks::delete, Some(GrantAccess), Nothing Nothing => 204 JSON Nothing, "Deliver nothing more, and forget it";
    post "/v1/webhooks/{id}/rotate": webhooks::rotate, Some(GrantAccess), Body webhooks::Rotate => 200 JSON NewSecret, "A new secret; for a while the one before signs too";
    post "/v1/webhooks/{id}/enable": webhooks::enable, Some(GrantAccess), Nothing Nothing => 204 JSON Nothing, "Deliver again after 410";
    post "/v1/webhooks/{id}/replay": webhooks::replay, Some(GrantAccess), Body webhooks::Replay => 200 JSON SentAgain, "Send again what was given up, or all after a place";
    get "/v1/webhooks/{id}/deliveries": webhooks::deliveries, Some(GrantAccess), Query webhooks::Attempts => 200 JSON Vec<Delivery>, "Attempts of the last 30 days, the newest first";
    post "/v1/{aggregate}/{id}/{command}": commands::carry_out, None, Body AnyCommand => 200 JSON CommandAnswer, "One command";
}
