//! What is sent: the quote, the seeded feed schedule, its encoding, the clock and the one list of transports.
//!
//! This crate opens no socket, spawns no task and knows neither servers nor clients. Everything but
//! [`clock`] is a pure function of its arguments.

pub mod binary;
pub mod clock;
pub mod engine;
#[cfg(feature = "grpc")]
pub mod protobuf;
pub mod quote;
pub mod random;
pub mod scan;
pub mod schedule;
pub mod stage;
pub mod subscription;
pub mod transport;

pub use clock::Anchor;
pub use engine::Engine;
pub use quote::{Quote, QuoteView, symbol_index, symbol_name};
pub use schedule::{Arrivals, Due, FeedError, FeedSettings, Schedule, Timetable};
pub use stage::Stage;
pub use subscription::Subscriptions;
pub use transport::Transport;
