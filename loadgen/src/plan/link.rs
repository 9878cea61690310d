//! The emulated network between client and server: what it does to what crosses it, and when it fails.

use std::time::Duration;

use measurement::result::LinkModel;
use serde::{Deserialize, Serialize};

use super::options::Word;

/// A network between client and server (`[link]`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The preset that it began with.
    pub preset: Option<Preset>,
    /// From client to server and back; half of it each way.
    #[serde(with = "super::micros")]
    pub rtt: Duration,
    /// Up to so much more each way, drawn evenly.
    #[serde(with = "super::micros")]
    pub jitter: Duration,
    /// Most bytes a second from server to client; `None` for as many as come.
    pub down_bytes_per_second: Option<u32>,
    /// The same from client to server.
    pub up_bytes_per_second: Option<u32>,
    /// Share of packets that are lost.
    pub loss: f64,
    /// What is emulated: packets, or connections.
    pub level: Level,
    /// When it fails, in the order of time.
    pub events: Vec<LinkEvent>,
}

/// A link that needs longer to move its queue is none that anybody waits for.
const MOST_QUEUED: Duration = Duration::from_secs(10);

impl Link {
    /// One way, without jitter.
    pub fn one_way(&self) -> Duration {
        self.rtt / 2
    }

    /// The longest that a byte may be under way one way while the link stands.
    pub fn longest(&self) -> Duration {
        self.one_way() + self.jitter
    }

    /// Whether connections are reset: clients then come back.
    pub fn resets(&self) -> bool {
        self.events.iter().any(|event| event.what == Failure::Reset)
    }

    /// How long after the window something may come that the server said in it: a long-polling client's question and
    /// answer cross twice, and a failure may last beyond the window.
    pub(super) fn drain(&self) -> Duration {
        // TCP tries again after as long as it has waited already: what a failure holds back may come twice as late.
        let failing = 2 * self.events.iter().map(|event| event.lasts).max().unwrap_or_default();
        // A queue of 64 KiB, or of what the rate moves in 100 ms.
        let queue = |rate: Option<u32>| {
            rate.map_or(Duration::ZERO, |rate| {
                Duration::from_secs_f64(65_536.0 / f64::from(rate)).max(Duration::from_millis(100))
            })
        };
        let queued = queue(self.down_bytes_per_second) + queue(self.up_bytes_per_second);
        // Lost packets are sent again after the timer of RFC 6298: a second at first, but for what is learned of the path.
        let again = if self.loss > 0.0 { Duration::from_secs(2) } else { Duration::ZERO };
        4 * self.longest() + failing + queued.min(MOST_QUEUED) + again
    }

    /// The model as the result file has it.
    pub fn model(&self) -> LinkModel {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        LinkModel {
            preset: self.preset.map(|preset| preset.word().to_owned()),
            rtt_us: us(self.rtt),
            jitter_us: us(self.jitter),
            down_bytes_per_second: self.down_bytes_per_second,
            up_bytes_per_second: self.up_bytes_per_second,
            loss: self.loss,
            events: self.events.iter().map(LinkEvent::text).collect(),
            level: self.level.word().to_owned(),
            level_reason: None,
        }
    }
}

/// The link fails for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEvent {
    /// When, after the window begins.
    #[serde(with = "super::micros")]
    pub at: Duration,
    /// For how long.
    #[serde(with = "super::micros")]
    pub lasts: Duration,
    /// How.
    pub what: Failure,
}

impl LinkEvent {
    fn text(&self) -> String {
        let time = humantime::format_duration;
        format!("{} at {} for {}", self.what.word(), time(self.at), time(self.lasts))
    }
}

super::options::words! {
    /// How a link fails.
    Failure {
        /// Nothing gets through. What a relay holds comes when it ends; packets are gone, and TCP sends them again.
        "partition" => Partition,
        /// Every connection is reset, and new ones while it lasts.
        "reset" => Reset,
    }
}

super::options::words! {
    /// What a link is emulated at.
    Level {
        /// Packets where this machine allows it, else connections.
        "auto" => Auto,
        /// IP packets between two network namespaces: handshakes, loss and retransmissions are real.
        "packets" => Packets,
        /// Connections and datagrams through a relay: delay, rate, partition and reset; no loss.
        "connections" => Connections,
    }
}

#[expect(clippy::derivable_impls, reason = "the enum is written by a macro")]
impl Default for Level {
    fn default() -> Self {
        Self::Auto
    }
}

super::options::words! {
    /// A network that many know. Rates and round trips of `fibre`, `4g` and `3g` are those of the WebPageTest profiles
    /// "FIOS", "4G" and "3G"; `satellite` is a geostationary hop (35,786 km up and down, twice, is 477 ms by light).
    Preset {
        /// Two machines on one switch.
        "lan" => Lan,
        /// Fibre to the home.
        "fibre" => Fibre,
        /// A phone, far from its mast.
        "4g" => FourG,
        /// A phone of 2010.
        "3g" => ThreeG,
        /// By way of a geostationary satellite.
        "satellite" => Satellite,
        /// `4g` with a tunnel: nothing for four seconds, two seconds into the window.
        "train-tunnel" => TrainTunnel,
    }
}

impl Preset {
    /// Bytes a second of so many kilobits.
    const fn kbit(kilobits: u32) -> Option<u32> {
        Some(kilobits * 125)
    }

    /// What it stands for.
    pub fn link(self) -> Link {
        let ms = Duration::from_millis;
        let link = |rtt, jitter, down, up, loss| Link {
            preset: Some(self),
            rtt,
            jitter,
            down_bytes_per_second: down,
            up_bytes_per_second: up,
            loss,
            ..Link::default()
        };
        match self {
            Self::Lan => link(Duration::from_micros(500), ms(0), None, None, 0.0),
            Self::Fibre => link(ms(4), ms(0), Self::kbit(20_000), Self::kbit(5_000), 0.0),
            Self::FourG => link(ms(170), ms(10), Self::kbit(9_000), Self::kbit(9_000), 0.0),
            Self::ThreeG => link(ms(300), ms(30), Self::kbit(1_600), Self::kbit(768), 0.005),
            Self::Satellite => link(ms(600), ms(10), Self::kbit(20_000), Self::kbit(3_000), 0.002),
            Self::TrainTunnel => Link {
                preset: Some(self),
                events: vec![LinkEvent {
                    at: Duration::from_secs(2),
                    lasts: Duration::from_secs(4),
                    what: Failure::Partition,
                }],
                ..Self::FourG.link()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_links_with_their_name() {
        for (word, preset) in Preset::WORDS {
            let link = preset.link();
            assert_eq!(link.preset.unwrap().word(), *word);
            assert_eq!(link.model().preset.as_deref(), Some(*word));
            assert!(link.rtt > Duration::ZERO && (0.0..0.05).contains(&link.loss));
            let again: Link = serde_json::from_str(&serde_json::to_string(&link).unwrap()).unwrap();
            assert_eq!(again, link);
        }
        assert_eq!(Preset::ThreeG.link().up_bytes_per_second, Some(96_000));
    }
}
