//! A member of a room that hears over an event stream and speaks by POST on a connection of its own.

use futures_util::StreamExt as _;
use hyper::body::Incoming;
use sse_stream::{Sse, SseStream};
use ticker::clock;
use wire::Bodies;

use super::{MEDIA_TYPE, Ran, own};
use crate::{
    clients::{chat, http::Http, response::Opening},
    socket::Socket,
    worker::{Client, ClientError},
};

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let mut ears = Http::open(client, Bodies::Events).await?;
    let mut mouth = match Http::open(client, Bodies::Whole).await {
        Ok(mouth) => mouth,
        Err(error) => {
            ears.close(client).await;
            return Err(error);
        }
    };
    let hears = hear(client, stands, &mut ears, from_ns);
    let ran = tokio::try_join!(biased; chat::post(client, &mut mouth), hears);
    mouth.close(client).await;
    ears.close(client).await;
    ran.map(drop)
}

async fn hear(client: &Client, stands: &mut bool, http: &mut Http, from_ns: u64) -> Ran {
    let path = format!("/sse/room?room={}", chat::room(client));
    let opening = Opening { path: &path, own: &own(), media_type: MEDIA_TYPE };
    let body: Incoming = opening.stream(client, http, (&mut *stands, from_ns)).await?;
    let mut events = SseStream::new(body);
    let mut closing = std::pin::pin!(client.closing());
    loop {
        let event = tokio::select! {
            biased;
            () = &mut closing => return Ok(()),
            event = events.next() => event.ok_or(ClientError::Closed)??,
        };
        if take(client, http.socket(), &event)? {
            chat::joined(client, stands, (from_ns, http.socket().last_read_ns()));
        }
    }
}

/// Takes one event. True if it tells how many there are.
fn take(client: &Client, socket: &Socket, event: &Sse) -> Result<bool, ClientError> {
    // A block without data (`retry`, a comment) dispatches nothing.
    let Some(data) = event.data.as_deref() else { return Ok(false) };
    match event.event.as_deref() {
        None => {
            let claim = |payload| socket.claim(payload).map(|unit| unit.stamp_ns);
            chat::take(client, data.as_bytes(), claim).map(|()| false)
        }
        Some("online") => socket.claim(0).map(|_| true).ok_or(ClientError::Unscanned),
        Some(_) => Err(ClientError::Refused(data.to_owned())),
    }
}
