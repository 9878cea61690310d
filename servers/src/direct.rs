//! The direct engine: plain HTTP/1.1 without a task, channel or copy for each client and quote.
//!
//! One hub on a thread of its own reads request heads and owns every byte out of its connections. What it cannot serve it
//! hands over with the bytes read so far, and the routes answer. It names no transport: each brings its own part, made of
//! the types here.

mod fanout;
mod head;
mod hub;
mod peer;
mod timers;

use std::{io, net::TcpListener, sync::Arc, thread::JoinHandle};

use bytes::Bytes;
use nix::sys::eventfd::{EfdFlags, EventFd};
use ticker::Transport;
use tokio::{net::TcpStream, sync::mpsc};

pub(crate) use self::head::{Answer, Question, Request, decimal, text};
use self::hub::Hub;
use crate::{
    app::App,
    encoded::{Envelope, Framing},
    os,
    registry::Record,
    selection::Selection,
};

/// What a request comes to, once its answer is written as far as it is known.
pub(crate) enum Then {
    /// The answer is whole: the client asks again.
    Asks,
    /// The answer is held until there is something after the cursor.
    Waits(Wait),
    /// The answer never ends: quotes follow.
    Follows(Follow),
}

/// A question whose answer is held.
#[derive(Clone)]
pub(crate) struct Wait {
    /// The newest sequence number that the client has.
    pub(crate) after: u64,
    /// What it wants.
    pub(crate) selection: Selection,
    /// Whose counters it is in.
    pub(crate) transport: Transport,
    /// Writes the answer.
    pub(crate) answer: fn(&mut Answer<'_>, &Envelope),
}

/// A stream that begins.
pub(crate) struct Follow {
    /// How quotes are written on it.
    pub(crate) stream: &'static Stream,
    /// The newest sequence number that the client has; without it, it gets a snapshot.
    pub(crate) cursor: Option<u64>,
    /// What it wants.
    pub(crate) selection: Selection,
    /// Who listens to what the client says; nobody where it has nothing to say.
    pub(crate) ear: Option<Box<dyn Ear>>,
}

impl Follow {
    /// A stream whose head is written; without a cursor, the snapshot goes out with it.
    pub(crate) fn begin(
        answer: &mut Answer<'_>,
        stream: &'static Stream,
        cursor: Option<u64>,
        selection: Selection,
        ear: Option<Box<dyn Ear>>,
    ) -> Self {
        let cursor = cursor.unwrap_or_else(|| {
            let envelope = answer.app.log.snapshot(&selection);
            (stream.snapshot)(&envelope, answer.out);
            envelope.last
        });
        Self { stream, cursor: Some(cursor), selection, ear }
    }
}

/// How quotes are written on one kind of stream.
pub(crate) struct Stream {
    /// Whose counters it is in.
    pub(crate) transport: Transport,
    /// What stands around each quote.
    pub(crate) framing: Framing,
    /// Appends a snapshot with all that stands around it.
    pub(crate) snapshot: fn(&Envelope, &mut Vec<u8>),
    /// What is said into silence; empty where the ear keeps the connection alive.
    pub(crate) silence: &'static [u8],
    /// What is said when the server stops; empty where the ear says it.
    pub(crate) farewell: &'static [u8],
}

/// Listens to a client that may speak while quotes flow.
pub(crate) trait Ear: Send {
    /// Takes what the client said and appends answers. `bytes` may be changed.
    fn hear(&mut self, bytes: &mut [u8], app: &App, answers: &mut Vec<u8>) -> Heard;

    /// A heartbeat period has passed.
    fn beat(&mut self, answers: &mut Vec<u8>) -> Attitude;

    /// The server stops: appends the farewell.
    fn end(&mut self, answers: &mut Vec<u8>);
}

/// What was heard.
pub(crate) struct Heard {
    /// The client wants these symbols from here on.
    pub(crate) wish: Option<Selection>,
    /// How the conversation stands.
    pub(crate) attitude: Attitude,
}

/// How a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attitude {
    /// It goes on.
    Open,
    /// Our farewell is written, theirs is still to come.
    Leaving,
    /// Both have said farewell.
    Over,
}

/// A connection that somebody else serves from here on.
pub(crate) struct Handover {
    /// The socket.
    pub(crate) socket: TcpStream,
    /// Its counters.
    pub(crate) record: Arc<Record>,
    /// What was read and not answered.
    pub(crate) begun: Bytes,
}

/// Takes connections that the engine does not serve. It is called on the hub's thread, within the runtime.
pub(crate) type Desk = mpsc::UnboundedSender<Handover>;

/// The running hubs: one for each core that the process may use.
pub(crate) struct Hubs(Vec<JoinHandle<()>>);

impl Hubs {
    /// Starts them on a bound listener. They end when the log is closed, within the grace of the settings.
    pub(crate) fn start(listener: TcpListener, app: &Arc<App>, desk: &Desk) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let open = |_| {
            let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
            let hub = Hub::new(Arc::clone(&listener), Arc::clone(app), desk.clone(), Arc::clone(&wake))?;
            app.log.wakes(Box::new(move || {
                // A full counter is a hub that is awake.
                let _ = wake.write(1);
            }));
            Ok(hub)
        };
        // All before the first of them accepts: a crowd at the door would leave the others no descriptors.
        let hubs: Vec<Hub> =
            (0..std::thread::available_parallelism()?.get()).map(open).collect::<io::Result<_>>()?;
        let runtime = tokio::runtime::Handle::current();
        let spawn = |(number, mut hub): (usize, Hub)| {
            let runtime = runtime.clone();
            std::thread::Builder::new().name(format!("hub-{number}")).spawn(move || {
                os::finest_timer_slack();
                let _inside = runtime.enter();
                hub.run();
            })
        };
        hubs.into_iter().enumerate().map(spawn).collect::<io::Result<_>>().map(Self)
    }

    /// Waits for their end; false if one panicked.
    pub(crate) fn join(self) -> bool {
        let panicked = self.0.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
        panicked == 0
    }
}
