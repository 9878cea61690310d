//! A headless Chromium for tests, driven over the Chrome DevTools Protocol: open a page, run a script in it, read its answer.
//!
//! It knows no server of ours and no transport.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// The Debian package `chromium`.
const PROGRAM: &str = "chromium";
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
];
/// Starting takes a second, on a busy machine several.
const START_TIME: Duration = Duration::from_secs(60);
/// No script of a test takes as long.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// A browser with one page; it ends with this value.
pub(crate) struct Chromium {
    child: Child,
    _profile: TempDir,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The tab at hand.
    pub(crate) page: Option<String>,
    asked: u64,
    /// What it said unasked, of the domains that were enabled.
    pub(crate) heard: Vec<Value>,
}

impl Chromium {
    /// Starts one with a profile of its own; more `flags` may be given.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut command = Command::new(PROGRAM);
        command.args(FLAGS).args(flags).arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg("about:blank").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("Debian's package chromium is installed");
        let url = timeout(START_TIME, debugger(profile.path())).await.expect("chromium starts");
        let (socket, _) = connect_async(url).await.expect("chromium listens");
        let mut browser = Self { child, _profile: profile, socket, page: None, asked: 0, heard: Vec::new() };
        browser.tab().await;
        browser
    }

    /// Opens another tab and turns to it; the answer is the one before.
    pub(crate) async fn tab(&mut self) -> Option<String> {
        let before = self.page.take();
        let target = self.ask("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.ask("Target.attachToTarget", attach).await;
        self.page = Some(attached["sessionId"].as_str().expect("a session").to_owned());
        before
    }

    /// Goes to a page and waits until it is there.
    pub(crate) async fn open(&mut self, url: &str) {
        let opened = self.ask("Page.navigate", json!({ "url": url })).await;
        assert_eq!(opened["errorText"], Value::Null, "{url}");
        self.run("await new Promise(done => document.readyState == 'complete' ? done() : onload = done)")
            .await;
    }

    /// Runs the body of an async function in the page; its answer as JSON.
    pub(crate) async fn run(&mut self, body: &str) -> Value {
        let expression = format!("(async () => {{ {body} }})()");
        let script = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.ask("Runtime.evaluate", script).await;
        assert_eq!(answer["exceptionDetails"], Value::Null, "{answer:#}");
        answer["result"]["value"].clone()
    }

    /// One command and its answer; what the browser says besides is kept.
    pub(crate) async fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if let Some(page) = &self.page {
            command["sessionId"] = page.as_str().into();
        }
        let answer = async {
            self.socket.send(Message::text(command.to_string())).await.expect("chromium takes commands");
            loop {
                let message = self.socket.next().await.expect("chromium runs").expect("chromium answers");
                let Message::Text(text) = message else { continue };
                let said: Value = serde_json::from_str(&text).expect("chromium says JSON");
                if said["id"] == id {
                    assert_eq!(said["error"], Value::Null, "{method}");
                    return said["result"].clone();
                }
                self.heard.push(said);
            }
        };
        timeout(ANSWER_TIME, answer)
            .await
            .unwrap_or_else(|_| panic!("no answer to {method}; heard: {:?}", self.heard))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its helpers end when it does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The url that Chromium writes into its profile once it listens: the port, and the path on a line of its own.
async fn debugger(profile: &Path) -> String {
    loop {
        let written = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = written.trim().split_once('\n') {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}
