//! What the page asks its own server, and who may ask.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, Query, Request, State, rejection::JsonRejection},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use servers::page;

use crate::{
    room::Room,
    wishes::{Break, FeedWish, LinkWish},
};

/// Results that ship with the program, for those who have none yet.
const SHIPPED: [(&str, &str); 1] = [("ticker.json", include_str!("../../reports/baselines/ticker.json"))];

/// The page and all that it asks.
pub(crate) fn routes(room: Arc<Room>) -> Router {
    let origins = Arc::clone(&room);
    Router::new()
        .route("/page/lanes", get(lanes))
        .route("/page/stats", get(stats))
        .route("/page/clock", get(clock))
        .route("/page/tap", get(tap))
        .route("/page/shipped/{name}", get(shipped))
        .route("/page/feed", post(feed))
        .route("/page/link", post(link))
        .route("/page/break", post(break_it))
        .merge(page::routes(move |headers| origins.origins(host(headers))))
        .layer(middleware::from_fn_with_state(Arc::clone(&room), admit))
        .with_state(room)
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// Nobody else's page may ask (RFC 6454), under no other name (a name that somebody points here is an attack: DNS
/// rebinding), and only the teacher, who sits at this machine, may change anything.
async fn admit(State(room): State<Arc<Room>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = host(headers);
    if !room.is_known(&format!("http://{host}")) {
        return refuse(StatusCode::FORBIDDEN, format!("this page is not called {host:?}"));
    }
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("null").to_owned());
    if let Some(origin) = origin.as_deref().filter(|origin| !room.is_known(origin)) {
        return refuse(StatusCode::FORBIDDEN, format!("origin is {origin}, expected the page's own"));
    }
    // A browser names the origin of every POST (Fetch, section 3.1): one without is none of the page's.
    let changes = request.method() != Method::GET;
    if changes && (origin.is_none() || !is_teacher(&room, request.extensions().get())) {
        return refuse(StatusCode::FORBIDDEN, "only the page on the teacher's own machine may change this");
    }
    next.run(request).await
}

fn is_teacher(room: &Room, from: Option<&ConnectInfo<SocketAddr>>) -> bool {
    from.is_some_and(|ConnectInfo(address)| room.is_here(address.ip()))
}

/// `{"error":"…"}`.
#[derive(Serialize)]
struct Refusal {
    error: String,
}

fn refuse(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(Refusal { error: error.into() })).into_response()
}

async fn lanes(
    State(room): State<Arc<Room>>,
    from: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Json<page::Told> {
    Json(room.told(host(&headers), is_teacher(&room, Some(&from))).await)
}

async fn stats(State(room): State<Arc<Room>>) -> Response {
    match room.counted().await {
        Ok(counted) => Json(counted).into_response(),
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, format!("a lane's server is gone: {error}")),
    }
}

/// The instant on the scale of the quotes' `due`.
#[derive(Serialize)]
struct Now {
    unix_us: u64,
}

async fn clock(State(room): State<Arc<Room>>) -> Json<Now> {
    Json(Now { unix_us: room.now_us() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tapped {
    lane: String,
    #[serde(default)]
    after: u64,
}

async fn tap(State(room): State<Arc<Room>>, Query(Tapped { lane, after }): Query<Tapped>) -> Response {
    match room.tapped(&lane, after) {
        Some(messages) => Json(messages).into_response(),
        None => refuse(StatusCode::NOT_FOUND, format!("there is no lane {lane:?}")),
    }
}

async fn shipped(Path(name): Path<String>) -> Response {
    match SHIPPED.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => ([(header::CONTENT_TYPE, "application/json")], *text).into_response(),
        None => refuse(StatusCode::NOT_FOUND, format!("no result {name:?} ships with this program")),
    }
}

async fn feed(
    State(room): State<Arc<Room>>,
    from: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    wish: Result<Json<FeedWish>, JsonRejection>,
) -> Response {
    let wish =
        match wish.map_err(|error| error.body_text()).and_then(|Json(wish)| wish.check().map(|()| wish)) {
            Ok(wish) => wish,
            Err(error) => return refuse(StatusCode::BAD_REQUEST, error),
        };
    match room.set_feed(&wish).await {
        Ok(()) => lanes(State(room), from, headers).await.into_response(),
        Err(error) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, format!("failed to start the servers: {error}"))
        }
    }
}

async fn link(State(room): State<Arc<Room>>, wish: Result<Json<LinkWish>, JsonRejection>) -> Response {
    match wish.map_err(|error| error.body_text()).and_then(|Json(wish)| wish.check().map(|()| wish)) {
        Ok(wish) => {
            room.set_link(&wish).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, error),
    }
}

async fn break_it(State(room): State<Arc<Room>>, wish: Result<Json<Break>, JsonRejection>) -> Response {
    match wish.map_err(|error| error.body_text()).and_then(|Json(wish)| wish.check().map(|()| wish)) {
        Ok(wish) => {
            room.break_it(wish).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, error),
    }
}
