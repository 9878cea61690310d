//! A fan-out server on tokio-tungstenite.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::Receiver,
};
use tokio_tungstenite::{
    accept_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

use crate::{Failure, feed::Feed};

pub(crate) async fn serve(listener: TcpListener, feed: Feed, buffer: usize) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let quotes = feed.subscribe();
        tokio::spawn(async move {
            // The connection is gone: nobody to tell.
            let _ = converse(stream, quotes, buffer).await;
        });
    }
}

async fn converse(
    stream: TcpStream,
    mut quotes: Receiver<bytes::Bytes>,
    buffer: usize,
) -> Result<(), Failure> {
    let config = WebSocketConfig::default().read_buffer_size(buffer);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    loop {
        tokio::select! {
            quote = quotes.recv() => socket.send(Message::Text(Utf8Bytes::try_from(quote?)?)).await?,
            heard = socket.next() => match heard {
                Some(heard) => drop(heard?),
                None => return Ok(()),
            },
        }
    }
}
