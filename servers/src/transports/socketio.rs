//! Socket.IO (protocol 5 over Engine.IO 4) at `/socket.io/`: events over long polls, over a WebSocket, or over the
//! one until the other stands. socketioxide speaks both protocols; here is what is sent, and to whom.
//!
//! Rooms are symbols: a client is in the rooms it asked for, or in the room of all. Each client has a task that reads
//! the log with a cursor of its own and emits what its rooms hold. The library's own way, one `io.to(room).emit(…)`
//! for everybody, drops what does not fit a client's buffer and does not say whose: quotes would be missing silently.
//!
//! The chat and the rooms have namespaces of their own; what is said in them is `chat`'s and `rooms`' business.

mod room;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use hyper::service::Service as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use socketioxide::{
    SendError, SocketError, SocketIo,
    extract::{SocketRef, TryData},
};
use ticker::Transport;
use tokio::{
    sync::{mpsc, watch},
    task::yield_now,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{refuse, websocket::is_welcome};
use crate::{
    app::App,
    chat::Word,
    conditions::{FRAMES_READ_BUFFER, LONGEST_MESSAGE, MOST_WAITING},
    log::{Subscription, Update},
    selection::Selection,
};

const PATH: &str = "/socket.io/";
/// Quotes of a client that wait for its poll or for room in its socket, at least.
const FEWEST_PACKETS_WAITING: usize = 8;
/// How often a full buffer is looked at again: the library does not say when there is room.
const FULL_PAUSE: Duration = Duration::from_millis(2);
/// Longest wait for the library's tasks to hang up once the server stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The namespace of the chat.
const CHAT: &str = "/chat";
/// Words of a chatter that wait to be heard; what comes on top is not.
const MOST_WORDS: usize = 64;
/// The room of those who want every symbol. No symbol has that name.
const ALL: &str = "*";

/// Everything under `/socket.io/`. The library's sessions belong to this server alone, and end with it.
pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let settings = &app.settings;
    let packets = MOST_WAITING / settings.feed.quote_bytes as usize;
    let (service, io) = SocketIo::builder()
        .ping_interval(settings.heartbeat)
        // Two periods from a ping that is not answered to the end, as in WebSocket.
        .ping_timeout(settings.heartbeat)
        .connect_timeout(settings.header_timeout)
        // Clients have little to say: a longer POST is answered with 413, a longer WebSocket message with the end.
        .max_payload(LONGEST_MESSAGE as u64)
        .max_buffer_size(packets.max(FEWEST_PACKETS_WAITING))
        .ws_read_buffer_size(FRAMES_READ_BUFFER)
        .ws_max_message_size(LONGEST_MESSAGE)
        .ws_max_frame_size(LONGEST_MESSAGE)
        .build_svc();
    let feed = Arc::new(Feed { app: Arc::clone(app) });
    io.ns("/", async move |socket: SocketRef, auth: TryData<Auth>| connected(&feed, socket, auth));
    if settings.chat {
        let app = Arc::clone(app);
        io.ns(CHAT, async move |socket: SocketRef| chat(&app, &socket));
    }

    if settings.rooms {
        let app = Arc::clone(app);
        io.ns(room::NAMESPACE, async move |socket: SocketRef| room::connected(&app, &socket));
    }

    let tracker = TaskTracker::new();
    app.tasks.spawn(end_with(Arc::clone(app), io, tracker.clone()));
    let serve = async move |State(app): State<Arc<App>>, mut request: Request| -> Response {
        app.counters(Transport::SocketIo).request();
        // What a page of another origin may read of polls is decided by its browser, and the routes allow only those that
        // the settings name; a WebSocket it would just open.
        if !is_welcome(&app, &request) {
            return refuse(StatusCode::FORBIDDEN, "this origin may not open a session here");
        }
        // The library keeps a request's extensions as long as it serves the connection.
        request.extensions_mut().insert(tracker.token());
        match service.call(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        }
    };
    Router::new().route(PATH, any(serve))
}

/// Waits for the server's stop, hangs up on everybody and waits for the library's own tasks, which no one joins.
async fn end_with(app: Arc<App>, io: SocketIo, tracker: TaskTracker) {
    app.tasks.stopping().await;
    io.close().await;
    tracker.close();
    let _ = timeout(CLOSE_TIMEOUT, tracker.wait()).await;
}

/// What the sessions of a server share.
struct Feed {
    app: Arc<App>,
}

/// What a client may send with its namespace's CONNECT packet.
#[derive(Deserialize)]
struct Auth {
    symbols: Option<Vec<String>>,
}

/// The argument of `refused`.
#[derive(Serialize)]
struct Refusal {
    error: String,
}

/// The symbols that a client wants, by name and as the log takes them; `None` for all.
type Wish = Option<(Vec<String>, Selection)>;

/// A client is in the namespace: it gets a task, and may say what it wants.
fn connected(feed: &Arc<Feed>, socket: SocketRef, TryData(auth): TryData<Auth>) {
    // Without `auth`, or with one that means nothing here, it gets everything.
    let asked = auth.ok().and_then(|auth| auth.symbols);
    let (wishes, watched) = watch::channel(asked.and_then(|symbols| feed.accept(&socket, symbols)));
    let (shared, gone) = (Arc::clone(feed), CancellationToken::new());
    socket.on("subscribe", async move |socket: SocketRef, TryData(symbols): TryData<Vec<String>>| {
        match symbols {
            Ok(symbols) => {
                if let Some(wish) = shared.accept(&socket, symbols) {
                    wishes.send_replace(Some(wish));
                }
            }
            Err(_) => say_no(&socket, "subscribe takes an array of symbols".to_owned()),
        }
    });
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    if !socket.connected() {
        // It went before the library knew whom to tell.
        return;
    }
    let app = Arc::clone(&feed.app);
    feed.app.tasks.spawn(Session { app, socket, wishes: watched, gone }.push());
}

