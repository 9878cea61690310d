//! A recording on its way between processes: all of it but the timetable, which is a pure function of feed and horizon.

use serde::{Deserialize, Serialize};

use super::{Frame, Recording, Sums, Totals};
use crate::staleness::Window;

/// A recording without what its receiver knows already.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    sums: Sums,
    totals: Totals,
    distinct: Option<u64>,
    client_means_ns: Vec<f64>,
    t0_ns: u64,
    window: Window,
}

impl From<Recording> for Parts {
    fn from(recording: Recording) -> Self {
        let Recording { sums, totals, distinct, client_means_ns, frame } = recording;
        let Frame { table: _, t0_ns, window, coalesces: _, asked: _, subscriptions: _, phases: _ } = frame;
        Self { sums, totals, distinct, client_means_ns, t0_ns, window }
    }
}

impl Parts {
    /// The recording again, in the frame that its recorder was made with; t0 and a cut window are its own.
    pub fn in_frame(self, frame: &Frame) -> Recording {
        let Self { sums, totals, distinct, client_means_ns, t0_ns, window } = self;
        Recording { sums, totals, distinct, client_means_ns, frame: Frame { t0_ns, window, ..frame.clone() } }
    }
}
