//! WebSocket on the direct engine: the same handshake, masked frames, pongs and close handshake.

mod publishing;

use std::io;

use http::{Method, StatusCode};
use ticker::clock;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use wire::HeadKind;

use self::publishing::Publishing;
use super::{
    super::{answer, prepared, request},
    ECHO_PATH, PATH, handshake,
};
use crate::{
    direct::{self, Desk, Dialogue, Leave, Setup, Turn},
    plan::{Http, Workload},
    worker::{ClientError, Found, Job},
};

/// A key of the length of all keys, to be replaced.
const KEY: &str = "a key to be replaced====";

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

pub(in crate::clients) fn direct(setup: Setup) -> io::Result<Found> {
    let shake = Shake::new(&setup.job).map_err(io::Error::other)?;
    let sockets = Sockets { shake };
    match setup.job.variant.workload {
        Workload::Ticker
        | Workload::Idle
        | Workload::Burst
        | Workload::Mixed
        | Workload::Chat
        | Workload::Storm
        | Workload::SlowReader => direct::run(setup, sockets),
        Workload::Echo | Workload::Uplink => {
            let publishing = Publishing::new(sockets, &setup.job).map_err(io::Error::other)?;
            direct::run(setup, publishing)
        }
    }
}

struct Sockets {
    shake: Shake,
}

/// The opening handshake, the same for all clients but for the key.
struct Shake {
    /// Before the key and after it.
    request: (Vec<u8>, Vec<u8>),
    offered: &'static str,
}

impl Shake {
    fn new(job: &Job) -> Result<Self, ClientError> {
        let offered = handshake::ours(job.variant.options.encoding);
        let mut own = handshake::fields(&job.variant, &job.endpoint, offered.to_owned());
        own.extend(handshake::asking());
        for (name, text) in &mut own {
            if *name == "sec-websocket-key" {
                KEY.clone_into(text);
            }
        }
        // Symbols are said in a message.
        let path = match (&job.endpoint.path, job.symbols(0)) {
            (Some(path), _) => path.clone(),
            (None, _) if job.variant.workload == Workload::Echo => ECHO_PATH.to_owned(),
            (None, None) => PATH.to_owned(),
            (None, Some(_)) => format!("{PATH}?symbols="),
        };
        let fields = (job.variant.headers.as_slice(), own.as_slice());
        let request = request::formed((&job.endpoint, Http::H1), Method::GET, &path, fields, ())?;
        let request = prepared::bytes(&request);
        let at = request.windows(KEY.len()).position(|window| window == KEY.as_bytes());
        let at = at.ok_or_else(|| ClientError::Handshake("request has no key".to_owned()))?;
        Ok(Self { request: (request[..at].to_vec(), request[at + KEY.len()..].to_vec()), offered })
    }
}

/// One client's connection.
#[derive(Default)]
struct Member {
    step: Step,
    status: u16,
    /// What the server has to answer to the key, until it has.
    accept: Option<Box<str>>,
    /// What is wrong with its answer.
    wrong: Option<Box<str>>,
    /// When our close frame went out.
    closed_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// The snapshot of nothing comes, then it says what it wants.
    Subscribes,
    /// What it wants comes.
    #[default]
    Listens,
}

impl Member {
    /// Whether the handshake is over and the connection not.
    fn is_open(&self) -> bool {
        self.accept.is_none() && self.closed_ns.is_none()
    }
}

impl Dialogue for Sockets {
    type Client = Member;
    const ON_TIME: bool = false;

    fn open(&mut self, member: &mut Member, turn: &mut Turn<'_>) {
        let key = generate_key();
        member.accept = Some(derive_accept_key(key.as_bytes()).into());
        if !turn.desk.job.frame.subscriptions.is_all() {
            member.step = Step::Subscribes;
        }
        turn.out.extend_from_slice(&self.shake.request.0);
        turn.out.extend_from_slice(key.as_bytes());
        turn.out.extend_from_slice(&self.shake.request.1);
    }

    fn status(&mut self, member: &mut Member, status: u16) {
        member.status = status;
    }

