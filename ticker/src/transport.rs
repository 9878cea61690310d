//! The one list of transports. Servers and clients match it exhaustively, so the compiler names what is missing.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A way to bring quotes from the server to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The client asks on a fixed timetable (AJAX polling).
    Polling,
    /// The client asks, and the server holds the answer until there is news (RFC 6202 section 2).
    LongPolling,
    /// Server-sent events, `text/event-stream` (WHATWG HTML, section 9.2).
    Sse,
    /// A line of JSON for each message in one long response (NDJSON).
    Ndjson,
    /// The WebSocket protocol (RFC 6455).
    #[serde(rename = "websocket")]
    WebSocket,
    /// Socket.IO (protocol 5 over Engine.IO 4).
    #[serde(rename = "socketio")]
    SocketIo,
    /// gRPC server streaming.
    Grpc,
    /// WebTransport over HTTP/3 (draft-ietf-webtrans-http3): QUIC streams or datagrams.
    #[serde(rename = "webtransport")]
    WebTransport,
}

impl Transport {
    /// Every transport, in the order in which lists show them.
    pub const ALL: [Self; 8] = [
        Self::Polling,
        Self::LongPolling,
        Self::Sse,
        Self::Ndjson,
        Self::WebSocket,
        Self::SocketIo,
        Self::Grpc,
        Self::WebTransport,
    ];

    /// The name that scenario files use as `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::LongPolling => "long-polling",
            Self::Sse => "sse",
            Self::Ndjson => "ndjson",
            Self::WebSocket => "websocket",
            Self::SocketIo => "socketio",
            Self::Grpc => "grpc",
            Self::WebTransport => "webtransport",
        }
    }

    /// One line for `loadgen list`.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Polling => "the client asks for what is new on a fixed timetable",
            Self::LongPolling => "the client asks, and the answer is held until there is news",
            Self::Sse => "one long HTTP response, an event for each quote",
            Self::Ndjson => "one long HTTP response, a line for each quote",
            Self::WebSocket => "one upgraded connection, a message for each quote",
            Self::SocketIo => "polls that become a WebSocket, an event for each quote",
            Self::Grpc => "one call over HTTP/2, a protocol buffer for each quote",
            Self::WebTransport => "a session over QUIC, a stream of quotes or a datagram for each",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    fn from_str(name: &str) -> Result<Self, UnknownTransport> {
        Self::ALL
            .into_iter()
            .find(|transport| transport.name() == name)
            .ok_or_else(|| UnknownTransport(name.to_owned()))
    }
}

/// A name that is not in [`Transport::ALL`].
#[derive(Debug, thiserror::Error)]
#[error("unknown transport {0:?}")]
pub struct UnknownTransport(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_text_and_in_json() {
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse::<Transport>().unwrap(), transport);
            assert_eq!(serde_json::to_string(&transport).unwrap(), format!("{:?}", transport.name()));
        }
        assert!("carrier-pigeon".parse::<Transport>().is_err());
    }
}
