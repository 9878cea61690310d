//! The teaching page in Chromium, over real connections: what it shows is what its servers count, polling is as late as its
//! closed form says, every control and button does what it says, nothing is clipped, and the console stays silent.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod controls;
mod faults;
mod lesson;
mod looks;
mod parts;

#[path = "../common/chromium.rs"]
mod chromium;

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use lesson::{Lesson, Reader};

#[tokio::test]
async fn lanes_show_what_their_servers_count_and_polling_is_as_late_as_it_must_be() {
    let begun_ns = ticker::clock::now_ns();
    let lesson = Lesson::start(&["--updates-per-second", "40", "--seed", "7"]);
    let started_ms = (ticker::clock::now_ns() - begun_ns) as f64 / 1e6;
    let mut reader = Reader::alone(&format!("{}#interval=500&more=1", lesson.url)).await;
    // The first meaningful picture is due within five seconds; how long a browser takes to start is not ours.
    let shown_ms = reader.run("return performance.now()").await.as_f64().unwrap();
    assert!(
        started_ms + shown_ms < 5_000.0,
        "{started_ms} ms until the program listened, {shown_ms} ms from there"
    );
    let mut found = Vec::new();
    // A busy machine adds to every delay: a large part of a short interval, a small one of a long one.
    for (interval_ms, seconds) in [(500.0, 10), (2_000.0, 30)] {
        reader.go(&format!("{}#interval={interval_ms}&more=1", lesson.url)).await;
        sleep(Duration::from_secs(seconds)).await;
        let figures = counted_figures(&mut reader).await;
        let Err(wrong) = as_late_as_it_must_be(&figures, interval_ms) else {
            reader.silent(&[]);
            return;
        };
        found.push(format!("{interval_ms} ms: {wrong}: {figures:#}"));
    }
    panic!("{}", found.join("\n"));
}

const LANES: [&str; 6] = ["polling", "long-polling", "sse", "websocket", "socketio", "webtransport"];

/// The lanes' figures, once what they count is what their servers count.
async fn counted_figures(reader: &mut Reader) -> Value {
    // While a quote is on its way one side has counted it and the other has not: at rest both are the same.
    let same = r#"
        let seen = null;
        await until('counters are the same', async () => {
            const told = await (await fetch('/page/stats', { cache: 'no-store' })).json();
            const shown = lesson.quotes(), before = lesson.before();
            seen = { told: told.map(({ name, quotes }) => [name, quotes]), shown, before };
            const answered = ['polling', 'sse', 'websocket'].every(name => {
                const { screen, base } = lesson.page.lane(name);
                return told.find(counted => counted.name === name).requests === screen.requests + base.requests;
            });
            return answered && told.every(({ name, quotes }) => !(name in shown) || quotes === shown[name] + before[name]);
        });
        return seen.shown;
    "#;
    let quotes = reader.run(same).await;
    let figures = reader.run("return lesson.figures()").await;
    for lane in LANES {
        let (count, seconds) = (figure(&figures, lane, "quotes"), figure(&figures, lane, "seconds"));
        assert!(count > 300.0 && count < 48.0 * (seconds + 2.0), "{lane}: {count} in {seconds} s");
        assert!(figure(&figures, lane, "bytes_per_quote") > 120.0, "{lane}: {figures:#}");
        assert!(quotes[lane].as_f64().unwrap() <= count, "{lane}: {quotes}");
    }
    for lane in ["sse", "websocket", "socketio"] {
        assert!(figure(&figures, lane, "requests") == 1.0, "{lane}: {figures:#}");
    }
    figures
}

fn figure(figures: &Value, lane: &str, name: &str) -> f64 {
    figures[lane][name].as_f64().unwrap_or_else(|| panic!("{lane} has no {name}: {figures:#}"))
}

