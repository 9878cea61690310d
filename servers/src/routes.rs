//! All routes of a server: every transport's, and the control endpoints that are here.
//!
//! It names no transport: the closed list in `ticker` does.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use ticker::{Anchor, Transport};

use crate::{alone, app::App, registry::Class, stats::Stats, transports};

/// Paths of the control endpoints; connections that ask for them are left out of the byte totals.
const CONTROL: [&str; 5] = ["/clock", "/healthz", "/identity", "/metrics", "/stats"];

/// The routes of `app`.
pub(crate) fn routes(app: &Arc<App>) -> Router {
    let control = Router::new()
        .route("/clock", get(clock))
        .route("/healthz", get(async || "ok"))
        .route("/identity", get(identity))
        .route("/metrics", get(metrics))
        .route("/stats", get(stats));
    let control = control.merge(alone::routes()).merge(transports::say::routes());
    let merge = |routes: Router<Arc<App>>, transport| routes.merge(transports::routes(transport, app));
    let mut routes = Transport::ALL.into_iter().fold(control, merge);
    // Nobody else pays for it.
    if !app.settings.allowed_origins.is_empty() {
        routes = routes.layer(middleware::from_fn_with_state(Arc::clone(app), share));
    }
    routes.with_state(Arc::clone(app))
}

/// Lets pages of the allowed origins read what they are answered (Fetch, section 3.2, CORS protocol).
async fn share(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = next.run(request).await;
    // The WebSocket API asks nobody for leave: its server looks at the origin itself.
    let is_read = response.status() != StatusCode::SWITCHING_PROTOCOLS;
    if let Some(origin) = origin.filter(|origin| is_read && transports::is_allowed(&app, origin.as_bytes())) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // With the cookies that the page has set for it, too.
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// What a connection is for that asks for `path`.
pub(crate) fn class(path: &str) -> Class {
    if CONTROL.contains(&path) || path == "/" || path.starts_with("/page/") {
        Class::Control
    } else {
        Class::Data
    }
}

/// One instant on both clocks, for clients that cannot read this machine's.
#[derive(Serialize, Deserialize)]
struct Clock {
    mono_ns: u64,
    unix_us: u64,
}

async fn clock(State(app): State<Arc<App>>) -> Json<Clock> {
    // The anchor of the run, so that these times and the quotes' are on one scale.
    let anchor = app.progress.anchor().unwrap_or_else(Anchor::now);
    let mono_ns = ticker::clock::now_ns();
    Json(Clock { mono_ns, unix_us: anchor.unix_us(mono_ns) })
}

/// What a page needs to trust this server's own certificate (W3C WebTransport, `serverCertificateHashes`).
#[derive(Serialize)]
struct Known {
    /// SHA-256 of the certificate's DER, base64.
    sha256: String,
    /// Where sessions are opened; null unless the server listens for QUIC.
    webtransport: Option<String>,
}

async fn identity(State(app): State<Arc<App>>) -> Response {
    let Some(identity) = &app.identity else {
        return transports::refuse(StatusCode::NOT_FOUND, "this server has no certificate of its own");
    };
    let webtransport = app.quic_address.map(|address| format!("https://{address}{}", transports::SESSIONS));
    Json(Known { sha256: identity.fingerprint_base64(), webtransport }).into_response()
}

async fn stats(State(app): State<Arc<App>>) -> Json<Stats> {
    Json(app.stats())
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.stats().prometheus())
}
