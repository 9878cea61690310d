//! A load generator on tokio-tungstenite as one would write it: a task for each connection, serde, one histogram.

use std::{cell::RefCell, rc::Rc, time::Duration};

use futures_util::StreamExt as _;
use measurement::histogram::Recorder;
use ticker::{Anchor, QuoteView, clock};
use tokio::{net::TcpStream, task::LocalSet};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::{Failure, SMALL_BUFFER};

/// Connects, records for `seconds`, prints the count.
pub(crate) async fn run(port: u16, clients: usize, seconds: f64) -> Result<(), Failure> {
    let delays = Rc::new(RefCell::new(Recorder::default()));
    let anchor = Anchor::now();
    let all = LocalSet::new();
    for _ in 0..clients {
        let delays = Rc::clone(&delays);
        all.spawn_local(async move {
            if let Err(error) = listen(port, anchor, &delays).await {
                eprintln!("a client ended: {error}");
            }
        });
    }
    let _ = tokio::time::timeout(Duration::from_secs_f64(seconds), all).await;
    let delays = delays.borrow();
    println!("{{\"count\":{},\"p50_us\":{}}}", delays.count(), delays.quantile_ns(0.5) / 1_000);
    Ok(())
}

async fn listen(port: u16, anchor: Anchor, delays: &RefCell<Recorder>) -> Result<(), Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(SMALL_BUFFER);
    let request = format!("ws://127.0.0.1:{port}/ws");
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message? else { continue };
        // The first message may be a snapshot.
        let Ok(quote) = serde_json::from_str::<QuoteView<'_>>(&text) else { continue };
        let now_us = anchor.unix_us(clock::now_ns());
        delays.borrow_mut().record(now_us.saturating_sub(quote.sent) * 1_000);
    }
    Ok(())
}
