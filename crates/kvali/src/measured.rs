//! What Prometheus may scrape.

use crate::failure::Failure;
#[cfg(feature = "nats")]
use kvali_domain::TenantId;
use kvali_eventstore::project::Status;
use kvali_eventstore::subscribe::Standing;
#[cfg(feature = "nats")]
use metrics::counter;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::net::SocketAddr;

const LAG_EVENTS: &str = "kvali_projection_lag_events";
const LAG_SECONDS: &str = "kvali_projection_lag_seconds";
const PARKED: &str = "kvali_projection_parked_streams";
const FAILING: &str = "kvali_projection_failing";
const SUBSCRIPTION_EVENTS: &str = "kvali_subscription_lag_events";
const SUBSCRIPTION_SECONDS: &str = "kvali_subscription_lag_seconds";
const SUBSCRIPTION_PARKED: &str = "kvali_subscription_parked_streams";
#[cfg(feature = "nats")]
const RELAYED: &str = "kvali_relay_messages_total";
#[cfg(feature = "nats")]
const RELAY_FAILURES: &str = "kvali_relay_failures_total";
const REQUESTS: &str = "kvali_http_requests_total";
const REQUEST_SECONDS: &str = "kvali_http_request_seconds";
/// In seconds: from an answer out of memory to a question that folds first.
const REQUEST_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Answers at `http://address/metrics` from now on.
pub(crate) fn serve(address: SocketAddr) -> Result<(), Failure> {
    let exporter = PrometheusBuilder::new().with_http_listener(address);
    exporter.install().map_err(|source| Failure::Metrics { address, source })?;
    describe();
    Ok(())
}

/// What is measured from now on, to be told in Prometheus' text format.
pub(crate) fn recorded(address: SocketAddr) -> Result<PrometheusHandle, Failure> {
    let builder = PrometheusBuilder::new();
    let builder = builder.set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &REQUEST_BUCKETS);
    let recorder = builder.and_then(PrometheusBuilder::install_recorder);
    let handle = recorder.map_err(|source| Failure::Metrics { address, source })?;
    describe();
    describe_counter!("kvali_job_rows_total", Unit::Count, "rows of jobs that were carried out, by verdict");
    describe_counter!(REQUESTS, Unit::Count, "requests by method, route and status");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "until an answer begins, by method and route");
    Ok(handle)
}

fn describe() {
    describe_gauge!(LAG_EVENTS, Unit::Count, "events of the log that the read model lacks");
    describe_gauge!(LAG_SECONDS, Unit::Seconds, "how long the first of them has stood in the log");
    describe_gauge!(PARKED, Unit::Count, "streams that the read model does not follow any more");
    describe_gauge!(FAILING, Unit::Count, "1 while folding fails and is tried again");
    describe_gauge!(
        SUBSCRIPTION_EVENTS,
        Unit::Count,
        "events of the log that the subscription has not settled"
    );
    describe_gauge!(SUBSCRIPTION_SECONDS, Unit::Seconds, "how long the first of them has stood in the log");
    #[cfg(feature = "nats")]
    {
        describe_counter!(
            RELAYED,
            Unit::Count,
            "messages that the tenant's stream has taken from this relay"
        );
        describe_counter!(RELAY_FAILURES, Unit::Count, "failures after which the relay tried again");
    }
    describe_gauge!(
        SUBSCRIPTION_PARKED,
        Unit::Count,
        "streams that the subscription does not give out any more"
    );
}

/// Read model by read model and tenant by tenant, as far as they are the ones that answer.
pub(crate) fn projections(status: &[Status]) {
    for row in status.iter().filter(|row| row.live) {
        let labels = [
            ("projection", row.projection.clone()),
            ("version", row.version.to_string()),
            ("tenant", row.tenant_id.to_string()),
        ];
        gauge!(LAG_EVENTS, &labels).set(count(row.head - row.position));
        gauge!(LAG_SECONDS, &labels).set(row.lag_seconds);
        gauge!(PARKED, &labels).set(count(row.parked));
        gauge!(FAILING, &labels).set(f64::from(u8::from(row.failure.is_some())));
    }
}

/// Messages that a tenant's stream has taken.
#[cfg(feature = "nats")]
pub(crate) fn relayed(tenant: TenantId, messages: u64) {
    counter!(RELAYED, "tenant" => tenant.to_string()).increment(messages);
}

/// A tenant's relay failed, and will be tried again.
#[cfg(feature = "nats")]
pub(crate) fn relay_failed(tenant: TenantId) {
    counter!(RELAY_FAILURES, "tenant" => tenant.to_string()).increment(1);
}

/// Subscription by subscription.
pub(crate) fn subscriptions(standing: &[Standing]) {
    for row in standing {
        let labels = [("subscription", row.name.clone()), ("tenant", row.tenant_id.to_string())];
        gauge!(SUBSCRIPTION_EVENTS, &labels).set(count(row.lag_events()));
        gauge!(SUBSCRIPTION_SECONDS, &labels).set(row.lag_seconds);
        gauge!(SUBSCRIPTION_PARKED, &labels).set(count(row.parked));
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts beyond 2^52 events by a gauge")]
fn count(count: i64) -> f64 {
    count as f64
}