/// Holds the lanes' times against the closed forms of polling; an error is the figure that is none of them.
fn as_late_as_it_must_be(figures: &Value, interval_ms: f64) -> Result<(), String> {
    // A quote waits half of the interval on average; the request and a busy machine add to it. Uniform over 500 ms and some 400
    // quotes, the mean's own spread is 144 / 20 ms: three and a half of it below.
    let delay_ms = figure(figures, "polling", "delay_us") / 1e3;
    if !(0.45..0.70).contains(&(delay_ms / interval_ms)) {
        return Err(format!("polling is {delay_ms} ms late"));
    }
    // The age of what is shown: P/2 and the mean time between quotes, 25 ms.
    let age_ms = figure(figures, "polling", "age_us") / 1e3;
    if !(0.891..1.381).contains(&(age_ms / (interval_ms / 2.0 + 25.0))) {
        return Err(format!("what polling shows is {age_ms} ms old"));
    }
    // A symbol changes 5 times a second: 1 - (1 - exp(-5 P)) / (5 P).
    let (wrong, changes) = (figure(figures, "polling", "wrong"), 5.0 * interval_ms / 1e3);
    let expected = 1.0 - (1.0 - (-changes).exp()) / changes;
    if !(0.901..1.185).contains(&(wrong / expected)) {
        return Err(format!("polling is wrong {wrong} of the time, expected {expected}"));
    }
    for lane in &LANES[1..] {
        let late = figure(figures, lane, "delay_us") / 1e3;
        if !(late < delay_ms / 3.0 && figure(figures, lane, "wrong") < wrong / 3.0) {
            return Err(format!("{lane} is {late} ms late"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn other_pages_are_refused_and_every_server_has_the_page() {
    let lesson = Lesson::start(&[]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask =
        |path: &str, origin: &str| http.get(format!("{}{path}", lesson.url)).header("origin", origin).send();
    for path in ["page/lanes", "page/stats", "page/tap?lane=sse"] {
        assert_eq!(ask(path, "http://evil.test").await.unwrap().status(), 403, "{path}");
        assert_eq!(ask(path, lesson.origin()).await.unwrap().status(), 200, "{path}");
    }
    let tell = |origin: Option<&str>, body: &'static str| {
        let mut request = http.post(format!("{}page/break", lesson.url));
        request = request.header("content-type", "application/json").body(body);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send()
    };
    let own = Some(lesson.origin());
    for origin in [None, Some("http://evil.test")] {
        assert_eq!(tell(origin, r#"{"what":"cut","ms":1}"#).await.unwrap().status(), 403);
    }
    for (body, word) in [
        (r#"{"what":"cut","ms":0}"#, "expected 1 to"),
        (r#"{"what":"burn","ms":1}"#, "unknown variant"),
        ("{", "EOF"),
    ] {
        let answer = tell(own, body).await.unwrap();
        assert_eq!(answer.status(), 400, "{body}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(word), "{text}");
    }
    // A name that somebody points here is not the page's.
    let rebound = http.get(format!("{}page/lanes", lesson.url)).header("host", "evil.test");
    assert_eq!(rebound.send().await.unwrap().status(), 403);

    let told: Value = ask("page/lanes", lesson.origin()).await.unwrap().json().await.unwrap();
    let shared = |lane: &&Value| lane["role"] != "stranger" && lane["certificate"].is_null();
    let lanes: Vec<&Value> = told["lanes"].as_array().unwrap().iter().filter(shared).collect();
    assert_eq!(lanes.len(), 9, "{told:#}");
    for lane in lanes {
        let origin = lane["origin"].as_str().unwrap();
        let read = |from: &str| http.get(format!("{origin}/quotes")).header("origin", from).send();
        let allowed =
            |answer: &reqwest::Response| answer.headers().get("access-control-allow-origin").is_some();
        assert!(allowed(&read(lesson.origin()).await.unwrap()), "{lane}");
        assert!(!allowed(&read("http://evil.test").await.unwrap()), "{lane}");
    }
    let first = told["lanes"][0]["origin"].as_str().unwrap();
    let page = http.get(format!("{first}/")).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(page.text().await.unwrap().contains("Poll, stream or socket?"));
    // It works there too, with what one server can show.
    let mut reader = Reader::open(&format!("{first}/#more=1")).await;
    let shown = reader
        .run("await part('controls-part'); return [Object.keys(lanes()), $('#rate').disabled, $('#break-freeze')?.disabled];")
        .await;
    assert_eq!(
        shown,
        serde_json::json!([["polling", "long-polling", "sse", "websocket", "socketio"], true, null])
    );
    reader.silent(&[]);
}

#[tokio::test]
async fn a_page_that_ends_takes_its_servers_with_it() {
    let mut lesson = Lesson::start(&[]);
    let children = || {
        let told =
            std::process::Command::new("pgrep").args(["-P", &lesson.pid().to_string()]).output().unwrap();
        String::from_utf8(told.stdout).unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let servers = children();
    assert_eq!(servers.len(), 8, "{servers:?}");
    // Frozen ones, too.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let freeze = http.post(format!("{}page/break", lesson.url)).header("origin", lesson.origin());
    let freeze = freeze.header("content-type", "application/json").body(r#"{"what":"freeze","ms":20000}"#);
    assert_eq!(freeze.send().await.unwrap().status(), 204);
    let stopped = std::process::Command::new("kill").args(["-INT", &lesson.pid().to_string()]).status();
    assert!(stopped.unwrap().success());
    let begun_ns = ticker::clock::now_ns();
    assert_eq!(lesson.end().code(), Some(0));
    assert!(ticker::clock::now_ns() - begun_ns < 10_000_000_000, "a frozen server held it up");
    let alive = |pid: &&String| std::path::Path::new(&format!("/proc/{pid}/exe")).exists();
    assert_eq!(servers.iter().find(alive), None);
}

#[test]
fn what_makes_no_page_is_said_before_anything_starts() {
    let check = |options: &[&str], word: &str| {
        let mut command = assert_cmd::Command::cargo_bin("loadgen").unwrap();
        let output = command.arg("teach").args(options).timeout(Duration::from_secs(20)).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {text}");
        assert!(text.contains(word), "{options:?}: {text}");
    };
    check(&["--listen", "0.0.0.0:0"], "--allow-origin");
    check(&["--allow-origin", "192.168.1.10"], "expected http://HOST:PORT");
    check(&["--lane", "sse=192.168.1.10:80"], "is another machine");
    check(&["--lane", "pigeon=127.0.0.1:80"], "unknown transport");
    check(&["--lane", "ndjson=127.0.0.1:80"], "no lane for ndjson");
    check(&["--symbols", "0"], "symbols is 0");
}
