//! The Chrome DevTools Protocol over its WebSocket: commands with their answers, and what the browser says unasked.
//!
//! It knows no pages.

use std::{collections::HashMap, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{connect_async_with_config, tungstenite::Message};

use super::BrowserError;

/// No command takes as long.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// What the browser says unasked.
#[derive(Debug)]
pub(super) struct Event {
    /// The tab that it is about; empty for the browser itself.
    pub(super) session: String,
    pub(super) method: String,
    pub(super) parameters: Value,
}

struct Command {
    message: Value,
    answer: oneshot::Sender<Value>,
}

/// A connection to a browser.
pub(super) struct Cdp {
    commands: mpsc::UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl Cdp {
    /// Connects. Events go into the channel in the order in which they were said, and before answers that came after them.
    pub(super) async fn connect(url: &str) -> Result<(Self, mpsc::UnboundedReceiver<Event>), BrowserError> {
        let connecting = connect_async_with_config(url, None, true);
        let (socket, _) = connecting.await.map_err(|error| BrowserError::Ended(error.to_string()))?;
        let (commands, mut taken) = mpsc::unbounded_channel::<Command>();
        let (heard, events) = mpsc::unbounded_channel();
        let task = tokio::task::spawn_local(async move {
            let (mut sink, mut stream) = socket.split();
            let mut waiting: HashMap<u64, oneshot::Sender<Value>> = HashMap::new();
            let mut asked = 0;
            loop {
                tokio::select! {
                    command = taken.recv() => {
                        let Some(Command { mut message, answer }) = command else { return };
                        asked += 1;
                        message["id"] = json!(asked);
                        waiting.insert(asked, answer);
                        if sink.send(Message::text(message.to_string())).await.is_err() {
                            return;
                        }
                    }
                    said = stream.next() => {
                        let Some(Ok(said)) = said else { return };
                        if let Message::Text(text) = said {
                            take(&text, &mut waiting, &heard);
                        }
                    }
                }
            }
        });
        Ok((Self { commands, task }, events))
    }

    /// One command, of a tab or of the browser itself, and its answer.
    pub(super) async fn ask(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, BrowserError> {
        let mut message = json!({ "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let (answer, answered) = oneshot::channel();
        let gone = || BrowserError::Ended("its connection closed".to_owned());
        self.commands.send(Command { message, answer }).map_err(|_| gone())?;
        let silent = |_| BrowserError::Refused {
            method: method.to_owned(),
            cause: format!("no answer in {ANSWER_TIME:?}"),
        };
        let answer = timeout(ANSWER_TIME, answered).await.map_err(silent)?.map_err(|_| gone())?;
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => Err(BrowserError::Refused { method: method.to_owned(), cause: error.to_string() }),
        }
    }
}

impl Drop for Cdp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer goes to who waits for it, all else into the channel.
fn take(
    text: &str,
    waiting: &mut HashMap<u64, oneshot::Sender<Value>>,
    heard: &mpsc::UnboundedSender<Event>,
) {
    let Ok(mut said) = serde_json::from_str::<Value>(text) else { return };
    if let Some(id) = said["id"].as_u64() {
        if let Some(answer) = waiting.remove(&id) {
            // Who no longer waits has said so already.
            let _ = answer.send(said);
        }
        return;
    }
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let event = Event {
        session: word(&said["sessionId"]),
        method: word(&said["method"]),
        parameters: said["params"].take(),
    };
    let _ = heard.send(event);
}
