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
    sleep(Duration::from_secs(10)).await;
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
    let figure = |lane: &str, name: &str| {
        figures[lane][name].as_f64().unwrap_or_else(|| panic!("{lane} has no {name}: {figures:#}"))
    };
    let names = ["polling", "long-polling", "sse", "websocket", "socketio", "webtransport"];
    for lane in names {
        let (count, seconds) = (figure(lane, "quotes"), figure(lane, "seconds"));
        assert!(count > 300.0 && count < 48.0 * (seconds + 2.0), "{lane}: {count} in {seconds} s");
        assert!(figure(lane, "bytes_per_quote") > 120.0, "{lane}: {figures:#}");
        assert!(quotes[lane].as_f64().unwrap() <= count, "{lane}: {quotes}");
    }
    // A quote waits half of the interval on average; the request and a busy machine add to it. Uniform over 500 ms and some 400
    // quotes, the mean's own spread is 144 / 20 ms: three and a half of it below.
    let delay_ms = figure("polling", "delay_us") / 1e3;
    assert!((225.0..350.0).contains(&delay_ms), "{delay_ms} ms");
    // The age of what is shown: P/2 and the mean time between quotes, 250 and 25 ms.
    let age_ms = figure("polling", "age_us") / 1e3;
    assert!((245.0..380.0).contains(&age_ms), "{age_ms} ms");
    // A symbol changes 5 times a second: 1 - (1 - exp(-2.5)) / 2.5.
    let wrong = figure("polling", "wrong");
    assert!((0.57..0.75).contains(&wrong), "{wrong}");
    for lane in &names[1..] {
        let late = figure(lane, "delay_us") / 1e3;
        assert!(late < delay_ms / 3.0 && figure(lane, "wrong") < wrong / 3.0, "{lane}: {figures:#}");
    }
    for lane in ["sse", "websocket", "socketio"] {
        assert!(figure(lane, "requests") == 1.0, "{lane}: {figures:#}");
    }
    reader.silent(&[]);
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
