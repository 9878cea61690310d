//! Chromium as a foreign peer of the reference servers: what a page receives by the browser's own interfaces.
//!
//! The page is one of the server's own, so that its scripts have the server's origin.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{future::pending, net::SocketAddr, sync::Arc, time::Duration};

use servers::{Listeners, ServeError, Settings, Start, Stats, identity::Identity, settings::Deflate};
use ticker::FeedSettings;
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use chromium::Chromium;

use crate::chromium;

const LIMIT: Duration = Duration::from_secs(20);
/// Quotes that each page takes.
const QUOTES: u64 = 60;

/// A reference server.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Stats, ServeError>>,
}

impl Server {
    fn start(listeners: impl Into<Listeners>, deflate: Deflate) -> Self {
        let feed = FeedSettings { updates_per_second: 200.0, ..FeedSettings::default() };
        let settings = Settings { feed, deflate, ..Settings::default() };
        let listeners = listeners.into();
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

    /// Without a certificate.
    fn plain(deflate: Deflate) -> Self {
        Self::start(servers::listen("127.0.0.1:0".parse().unwrap()).unwrap(), deflate)
    }

    /// With TLS beside plain HTTP.
    fn encrypted() -> Self {
        let tcp = servers::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let identity = Some(Arc::new(Identity::self_signed().unwrap()));
        Self::start(Listeners { tcp, udp: None, identity }, Deflate::Off)
    }

    /// A page of its own origin, which makes its connection one that carries data.
    fn page(&self) -> String {
        format!("http://{}/quotes", self.address)
    }

    /// Its figures, asked for on a connection of their own.
    async fn stats(&self) -> Stats {
        reqwest::get(format!("http://{}/stats", self.address)).await.unwrap().json().await.unwrap()
    }

    async fn stop(self) -> Stats {
        self.stop.send(()).unwrap();
        timeout(LIMIT, self.task).await.unwrap().unwrap().unwrap()
    }
}

/// Functions of a page, one for each interface: `{ last, seqs }` of the snapshot and the quotes after it, as many as
/// are wanted.
const PAGE: &str = r#"
    const first = message => {
        if (message.snapshot === false || !('last' in message)) throw new Error('no snapshot: ' + JSON.stringify(message));
        return message.last;
    };
    // One message after the other until there are enough.
    const collect = async next => {
        const last = first(await next()), seqs = [];
        while (seqs.length < WANTED) seqs.push((await next()).seq);
        return { last, seqs };
    };
    // What comes by callbacks, in order.
    const queue = () => {
        const come = [], waiting = [];
        const put = thing => waiting.length ? waiting.shift().resolve(thing) : come.push(thing);
        const fail = reason => waiting.length ? waiting.shift().reject(new Error(reason)) : come.push(null);
        const next = () => come.length ? Promise.resolve(come.shift()) : new Promise((resolve, reject) => waiting.push({ resolve, reject }));
        return { put, fail, next };
    };
    const lines = async () => {
        const response = await fetch('/ndjson');
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = '';
        const heard = await collect(async () => {
            while (!text.includes('\n')) {
                const { done, value } = await reader.read();
                if (done) throw new Error('it ended');
                text += value;
            }
            const end = text.indexOf('\n'), line = text.slice(0, end);
            text = text.slice(end + 1);
            return line ? JSON.parse(line) : null;
        });
        await reader.cancel();
        return { ...heard, type: response.headers.get('content-type') };
    };
    const events = async () => {
        const source = new EventSource('/sse'), { put, fail, next } = queue();
        source.addEventListener('snapshot', event => put(JSON.parse(event.data)));
        source.onmessage = event => put({ ...JSON.parse(event.data), id: event.lastEventId });
        source.onerror = () => fail('the event source failed');
        const heard = await collect(next);
        source.close();
        return heard;
    };
    const record = (view, at) => ({
        seq: Number(view.getBigUint64(at)), sym: String.fromCharCode(...[24, 25, 26, 27].map(letter => view.getUint8(at + letter))),
    });
    const decoded = buffer => {
        const view = new DataView(buffer);
        if (view.getUint8(0) === 1 && buffer.byteLength === 37) return record(view, 1);
        if (view.getUint8(0) !== 2 || (buffer.byteLength - 17) % 36) throw new Error('no message');
        return { last: Number(view.getBigUint64(1)), snapshot: true };
    };
    const socket = async subprotocol => {
        const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';
        const socket = new WebSocket(scheme + location.host + '/ws', subprotocol), { put, fail, next } = queue();
        socket.binaryType = 'arraybuffer';
        socket.onmessage = ({ data }) => put(typeof data === 'string' ? JSON.parse(data) : decoded(data));
        socket.onerror = () => fail('the socket failed');
        const heard = await collect(next);
        const { extensions, protocol } = socket;
        const closed = new Promise(done => socket.onclose = ({ code, wasClean }) => done({ code, wasClean }));
        socket.close(1000);
        return { ...heard, extensions, protocol, closed: await closed };
    };
    // The version of HTTP over which a path came (Resource Timing, `nextHopProtocol`); known when it has ended.
    const version = async path => {
        for (;;) {
            const entry = performance.getEntriesByType('resource').find(entry => new URL(entry.name).pathname === path);
            if (entry) return entry.nextHopProtocol;
            await new Promise(done => setTimeout(done, 10));
        }
    };
"#;

/// Runs a script in the page with [`PAGE`] before it, and checks that quotes came in order and without a hole.
async fn hear(page: &mut Chromium, script: &str) -> serde_json::Value {
    let page_script = PAGE.replace("WANTED", &QUOTES.to_string());
    let heard = page.run(&format!("{page_script}\n{script}")).await;
    let (last, seqs) = (heard["last"].as_u64().unwrap(), numbers(&heard["seqs"]));
    assert!(seqs.iter().copied().eq(last + 1..=last + QUOTES), "{script} after {last}: {seqs:?}");
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_hears_every_quote_on_every_transport_and_in_both_versions_of_http() {
    let mut page = Chromium::start(&["--ignore-certificate-errors"]).await;

    let server = Server::plain(Deflate::Off);
    page.open(&server.page()).await;
    let heard = hear(&mut page, "return { ...await lines(), version: await version('/ndjson') };").await;
    assert_eq!((&heard["type"], &heard["version"]), (&"application/x-ndjson".into(), &"http/1.1".into()));
    hear(&mut page, "return await events();").await;
    for subprotocol in ["ticker.json.v1", "ticker.binary.v1"] {
        check_socket(&mut page, subprotocol, "").await;
    }
    balanced(&server.stop().await, 4);

    let forgetting = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for (deflate, extensions) in
        [(Deflate::Takeover, "permessage-deflate"), (Deflate::NoTakeover, forgetting)]
    {
        let server = Server::plain(deflate);
        page.open(&server.page()).await;
        for subprotocol in ["ticker.json.v1", "ticker.binary.v1"] {
            check_socket(&mut page, subprotocol, extensions).await;
        }
        balanced(&server.stop().await, 2);
    }
    over_http2(&mut page).await;
}

async fn check_socket(page: &mut Chromium, subprotocol: &str, extensions: &str) {
    let heard = hear(page, &format!("return await socket('{subprotocol}');")).await;
    assert_eq!(heard["protocol"], subprotocol, "{extensions}");
    assert_eq!(heard["extensions"], extensions, "{subprotocol}");
    assert_eq!(
        heard["closed"],
        serde_json::json!({ "code": 1000, "wasClean": true }),
        "{subprotocol} {extensions}"
    );
}

/// Everything on the one connection of the page, over TLS.
async fn over_http2(page: &mut Chromium) {
    let server = Server::encrypted();
    let secure = server.page().replace("http://", "https://");
    page.open(&secure).await;
    for (path, script) in [("/ndjson", "lines()"), ("/sse", "events()")] {
        let heard =
            hear(page, &format!("return {{ ...await {script}, version: await version('{path}') }};")).await;
        assert_eq!(heard["version"], "h2", "{path}");
    }
    let before = server.stats().await.connections.accepted;
    let heard = hear(page, "return await socket('ticker.json.v1');").await;
    // An extended CONNECT in a stream of the connection that the page has (RFC 8441): only ours is added.
    assert_eq!(server.stats().await.connections.accepted, before + 1);
    assert_eq!(heard["closed"]["code"], 1000);
    let stats = server.stop().await;
    assert_eq!(stats.transports["websocket"].requests, 1);
    balanced(&stats, 1);
}

/// So many quotes went out at least for each of `readers`, and the books are the kernel's.
fn balanced(stats: &Stats, readers: u64) {
    let quotes: u64 = stats.transports.values().map(|transport| transport.quotes).sum();
    assert!(quotes >= readers * QUOTES, "{:?}", stats.transports);
    assert_eq!((stats.connections.open, stats.identity.mismatched), (0, 0), "{:?}", stats.identity);
    assert!(stats.identity.checked > 0, "{:?}", stats.identity);
}

/// Opens a session by the certificate's hash, as the server tells it, and says go. Defines `take`, which reads the
/// messages of a stream until `enough` says so.
#[cfg(feature = "quic")]
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

#[cfg(feature = "quic")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webtransport_by_the_hash_of_the_certificate() {
    let server = Server::start(servers::listen_both("127.0.0.1:0".parse().unwrap()).unwrap(), Deflate::Off);
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
