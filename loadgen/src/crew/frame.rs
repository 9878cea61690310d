//! What all recorders of a trial share, as a pure function of the variant: every process makes it for itself.

use std::{sync::Arc, time::Duration};

use measurement::recorder::Frame;
use ticker::{FeedError, Subscriptions, Timetable};

use crate::{clients, plan::VariantPlan};

/// The timetable goes on for so long after the last quote of the window may arrive: until all clients have closed.
const BEYOND: Duration = Duration::from_secs(5);
const BEYOND_FOR_EACH: Duration = Duration::from_millis(1);

/// The frame of a variant's trials; t0 is not known yet.
///
/// # Errors
/// Feed settings that no server would take.
pub fn frame(variant: &VariantPlan) -> Result<Frame, FeedError> {
    let window = variant.window_ns();
    let drain = variant.drain() + BEYOND + BEYOND_FOR_EACH * variant.all_clients();
    let table = match variant.heard() {
        None => Timetable::new(&variant.feed, window.end + drain.as_nanos() as u64)?,
        Some(_) => Timetable::heard([], 0),
    };
    let subscriptions = match variant.heard() {
        None => Subscriptions::new(variant.feed.symbols, variant.load.symbols_per_client),
        Some(_) => Subscriptions::default(),
    };
    Ok(Frame {
        table: Arc::new(table),
        t0_ns: u64::MAX,
        window,
        coalesces: clients::coalesces(variant.kind, &variant.options),
        asked: clients::acts_on_a_timetable(variant.kind),
        subscriptions,
        phases: variant.phases(),
    })
}
