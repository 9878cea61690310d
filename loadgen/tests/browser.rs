//! Chromium as a foreign peer of the reference servers: what a page receives by the browser's own interfaces.
//!
//! The page is one of the server's own, so that its scripts have the server's origin.

#![cfg(feature = "quic")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{future::pending, net::SocketAddr, time::Duration};

use servers::{ServeError, Settings, Start, Stats};
use ticker::FeedSettings;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use chromium::Chromium;

#[path = "common/chromium.rs"]
mod chromium;

const LIMIT: Duration = Duration::from_secs(20);
/// Quotes that each page takes.
const QUOTES: u64 = 60;

/// A reference server with all its listeners.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Stats, ServeError>>,
}

impl Server {
    fn start() -> Self {
        let feed = FeedSettings { updates_per_second: 200.0, ..FeedSettings::default() };
        let settings = Settings { feed, ..Settings::default() };
        let listeners = servers::listen_both("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listeners.tcp.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            if stopped.await.is_err() {
                pending::<()>().await;
            }
        };
        let start = std::future::ready(Start::now());
        Self { address, stop, task: tokio::spawn(servers::serve(listeners, settings, start, shutdown)) }
    }

    /// A page of its own origin.
    fn page(&self) -> String {
        format!("http://{}/healthz", self.address)
    }

    async fn stop(self) -> Stats {
        self.stop.send(()).unwrap();
        timeout(LIMIT, self.task).await.unwrap().unwrap().unwrap()
    }
}

/// Opens a session by the certificate's hash, as the server tells it, and says go. Defines `take`, which reads the
/// messages of a stream until `enough` says so.
const SESSION: &str = "
    const identity = await (await fetch('/identity')).json();
    const value = Uint8Array.from(atob(identity.sha256), letter => letter.charCodeAt(0));
    const open = async query => {
        const hashes = [{ algorithm: 'sha-256', value }];
        const session = new WebTransport(identity.webtransport + query, { serverCertificateHashes: hashes });
        await session.ready;
        const streams = session.incomingUnidirectionalStreams.getReader();
        const datagrams = session.datagrams.readable.getReader();
        const go = (await session.createUnidirectionalStream()).getWriter();
        await go.write(new TextEncoder().encode('go'));
        await go.close();
        const stream = (await streams.read()).value.getReader();
        return { session, stream, datagrams };
    };
    const take = async (stream, enough) => {
        let bytes = new Uint8Array(), messages = [];
        while (!enough(messages)) {
            const { done, value } = await stream.read();
            if (done) break;
            const both = new Uint8Array(bytes.length + value.length);
            both.set(bytes); both.set(value, bytes.length); bytes = both;
            while (bytes.length >= 4) {
                const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
                if (bytes.length < 4 + length) break;
                messages.push(JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))));
                bytes = bytes.subarray(4 + length);
            }
        }
        return messages;
    };
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webtransport_by_the_hash_of_the_certificate() {
    let server = Server::start();
    let mut page = Chromium::start(&[]).await;
    page.open(&server.page()).await;
    let stream = format!(
        "{SESSION}
        const {{ session, stream }} = await open('');
        const [snapshot, ...quotes] = await take(stream, messages => messages.length > {QUOTES});
        session.close();
        return {{ snapshot: snapshot.snapshot, last: snapshot.last, seqs: quotes.map(quote => quote.seq) }};"
    );
    let found = page.run(&stream).await;
    let (last, seqs) = (found["last"].as_u64().unwrap(), numbers(&found["seqs"]));
    assert_eq!(found["snapshot"], true);
    assert!(seqs.len() as u64 >= QUOTES, "{seqs:?}");
    // In order and without a hole.
    assert!(seqs.iter().copied().eq(last + 1..=last + seqs.len() as u64), "after {last}: {seqs:?}");

    let datagrams = format!(
        "{SESSION}
        const {{ session, stream, datagrams }} = await open('?delivery=datagrams');
        const [snapshot] = await take(stream, () => false);
        const seqs = [];
        while (seqs.length < {QUOTES}) {{
            const {{ value }} = await datagrams.read();
            seqs.push(JSON.parse(new TextDecoder().decode(value)).seq);
        }}
        session.close();
        return {{ snapshot: snapshot.snapshot, last: snapshot.last, seqs }};"
    );
    let found = page.run(&datagrams).await;
    let (last, seqs) = (found["last"].as_u64().unwrap(), numbers(&found["seqs"]));
    assert_eq!((found["snapshot"].as_bool(), seqs.len() as u64), (Some(true), QUOTES));
    assert!(
        seqs[0] <= last + 1 + QUOTES && seqs.is_sorted_by(|one, next| one < next),
        "after {last}: {seqs:?}"
    );

    let refused = format!(
        "{SESSION}
        return await open('?after=junk').then(() => 'opened', error => error.name);"
    );
    assert_eq!(page.run(&refused).await, "WebTransportError");
    let stats = server.stop().await;
    let quic = stats.quic.unwrap();
    assert_eq!((quic.accepted, quic.open), (2, 0), "{quic:?}");
    assert!(stats.transports["webtransport"].quotes >= 2 * QUOTES, "{:?}", stats.transports);
}

fn numbers(json: &serde_json::Value) -> Vec<u64> {
    json.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}
