//! The publisher: the project's own quote, so many times a second, encoded once for all.

use std::time::Duration;

use bytes::Bytes;
use ticker::{Anchor, Due, Quote, clock};
use tokio::{
    sync::broadcast,
    time::{MissedTickBehavior, interval},
};

/// Where every quote is handed out.
pub(crate) type Feed = broadcast::Sender<Bytes>;

const QUOTE_BYTES: u32 = 150;
const QUEUE: usize = 1024;

/// One quote's text.
pub(crate) fn quote(seq: u64, anchor: Anchor) -> Bytes {
    let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_000 + seq % 1_000, quantity: 100 };
    let now_us = anchor.unix_us(clock::now_ns());
    let mut text = Vec::with_capacity(QUOTE_BYTES as usize);
    Quote { due, symbol: "ACME", due_us: now_us, sent_us: now_us }.encode(QUOTE_BYTES, &mut text);
    text.into()
}

/// Begins to publish.
pub(crate) fn publish(per_second: f64) -> Feed {
    let (feed, _) = broadcast::channel(QUEUE);
    let publisher = feed.clone();
    tokio::spawn(async move {
        let anchor = Anchor::now();
        let mut ticks = interval(Duration::from_secs_f64(1.0 / per_second));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for seq in 1.. {
            ticks.tick().await;
            // Nobody listens yet: no fault.
            let _ = publisher.send(quote(seq, anchor));
        }
    });
    feed
}
