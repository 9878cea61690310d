//! Reference servers: one feed, every transport, one file each.
//!
//! A server takes a bound listener, settings, the instant to start at and the instant to stop at: [`serve`].
//! It knows nothing of scenarios, load generators or reports; [`stats::Stats`] is all that it tells of itself.

pub mod allocations;
pub mod cli;
pub mod conditions;
pub mod control;
pub mod fault;
pub mod page;
pub mod settings;
pub mod stats;

mod alone;
mod app;
mod asked;
mod chat;
mod connection;
mod direct;
mod encoded;
pub mod identity;
mod listeners;
mod log;
mod os;
mod patience;
mod publisher;
#[cfg(feature = "quic")]
mod quic;
mod registry;
mod rooms;
mod routes;
mod selection;
mod serve;
mod tasks;
mod transports;

pub use control::Start;
pub use fault::Fault;
pub use listeners::{Listeners, listen, listen_both, listen_shared};
pub use serve::{ServeError, serve};
pub use settings::Settings;
pub use stats::Stats;
