//! `/ticker.v1.Ticker/Subscribe`: messages, cursors, refusals, the trailers.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, Response, body::Incoming};
use prost::Message as _;
use servers::Settings;
use ticker::protobuf::{Event, Kind, SUBSCRIBE, SubscribeRequest, WireQuote};
use tokio::net::TcpStream;

use crate::{
    http2,
    support::{SYMBOLS, Server, in_time, seqs_of, steady, still},
};

/// One answer: messages, then trailers.
struct Call {
    head: HeaderMap,
    body: Incoming,
    pending: Vec<u8>,
}

impl Call {
    /// Asks on a connection of its own.
    async fn begin(server: &Server, after: Option<u64>, symbols: &[&str]) -> Self {
        let symbols = symbols.iter().map(|&name| name.to_owned()).collect();
        let message = SubscribeRequest { after, symbols }.encode_to_vec();
        let mut body = vec![0];
        body.extend_from_slice(&(message.len() as u32).to_be_bytes());
        body.extend_from_slice(&message);
        Self::of(send(server, body).await)
    }

    fn of(response: Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let (head, body) = response.into_parts();
        Self { head: head.headers, body, pending: Vec::new() }
    }

    /// The next event, or the trailers.
    async fn next(&mut self) -> Result<Event, HeaderMap> {
        loop {
            if self.pending.len() >= 5 {
                let length = (&self.pending[1..5]).get_u32() as usize;
                if self.pending.len() >= 5 + length {
                    assert_eq!(self.pending[0], 0, "not compressed");
                    let message: Vec<u8> = self.pending.drain(..5 + length).skip(5).collect();
                    return Ok(Event::decode(&message[..]).unwrap());
                }
            }
            let frame = in_time(self.body.frame()).await.expect("trailers come first").unwrap();
            match frame.into_data() {
                Ok(data) => self.pending.extend_from_slice(&data),
                Err(frame) => return Err(frame.into_trailers().unwrap()),
            }
        }
    }

    async fn quote(&mut self) -> WireQuote {
        match self.next().await.unwrap().kind {
            Some(Kind::Quote(quote)) => quote,
            other => panic!("expected a quote, found {other:?}"),
        }
    }

    /// (last, gap, sequence numbers).
    async fn snapshot(&mut self) -> (u64, u64, Vec<u64>) {
        match self.next().await.unwrap().kind {
            Some(Kind::Snapshot(snapshot)) => {
                let seqs = snapshot.quotes.iter().map(|quote| quote.seq).collect();
                (snapshot.last, snapshot.gap, seqs)
            }
            other => panic!("expected a snapshot, found {other:?}"),
        }
    }
}

async fn send(server: &Server, body: Vec<u8>) -> Response<Incoming> {
    let mut sender = http2::speak(TcpStream::connect(server.address).await.unwrap()).await;
    let request = Request::post(format!("http://{}{SUBSCRIBE}", server.address));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    in_time(sender.send_request(request)).await.unwrap()
}

#[tokio::test]
async fn a_new_client_gets_a_snapshot_then_every_quote() {
    let server = Server::started(steady(200.0));
    server.stats_when(|stats| stats.published > SYMBOLS).await;
    let mut call = Call::begin(&server, None, &[]).await;
    let (last, gap, seqs) = call.snapshot().await;
    assert_eq!((gap, seqs), (0, (last - 3..=last).collect()));
    for expected in last + 1..last + 100 {
        let quote = call.quote().await;
        assert_eq!(quote.seq, expected);
        assert!(quote.due <= quote.sent && quote.cents > 0 && quote.qty % 100 == 0, "{quote:?}");
    }
}

#[tokio::test]
async fn a_client_comes_back_where_it_was_or_to_a_snapshot() {
    let server = Server::after_bursts(3, Settings { replay_window: 6, ..still() }).await;
    let mut call = Call::begin(&server, Some(6), &[]).await;
    for expected in 7..=12 {
        assert_eq!(call.quote().await.seq, expected);
    }
    let mut call = Call::begin(&server, Some(5), &[]).await;
    assert_eq!(call.snapshot().await, (12, 3, vec![9, 10, 11, 12]));
    let bolt = seqs_of(&server, "BOLT").await;
    let mut call = Call::begin(&server, Some(8), &["BOLT"]).await;
    let quote = call.quote().await;
    assert_eq!((Some(&quote.seq), quote.sym.as_str()), (bolt.last(), "BOLT"));
}

#[tokio::test]
async fn what_makes_no_sense_is_an_invalid_argument() {
    let server = Server::after_bursts(1, still()).await;
    for (after, symbols, reason) in [
        (Some(5), &[][..], "after is 5"),
        (None, &["NOPE"][..], "NOPE"),
        (Some(0), &["ACME", "acme"][..], "acme"),
    ] {
        let call = Call::begin(&server, after, symbols).await;
        assert_eq!(call.head["grpc-status"], "3", "{:?}", call.head);
        let said = call.head["grpc-message"].to_str().unwrap().replace("%20", " ");
        assert!(said.contains(reason), "{said}");
    }
    // A length and no message that fits it; a message that is none.
    for (body, status) in [(vec![0, 0, 0, 0, 9, 1], "13"), (vec![0, 0, 0, 0, 2, 0xff, 0xff], "3")] {
        let response = send(&server, body.clone()).await;
        assert_eq!(response.headers().get("grpc-status").unwrap(), status, "{body:?}");
    }
}

#[tokio::test]
async fn silence_is_filled_with_empty_events_and_the_end_has_status_ok() {
    let settings = Settings { heartbeat: Duration::from_millis(100), ..still() };
    let server = Server::after_bursts(1, settings).await;
    let mut call = Call::begin(&server, Some(4), &[]).await;
    for _ in 0..3 {
        assert_eq!(call.next().await, Ok(Event { kind: None }));
    }
    let read = async {
        loop {
            if let Err(trailers) = call.next().await {
                return trailers;
            }
        }
    };
    let (trailers, (stats, took)) = tokio::join!(read, server.stop());
    assert_eq!(trailers["grpc-status"], "0", "{trailers:?}");
    assert!(took < Settings::default().grace, "{took:?}");
    assert_eq!(stats.identity.mismatched, 0, "{:?}", stats.identity);
}
