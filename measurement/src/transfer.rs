//! How histograms travel between processes: the result file's text, whatever their bounds and counters.
//!
//! For `#[serde(with = "transfer")]`. It knows no channel: messages are put together where they are sent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Counter, Histogram as Hdr,
    serialization::{Deserializer as Reader, Serializer as _, V2DeflateSerializer},
};
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _, ser::Error as _};

/// HdrHistogram V2, compressed, base64; an empty one too, since its bounds are needed to merge.
pub fn serialize<C: Counter, S: Serializer>(histogram: &Hdr<C>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(histogram).map_err(S::Error::custom)?)
}

/// Reads what [`serialize`] wrote.
pub fn deserialize<'de, C: Counter, D: Deserializer<'de>>(from: D) -> Result<Hdr<C>, D::Error> {
    histogram(&String::deserialize(from)?).map_err(D::Error::custom)
}

pub mod many {
    //! The same for several of them.
    use super::*;

    /// One text each.
    pub fn serialize<C: Counter, S: Serializer>(histograms: &[Hdr<C>], to: S) -> Result<S::Ok, S::Error> {
        let texts: Result<Vec<String>, String> = histograms.iter().map(text).collect();
        texts.map_err(S::Error::custom)?.serialize(to)
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, C: Counter, D: Deserializer<'de>>(from: D) -> Result<Vec<Hdr<C>>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| histogram(text).map_err(D::Error::custom)).collect()
    }
}

fn text<C: Counter>(histogram: &Hdr<C>) -> Result<String, String> {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    written.map_err(|error| format!("failed to encode a histogram: {error:?}"))?;
    Ok(STANDARD.encode(bytes))
}

fn histogram<C: Counter>(text: &str) -> Result<Hdr<C>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("failed to decode a histogram: {error}"))?;
    let read = Reader::new().deserialize(&mut bytes.as_slice());
    read.map_err(|error| format!("failed to decode a histogram: {error:?}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{histogram::Recorder, series::Series};

    fn carried<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
    }

    #[test]
    fn what_is_carried_merges_like_what_is_here() {
        let durations = proptest::collection::vec(0..2_000_000_000_000_u64, 0..200);
        proptest!(ProptestConfig::with_cases(64), |(mine in durations.clone(), theirs in durations)| {
            let (mut here, mut there) = (Recorder::default(), Recorder::default());
            mine.iter().for_each(|&ns| here.record(ns));
            theirs.iter().for_each(|&ns| there.record(ns));
            prop_assert_eq!(&carried(&there), &there);
            let (mut direct, mut over) = (here.clone(), carried(&here));
            direct.merge(&there);
            over.merge(&carried(&there));
            prop_assert_eq!(&over, &direct);
            prop_assert_eq!(over.finish(1_000), direct.finish(1_000));

            let (mut rows, mut others) = (Series::new(3_000_000_000), Series::new(3_000_000_000));
            mine.iter().for_each(|&ns| rows.delivered(ns % 4_000_000_000, ns));
            theirs.iter().for_each(|&ns| others.delivered(ns % 4_000_000_000, ns));
            let mut over = carried(&rows);
            rows.merge(&others);
            over.merge(&carried(&others));
            prop_assert_eq!(over, rows);
        });
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        for text in ["\"\"", "\"AAAA\"", "\"not base64!\"", "7"] {
            let recorder = format!("{{\"hdr\":{text},\"sum_ns\":0,\"max_ns\":0,\"clipped\":0}}");
            assert!(serde_json::from_str::<Recorder>(&recorder).is_err(), "{text}");
        }
    }
}
