//! The teaching page of one server alone: every lane is a connection to it, as far as a browser opens so many.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use ticker::Anchor;

use crate::{
    app::App,
    page::{self, Counted, Place, Role, Told},
};

/// `/` and what the page asks.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/page/lanes", get(lanes))
        .route("/page/stats", get(stats))
        .route("/page/clock", get(clock))
        .merge(page::routes(|_| Vec::new()))
}

/// Sessions are left out: who wants them starts `loadgen teach`, which tells their certificate.
fn shown() -> impl Iterator<Item = (page::Lane, ticker::Transport)> {
    page::lanes().filter(|(lane, _)| *lane != page::Lane::Sessions)
}

async fn lanes(State(app): State<Arc<App>>) -> Json<Told> {
    let place = |(lane, kind): (page::Lane, ticker::Transport)| Place {
        name: kind.name().to_owned(),
        kind: kind.name().to_owned(),
        role: if lane == page::Lane::First { Role::First } else { Role::More },
        ..Place::default()
    };
    Json(Told::of(&app.settings.feed, shown().map(place).collect()))
}

async fn stats(State(app): State<Arc<App>>) -> Json<Vec<Counted>> {
    let stats = app.stats();
    // Its connections carry the page as well, and lanes share them: bytes are nobody's.
    Json(shown().map(|(_, kind)| Counted::of(kind.name(), kind.name(), &stats)).collect())
}

/// The instant on the scale of the quotes' `due`.
#[derive(Serialize)]
struct Now {
    unix_us: u64,
}

async fn clock(State(app): State<Arc<App>>) -> Json<Now> {
    let anchor = app.progress.anchor().unwrap_or_else(Anchor::now);
    Json(Now { unix_us: anchor.unix_us(ticker::clock::now_ns()) })
}
