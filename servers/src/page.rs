//! The teaching page: files that stand in the binary, the policy that they are served under, and what the page is told.
//! It starts nothing and asks nobody.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header},
    response::IntoResponse as _,
    routing::get,
};
use serde::Serialize;
use ticker::{FeedSettings, Transport};

use crate::{
    stats::{IdentityStats, Layers, Stats},
    transports,
};

/// A file in the binary: its path, type and text.
macro_rules! file {
    ($path:literal, $kind:expr, $file:literal) => {
        ($path, $kind, include_str!(concat!("../page/", $file)))
    };
}

/// Every file; the page itself is the first.
const FILES: &[(&str, &str, &str)] = &[
    file!("/", "text/html; charset=utf-8", "index.html"),
    file!("/page/style.css", "text/css; charset=utf-8", "style.css"),
    file!("/page/main.js", SCRIPT, "main.js"),
    file!("/page/bars.js", SCRIPT, "bars.js"),
    file!("/page/breaks.js", SCRIPT, "breaks.js"),
    file!("/page/chapters.js", SCRIPT, "chapters.js"),
    file!("/page/chat.js", SCRIPT, "chat.js"),
    file!("/page/clock.js", SCRIPT, "clock.js"),
    file!("/page/connect.js", SCRIPT, "connect.js"),
    file!("/page/counts.js", SCRIPT, "counts.js"),
    file!("/page/dom.js", SCRIPT, "dom.js"),
    file!("/page/draw.js", SCRIPT, "draw.js"),
    file!("/page/echo.js", SCRIPT, "echo.js"),
    file!("/page/honesty.js", SCRIPT, "honesty.js"),
    file!("/page/lane.js", SCRIPT, "lane.js"),
    file!("/page/omission.js", SCRIPT, "omission.js"),
    file!("/page/own.js", SCRIPT, "own.js"),
    file!("/page/parts.js", SCRIPT, "parts.js"),
    file!("/page/replay.js", SCRIPT, "replay.js"),
    file!("/page/results.js", SCRIPT, "results.js"),
    file!("/page/say.js", SCRIPT, "say.js"),
    file!("/page/screen.js", SCRIPT, "screen.js"),
    file!("/page/settings.js", SCRIPT, "settings.js"),
    file!("/page/shared.js", SCRIPT, "shared.js"),
    file!("/page/six.js", SCRIPT, "six.js"),
    file!("/page/socketio.js", SCRIPT, "socketio.js"),
    file!("/page/talk.js", SCRIPT, "talk.js"),
    file!("/page/texts_en.js", SCRIPT, "texts_en.js"),
    file!("/page/texts_zh.js", SCRIPT, "texts_zh.js"),
    file!("/page/tour.js", SCRIPT, "tour.js"),
    file!("/page/webtransport.js", SCRIPT, "webtransport.js"),
    file!("/page/wire.js", SCRIPT, "wire.js"),
    file!("/page/words.js", SCRIPT, "words.js"),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What all files are served with besides their policy. Isolated from other origins the browser's clock is finer.
const FIELDS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// How the page shows a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// On the first screen.
    First,
    /// Behind "more".
    More,
    /// Behind "more", and its sessions come over QUIC.
    Sessions,
}

/// The transports that have a lane.
pub fn lanes() -> impl Iterator<Item = (Lane, Transport)> {
    Transport::ALL.into_iter().filter_map(|kind| Some((transports::lane(kind)?, kind)))
}

/// What it connects to besides: by name, over which transport, what for.
pub fn extras() -> impl Iterator<Item = (&'static str, Transport, Role)> {
    transports::EXTRAS.into_iter()
}

/// What the page is told: the feed, what it may change, and where to connect.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Told {
    /// Of the feed.
    pub symbols: u32,
    /// Of the feed, over all symbols.
    pub updates_per_second: f64,
    /// Of the feed.
    pub arrivals: &'static str,
    /// Of the feed.
    pub quote_bytes: u32,
    /// Of the feed.
    pub seed: u64,
    /// Which version of HTTP the lanes speak: 1 or 2.
    pub http: u8,
    /// How often somebody changed it.
    pub edition: u64,
    /// Round trip that the links add, milliseconds.
    pub round_trip_ms: u64,
    /// Whether the links are proxies that know no upgrades.
    pub strips_upgrades: bool,
    /// Whether there is anybody who changes all this.
    pub has_controls: bool,
    /// Whether the asker may.
    pub may_control: bool,
    /// Whether a class shares the lanes: counters are then everybody's.
    pub is_class: bool,
    /// Where to connect.
    pub lanes: Vec<Place>,
}

impl Told {
    /// A feed that nobody changes.
    pub fn of(feed: &FeedSettings, lanes: Vec<Place>) -> Self {
        let FeedSettings { symbols, updates_per_second, arrivals, quote_bytes, seed, stages: _ } = *feed;
        let arrivals = arrivals.name();
        Self { symbols, updates_per_second, arrivals, quote_bytes, seed, http: 1, lanes, ..Self::default() }
    }
}

