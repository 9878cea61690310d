//! What the tests of the page share: the program, the browser with the page, and how to wait for what it does.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::chromium::Chromium;

/// `loadgen teach` on a port of its own; it ends with this value.
pub(crate) struct Lesson {
    child: Child,
    pub(crate) url: String,
}

impl Lesson {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::at(0, options)
    }

    /// The same on this port.
    pub(crate) fn at(port: u16, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["teach", "--listen", &format!("127.0.0.1:{port}")])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_else(|| {
            panic!("{line:?} names no page");
        });
        Self { url: url.to_owned(), child }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// The page's address without the path: its origin.
    pub(crate) fn origin(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}

impl Drop for Lesson {
    fn drop(&mut self) {
        // In order, so that its servers end with it.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// Where times are measured there is one browser: two would be measured against each other.
static TURN: RwLock<()> = RwLock::const_new(());

/// Who else may have a browser meanwhile.
enum Turn {
    Shared(#[expect(dead_code, reason = "it is held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "it is held")] RwLockWriteGuard<'static, ()>),
}

/// What scripts of tests use.
const TOOLS: &str = r#"
    const $ = selector => document.querySelector(selector);
    const pause = ms => new Promise(done => setTimeout(done, ms));
    const until = async (what, is) => {
        const begun = performance.now();
        while (performance.now() < begun + 20000) {
            const found = await is();
            if (found) return found;
            await pause(20);
        }
        throw new Error(`never: ${what}`);
    };
    const choose = async (id, value) => {
        const select = $(`#${id}`);
        select.value = value;
        select.dispatchEvent(new Event('change'));
        await until(`${id} is ${value}`, () => $(`#${id}`) !== select);
        await pause(50);
    };
    const press = async id => {
        $(`#${id}`).click();
        await pause(100);
        await until(`${id} is done`, () => !$(`#${id}`).disabled);
    };
    const part = async id => {
        $('#more').open = true;
        $(`#${id}`).open = true;
        await until(`${id} is made`, () => $(`#${id}`).children.length > 1);
    };
    const lanes = () => Object.fromEntries(lesson.page.running().map(lane => [lane.name, lane]));
"#;

/// The page in a browser.
pub(crate) struct Reader {
    pub(crate) browser: Chromium,
    _turn: Turn,
}

impl Reader {
    pub(crate) async fn open(url: &str) -> Self {
        Self::with(Turn::Shared(TURN.read().await), url).await
    }

    /// The same while nobody else has one.
    pub(crate) async fn alone(url: &str) -> Self {
        Self::with(Turn::Alone(TURN.write().await), url).await
    }

    async fn with(turn: Turn, url: &str) -> Self {
        let browser = Chromium::start(&[]).await;
        let mut reader = Self { browser, _turn: turn };
        reader.go(url).await;
        reader
    }

    /// To a page, in the tab at hand.
    pub(crate) async fn go(&mut self, url: &str) {
        for domain in ["Runtime.enable", "Log.enable"] {
            self.browser.ask(domain, json!({})).await;
        }
        // An address that differs in its fragment only would be no new page.
        self.browser.open("about:blank").await;
        self.browser.open(url).await;
        self.run("await until('prices', () => document.querySelectorAll('.prices li').length >= 24);").await;
    }

    /// Runs the body of an async function with the tools; its answer as JSON.
    pub(crate) async fn run(&mut self, body: &str) -> Value {
        self.browser.run(&format!("{TOOLS}{body}")).await
    }

    /// Nothing was said on the console; a link that the test itself broke may have left a word.
    pub(crate) fn silent(&self, but: &[&str]) {
        let noise = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let is_noise = |said: &&Value| {
            let text = said["params"]["entry"]["text"].as_str().unwrap_or_default();
            noise.iter().any(|name| said["method"] == *name) && !but.iter().any(|known| text.contains(known))
        };
        let heard: Vec<&Value> = self.browser.heard.iter().filter(is_noise).collect();
        assert!(heard.is_empty(), "{heard:#?}");
    }
}
