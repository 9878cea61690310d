//! A feed whose rate changes: time runs faster or slower through the schedule of a steady one.
//!
//! For a Poisson process this is exact (time-rescaling theorem: a process of rate r(t) is a steady one read at ∫r); evenly
//! spaced quotes stay evenly spaced in each stage.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::FeedSettings;

/// A time in which the feed has another rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its beginning in nanoseconds after t0.
    pub from_ns: u64,
    /// Its length.
    pub lasts_ns: u64,
    /// Quotes per second over all symbols at its beginning.
    pub from_rate: f64,
    /// The same at its end; between them the rate moves evenly.
    pub to_rate: f64,
}

/// `FROM_NS:LASTS_NS:FROM_RATE:TO_RATE`, as a command line has it.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.from_ns, self.lasts_ns, self.from_rate, self.to_rate)
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let wrong = || format!("{text:?} is no stage, expected FROM_NS:LASTS_NS:FROM_RATE:TO_RATE");
        let [from, lasts, from_rate, to_rate] = parts.as_slice() else { return Err(wrong()) };
        let whole = |part: &str| part.parse::<u64>().map_err(|_| wrong());
        let rate = |part: &str| part.parse::<f64>().map_err(|_| wrong());
        Ok(Self {
            from_ns: whole(from)?,
            lasts_ns: whole(lasts)?,
            from_rate: rate(from_rate)?,
            to_rate: rate(to_rate)?,
        })
    }
}

/// Where the instants of a steady schedule lie in one with stages.
#[derive(Clone, Debug)]
pub(crate) struct Stages {
    rate: f64,
    /// Beginning in quotes, beginning in seconds, rate there, its change a second.
    pieces: Vec<[f64; 4]>,
}

impl Stages {
    pub(crate) fn new(settings: &FeedSettings) -> Self {
        let rate = settings.updates_per_second;
        let mut pieces = Vec::new();
        let (mut quotes, mut seconds) = (0.0, 0.0);
        for stage in &settings.stages {
            let (from, lasts) = (stage.from_ns as f64 / 1e9, stage.lasts_ns as f64 / 1e9);
            pieces.push([quotes, seconds, rate, 0.0]);
            quotes += (from - seconds) * rate;
            pieces.push([quotes, from, stage.from_rate, (stage.to_rate - stage.from_rate) / lasts]);
            quotes += (stage.from_rate + stage.to_rate) / 2.0 * lasts;
            seconds = from + lasts;
        }
        if !pieces.is_empty() {
            pieces.push([quotes, seconds, rate, 0.0]);
        }
        Self { rate, pieces }
    }

    /// The instant at which a quote is due that a steady schedule has at `offset_ns`.
    pub(crate) fn warp(&self, offset_ns: u64) -> u64 {
        let wanted = offset_ns as f64 / 1e9 * self.rate;
        let Some([quotes, seconds, rate, slope]) = self.pieces.iter().rfind(|piece| piece[0] <= wanted)
        else {
            return offset_ns;
        };
        let more = wanted - quotes;
        // The solution of rate·t + slope·t²/2 = more that has no difference of large numbers.
        let after = 2.0 * more / (rate + (rate * rate + 2.0 * slope * more).max(0.0).sqrt());
        ((seconds + after) * 1e9).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arrivals, Schedule};

    fn staged(arrivals: Arrivals, stages: &[(u64, u64, f64, f64)]) -> Vec<u64> {
        let second = 1_000_000_000;
        let stage = |&(from, lasts, from_rate, to_rate): &(u64, u64, f64, f64)| Stage {
            from_ns: from * second,
            lasts_ns: lasts * second,
            from_rate,
            to_rate,
        };
        let stages = stages.iter().map(stage).collect();
        let settings = FeedSettings { updates_per_second: 10.0, arrivals, stages, ..FeedSettings::default() };
        let offsets = Schedule::new(&settings).unwrap().map(|due| due.offset_ns);
        offsets.take_while(|offset| *offset < 20 * second).collect()
    }

    fn between(offsets: &[u64], from_s: u64, to_s: u64) -> usize {
        offsets.iter().filter(|offset| (from_s..to_s).contains(&(**offset / 1_000_000_000))).count()
    }

    #[test]
    fn a_burst_is_many_times_the_rate_and_then_over() {
        let offsets = staged(Arrivals::Constant, &[(5, 2, 1000.0, 1000.0)]);
        let counts = [between(&offsets, 0, 5), between(&offsets, 5, 7), between(&offsets, 7, 17)];
        assert_eq!(counts, [49, 2_000, 100]);
        assert!(offsets.is_sorted());
        let poisson = staged(Arrivals::Poisson, &[(5, 2, 1000.0, 1000.0)]);
        assert!((1_850..2_150).contains(&between(&poisson, 5, 7)), "{}", between(&poisson, 5, 7));
    }

    #[test]
    fn a_ramp_has_the_mean_of_its_ends() {
        let offsets = staged(Arrivals::Constant, &[(0, 10, 10.0, 110.0)]);
        let first = between(&offsets, 0, 1);
        assert!((14..=16).contains(&first), "{first}");
        let counts = [between(&offsets, 0, 10), between(&offsets, 10, 20)];
        assert!((599..=601).contains(&counts[0]) && (99..=101).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn what_is_written_is_read_again_and_bad_stages_are_refused() {
        let stage = Stage { from_ns: 5, lasts_ns: 7, from_rate: 0.5, to_rate: 100.0 };
        assert_eq!(stage.to_string().parse::<Stage>().unwrap(), stage);
        assert!("5:7:1".parse::<Stage>().is_err() && "a:b:c:d".parse::<Stage>().is_err());
        let check = |stages: &[Stage]| {
            FeedSettings { stages: stages.to_vec(), ..FeedSettings::default() }.check().is_ok()
        };
        assert!(check(std::slice::from_ref(&stage)));
        assert!(!check(&[stage.clone(), stage.clone()]), "they overlap");
        assert!(!check(&[Stage { lasts_ns: 0, ..stage.clone() }]));
        assert!(!check(&[Stage { to_rate: 0.0, ..stage }]));
    }
}
