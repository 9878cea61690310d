//! The emulated network in words: what lay between client and server, and what of it was not modelled.

use measurement::result::{LinkModel, RunResult};

use crate::{format, html::sections::Section};

/// Where the run was, as the first sentence begins; `None` where nothing was emulated.
pub(crate) fn place(result: &RunResult) -> Option<String> {
    let mut links = result.variants.iter().map(|variant| variant.link.as_ref());
    let first = links.next()?;
    if !links.clone().chain([first]).any(|link| link.is_some()) {
        return None;
    }
    if links.all(|link| link == first) {
        return first.map(|link| format!("Over an emulated link of {}", words(link)));
    }
    Some("Over several emulated links".to_owned())
}

/// A link's figures.
pub(crate) fn words(link: &LinkModel) -> String {
    let mut parts = vec![format!("{} round trip", format::duration(link.rtt_us))];
    if link.jitter_us > 0.0 {
        parts.push(format!("{} jitter", format::duration(link.jitter_us)));
    }
    // Packets share one bottleneck; a relay knows connections only.
    let each = if models_loss(link) { "" } else { " for each connection" };
    let rate = |bytes: u32| format!("{} kbit/s", format::count(u64::from(bytes) / 125));
    parts.extend(link.down_bytes_per_second.map(|bytes| format!("{} down{each}", rate(bytes))));
    parts.extend(link.up_bytes_per_second.map(|bytes| format!("{} up{each}", rate(bytes))));
    if link.loss > 0.0 {
        let missing = if models_loss(link) { "" } else { " (not modelled)" };
        parts.push(format!("{} loss{missing}", format::share(link.loss)));
    }
    parts.join(", ")
}

/// Whether packets could be lost.
fn models_loss(link: &LinkModel) -> bool {
    link.level == "packets"
}

/// The table of the page.
pub(crate) fn section(result: &RunResult) -> Section {
    let rows = result.variants.iter().filter_map(|variant| {
        let link = variant.link.as_ref()?;
        let level = if models_loss(link) {
            "packets: handshakes, loss and retransmissions are real"
        } else {
            "connections: delay, rate and failures; no packet is lost, whatever the scenario asks for"
        };
        Some(vec![
            variant.name.clone(),
            link.preset.clone().unwrap_or_else(|| "–".to_owned()),
            words(link),
            if link.events.is_empty() { "none".to_owned() } else { link.events.join("; ") },
            format!("{level} ({})", link.level_reason.as_deref().unwrap_or("no reason told")),
        ])
    });
    Section {
        title: "The emulated network",
        caption: "What lay between client and server. The round trip is split evenly; jitter is drawn for each piece, \
                  and pieces do not overtake each other. The relay's own processor time is neither side's.",
        table: crate::html::sections::table(
            &["variant", "preset", "link", "failures in the window", "emulated as"],
            rows.collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use measurement::result::Variant;

    use super::*;

    #[test]
    fn what_is_not_modelled_is_said() {
        let link = LinkModel {
            rtt_us: 80_000.0,
            down_bytes_per_second: Some(200_000),
            loss: 0.01,
            level: "connections".to_owned(),
            ..LinkModel::default()
        };
        assert_eq!(
            words(&link),
            "80.0 ms round trip, 1,600 kbit/s down for each connection, 1.00 % loss (not modelled)"
        );
        let mut result = crate::testing::result();
        assert_eq!(place(&result), None);
        result.variants.iter_mut().for_each(|variant: &mut Variant| variant.link = Some(link.clone()));
        assert!(place(&result).unwrap().starts_with("Over an emulated link of 80.0 ms round trip"));
        assert!(section(&result).table.rows[0][4].starts_with("connections:"));
        result.variants[0].link = None;
        assert_eq!(place(&result).unwrap(), "Over several emulated links");
    }
}
