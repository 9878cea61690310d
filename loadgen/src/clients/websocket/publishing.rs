//! Clients that publish the feed themselves, over the library: what they say comes back, or is acknowledged.
//!
//! They go on whether or not an answer is late, so what waits behind a slow one counts from its due instant.

use std::pin::pin;

use bytes::Bytes;
use ticker::clock;

use super::{
    super::{
        Ran, chat,
        publishing::{LOOK_AGAIN_NS, Messages, begin},
    },
    KeepAlive, close_with,
    frames::{Frames, Said},
    say, take,
};
use crate::{
    plan::{Encoding, Workload},
    socket::Socket,
    worker::{Client, ClientError},
};

pub(super) async fn converse(
    client: &Client,
    stands: &mut bool,
    (mut frames, socket): (Frames, &Socket),
    from_ns: u64,
) -> Ran {
    for text in chat::greetings(client) {
        say(&mut frames, socket, &text).await?;
    }
    // The handshake was answered: there is nothing to wait for.
    let at_ns = clock::now_ns();
    begin(client, at_ns);
    *stands = true;
    client.connected(from_ns, at_ns);
    let mut closing = pin!(client.closing());
    let started = tokio::select! {
        biased;
        t0_ns = client.started() => t0_ns,
        said = frames.next() => match said? {
            Said::Close(code) => {
                client.closed(code, None);
                return Err(ClientError::Closed);
            }
            Said::Message(_) | Said::Control => client.started().await,
        },
    };
    // Answers that are still to come when the trial closes are in no count.
    let rest = |frames: &Frames, said: &Said| match said {
        Said::Message(_) if client.plan().workload == Workload::Uplink => {
            socket.claim(0).map(drop).ok_or(ClientError::Unscanned)
        }
        said @ (Said::Message(_) | Said::Close(_) | Said::Control) => take(client, socket, frames, said),
    };
    let Some(t0_ns) = started else { return close_with(frames, client, rest).await };
    let mut messages = Messages::new(client, t0_ns)?;
    let mut keepalive = KeepAlive::of(client);
    loop {
        let due_ns = messages.due_ns();
        let said = tokio::select! {
            biased;
            said = frames.next() => said?,
            () = &mut closing => break,
            () = client.worker.pacer.at(due_ns) => {
                publish(client, &mut frames, socket, &mut messages).await?;
                continue;
            }
            () = keepalive.due(client) => {
                keepalive.send(client, &mut frames, socket).await?;
                continue;
            }
        };
        match &said {
            Said::Close(code) => {
                client.closed(*code, None);
                return Err(ClientError::Closed);
            }
            Said::Message(_) if client.plan().workload == Workload::Uplink => {
                let unit = socket.claim(0).ok_or(ClientError::Unscanned)?;
                messages.acknowledged(client, unit.stamp_ns)?;
            }
            Said::Message(_) | Said::Control => take(client, socket, &frames, &said)?,
        }
    }
    close_with(frames, client, rest).await
}

async fn publish(client: &Client, frames: &mut Frames, socket: &Socket, messages: &mut Messages) -> Ran {
    let at_ns = clock::now_ns();
    let Some(said) = messages.next(client, at_ns) else { return Ok(()) };
    client.worker.recorder.borrow_mut().action(said.due_ns, at_ns, false);
    let length = said.bytes.len() as u64;
    match client.plan().options.encoding {
        Encoding::Text => {
            let text = std::str::from_utf8(&said.bytes).map_err(|_| ClientError::Unscanned)?;
            frames.text(text).await?;
        }
        Encoding::Binary => frames.binary(Bytes::from(said.bytes)).await?,
    }
    // In a stream of HTTP/2 it is written by the connection's own task.
    while socket.claim_published(said.payload, length).is_none() {
        client.worker.pacer.at(clock::now_ns() + LOOK_AGAIN_NS).await;
    }
    Ok(())
}
