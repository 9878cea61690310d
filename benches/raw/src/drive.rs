//! The client of servers that answer: each connection asks again as soon as it has its answer, or on a timetable of its own
//! (`--pace`), and every answer's time is recorded: from the asking, or from the instant that was planned for it.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::fd::AsFd as _,
};

use measurement::histogram::Recorder;
use memchr::memmem;
use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use ticker::clock;

use crate::{
    meter::{Both, Found},
    options::Options,
    poll::{Poll, connect},
};

const ECHO_BYTES: usize = 150;
const MASK: [u8; 4] = [1, 2, 3, 4];

/// What epoll calls the timer; clients have their index.
const TIMER: u64 = u64::MAX;

struct Client {
    stream: TcpStream,
    /// When the questions that are not answered were asked, or planned, the oldest first.
    asked_ns: VecDeque<u64>,
    /// What a read left of an answer that is not whole.
    rest: Vec<u8>,
}

/// Asks on `--clients` connections for `--seconds`, prints what was found.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let echo = match options.kind.as_str() {
        "http" => false,
        "echo" => true,
        other => return Err(io::Error::other(format!("--kind is {other:?}, expected http or echo"))),
    };
    let mut poll = Poll::new()?;
    let idle = Both::read(options.watch)?;
    let start_ns = clock::now_ns();
    let mut clients = Vec::with_capacity(options.clients);
    for token in 0..options.clients {
        let mut stream = connect(options.port)?;
        if echo {
            shake_hands(&mut stream, if options.path.is_empty() { "/ws/echo" } else { &options.path })?;
        }
        poll.add(&stream, token as u64)?;
        clients.push(Client { stream, asked_ns: VecDeque::new(), rest: Vec::new() });
    }
    let connect_seconds = (clock::now_ns() - start_ns) as f64 / 1e9;

    let path = if options.path.is_empty() { "/quotes" } else { &options.path };
    let request =
        if echo { frame() } else { format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into() };
    let mut timetable = Timetable::of(options, &poll)?;
    if timetable.is_none() {
        for client in &mut clients {
            client.ask(&request, clock::now_ns())?;
        }
    }
    let from_ns = clock::now_ns() + (options.warmup * 1e9) as u64;
    let to_ns = from_ns + (options.seconds * 1e9) as u64;
    let whole = if echo { whole_echo } else { whole_answer };
    let (mut begin, mut delays, mut buffer) = (None, Recorder::default(), vec![0; 65_536]);
    let mut now_ns = clock::now_ns();
    while now_ns < to_ns {
        if begin.is_none() && now_ns >= from_ns {
            begin = Some((now_ns, Both::read(options.watch)?));
        }
        let counts = begin.is_some();
        for token in poll.wait(Some(10))? {
            if token == TIMER {
                continue;
            }
            let client = &mut clients[token as usize];
            let bytes = (&client.stream).read(&mut buffer)?;
            if bytes == 0 {
                return Err(io::Error::other("the server closed a connection"));
            }
            for _ in 0..client.takes(&buffer[..bytes], whole) {
                let answered_ns = clock::now_ns();
                let asked_ns = client.asked_ns.pop_front().unwrap_or(answered_ns);
                if counts {
                    delays.record(answered_ns - asked_ns);
                }
                if timetable.is_none() {
                    client.ask(&request, answered_ns)?;
                }
            }
        }
        if let Some(timetable) = &mut timetable {
            timetable.ask(&mut clients, &request)?;
        }
        now_ns = clock::now_ns();
    }
    let (begin_ns, before) = begin.ok_or_else(|| io::Error::other("the window never began"))?;
    let window = [before, Both::read(options.watch)?];
    let seconds = (now_ns - begin_ns) as f64 / 1e9;
    let (count, clients) = (delays.count(), clients.len());
    Found { idle, window, seconds, count, clients, connect_seconds, delays }.print();
    Ok(())
}

/// Questions at planned instants, the connections in turn.
struct Timetable {
    timer: TimerFd,
    due_ns: u64,
    period_ns: u64,
    next: usize,
}

impl Timetable {
    /// `None` without `--pace`.
    fn of(options: &Options, poll: &Poll) -> io::Result<Option<Self>> {
        if options.pace <= 0.0 {
            return Ok(None);
        }
        let period_ns = (1e9 / (options.pace * options.clients as f64)) as u64;
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        poll.add(timer.as_fd(), TIMER)?;
        Ok(Some(Self { timer, due_ns: clock::now_ns() + period_ns, period_ns, next: 0 }))
    }

    /// Asks what is due, and sets the timer for what comes next: setting it makes it unreadable.
    fn ask(&mut self, clients: &mut [Client], request: &[u8]) -> io::Result<()> {
        let now_ns = clock::now_ns();
        while self.due_ns <= now_ns {
            clients[self.next].ask(request, self.due_ns)?;
            self.next = (self.next + 1) % clients.len();
            self.due_ns += self.period_ns;
        }
        let due = TimeSpec::new((self.due_ns / 1_000_000_000) as i64, (self.due_ns % 1_000_000_000) as i64);
        Ok(self.timer.set(Expiration::OneShot(due), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }
}

impl Client {
    fn ask(&mut self, request: &[u8], asked_ns: u64) -> io::Result<()> {
        self.asked_ns.push_back(asked_ns);
        (&self.stream).write_all(request)
    }

    /// How many answers these bytes end.
    fn takes(&mut self, bytes: &[u8], whole: fn(&[u8]) -> Option<usize>) -> usize {
        let mut answers = 0;
        let mut used = 0;
        if self.rest.is_empty() {
            while let Some(length) = whole(&bytes[used..]) {
                (answers, used) = (answers + 1, used + length);
            }
            self.rest.extend_from_slice(&bytes[used..]);
            return answers;
        }
        self.rest.extend_from_slice(bytes);
        while let Some(length) = whole(&self.rest[used..]) {
            (answers, used) = (answers + 1, used + length);
        }
        self.rest.drain(..used);
        answers
    }
}

/// The length of an answer, head and body, that is there to its end.
fn whole_answer(bytes: &[u8]) -> Option<usize> {
    let end = memmem::find(bytes, b"\r\n\r\n")?;
    let length = bytes[..end].split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(16)?;
        if !name.eq_ignore_ascii_case(b"content-length: ") {
            return None;
        }
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
        Some(digits.fold(0, |sum, digit| sum * 10 + usize::from(digit & 0x0f)))
    });
    let length = end + 4 + length.unwrap_or(0);
    (bytes.len() >= length).then_some(length)
}

fn whole_echo(bytes: &[u8]) -> Option<usize> {
    (bytes.len() >= 4 + ECHO_BYTES).then_some(4 + ECHO_BYTES)
}

/// A masked text message of 150 bytes.
fn frame() -> Vec<u8> {
    let mut frame = vec![0x81, 0xfe, 0, ECHO_BYTES as u8];
    frame.extend_from_slice(&MASK);
    frame.extend(MASK.iter().cycle().take(ECHO_BYTES).map(|mask| mask ^ b'.'));
    frame
}

fn shake_hands(stream: &mut TcpStream, path: &str) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while memmem::find(&head, b"\r\n\r\n").is_none() {
        let bytes = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..bytes]);
        if bytes == 0 || !head.starts_with(b"HTTP/1.1 101") {
            let head = String::from_utf8_lossy(&head).into_owned();
            return Err(io::Error::other(format!("the server said {head:?}")));
        }
    }
    stream.set_nonblocking(true)
}
