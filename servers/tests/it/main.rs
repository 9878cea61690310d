//! The servers over real sockets: each test starts its own on port 0 and ends within seconds.

#![expect(clippy::unwrap_used, reason = "in a test an unwrap is an assertion")]
#![expect(clippy::wildcard_enum_match_arm, reason = "any other message is a failed test")]

mod accounting;
mod echo;
mod encryption;
mod engines;
mod faults;
mod feed;
#[cfg(feature = "grpc")]
mod grpc;
mod http2;
mod limits;
mod long_polling;
mod ndjson;
mod polling;
mod process;
mod rooms;
mod socketio;
mod sse;
mod support;
mod websocket;
mod websocket_compressed;
#[cfg(feature = "quic")]
mod webtransport;