    fn field(&mut self, member: &mut Member, name: &[u8], value: &[u8]) {
        if name.eq_ignore_ascii_case(b"sec-websocket-accept") {
            member.accept = member.accept.take().filter(|accept| accept.as_bytes() != value);
        } else if name.eq_ignore_ascii_case(b"sec-websocket-protocol") {
            if value != self.shake.offered.as_bytes() {
                let (chosen, offered) = (answer::text(value), self.shake.offered);
                member.wrong = Some(format!("chose the subprotocol {chosen:?}, offered {offered:?}").into());
            }
        } else if name.eq_ignore_ascii_case(b"sec-websocket-extensions") {
            let chosen = answer::text(value);
            member.wrong =
                Some(format!("takes the extension {chosen:?} that the direct engine lacks").into());
        }
    }

    fn head(
        &mut self,
        member: &mut Member,
        _kind: HeadKind,
        _turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        if matches!(member.status, 100 | 102..=199) {
            return Ok(());
        }
        if member.status != StatusCode::SWITCHING_PROTOCOLS.as_u16() {
            let found = StatusCode::from_u16(member.status).unwrap_or_default();
            return Err(ClientError::Status { found, expected: "101" });
        }
        if member.accept.take().is_some() {
            return Err(ClientError::Handshake("has no Sec-WebSocket-Accept that fits the key".to_owned()));
        }
        match member.wrong.take() {
            Some(wrong) => Err(ClientError::Handshake(wrong.into())),
            None => Ok(()),
        }
    }

    #[inline]
    fn message(&mut self, member: &mut Member, text: &[u8], turn: &mut Turn<'_>) -> Result<u64, ClientError> {
        match member.step {
            Step::Listens => {
                let took = turn.take(text)?;
                // With the snapshot of what it wants the stream stands.
                turn.stands = true;
                Ok(took.payload)
            }
            Step::Subscribes => {
                member.step = Step::Listens;
                let symbols = turn.desk.job.symbols(turn.index);
                let text = serde_json::json!({ "subscribe": symbols }).to_string();
                frame(turn, TEXT, text.as_bytes());
                Ok(0)
            }
        }
    }

    fn control(
        &mut self,
        member: &mut Member,
        (opcode, payload): (u8, &[u8]),
        turn: &mut Turn<'_>,
    ) -> Result<(), ClientError> {
        match opcode {
            PING if member.closed_ns.is_none() => frame(turn, PONG, payload),
            CLOSE => {
                let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                turn.desk.notes.closed(code);
                let Some(closed_ns) = member.closed_ns else {
                    // Nobody asked for it: it is answered (RFC 6455 section 5.5.1), and the client is lost.
                    frame(turn, CLOSE, payload.get(..2).unwrap_or_default());
                    return Err(ClientError::Closed);
                };
                let took_ns = clock::now_ns().saturating_sub(closed_ns);
                turn.recorder().closed(took_ns);
                turn.leave = Some(Leave::Farewell);
            }
            _ => {}
        }
        Ok(())
    }

    /// The close handshake (RFC 6455 section 7.1.2): our close frame, then what is still on its way, then theirs.
    fn close(&mut self, member: &mut Member, turn: &mut Turn<'_>) -> Leave {
        if member.accept.is_some() {
            return Leave::Now;
        }
        member.closed_ns = Some(turn.at_ns);
        frame(turn, CLOSE, &[]);
        Leave::Farewell
    }

    fn unanswered(&mut self, _member: &mut Member, desk: &mut Desk) {
        desk.notes.unclosed();
    }
}

/// Appends a masked frame (RFC 6455 section 5.2).
fn frame(turn: &mut Turn<'_>, opcode: u8, payload: &[u8]) {
    let mask = turn.desk.mask();
    turn.out.push(FIN | opcode);
    match payload.len() {
        short @ 0..=125 => turn.out.push(MASKED | short as u8),
        middle @ 126..=0xffff => {
            turn.out.push(MASKED | 126);
            turn.out.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            turn.out.push(MASKED | 127);
            turn.out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    turn.out.extend_from_slice(&mask);
    turn.out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}
