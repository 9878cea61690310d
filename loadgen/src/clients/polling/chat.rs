//! A member of a room that asks on its timetable what was said, and speaks by POST on a connection of its own.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use ticker::clock;
use wire::Bodies;

use super::{Ran, free_ns, next_ns, phase_ns};
use crate::{
    clients::{
        chat, envelope,
        http::{Body, Http},
        request,
    },
    worker::{Client, ClientError},
};

/// What a question is answered with.
#[derive(Deserialize)]
struct Answer<'a> {
    last: u64,
    /// The member's number, to one who comes.
    member: Option<String>,
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

/// What one answer brought.
struct Took {
    last: u64,
    member: Option<String>,
    messages: usize,
    at_ns: u64,
}

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let mut ears = Http::open(client, Bodies::Whole).await?;
    let mut mouth = match Http::open(client, Bodies::Whole).await {
        Ok(mouth) => mouth,
        Err(error) => {
            ears.close(client).await;
            return Err(error);
        }
    };
    let hears = hear(client, stands, &mut ears, from_ns);
    let ran = tokio::try_join!(biased; chat::post(client, &mut mouth), hears);
    mouth.close(client).await;
    ears.close(client).await;
    ran.map(drop)
}

async fn hear(client: &Client, stands: &mut bool, http: &mut Http, from_ns: u64) -> Ran {
    let room = format!("/room?room={}", chat::room(client));
    let first = ask(client, http, &room).await?;
    let member = first.member.ok_or_else(|| ClientError::Refused("no number for a member".to_owned()))?;
    chat::joined(client, stands, (from_ns, first.at_ns));
    let mut last = first.last;
    if let Some(t0_ns) = client.started().await {
        let options = &client.plan().options;
        let period_ns = options.interval.as_nanos() as u64;
        let mut planned_ns = t0_ns + phase_ns(&client.worker.job, client.number(), period_ns);
        if client.before.get() > 1 {
            planned_ns += clock::now_ns().saturating_sub(planned_ns).next_multiple_of(period_ns);
        }
        let mut answered_ns = 0;
        loop {
            let late = clock::now_ns() > planned_ns;
            tokio::select! {
                biased;
                () = client.closing() => break,
                () = client.worker.pacer.at(planned_ns) => {}
            }
            let free_ns = free_ns(client.plan(), planned_ns, answered_ns);
            client.worker.recorder.borrow_mut().action(free_ns, clock::now_ns(), late);
            let took = ask(client, http, &format!("{room}&after={last}&member={member}")).await?;
            last = took.last;
            answered_ns = took.at_ns;
            client.worker.recorder.borrow_mut().request(planned_ns, took.at_ns, took.messages);
            planned_ns = next_ns(options.pace, planned_ns, took.at_ns, period_ns);
        }
    }
    leave(client, http, &format!("{room}&member={member}")).await
}

/// Asks once and takes the answer.
async fn ask(client: &Client, http: &mut Http, path: &str) -> Result<Took, ClientError> {
    let request = request::get(client, path, &[], Body::default())?;
    let (status, body) = answered(http, request).await?;
    if status != StatusCode::OK {
        return Err(ClientError::Status { found: status, expected: "200" });
    }
    let Answer { last, member, messages } = serde_json::from_slice(&body)?;
    let payload = messages.iter().map(|message| message.get().len() as u64).sum();
    let at_ns = http.socket().claim(payload).ok_or(ClientError::Unscanned)?.stamp_ns;
    let quotes = messages.iter().map(|message| envelope::parse_quote(message.get().as_bytes()));
    let quotes = quotes.collect::<serde_json::Result<Vec<_>>>()?;
    let messages = quotes.len();
    if messages > 0 {
        client.quotes(quotes.into_iter(), at_ns);
    }
    Ok(Took { last, member, messages, at_ns })
}

/// Says that it is gone, so that the others are told at once.
async fn leave(client: &Client, http: &mut Http, path: &str) -> Ran {
    let request = request::build(client, Method::DELETE, path, &[], Body::default())?;
    match answered(http, request).await? {
        (StatusCode::NO_CONTENT, _) => Ok(()),
        (found, _) => Err(ClientError::Status { found, expected: "204" }),
    }
}

async fn answered(http: &mut Http, request: http::Request<Body>) -> Result<(StatusCode, Bytes), ClientError> {
    let response = http.send(request).await?.ok_or(ClientError::Closed)?;
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
