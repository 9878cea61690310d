//! A fan-out server on fastwebsockets. It does not read after the handshake, which flatters it a little.

use fastwebsockets::{Frame, Payload, upgrade};
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::broadcast::Receiver};

use crate::{Failure, feed::Feed};

pub(crate) async fn serve(listener: TcpListener, feed: Feed) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let feed = feed.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, feed.clone()));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // The connection is gone: nobody to tell.
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn answer(
    mut request: Request<Incoming>,
    feed: Feed,
) -> Result<Response<Empty<bytes::Bytes>>, fastwebsockets::WebSocketError> {
    let (response, upgrade) = upgrade::upgrade(&mut request)?;
    let quotes = feed.subscribe();
    tokio::spawn(async move {
        let _ = converse(upgrade, quotes).await;
    });
    Ok(response)
}

async fn converse(upgrade: upgrade::UpgradeFut, mut quotes: Receiver<bytes::Bytes>) -> Result<(), Failure> {
    let mut socket = upgrade.await?;
    loop {
        let quote = quotes.recv().await?;
        socket.write_frame(Frame::text(Payload::Borrowed(&quote))).await?;
    }
}
