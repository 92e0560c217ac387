//! A shop's session store. With LEAK=1 no session is ever forgotten.

use std::collections::BTreeMap;
use std::env;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_system_metrics::init_process_observer;

const SESSIONS_KEPT: usize = 100;

/// Endpoint, interval, names: the usual OTEL_* variables.
fn start_telemetry() -> SdkMeterProvider {
    let exporter = MetricExporter::builder().with_http().build().expect("an OTLP exporter");
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).build();
    let meter = provider.meter("opentelemetry-system-metrics");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(init_process_observer(meter))
    });
    provider
}

fn setting(name: &str, otherwise: usize) -> usize {
    env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let leaks = env::var("LEAK").is_ok_and(|value| value == "1");
    let session_bytes = setting("SESSION_BYTES", 65536);
    let _provider = start_telemetry();
    let address = format!("127.0.0.1:{}", setting("PORT", 8080));
    let server = tiny_http::Server::http(address).expect("a free port");
    let mut sessions = BTreeMap::new();
    for (visitor, request) in server.incoming_requests().enumerate() {
        sessions.insert(visitor, vec![1u8; session_bytes]);
        if !leaks && sessions.len() > SESSIONS_KEPT {
            sessions.pop_first();
        }
        let text = format!("{{\"sessions\":{}}}", sessions.len());
        // A visitor who has left does not concern the others.
        let _ = request.respond(tiny_http::Response::from_string(text));
    }
}
