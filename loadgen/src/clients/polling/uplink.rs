//! Clients that report: a request for each message, one after the other, as a page's `fetch` on one connection.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use ticker::clock;
use wire::Bodies;

use super::super::{
    Ran,
    http::{Body, Http},
    publishing::{Messages, begin},
    request,
};
use crate::worker::{Client, ClientError};

const PATH: &str = "/uplink";

pub(super) async fn run(client: &Client, stands: &mut bool) -> Ran {
    let from_ns = clock::now_ns();
    let mut http = Http::open(client, Bodies::Whole).await?;
    let ran = converse(client, stands, &mut http, from_ns).await;
    http.close(client).await;
    ran
}

async fn converse(client: &Client, stands: &mut bool, http: &mut Http, from_ns: u64) -> Ran {
    // Nothing is to be asked before there is something to say.
    let at_ns = clock::now_ns();
    begin(client, at_ns);
    *stands = true;
    client.connected(from_ns, at_ns);
    let Some(t0_ns) = client.started().await else { return Ok(()) };
    let mut messages = Messages::new(client, t0_ns)?;
    let mut answered_ns = 0;
    loop {
        let due_ns = messages.due_ns();
        // A report that is due while the one before is under way is sent late, never skipped.
        let late = clock::now_ns() > due_ns;
        tokio::select! {
            biased;
            () = client.closing() => return Ok(()),
            () = client.worker.pacer.at(due_ns) => {}
        }
        let at_ns = clock::now_ns();
        let Some(said) = messages.next(client, at_ns) else { return Ok(()) };
        // What waits for the answer before is late by the server or the network, not by us.
        client.worker.recorder.borrow_mut().action(said.due_ns.max(answered_ns), at_ns, late);
        let length = said.bytes.len() as u64;
        let own = [
            ("content-type", "application/json".to_owned()),
            ("content-length", length.to_string()),
            ("origin", client.endpoint().origin()),
        ];
        let own = if request::is_of_a_page(client) { own.as_slice() } else { &own[..2] };
        let body = Bytes::from(said.bytes);
        let report = || request::build(client, Method::POST, PATH, own, Body::new(body.clone()));
        let response = http.send_on(client, report).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Err(ClientError::Status { found: response.status(), expected: "204" });
        }
        response.into_body().collect().await?;
        http.socket().claim_published(said.payload, length).ok_or(ClientError::Unscanned)?;
        let done_ns = http.socket().last_read_ns();
        answered_ns = done_ns;
        messages.acknowledged(client, done_ns)?;
        client.worker.recorder.borrow_mut().request(said.due_ns, done_ns, 1);
    }
}
