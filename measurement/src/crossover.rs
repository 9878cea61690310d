//! The record of a crossover, `tickertape-crossover/1`: a grid of intervals, links and rates, predicted and measured.
//!
//! The closed forms are here, the trials are elsewhere. No transport is known: a model says who starts a delivery.

use serde::{Deserialize, Serialize};

use crate::result::{Model, ModelKind, Status};

/// Value of [`Crossover::format`] that this version writes.
pub const FORMAT: &str = "tickertape-crossover/1";

const SECONDS_OF_AN_HOUR: f64 = 3_600.0;

/// A crossover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Crossover {
    /// Name and version of this format.
    pub format: String,
    /// The command line.
    pub command: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    pub finished_at: String,
    /// Whether every point was measured.
    pub status: Status,
    /// Why not.
    pub partial_reason: Option<String>,
    /// Title of the scenario.
    pub title: String,
    /// Mean delay that is good enough.
    pub within_us: f64,
    /// Intervals between polls.
    pub intervals_us: Vec<f64>,
    /// Round trips of the link.
    pub rtts_us: Vec<f64>,
    /// Updates a second that a client is sent.
    pub rates: Vec<f64>,
    /// What was compared, in the scenario's order.
    pub transports: Vec<Transport>,
    /// Every point of every transport.
    pub points: Vec<Point>,
}

/// One transport and what calibration found of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transport {
    /// Its name in the scenario.
    pub name: String,
    /// Who starts a delivery.
    pub model: Model,
    /// What a trial on loopback found; null where it failed.
    pub calibration: Option<Calibration>,
}

/// Costs of one transport, from one trial without a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Bytes of a request and its answer without quotes; 0 for a push.
    pub request_bytes: f64,
    /// Bytes of a quote as it is on the wire.
    pub update_bytes: f64,
    /// Bytes around each pushed quote; 0 where requests bring them.
    pub framing_bytes: f64,
    /// Bytes of a client and second that come whatever happens: heartbeats.
    pub periodic_bytes: f64,
    /// From the due instant to the receipt, without waiting for a question.
    pub way_us: f64,
    /// From an answer's departure to the next question's arrival.
    pub dead_us: f64,
}

/// One transport at one point of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Index of its transport.
    pub transport: usize,
    /// The name that its variant has in the result.
    pub variant: String,
    /// Time between polls; null where nobody polls.
    pub interval_us: Option<f64>,
    /// Round trip of the link.
    pub rtt_us: f64,
    /// Updates a second, as asked.
    pub rate: f64,
    /// Updates a second by the schedule of the window.
    pub rate_in_window: Option<f64>,
    /// What was found.
    pub measured: Figures,
    /// What the closed forms say, at the window's own rate.
    pub predicted: Figures,
    /// Why figures are missing.
    pub void: Vec<String>,
}

/// Figures of a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean delivery delay.
    pub delay_us: Option<f64>,
    /// Share of time in which a shown price is not the newest.
    pub price_wrong: Option<f64>,
    /// Bytes of one user in an hour, both directions, without handshakes.
    pub bytes_per_hour: Option<f64>,
    /// Processor time of the server for one user in an hour, in seconds.
    pub cpu_s_per_hour: Option<f64>,
}

/// Where a transport stands: seconds between polls, round trip in seconds, updates a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// Seconds between polls; 0 where nobody polls.
    pub interval_s: f64,
    /// Round trip of the link in seconds.
    pub rtt_s: f64,
    /// Updates a second.
    pub rate: f64,
}

impl Calibration {
    /// What the closed forms of METHODOLOGY.md say, with Poisson arrivals.
    ///
    /// Polling waits half an interval; a held answer waits half the dead time when an update falls into it, which
    /// x / (x + e^−x) of them do with x = λR; a push waits for nothing.
    pub fn predict(&self, kind: ModelKind, at: At) -> Figures {
        let way_s = self.way_us / 1e6 + at.rtt_s / 2.0;
        let dead = at.rate * self.dead_s(at.rtt_s);
        let per_answer = dead + (-dead).exp();
        let wait_s = match kind {
            ModelKind::Pull => at.interval_s / 2.0,
            ModelKind::Held => dead / per_answer * self.dead_s(at.rtt_s) / 2.0,
            ModelKind::Push => 0.0,
        };
        Figures {
            delay_us: Some((wait_s + way_s) * 1e6),
            price_wrong: None,
            bytes_per_hour: Some(self.bytes_per_second(kind, at) * SECONDS_OF_AN_HOUR),
            cpu_s_per_hour: None,
        }
    }

    fn dead_s(&self, rtt_s: f64) -> f64 {
        self.dead_us / 1e6 + rtt_s
    }

    fn bytes_per_second(&self, kind: ModelKind, at: At) -> f64 {
        let dead = at.rate * self.dead_s(at.rtt_s);
        let requests = match kind {
            ModelKind::Pull => 1.0 / at.interval_s,
            ModelKind::Held => at.rate / (dead + (-dead).exp()),
            ModelKind::Push => 0.0,
        };
        requests * self.request_bytes
            + at.rate * (self.update_bytes + self.framing_bytes)
            + self.periodic_bytes
    }

    /// The interval at which asking costs as many bytes as `other`, in seconds: below it the other is cheaper. `None` where
    /// asking is dearer however rarely it is done.
    pub fn break_even_s(&self, other: (&Self, ModelKind), at: At) -> Option<f64> {
        let (calibration, kind) = other;
        let spare = calibration.bytes_per_second(kind, at)
            - at.rate * (self.update_bytes + self.framing_bytes)
            - self.periodic_bytes;
        (spare > 0.0).then(|| self.request_bytes / spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(request_bytes: f64, framing_bytes: f64) -> Calibration {
        Calibration { request_bytes, framing_bytes, update_bytes: 120.0, ..Calibration::default() }
    }

    fn near(found: Option<f64>, expected: f64) {
        assert!((found.unwrap() / expected - 1.0).abs() < 1e-3, "{found:?}, expected {expected}");
    }

    #[test]
    fn delays_are_those_of_the_example_and_of_a_simulation() {
        let at = At { interval_s: 1.0, rtt_s: 0.06, rate: 2.0 };
        let of = |kind| calibration(600.0, 2.0).predict(kind, at).delay_us;
        near(of(ModelKind::Pull), 530_000.0);
        near(of(ModelKind::Push), 30_000.0);
        // x = 0.12: a tenth of the updates fall into the dead time of 60 ms.
        near(of(ModelKind::Held), 33_570.0);
    }

    #[test]
    fn at_the_break_even_interval_both_cost_the_same() {
        let (asking, pushing) = (calibration(600.0, 0.0), calibration(0.0, 40.0));
        let at = At { interval_s: 0.0, rtt_s: 0.0, rate: 2.0 };
        let interval_s = asking.break_even_s((&pushing, ModelKind::Push), at);
        near(interval_s, 7.5);
        let at = At { interval_s: 7.5, ..at };
        let asked = asking.predict(ModelKind::Pull, at).bytes_per_hour;
        near(asked, pushing.predict(ModelKind::Push, at).bytes_per_hour.unwrap());
        let free = calibration(0.0, 0.0);
        assert_eq!(asking.break_even_s((&free, ModelKind::Push), at), None);
        // Held answers carry the same heads for every update: asking every 1 / λ is as dear.
        near(asking.break_even_s((&asking, ModelKind::Held), at), 0.5);
    }
}
