//! What the program tells of itself while it works: on stderr, for people or for machines, and as traces if it is built so.

use crate::cli::Global;
use crate::failure::Failure;
use std::io::stderr;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Commands tell what is wrong; what runs for long tells what it does as well.
pub(crate) const OF_COMMANDS: &str = "warn,sqlx=error";
pub(crate) const OF_SERVICES: &str = "info,sqlx=error";

/// Ends what was started with it.
pub(crate) struct Logs {
    #[cfg(feature = "otel")]
    _traces: Option<traces::Traces>,
}

pub(crate) fn start(global: &Global, filter: &'static str) -> Result<Logs, Failure> {
    let wanted = global.log.as_deref().filter(|wanted| !wanted.is_empty()).unwrap_or(filter);
    let filter = EnvFilter::try_new(wanted)
        .map_err(|source| Failure::LogFilter { filter: wanted.to_owned(), source })?;
    let lines = match global.log_format {
        LogFormat::Text => fmt::layer().with_writer(stderr).boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(stderr)
            .boxed(),
    };
    let lines = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(not(feature = "otel"))]
    {
        lines.init();
        Ok(Logs {})
    }
    #[cfg(feature = "otel")]
    {
        let (traces, layer) = traces::wanted()?.unzip();
        lines.with(layer).init();
        Ok(Logs { _traces: traces })
    }
}

#[cfg(feature = "otel")]
mod traces {
    use crate::failure::Failure;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::{LevelFilter, Targets};

    /// Sends what is left when it goes.
    pub(super) struct Traces(SdkTracerProvider);

    impl Drop for Traces {
        fn drop(&mut self) {
            if let Err(error) = self.0.shutdown() {
                eprintln!("the last traces were not sent: {error}");
            }
        }
    }

    /// If the environment names a collector: `OTEL_EXPORTER_OTLP_ENDPOINT`, or that of traces.
    pub(super) fn wanted<S>() -> Result<Option<(Traces, impl Layer<S>)>, Failure>
    where
        S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        let says = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        let is_off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
        if is_off || !named.into_iter().any(says) {
            return Ok(None);
        }
        // The exporter's client takes the provider of the process and trusts what the machine trusts.
        let _there_already = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().build().map_err(Failure::Traces)?;
        let mut resource = Resource::builder();
        if !says("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name("kvali");
        }
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_location(false)
            .with_threads(false)
            .with_tracer(provider.tracer("kvali"))
            // Whatever the log is told to leave out; and nothing of how traces are sent.
            .with_filter(Targets::new().with_target("kvali", LevelFilter::INFO));
        Ok(Some((Traces(provider), layer)))
    }
}