/// Somewhere to connect.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Place {
    /// Its name on the page.
    pub name: String,
    /// Its transport.
    pub kind: String,
    /// What it is for.
    pub role: Role,
    /// As in `http://127.0.0.1:8601`; empty for the page's own.
    pub origin: String,
    /// SHA-256 of the certificate of a place for sessions, base64 (W3C WebTransport, `serverCertificateHashes`).
    pub certificate: Option<String>,
}

/// What a place is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A lane of the first screen.
    #[default]
    First,
    /// A lane behind "more".
    More,
    /// A lane of somebody else's server.
    Own,
    /// The chat room.
    Chat,
    /// The echo.
    Echo,
    /// A server for as many connections as a browser opens.
    Spare,
    /// A server that does not know the page.
    Stranger,
}

/// What the server of one lane has counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counted {
    /// The place's name.
    pub name: String,
    /// The newest [`Told::edition`].
    pub edition: u64,
    /// Polls, streams and upgrades, refused ones included.
    pub requests: u64,
    /// Handed to clients, those in snapshots left out.
    pub quotes: u64,
    /// The newest sequence number.
    pub newest_seq: u64,
    /// Connections open now.
    pub open: u64,
    /// Client to server, at the server's sockets. Null where lanes share a server, whose connections carry the page as
    /// well, and where the server is somebody else's.
    pub read_bytes: Option<u64>,
    /// Server to client; null as above.
    pub written_bytes: Option<u64>,
    /// Of both; null as above.
    pub layers: Option<Layers>,
    /// Our counters against the kernel's.
    pub identity: IdentityStats,
    /// Connections that clients opened to the link, and what went over it; null without a link.
    pub link: Option<Crossed>,
    /// Processor time of the server's process, milliseconds; null where it is not its own.
    pub cpu_ms: Option<u64>,
}

/// What went over a link.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Crossed {
    /// Connections that clients opened.
    pub connections: u64,
    /// From the browser to the server.
    pub up_bytes: u64,
    /// From the server to the browser.
    pub down_bytes: u64,
}

impl Counted {
    /// What `stats` say of a transport, without the bytes.
    pub fn of(name: &str, kind: &str, stats: &Stats) -> Self {
        let own = stats.transports.get(kind).copied().unwrap_or_default();
        Self {
            name: name.to_owned(),
            requests: own.requests,
            quotes: own.quotes,
            newest_seq: stats.newest_seq,
            open: stats.connections.open,
            identity: stats.identity.clone(),
            ..Self::default()
        }
    }

    /// The same with the bytes of a server that has no other lanes.
    pub fn with_bytes(self, stats: &Stats) -> Self {
        let (read, written) = (Some(stats.bytes.read), Some(stats.bytes.written));
        Self { read_bytes: read, written_bytes: written, layers: stats.layers, ..self }
    }

    /// The same of a server whose lane is sessions: the payload of its UDP datagrams, in which no layers can be told.
    pub fn with_datagrams(self, stats: &Stats) -> Self {
        let quic = stats.quic.unwrap_or_default();
        Self { read_bytes: Some(quic.received_bytes), written_bytes: Some(quic.sent_bytes), ..self }
    }
}

/// The routes of all files, for a page that connects to its own server and to the origins that `origins` names for a
/// request (as in `http://127.0.0.1:8601`), and to nobody else (Content Security Policy Level 3).
pub fn routes<S: Clone + Send + Sync + 'static>(
    origins: impl Fn(&HeaderMap) -> Vec<String> + Send + Sync + 'static,
) -> Router<S> {
    let origins = Arc::new(origins);
    let serve = |routes: Router<S>, (path, kind, text): (&'static str, &'static str, &'static str)| {
        let origins = Arc::clone(&origins);
        let answer = async move |headers: HeaderMap| {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
            let policy = (header::CONTENT_SECURITY_POLICY, policy(&origins(&headers)));
            ([kind, policy], FIELDS, text).into_response()
        };
        routes.route(path, get(answer))
    };
    FILES.iter().copied().fold(Router::new(), serve)
}

fn policy(origins: &[String]) -> HeaderValue {
    let sockets =
        origins.iter().filter_map(|origin| origin.strip_prefix("http").map(|rest| format!("ws{rest}")));
    let allowed: Vec<String> = origins.iter().cloned().chain(sockets).collect();
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        allowed.join(" ")
    );
    // Origins are made of socket addresses.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_connect_to_its_lanes_only() {
        let policy = policy(&["http://127.0.0.1:8601".to_owned()]);
        let policy = policy.to_str().unwrap();
        assert!(policy.contains("connect-src 'self' http://127.0.0.1:8601 ws://127.0.0.1:8601;"), "{policy}");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn files_name_no_other_host_and_all_are_there() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page")).unwrap();
        assert_eq!(folder.count(), FILES.len());
        for (path, _, text) in FILES {
            // Schemes stand in scripts to be told apart; hosts do not, but for the names of XML and what readers type.
            let foreign = text.split("://").skip(1).any(|rest| {
                let known = ["127.0.0.1", "192.168.", "${", "www.w3.org/2000/svg", "HOST"];
                !known.iter().any(|known| rest.starts_with(known))
            });
            assert!(!foreign && !text.contains("//cdn"), "{path}");
            let scripts =
                text.matches("<script").count() == text.matches("<script type=\"module\" src=").count();
            assert!(scripts && !text.contains(" style=\""), "{path} has something inline");
        }
    }
}
