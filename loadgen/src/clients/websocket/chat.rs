//! A member of a room over frames: it speaks and hears on one connection.

use std::pin::pin;

use ticker::clock;

use super::{Frames, KeepAlive, Ran, Said, close_with, say};
use crate::{
    clients::chat::{self, Speaker, Speech},
    socket::Socket,
    worker::{Client, ClientError},
};

/// Path and query of the client's room.
pub(super) fn path(client: &Client) -> String {
    format!("/ws/room?room={}", chat::room(client))
}

/// From the upgrade to the close.
pub(super) async fn converse(
    client: &Client,
    stands: &mut bool,
    (mut frames, socket): (Frames, &Socket),
    from_ns: u64,
) -> Ran {
    let mut speaker = Speaker::new(client);
    let mut closing = pin!(client.closing());
    let mut keepalive = KeepAlive::of(client);
    if client.plan().rooms_of_others().is_some() {
        for text in chat::greetings(client) {
            say(&mut frames, socket, &text).await?;
        }
        // Whether it is in its room only the server knows, which has no word for it that is known here.
        chat::joined(client, stands, (from_ns, clock::now_ns()));
    }
    loop {
        let said = tokio::select! {
            biased;
            () = &mut closing => break,
            due = speaker.due() => {
                due?;
                let Speech { text, payload, .. } = speaker.say()?;
                let length = text.len();
                frames.text(text).await?;
                chat::claim_said(client, socket, (payload, length)).await;
                continue;
            }
            () = keepalive.due(client) => {
                keepalive.send(client, &mut frames, socket).await?;
                continue;
            }
            said = frames.next() => said?,
        };
        if let Said::Close(code) = &said {
            client.closed(*code, None);
            return Err(ClientError::Closed);
        }
        if take(client, socket, &frames, &said)? {
            chat::joined(client, stands, (from_ns, socket.last_read_ns()));
        }
    }
    close_with(frames, client, |frames, said| take(client, socket, frames, said).map(drop)).await
}

/// Takes a message. True if it tells how many there are.
fn take(client: &Client, socket: &Socket, frames: &Frames, said: &Said) -> Result<bool, ClientError> {
    let text = match said {
        Said::Message(text) => text,
        Said::Close(_) => return Err(ClientError::Closed),
        Said::Control => return Ok(false),
    };
    let claim = |payload| {
        let share = |whole| socket.claim_share(payload, whole);
        let unit = if frames.are_compressed() { share(text.len() as u64) } else { socket.claim(payload) };
        unit.map(|unit| unit.stamp_ns)
    };
    if client.plan().rooms_of_others().is_none() && chat::is_count(text) {
        claim(0).ok_or(ClientError::Unscanned)?;
        return Ok(true);
    }
    chat::take(client, text, claim)?;
    Ok(false)
}
