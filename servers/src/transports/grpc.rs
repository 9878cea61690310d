//! gRPC server streaming: the client calls `Subscribe` once, and the answer is a stream of protocol buffers.
//!
//! Each message is a flag and four bytes of length before the encoded [`Event`] (gRPC over HTTP/2,
//! "Length-Prefixed-Message"), in DATA frames of HTTP/2; the stream ends with trailers that hold its status. tonic
//! speaks the protocol; quotes come to it encoded, as they come to every transport.

use std::{future, future::Ready, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use bytes::{BufMut as _, Bytes};
use futures_util::{Stream, stream};
use prost::Message as _;
use ticker::{
    Transport,
    protobuf::{Event, Kind, SUBSCRIBE, Snapshot, SubscribeRequest, WireQuote},
};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, ServerStreamingService},
};

use super::heartbeat::Heartbeat;
use crate::{
    app::App,
    encoded::Envelope,
    log::{Subscription, Update},
    selection::Selection,
};

/// An event without content: keeps proxies from taking a quiet stream for a dead one.
const HEARTBEAT: Bytes = Bytes::new();

/// `POST /ticker.v1.Ticker/Subscribe`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route(SUBSCRIBE, post(subscribe))
}

async fn subscribe(State(app): State<Arc<App>>, request: Request) -> Response {
    app.counters(Transport::Grpc).request();
    let response = Grpc::new(Encoded).server_streaming(Subscribe(app), request).await;
    response.map(Body::new)
}

/// The method.
struct Subscribe(Arc<App>);

impl ServerStreamingService<SubscribeRequest> for Subscribe {
    type Response = Bytes;
    type ResponseStream = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<SubscribeRequest>) -> Self::Future {
        let app = Arc::clone(&self.0);
        future::ready(events(app, &request.into_inner()).map(|events| tonic::Response::new(events.stream())))
    }
}

/// The stream that a request asks for.
fn events(app: Arc<App>, request: &SubscribeRequest) -> Result<Events, Status> {
    let selection = if request.symbols.is_empty() {
        Selection::default()
    } else {
        let names = request.symbols.iter().map(String::as_str);
        Selection::of_names(names, app.settings.feed.symbols)
            .map_err(|error| Status::invalid_argument(error.to_string()))?
    };
    let last = app.log.last();
    if let Some(after) = request.after.filter(|&after| after > last) {
        let text = format!("after is {after}, expected at most {last}, the newest quote");
        return Err(Status::invalid_argument(text));
    }
    Ok(Events {
        subscription: Subscription::new(&app.log, request.after, selection),
        ready: vec![].into_iter(),
        heartbeat: Heartbeat::new(app.settings.heartbeat),
        app,
    })
}

/// One client's stream.
struct Events {
    app: Arc<App>,
    subscription: Subscription,
    /// Messages that are ready to go. Only references: the bytes are the log's.
    ready: std::vec::IntoIter<Bytes>,
    heartbeat: Heartbeat,
}

impl Events {
    /// It ends, with status OK in its trailers, when the server stops.
    fn stream(self) -> std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>> {
        Box::pin(stream::unfold(self, |mut events| async {
            let message = events.next().await?;
            Some((Ok(message), events))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        let message = match self.ready.next() {
            Some(message) => message,
            None => self.wait().await?,
        };
        self.heartbeat.put_off();
        Some(message)
    }

    /// Waits for quotes, or for silence to last too long; `None` when the server stops.
    async fn wait(&mut self) -> Option<Bytes> {
        let update = tokio::select! {
            biased;
            update = self.subscription.next(|quote| quote.protobuf.clone()) => update?,
            () = self.heartbeat.silence() => return Some(HEARTBEAT),
        };
        match update {
            Update::Quotes(quotes) => {
                self.app.counters(Transport::Grpc).quotes(quotes.len());
                self.ready = quotes.into_iter();
                self.ready.next()
            }
            Update::Snapshot(envelope) => Some(snapshot(&envelope)),
        }
    }
}

fn snapshot(envelope: &Envelope) -> Bytes {
    let quotes = envelope.quotes.iter().filter_map(|quote| quote_of(&quote.protobuf)).collect();
    let snapshot = Snapshot { last: envelope.last, gap: envelope.gap, quotes };
    Event { kind: Some(Kind::Snapshot(snapshot)) }.encode_to_vec().into()
}

/// The quote of an encoded event.
fn quote_of(event: &Bytes) -> Option<WireQuote> {
    match Event::decode(event.clone()).ok()?.kind? {
        Kind::Quote(quote) => Some(quote),
        Kind::Snapshot(_) => None,
    }
}

/// Messages that are encoded already, for requests that are not yet decoded.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = SubscribeRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = SubscribeRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<SubscribeRequest>, Status> {
        let decoded = SubscribeRequest::decode(buffer);
        decoded.map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}
