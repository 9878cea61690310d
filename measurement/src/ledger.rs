//! The byte ledger: layers by direction and phase, and whether they add up. It counts; scanners tell it what.

use serde::{Deserialize, Serialize};

use crate::result::Layers;

/// The named phases of a trial. Only the runner moves from one to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Connections are made; handshakes and snapshots.
    #[default]
    Connect,
    /// The feed runs; figures are discarded.
    WarmUp,
    /// The window.
    Measure,
    /// What was due in the window may still arrive; connections close.
    Drain,
}

impl Phase {
    /// All phases in order.
    pub const ALL: [Self; 4] = [Self::Connect, Self::WarmUp, Self::Measure, Self::Drain];

    /// What a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::WarmUp => "warm up",
            Self::Measure => "measure",
            Self::Drain => "drain",
        }
    }
}

/// One direction's bytes by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direction([Layers; 4]);

impl Direction {
    /// The layers of one phase.
    pub fn phase(&self, phase: Phase) -> &Layers {
        &self.0[phase as usize]
    }

    /// The layers of one phase, to be counted into.
    #[inline]
    pub fn phase_mut(&mut self, phase: Phase) -> &mut Layers {
        &mut self.0[phase as usize]
    }

    /// Bytes through the socket over all phases.
    pub fn socket_total(&self) -> u64 {
        self.0.iter().map(|layers| layers.socket_total).sum()
    }

    /// The layers of all phases together.
    pub fn whole_life(&self) -> Layers {
        let mut layers = Layers::default();
        self.0.iter().for_each(|phase| layers.merge(phase));
        layers
    }

    /// Adds another connection's bytes.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.merge(theirs);
        }
    }

    /// Whether the layers add up to the socket's bytes in every phase.
    pub fn balanced(&self) -> bool {
        self.0.iter().all(Layers::balanced)
    }
}

impl Layers {
    /// The five layers added up; equals `socket_total` unless something was missed.
    pub fn sum(&self) -> u64 {
        self.payload + self.overhead() + self.tls
    }

    /// Application framing, transport framing and headers.
    pub fn overhead(&self) -> u64 {
        self.app_framing + self.transport_framing + self.headers
    }

    /// Whether the layers add up.
    pub fn balanced(&self) -> bool {
        self.sum() == self.socket_total
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        self.payload += other.payload;
        self.app_framing += other.app_framing;
        self.transport_framing += other.transport_framing;
        self.headers += other.headers;
        self.tls += other.tls;
        self.socket_total += other.socket_total;
    }
}

/// A connection's count held against the kernel's, over its whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelCheck {
    /// Connections compared.
    pub checked: u64,
    /// Of these, the ones that differ.
    pub mismatched: u64,
}

impl KernelCheck {
    /// Adds one comparison.
    pub fn add(&mut self, equal: bool) {
        self.checked += 1;
        self.mismatched += u64::from(!equal);
    }

    /// Adds another worker's comparisons.
    pub fn merge(&mut self, other: Self) {
        self.checked += other.checked;
        self.mismatched += other.mismatched;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_in_no_layer_breaks_the_balance() {
        let mut direction = Direction::default();
        *direction.phase_mut(Phase::Measure) = Layers {
            payload: 120,
            app_framing: 8,
            transport_framing: 6,
            headers: 300,
            tls: 22,
            socket_total: 456,
        };
        assert!(direction.balanced());
        direction.phase_mut(Phase::Measure).headers += 1;
        assert!(!direction.balanced());
        direction.phase_mut(Phase::Measure).socket_total += 1;
        assert!(direction.balanced());
        direction.phase_mut(Phase::Drain).socket_total += 1;
        assert!(!direction.balanced());
        let whole = direction.whole_life();
        assert_eq!((whole.sum(), whole.socket_total), (457, 458));
        assert_eq!(whole.socket_total, direction.socket_total());
    }
}
