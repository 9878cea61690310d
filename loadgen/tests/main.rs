//! Everything that is tested from outside, in one program: it is linked once, and two tests run at a time all the way.
//!
//! What counts the allocations of the whole process is a program of its own, and so are the tests of the teaching page.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

#[path = "common/chromium.rs"]
mod chromium;
mod peers;
mod python;
#[path = "common/scenarios.rs"]
mod scenarios;
#[path = "common/trials.rs"]
mod trials;
#[path = "common/workers.rs"]
mod workers;

mod ab;
mod autobahn;
mod browser;
mod chat;
mod chromium_driver;
mod compare;
mod conformance;
mod direct;
mod end_to_end;
mod event_stream;
mod exports;
mod foreign;
mod history;
mod live;
mod mixed;
mod others;
mod plans;
mod processes;
mod report_page;
mod same_conditions;
mod scenario_errors;
mod searches;
mod socketio_peers;
mod starters;
mod tidy;
mod validity;
mod variants;
mod workloads;
mod ws_peers;
