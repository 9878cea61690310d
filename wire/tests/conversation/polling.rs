//! Polls: a request, perhaps with a body, and one of the responses that servers give.

use proptest::prelude::*;
use wire::Part;

use super::{Script, Way, cut};

/// One request and its response.
#[derive(Clone, Debug)]
pub(super) struct Poll {
    method: &'static str,
    say: Coding,
    interim: bool,
    answer: Answer,
    crlf: bool,
}

#[derive(Clone, Debug)]
enum Answer {
    NotModified,
    NoContent,
    Body(Coding),
}

/// A body and how it is carried.
#[derive(Clone, Debug)]
enum Coding {
    None,
    Length(Vec<u8>),
    Chunked { body: Vec<u8>, chunks: Vec<usize>, extension: bool, trailer: bool },
}

fn coding() -> impl Strategy<Value = Coding> {
    let body = || prop::collection::vec(any::<u8>(), 0..300);
    let chunks = prop::collection::vec(1_usize..100, 1..5);
    prop_oneof![
        body().prop_map(Coding::Length),
        (body(), chunks, any::<bool>(), any::<bool>()).prop_map(|(body, chunks, extension, trailer)| {
            Coding::Chunked { body, chunks, extension, trailer }
        }),
    ]
}

pub(super) fn poll() -> impl Strategy<Value = Poll> {
    let method = prop_oneof![4 => Just("GET"), 1 => Just("HEAD"), 2 => Just("POST")];
    let answer = prop_oneof![
        1 => Just(Answer::NotModified),
        1 => Just(Answer::NoContent),
        4 => coding().prop_map(Answer::Body),
    ];
    (method, coding(), any::<bool>(), answer, any::<bool>()).prop_map(
        |(method, say, interim, answer, crlf)| {
            let say = if method == "POST" { say } else { Coding::None };
            Poll { method, say, interim, answer, crlf }
        },
    )
}

impl Poll {
    pub(super) fn write(&self, script: &mut Script) {
        let method = self.method;
        let request = format!("{method} /quotes?after=41 HTTP/1.1\nHost: localhost\n");
        self.head(script, Way::Up, &request, &self.say);
        self.say.write(script, Way::Up);
        if self.interim {
            self.head(script, Way::Down, "HTTP/1.1 103 Early Hints\nLink: </a.css>\n", &Coding::None);
        }
        match &self.answer {
            // The length of what a 200 would have carried does not count.
            Answer::NotModified => {
                let head = "HTTP/1.1 304 Not Modified\nETag: \"41\"\nContent-Length: 120\n";
                self.head(script, Way::Down, head, &Coding::None);
            }
            Answer::NoContent => self.head(script, Way::Down, "HTTP/1.1 204 No Content\n", &Coding::None),
            Answer::Body(coding) => {
                self.head(script, Way::Down, "HTTP/1.1 200 OK\nContent-Type: application/json\n", coding);
                if method != "HEAD" {
                    coding.write(script, Way::Down);
                }
            }
        }
    }

    fn head(&self, script: &mut Script, way: Way, lines: &str, coding: &Coding) {
        let head = match coding {
            Coding::None => format!("{lines}\n"),
            Coding::Length(body) => format!("{lines}Content-Length: {}\n\n", body.len()),
            Coding::Chunked { .. } => format!("{lines}Transfer-Encoding: chunked\n\n"),
        };
        let head = if self.crlf { head.replace('\n', "\r\n") } else { head };
        script.put(way, Part::Headers, head.as_bytes());
    }
}

impl Coding {
    fn write(&self, script: &mut Script, way: Way) {
        let body = match self {
            Self::None => return,
            Self::Length(body) => {
                script.put(way, Part::Body, body);
                body
            }
            Self::Chunked { body, chunks, extension, trailer } => {
                let extension = if *extension { ";a=\"b\"" } else { "" };
                for piece in cut(body, chunks) {
                    let head = format!("{:x}{extension}\r\n", piece.len());
                    script.put(way, Part::TransportFraming, head.as_bytes());
                    script.put(way, Part::Body, piece);
                    script.put(way, Part::TransportFraming, b"\r\n");
                }
                script.put(way, Part::TransportFraming, b"0\r\n");
                let trailer: &[u8] = if *trailer { b"Digest: x\r\n\r\n" } else { b"\r\n" };
                script.put(way, Part::Headers, trailer);
                body
            }
        };
        if !body.is_empty() {
            script.message(way, body.len() as u64);
        }
    }
}
