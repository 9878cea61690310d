//! One tab: its context, its page, its clock, and what it is told to do. It knows no transport.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use ticker::clock;

use super::{
    BrowserError,
    cdp::Cdp,
    page_clock::{Exchange, PageClock},
};
use crate::clients::Page;

/// What all pages have in common.
const HOST: &str = include_str!("page.js");
/// The name by which pages hand over what they heard.
pub(super) const BINDING: &str = "tickertape";
/// How often they do, in milliseconds.
const HAND_OVER_EVERY: u64 = 200;
/// Questions for the time before the load, and after it (METRICS rule 4).
const EXCHANGES: usize = 30;
/// How long a page may take to open; a machine may start many at a time.
const OPEN_TIME: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Between them, so that they do not all meet the same hiccup.
const PAUSE: Duration = Duration::from_micros(500);

/// A tab of a browser.
pub(super) struct Tab {
    /// What events about it are marked with.
    pub(super) session: String,
    pub(super) clock: PageClock,
    context: String,
}

impl Tab {
    /// Opens one in a context of its own, as a user of its own would have: neither sockets nor caches are shared. Its page
    /// is the document at `address`, so that requests to there are same-origin.
    pub(super) async fn open(cdp: &Cdp, address: SocketAddr) -> Result<Self, BrowserError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let made = cdp.ask(None, "Target.createBrowserContext", json!({})).await?;
        let context = text(&made["browserContextId"]);
        let target = json!({ "url": format!("http://{address}/"), "browserContextId": context });
        let made = cdp.ask(None, "Target.createTarget", target).await?;
        let attach = json!({ "targetId": made["targetId"], "flatten": true });
        let session = text(&cdp.ask(None, "Target.attachToTarget", attach).await?["sessionId"]);
        let nothing = || json!({});
        for (method, parameters) in [
            ("Runtime.enable", nothing()),
            ("Runtime.addBinding", json!({ "name": BINDING })),
            ("Performance.enable", nothing()),
            // A tab that is looked at.
            ("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })),
        ] {
            cdp.ask(Some(&session), method, parameters).await?;
        }
        let is_isolated = opened(cdp, &session, address).await?;
        let exchanges = exchanges(cdp, &session).await?;
        let told_s = time_origin(cdp, &session).await?;
        Ok(Self { clock: PageClock::new(&exchanges, told_s, is_isolated), session, context })
    }

    /// It begins to connect.
    pub(super) async fn begin(&self, cdp: &Cdp, page: &Page, task: &Value) -> Result<(), BrowserError> {
        let script = page.script;
        let begin = format!("globalThis.tab = ({HOST})({script}, {task}, {HAND_OVER_EVERY}); undefined");
        run(cdp, &self.session, &begin).await.map(drop)
    }

    /// The feed starts.
    pub(super) async fn start(&self, cdp: &Cdp, t0_ns: u64) -> Result<(), BrowserError> {
        let t0_ms = self.clock.page_ms(t0_ns);
        run(cdp, &self.session, &format!("globalThis.tab?.start({t0_ms}); undefined")).await.map(drop)
    }

    /// It closes in order and hands over the rest. Returns how many batches there were in all.
    pub(super) async fn finish(&self, cdp: &Cdp) -> Result<u64, BrowserError> {
        let batches = run(cdp, &self.session, "globalThis.tab ? globalThis.tab.finish() : 0").await?;
        Ok(batches.as_u64().unwrap_or_default())
    }

    /// The clock, held against the time once more.
    pub(super) async fn checked_clock(&self, cdp: &Cdp) -> Result<PageClock, BrowserError> {
        let mut clock = self.clock;
        clock.check(&exchanges(cdp, &self.session).await?);
        Ok(clock)
    }

    /// Closes it, and all its connections.
    pub(super) async fn dispose(&self, cdp: &Cdp) -> Result<(), BrowserError> {
        let context = json!({ "browserContextId": self.context });
        cdp.ask(None, "Target.disposeBrowserContext", context).await.map(drop)
    }
}

/// Runs an expression in the page; its answer as JSON.
async fn run(cdp: &Cdp, session: &str, expression: &str) -> Result<Value, BrowserError> {
    let script = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
    let answer = cdp.ask(Some(session), "Runtime.evaluate", script).await?;
    let Some(exception) = answer.get("exceptionDetails") else {
        return Ok(answer["result"]["value"].clone());
    };
    let cause = exception["exception"]["description"].as_str().or(exception["text"].as_str());
    Err(BrowserError::Script(cause.unwrap_or_default().to_owned()))
}

/// Waits until the page is there. Returns whether it is isolated from other origins.
async fn opened(cdp: &Cdp, session: &str, address: SocketAddr) -> Result<bool, BrowserError> {
    let state = format!(
        "document.readyState === 'complete' && location.host === '{address}' ? crossOriginIsolated : null"
    );
    let until_ns = clock::now_ns() + OPEN_TIME.as_nanos() as u64;
    loop {
        // A page that is being replaced cannot answer.
        let is_isolated = run(cdp, session, &state).await.ok().and_then(|state| state.as_bool());
        if let Some(is_isolated) = is_isolated {
            return Ok(is_isolated);
        }
        if clock::now_ns() > until_ns {
            let method = format!("the page at http://{address}/");
            return Err(BrowserError::Refused {
                method,
                cause: format!("it is not there after {OPEN_TIME:?}"),
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn exchanges(cdp: &Cdp, session: &str) -> Result<Vec<Exchange>, BrowserError> {
    let mut exchanges = Vec::with_capacity(EXCHANGES);
    for _ in 0..EXCHANGES {
        let asked_ns = clock::now_ns();
        let said = run(cdp, session, "performance.now()").await?;
        let answered_ns = clock::now_ns();
        if let Some(page_ms) = said.as_f64() {
            exchanges.push(Exchange { asked_ns, page_ms, answered_ns });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(exchanges)
}

/// The zero of the page's clock in seconds, as the browser tells it: on Linux of CLOCK_MONOTONIC.
async fn time_origin(cdp: &Cdp, session: &str) -> Result<Option<f64>, BrowserError> {
    let told = cdp.ask(Some(session), "Performance.getMetrics", json!({})).await?;
    let metrics = told["metrics"].as_array().into_iter().flatten();
    Ok(metrics
        .filter(|metric| metric["name"] == "NavigationStart")
        .find_map(|metric| metric["value"].as_f64()))
}
