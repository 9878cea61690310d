//! The rules of `GET /ndjson`.

use std::{io, time::Duration};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::Findings;
use crate::{control::Control, endpoint::Endpoint};

const SECTION: &str = "GET /ndjson: lines";
const PATH: &str = "/ndjson";
const PATIENCE: Duration = Duration::from_secs(10);
/// Lines that are looked at: the snapshot and some quotes.
const LINES: usize = 4;

pub(super) async fn verify(endpoint: &Endpoint, findings: &mut Findings) -> io::Result<()> {
    let path = endpoint.path.clone().unwrap_or_else(|| PATH.to_owned());
    let Some(lines) = lines(endpoint, findings, &path, LINES).await? else { return Ok(()) };
    let first = lines.first().cloned().unwrap_or_default();
    let Some(last) = findings.snapshot(&first) else { return Ok(()) };
    let mut newest = last;
    for line in &lines[1..] {
        newest = findings.follow(newest, &[line]);
    }
    findings.hold("ndjson.news", SECTION, newest > last, "no quotes in 10 s", "a feed with updates");

    // Back with the first quote's number: everything after it, and no snapshot.
    let back = format!("{path}?after={}", last + 1);
    if let Some(lines) = self::lines(endpoint, findings, &back, 1).await? {
        let told = lines.first().cloned().unwrap_or_default();
        let kept = told.starts_with(&format!("{{\"seq\":{},", last + 2));
        findings.hold("ndjson.resume", SECTION, kept, told, format!("quote {} after {}", last + 2, last + 1));
    }
    let junk = Control::open(endpoint).await?.ask(&format!("{path}?after=junk"), &[]).await?;
    findings.hold("ndjson.junk-cursor", SECTION, junk.status == 400, junk.status, "400 Bad Request");
    Ok(())
}

/// The first lines of a stream that hold something; `None` if it is no stream of lines.
async fn lines(
    endpoint: &Endpoint,
    findings: &mut Findings,
    path: &str,
    count: usize,
) -> io::Result<Option<Vec<String>>> {
    let mut control = Control::open(endpoint).await?;
    let response = control.begin(path, &[]).await?;
    findings.hold("ndjson.status", SECTION, response.status() == 200, response.status(), "200 OK");
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    let (kind, caching) = (header("content-type"), header("cache-control"));
    let is_stream = kind.starts_with("application/x-ndjson");
    findings.hold("ndjson.content-type", SECTION, is_stream, kind, "application/x-ndjson");
    findings.hold("ndjson.cache-control", SECTION, caching.contains("no-store"), caching, "no-store");
    if !is_stream {
        return Ok(None);
    }
    let text = read(response.into_body(), count).await;
    findings.hold("ndjson.line-ends", SECTION, !text.contains('\r'), "CR", "single LF");
    Ok(Some(text.split('\n').filter(|line| !line.is_empty()).take(count).map(str::to_owned).collect()))
}

/// Text with that many lines, or until patience ends.
async fn read(mut body: Incoming, count: usize) -> String {
    let mut text = String::new();
    let reading = async {
        while text.split('\n').filter(|line| !line.is_empty()).count() <= count
            && let Some(Ok(frame)) = body.frame().await
        {
            text.push_str(&String::from_utf8_lossy(frame.data_ref().map_or(&[], |data| data)));
        }
    };
    // Silence is told by the lines that are missing.
    let _ = timeout(PATIENCE, reading).await;
    text
}
