//! The namespace `/room`: `join` with a room's name, `say` with anything, `leave`; all members are told `said` and `online`.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::value::{RawValue, to_raw_value};
use socketioxide::{
    extract::{SocketRef, TryData},
    handler::{FromMessageParts, Value},
    socket::Socket,
};
use ticker::Transport;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use super::{emit, say_no};
use crate::{
    app::App,
    rooms::{Kind, Member, Room},
};

/// The namespace.
pub(super) const NAMESPACE: &str = "/room";

/// The first argument of an event, its JSON as it came.
struct Raw(Option<Box<RawValue>>);

impl<A: socketioxide::adapter::Adapter> FromMessageParts<A> for Raw {
    type Error = std::convert::Infallible;

    fn from_message_parts(
        _socket: &Arc<Socket<A>>,
        value: &mut Value,
        _ack: &Option<i64>,
    ) -> Result<Self, Self::Error> {
        Ok(Self(match value {
            // Name and argument; one with attachments is none that is said here.
            Value::Str(text, None) => {
                serde_json::from_str::<(&RawValue, Box<RawValue>)>(text.as_str()).ok().map(|(_, said)| said)
            }
            Value::Str(_, Some(_)) | Value::Bytes(_) => None,
        }))
    }
}

/// The room that a client is in, and how its task is told that it leaves.
type Place = Arc<Mutex<Option<(Arc<Room>, CancellationToken)>>>;

/// A client is in the namespace.
pub(super) fn connected(app: &Arc<App>, socket: &SocketRef) {
    let place = Place::default();
    let (shared, entered) = (Arc::clone(app), Arc::clone(&place));
    // The library hears each event in a task of its own: two that come together may change places.
    socket.on("join", async move |socket: SocketRef, TryData(name): TryData<String>| match name {
        Ok(name) => join(&shared, &socket, &entered, &name),
        Err(_) => say_no(&socket, "join takes the name of a room".to_owned()),
    });
    let spoken = Arc::clone(&place);
    socket.on("say", async move |socket: SocketRef, Raw(said): Raw| match (&*lock(&spoken), said) {
        (Some((room, _)), Some(said)) => room.say(text(&said)),
        (None, _) => say_no(&socket, "join a room first".to_owned()),
        (Some(_), None) => say_no(&socket, "say takes one value of JSON".to_owned()),
    });
    let left = Arc::clone(&place);
    socket.on("leave", async move || leave(&left));
    socket.on_disconnect(async move || leave(&place));
}

fn join(app: &Arc<App>, socket: &SocketRef, place: &Place, name: &str) {
    let mut entered = lock(place);
    if entered.is_some() {
        return say_no(socket, "you are in a room already".to_owned());
    }
    let member = match app.rooms.join(name) {
        Ok(member) => member,
        Err(refused) => return say_no(socket, refused.to_string()),
    };
    let leaves = CancellationToken::new();
    *entered = Some((Arc::clone(member.room()), leaves.clone()));
    drop(entered);
    let (spawner, app, socket) = (app.tasks.clone(), Arc::clone(app), socket.clone());
    spawner.spawn(async move {
        tokio::select! {
            () = leaves.cancelled() => {}
            () = app.tasks.stopping() => {}
            () = tell(&app, &socket, member) => {
                let _ = socket.disconnect();
            }
        }
    });
}

fn leave(place: &Place) {
    if let Some((_, leaves)) = lock(place).take() {
        leaves.cancel();
    }
}

/// Tells a member everything, until it is gone or too slow.
async fn tell(app: &App, socket: &SocketRef, mut member: Member) {
    while let Ok(events) = member.next().await {
        for event in events {
            let told = match event.kind {
                Kind::Said => {
                    app.counters(Transport::SocketIo).quotes(1);
                    emit(socket, "said", event.json()).await
                }
                Kind::Online(members) => match to_raw_value(&members) {
                    Ok(members) => emit(socket, "online", &members).await,
                    Err(_) => Some(()),
                },
            };
            if told.is_none() {
                return;
            }
        }
    }
}

/// A value of JSON as a text: a string without its quotes, anything else as it is.
fn text(said: &RawValue) -> Utf8Bytes {
    match serde_json::from_str::<String>(said.get()) {
        Ok(text) => text.into(),
        Err(_) => said.get().into(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
