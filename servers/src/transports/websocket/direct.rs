//! The direct engine's part: the handshake is the library's, the frames are our own.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{
    LONGEST_ECHO, Quotes, Switch, Wish, check_origin,
    conversation::{MOST_MESSAGES, MOST_UNANSWERED},
    frames::{Broken, Frames, Said},
    handshake,
    negotiation::Encoding,
    switch,
};
use crate::{
    app::App,
    conditions::LONGEST_MESSAGE,
    direct::{Answer, Attitude, Ear, Follow, Heard, Request, Stream, Then},
    encoded::{BINARY, Envelope, Framing, TEXT, frame},
    selection::Selection,
};
use ticker::Transport;

const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const CLOSE: u8 = 0x88;

static TEXTS: Stream = Stream {
    transport: Transport::WebSocket,
    framing: Framing::TextFrame,
    snapshot: |envelope: &Envelope, out| frame(TEXT, &envelope.json(), out),
    silence: b"",
    farewell: b"",
};

static RECORDS: Stream = Stream {
    transport: Transport::WebSocket,
    framing: Framing::BinaryFrame,
    snapshot: |envelope: &Envelope, out| frame(BINARY, &envelope.binary(), out),
    silence: b"",
    farewell: b"",
};

/// `GET /ws`: the handshake that the library engine would have answered in the same words.
pub(in crate::transports) fn direct(answer: &mut Answer<'_>, request: &Request<'_>) -> Option<Then> {
    let app = answer.app;
    let plain = plain(request)?;
    let (agreed, cursor, selection) = handshake(app, &plain).ok()?;
    let encoding = agreed.encoding;
    agree(answer, agreed)?;
    app.counters(Transport::WebSocket).request();
    let stream = match encoding {
        Encoding::Text => &TEXTS,
        Encoding::Binary => &RECORDS,
    };
    let ear = Box::new(Listener::new(Topic::Feed));
    Some(Then::Follows(Follow::begin(answer, stream, cursor, selection, Some(ear))))
}

/// `GET /ws/echo`.
pub(in crate::transports) fn direct_echo(answer: &mut Answer<'_>, request: &Request<'_>) -> Option<Then> {
    let app = answer.app;
    let plain = plain(request)?;
    check_origin(app, &plain).ok().filter(|()| app.settings.echo)?;
    agree(answer, switch(app, &plain).ok()?)?;
    let nothing = Selection::of_list(Some(""), app.settings.feed.symbols).ok()?;
    let ear = Box::new(Listener::new(Topic::Echo));
    // Of no symbol there is nothing to wait for.
    Some(Then::Follows(Follow {
        stream: &TEXTS,
        cursor: Some(app.log.last()),
        selection: nothing,
        ear: Some(ear),
    }))
}

/// The request as the library knows it.
fn plain(request: &Request<'_>) -> Option<http::Request<()>> {
    let mut plain = http::Request::get(request.target);
    for (name, value) in request.fields() {
        plain = plain.header(name, value);
    }
    plain.body(()).ok()
}

/// Writes the answer that begins the conversation; `None` where messages are compressed, which is the library's.
fn agree(answer: &mut Answer<'_>, agreed: Switch) -> Option<()> {
    let Switch { response, extension: None, .. } = agreed else { return None };
    let fields: Vec<(&str, &[u8])> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    answer.empty("101 Switching Protocols", &fields);
    Some(())
}

/// Listens to one client.
struct Listener {
    frames: Frames,
    topic: Topic,
    unanswered: u32,
    messages: u32,
    /// Our close frame is written.
    leaves: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Topic {
    Feed,
    Echo,
}

impl Listener {
    fn new(topic: Topic) -> Self {
        Self { frames: Frames::default(), topic, unanswered: 0, messages: 0, leaves: false }
    }

    fn leave(&mut self, code: CloseCode, reason: &str, answers: &mut Vec<u8>) -> Attitude {
        self.leaves = true;
        close(code, reason, answers);
        Attitude::Leaving
    }
}

fn close(code: CloseCode, reason: &str, answers: &mut Vec<u8>) {
    let payload = [&u16::from(code).to_be_bytes(), reason.as_bytes()].concat();
    frame(CLOSE, &payload, answers);
}

/// Why the reading of frames stopped.
enum Stop {
    /// We leave for that reason.
    Leave(&'static str),
    /// Both have said farewell.
    Over,
}

impl Ear for Listener {
    fn hear(&mut self, bytes: &mut [u8], app: &App, answers: &mut Vec<u8>) -> Heard {
        let Self { frames, topic, unanswered, messages, leaves } = self;
        let longest = if *topic == Topic::Echo { LONGEST_ECHO } else { LONGEST_MESSAGE };
        let (mut wish, mut stop) = (None, None);
        let read = frames.read(bytes, longest, |said| {
            match said {
                Said::Close(code) => {
                    if !*leaves {
                        let payload = code.map(u16::to_be_bytes);
                        frame(CLOSE, payload.as_ref().map_or(&[], |payload| payload), answers);
                    }
                    stop = Some(Stop::Over);
                }
                // Whoever is told farewell has nothing more to say that matters.
                _ if *leaves => return true,
                Said::Message { text, bytes } if *topic == Topic::Echo => {
                    frame(if text { TEXT } else { BINARY }, bytes, answers);
                    return true;
                }
                Said::Message { bytes, .. } => match heard(bytes, app.settings.feed.symbols) {
                    Ok(selection) => wish = selection.or(wish.take()),
                    Err(reason) => stop = Some(Stop::Leave(reason)),
                },
                Said::Ping(payload) => frame(PONG, payload, answers),
                Said::Pong => *unanswered = 0,
            }
            *messages += 1;
            if *messages > MOST_MESSAGES && stop.is_none() {
                stop = Some(Stop::Leave("too many messages"));
            }
            stop.is_none()
        });
        let attitude = match (read, stop) {
            (_, Some(Stop::Over)) => Attitude::Over,
            (_, Some(Stop::Leave(reason))) => self.leave(CloseCode::Policy, reason, answers),
            (Ok(()), None) if self.leaves => Attitude::Leaving,
            (Ok(()), None) => Attitude::Open,
            (Err(Broken(code, reason)), None) => {
                if !self.leaves {
                    close(code, reason, answers);
                }
                // Where frames are broken nobody can tell where the next one begins.
                Attitude::Over
            }
        };
        Heard { wish, attitude }
    }

    fn beat(&mut self, answers: &mut Vec<u8>) -> Attitude {
        if self.unanswered == MOST_UNANSWERED {
            return self.leave(CloseCode::Policy, "no pong", answers);
        }
        self.unanswered += 1;
        self.messages = 0;
        frame(PING, &[], answers);
        Attitude::Open
    }

    fn end(&mut self, answers: &mut Vec<u8>) {
        self.leave(CloseCode::Away, "the server stops", answers);
    }
}

/// The symbols that a message asks for, if it does.
fn heard(message: &[u8], symbols: u32) -> Result<Option<Selection>, &'static str> {
    Quotes::wish(message).map_or(Ok(None), |Wish { subscribe }| {
        let names = subscribe.iter().map(String::as_str);
        Selection::of_names(names, symbols).map(Some).map_err(|_| "unknown symbol")
    })
}