impl Feed {
    /// The set of symbols, unless one of them is none of this feed's.
    fn accept(&self, socket: &SocketRef, symbols: Vec<String>) -> Wish {
        let names = symbols.iter().map(String::as_str);
        match Selection::of_names(names, self.app.settings.feed.symbols) {
            Ok(selection) => Some((symbols, selection)),
            Err(error) => {
                say_no(socket, error.to_string());
                None
            }
        }
    }
}

fn say_no(socket: &SocketRef, error: String) {
    // Its buffer is full, or it is gone: then it does not read the answer either.
    let _ = socket.emit("refused", &Refusal { error });
}

/// One client from its CONNECT to its end.
struct Session {
    app: Arc<App>,
    socket: SocketRef,
    wishes: watch::Receiver<Wish>,
    gone: CancellationToken,
}

impl Session {
    /// Emits a snapshot, then every quote after it that its rooms hold, each once; from the start again when it
    /// wants other symbols.
    async fn push(mut self) {
        let gone = self.gone.clone();
        tokio::select! {
            biased;
            () = gone.cancelled() => {}
            // It ends when the log is closed, or when there is no one to emit to.
            _ = self.follow() => {}
        }
    }

    async fn follow(&mut self) -> Option<()> {
        loop {
            let wish = self.wishes.borrow_and_update().clone();
            self.socket.leave_all();
            let selection = match wish {
                None => {
                    self.socket.join(ALL);
                    Selection::default()
                }
                Some((symbols, selection)) => {
                    self.socket.join(symbols);
                    selection
                }
            };
            let mut subscription = Subscription::new(&self.app.log, None, selection);
            loop {
                let update = tokio::select! {
                    biased;
                    changed = self.wishes.changed() => {
                        changed.ok()?;
                        break;
                    }
                    update = subscription.next(|quote| quote.raw()) => update?,
                };
                self.send(update).await?;
            }
        }
    }

    async fn send(&self, update: Update<Arc<RawValue>>) -> Option<()> {
        match update {
            Update::Quotes(quotes) => {
                for quote in &quotes {
                    emit(&self.socket, "quote", quote).await?;
                    self.app.counters(Transport::SocketIo).quotes(1);
                }
            }
            Update::Snapshot(envelope) => {
                let text = String::from_utf8(envelope.json()).expect("an envelope is ASCII");
                let raw = RawValue::from_string(text).expect("an envelope is JSON");
                emit(&self.socket, "snapshot", &raw).await?;
            }
        }
        Some(())
    }
}

/// Emits an event with one argument, its JSON verbatim. `None` when the client is gone.
///
/// A full buffer is waited for: the cursor stays meanwhile, and the log keeps what is to come.
async fn emit(socket: &SocketRef, event: &str, value: &RawValue) -> Option<()> {
    let mut full = false;
    loop {
        match socket.emit(event, value) {
            Ok(()) => return Some(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) if full => sleep(FULL_PAUSE).await,
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                // Most often the library's own task has only not had its turn yet.
                full = true;
                yield_now().await;
            }
            Err(SendError::Socket(SocketError::Closed) | SendError::Serialize(_)) => return None,
        }
    }
}

/// A client is in the chat's namespace: what it says goes to a task of its own, which tells it what everybody says.
fn chat(app: &Arc<App>, socket: &SocketRef) {
    let (say, words) = mpsc::channel(MOST_WORDS);
    let heard = |word: fn(String) -> Word| {
        let say = say.clone();
        async move |TryData(text): TryData<String>| {
            // One who says more than can be heard is not heard.
            let _ = text.map(|text| say.try_send(word(text)));
        }
    };
    socket.on("join", heard(Word::Join));
    socket.on("say", heard(Word::Say));
    let leave = say.clone();
    socket.on("leave", async move || {
        let _ = leave.try_send(Word::Leave {});
    });
    let gone = CancellationToken::new();
    let left = gone.clone();
    socket.on_disconnect(async move || left.cancel());
    if !socket.connected() {
        // It went before the library knew whom to tell.
        return;
    }
    let (app, socket) = (Arc::clone(app), socket.clone());
    let tasks = app.tasks.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = gone.cancelled() => {}
            () = app.tasks.stopping() => {}
            () = talk(&app, &socket, words) => {}
        }
    });
}

async fn talk(app: &App, socket: &SocketRef, mut words: mpsc::Receiver<Word>) {
    let mut events = app.room.events();
    let mut visitor = app.room.visitor();
    loop {
        let event = tokio::select! {
            biased;
            word = words.recv() => match word.map(|word| visitor.hear(word)) {
                Some(Err(refusal)) => refusal,
                Some(Ok(())) => continue,
                None => return,
            },
            event = events.recv() => match event {
                Ok(event) if visitor.is_in() => event,
                Ok(_) => continue,
                // It did not read for hundreds of events.
                Err(_) => break,
            },
        };
        // Its buffer is full, or it is gone.
        if socket.emit(event.name(), &event.argument()).is_err() {
            break;
        }
    }
    let _ = socket.clone().disconnect();
}
