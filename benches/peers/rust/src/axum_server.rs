//! Fan-out by WebSocket and by events, and polling, on axum.

use std::convert::Infallible;

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::header::CONTENT_TYPE,
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
    routing::get,
    serve::ListenerExt as _,
};
use futures_util::stream;
use ticker::Anchor;
use tokio::{net::TcpListener, sync::broadcast::Receiver};

use crate::{
    Failure,
    feed::{Feed, quote},
};

#[derive(Clone)]
struct Shared {
    feed: Feed,
    buffer: usize,
    body: bytes::Bytes,
}

pub(crate) async fn serve(listener: TcpListener, feed: Feed, buffer: usize) -> Result<(), Failure> {
    let shared = Shared { feed, buffer, body: quote(1, Anchor::now()) };
    let app = Router::new()
        .route("/ws", get(websocket))
        .route("/sse", get(events))
        .route("/quotes", get(polled))
        .with_state(shared);
    let listener = listener.tap_io(|stream| {
        // What Nagle's algorithm would hold back is measured elsewhere.
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn polled(State(shared): State<Shared>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], shared.body)
}

async fn events(State(shared): State<Shared>) -> impl IntoResponse {
    Sse::new(stream::unfold(shared.feed.subscribe(), |mut quotes| async move {
        let quote = quotes.recv().await.ok()?;
        let text = String::from_utf8_lossy(&quote).into_owned();
        Some((Ok::<_, Infallible>(Event::default().data(text)), quotes))
    }))
}

async fn websocket(State(shared): State<Shared>, upgrade: WebSocketUpgrade) -> impl IntoResponse {
    let quotes = shared.feed.subscribe();
    upgrade.read_buffer_size(shared.buffer).on_upgrade(async |socket| {
        // The connection is gone: nobody to tell.
        let _ = converse(socket, quotes).await;
    })
}

async fn converse(mut socket: WebSocket, mut quotes: Receiver<bytes::Bytes>) -> Result<(), Failure> {
    loop {
        tokio::select! {
            quote = quotes.recv() => socket.send(Message::Text(Utf8Bytes::try_from(quote?)?)).await?,
            heard = socket.recv() => match heard {
                Some(heard) => drop(heard?),
                None => return Ok(()),
            },
        }
    }
}
