//! Faults that a server commits on purpose, so that a gate can be seen to catch them. One at a time, the same in every run.
//!
//! It says what is wrong and when; where it happens is in the log, the accept loop and the connections.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use ticker::random;
use tokio::time::{Sleep, sleep};

/// What a server does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// Every response over TCP has one header field more, 40 bytes long over HTTP/1.1.
    ExtraHeader,
    /// One of 1,000 quotes is never sent: those whose number leaves 7.
    Drop,
    /// One of 100 writes to a TCP connection comes 5 ms late; it holds up nobody else.
    Slow,
}

impl Fault {
    /// The name that the command line and `/stats` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExtraHeader => "extra-header",
            Self::Drop => "drop",
            Self::Slow => "slow",
        }
    }

    /// Whether it keeps a quote from everybody.
    pub(crate) fn withholds(self, seq: u64) -> bool {
        self == Self::Drop && seq % DROPPED_OF == DROPPED
    }
}

/// Of so many quotes [`Fault::Drop`] withholds one,
const DROPPED_OF: u64 = 1_000;
/// the one whose number leaves this.
const DROPPED: u64 = 7;

/// How late a send is.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);
/// Of so many sends one is late.
const PAUSED_OF: u64 = 100;
/// Which sends: not every hundredth, which would always be the same client's where clients divide a hundred.
const STREAM_PAUSES: u64 = 71;

/// The header field: with colon, space and line end 40 bytes.
pub(crate) fn field() -> (HeaderName, HeaderValue) {
    (HeaderName::from_static("x-planted-fault"), HeaderValue::from_static("forty-bytes-with-crlf"))
}

/// Whether the next send of the server that counts its sends in `sends` is late.
pub(crate) fn next_is_late(sends: &AtomicU64) -> bool {
    random::below(0, STREAM_PAUSES, sends.fetch_add(1, Relaxed), PAUSED_OF) == 0
}

/// The late sends of one connection; all connections of a server share the count.
pub(crate) struct Pauses {
    sends: Arc<AtomicU64>,
    state: State,
}

enum State {
    /// The next send is not looked at yet.
    Undecided,
    /// It is late.
    Late(Pin<Box<Sleep>>),
    /// It may go.
    Free,
}

impl Pauses {
    /// For a connection of the server that counts its sends in `sends`.
    pub(crate) fn new(sends: Arc<AtomicU64>) -> Self {
        Self { sends, state: State::Undecided }
    }

    /// Ready once the next send may go.
    pub(crate) fn poll_free(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let State::Undecided = self.state {
            self.state =
                if next_is_late(&self.sends) { State::Late(Box::pin(sleep(PAUSE))) } else { State::Free };
        }
        if let State::Late(pause) = &mut self.state {
            ready!(pause.as_mut().poll(context));
            self.state = State::Free;
        }
        Poll::Ready(())
    }

    /// The send is done: the next one is another.
    pub(crate) fn sent(&mut self) {
        self.state = State::Undecided;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for fault in Fault::value_variants() {
            let value = fault.to_possible_value().expect("none is skipped");
            assert_eq!(value.get_name(), fault.name());
        }
    }

    #[test]
    fn the_field_is_forty_bytes_and_one_of_a_thousand_quotes_is_withheld() {
        let (name, value) = field();
        assert_eq!(format!("{name}: {}\r\n", value.to_str().unwrap()).len(), 40);
        let withheld: Vec<u64> = (1..=2_100).filter(|&seq| Fault::Drop.withholds(seq)).collect();
        assert_eq!(withheld, [7, 1_007, 2_007]);
        assert!(!(1..=2_100).any(|seq| Fault::Slow.withholds(seq)));
    }

    #[tokio::test]
    async fn one_of_a_hundred_sends_is_late_and_the_connection_goes_on() {
        let sends = Arc::default();
        let context = &mut Context::from_waker(Waker::noop());
        let late = |_: &u32| Pauses::new(Arc::clone(&sends)).poll_free(context).is_pending();
        let late = (0..10_000_u32).filter(late).count();
        assert!((80..=120).contains(&late), "{late} of 10,000");

        let mut pauses = Pauses::new(Arc::default());
        for _ in 0..300 {
            std::future::poll_fn(|context| pauses.poll_free(context)).await;
            // A send that finds no room is the same one when it is tried again.
            std::future::poll_fn(|context| pauses.poll_free(context)).await;
            pauses.sent();
        }
        assert_eq!(pauses.sends.load(Relaxed), 300);
    }
}
