//! The parts behind "more": bytes, chat, echo, tour, replay, a server of one's own.

use std::{
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use serde_json::{Value, json};

use crate::lesson::{Lesson, Reader};

#[tokio::test]
async fn bars_show_the_bytes_and_a_press_shows_each_by_name() {
    let lesson = Lesson::start(&["--updates-per-second", "20"]);
    let mut reader = Reader::open(&format!("{}#more=1&lang=en", lesson.url)).await;
    let opened = r#"
        await part('wire-part');
        const bar = await until('a poll', () => $('[data-lane=polling] button.bar'));
        bar.click();
        const box = await until('a dialog', () => $('dialog.bytes[open]'));
        const rows = [...box.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent));
        const total = Number(box.querySelector('h3').textContent.match(/([\d,]+) bytes/)[1].replaceAll(',', ''));
        const text = box.querySelector('pre').textContent;
        box.close();
        await until('it is closed', () => !$('dialog.bytes'));
        await until('bars of all', () => ['long-polling', 'sse', 'websocket', 'socketio'].every(lane => $(`[data-lane=${lane}] button.bar`)));
        return [rows, total, text];
    "#;
    let told = reader.run(opened).await;
    let fields: Vec<&str> = told[0].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect();
    let sum: f64 = told[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[2].as_str().unwrap().replace(',', "").parse::<f64>().unwrap())
        .sum();
    assert_eq!(Some(sum), told[1].as_f64(), "{told:#}");
    let known = ["request line", "status line"].iter().any(|line| fields.contains(line));
    assert!(known && fields.contains(&"end of the head"), "{fields:?}");
    assert!(
        told[2].as_str().unwrap().contains("47 45 54") || told[2].as_str().unwrap().contains("48 54 54 50")
    );
    // What the bars say is what crossed the link: a frame of a quote has two bytes more.
    let frame = reader
        .run("const all = await (await fetch('/page/tap?lane=websocket')).json(); return all.filter(({ up }) => !up).pop().parts")
        .await;
    assert_eq!(frame[0]["name"], "FIN, text");
    assert_eq!(
        frame.as_array().unwrap().last().unwrap(),
        &json!({ "layer": "payload", "name": "quote", "bytes": 120 })
    );
    reader.silent(&[]);
}

#[tokio::test]
async fn two_tabs_chat_over_two_transports_and_leave_in_order_or_not() {
    let lesson = Lesson::start(&[]);
    let mut reader = Reader::open(&format!("{}#more=1&lang=en", lesson.url)).await;
    let join = |chat: &str, name: &str| {
        format!(
            "await part('talk-part'); $('#{chat}-nick').value = '{name}'; $('#{chat} .join').click();
             await until('the room', () => !$('#{chat}-text').disabled);
             return $('#{chat} .online').textContent"
        )
    };
    let say = |chat: &str, text: &str| {
        format!("$('#{chat}-text').value = '{text}'; $('#{chat} form').requestSubmit(); await pause(50);")
    };
    let heard = |chat: &str, text: &str| {
        format!(
            "await until('{text}', () => $('#{chat} .log').textContent.includes('{text}')); return $('#{chat} .online').textContent"
        )
    };
    assert_eq!(reader.run(&join("chat-socketio", "ann")).await, "1");
    let first = reader.browser.tab().await;
    reader.go(&format!("{}#more=1&lang=en", lesson.url)).await;
    // The name is taken; another one will do.
    let taken = "await part('talk-part'); $('#chat-websocket-nick').value = 'ann'; $('#chat-websocket .join').click();
                 await until('refused', () => $('#chat-websocket .log').textContent.includes('refused')); await pause(100);";
    reader.run(taken).await;
    assert_eq!(reader.run(&join("chat-websocket", "bob")).await, "2");
    reader.run(&say("chat-websocket", "hello over a socket")).await;
    let second = std::mem::replace(&mut reader.browser.page, first);
    assert_eq!(reader.run(&heard("chat-socketio", "bob: hello over a socket")).await, "2");
    reader.run(&say("chat-socketio", "hello over Socket.IO")).await;
    let first = std::mem::replace(&mut reader.browser.page, second);
    assert_eq!(reader.run(&heard("chat-websocket", "ann: hello over Socket.IO")).await, "2");
    // One goes without a word: the tab is somewhere else.
    reader.browser.open("about:blank").await;
    reader.browser.page = first;
    assert_eq!(reader.run(&heard("chat-socketio", "bob left")).await, "1");
    let moved = "await until('bytes', () => /[1-9][\\d,]* bytes up/.test($('#chat-socketio .moved').textContent)); $('#chat-socketio .join').click(); await pause(500); return $('#chat-socketio .online').textContent";
    assert_eq!(reader.run(moved).await, "0");
    assert_eq!(reader.run(&join("chat-websocket", "ann")).await, "1", "the name is free again");
    reader.silent(&[]);
}

#[tokio::test]
async fn the_echo_tells_all_that_a_socket_tells() {
    let lesson = Lesson::start(&[]);
    let mut reader = Reader::open(&format!("{}#more=1&lang=en", lesson.url)).await;
    let talk = r#"
        await part('talk-part');
        const log = text => until(text, () => $('#echo-log').textContent.includes(text));
        $('#echo-wanted').value = 'ticker.binary.v1';
        $('#echo-wanted').dispatchEvent(new Event('change'));
        $('#echo-open').click();
        await log('open, subprotocol ticker.binary.v1');
        const states = [$('#echo-state').textContent];
        $('#echo-text').value = 'héllo';
        $('#echo-send-text').click();
        await log('text héllo (6 bytes)');
        $('#echo-size').value = 200000;
        $('#echo-send-binary').click();
        await log('200,000 bytes after');
        $('#echo-code').value = 1001;
        $('#echo-close').click();
        await pause(50);
        const refused = $('#echo-log').lastChild.textContent;
        $('#echo-code').value = 3001;
        $('#echo-reason').value = 'enough';
        $('#echo-close').click();
        await log('closed with 3001, reason enough, cleanly');
        await until('the state', () => $('#echo-state').textContent === '3 CLOSED');
        $('#echo-wanted').value = 'nobody.knows.v1';
        $('#echo-wanted').dispatchEvent(new Event('change'));
        $('#echo-open').click();
        await log('closed with 1006');
        return [states, refused];
    "#;
    let told = reader.run(talk).await;
    assert_eq!(told[0], json!(["1 OPEN"]));
    assert!(told[1].as_str().unwrap().contains("1001"), "{told}");
    reader.silent(&["WebSocket connection to"]);
}

/// What `loadgen check` says of a command that the page prints.
fn check(command: &str) {
    let arguments: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(arguments[..2], ["loadgen", "run"], "{command}");
    let mut check = assert_cmd::Command::cargo_bin("loadgen").unwrap();
    let output = check.arg("check").args(&arguments[2..]).timeout(Duration::from_secs(30)).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_tour_ends_each_chapter_in_a_figure_in_both_languages() {
    let lesson = Lesson::start(&[]);
    let mut reader = Reader::open(&format!("{}#lang=en", lesson.url)).await;
    let texts = r#"
        const { texts: en } = await import('/page/texts_en.js');
        const { texts: zh } = await import('/page/texts_zh.js');
        const holes = text => [...text.matchAll(/\{\d\}/g)].map(([hole]) => hole).sort().join();
        const faults = Object.keys(en).filter(key => !zh[key] || holes(en[key]) !== holes(zh[key]));
        return [...faults, ...Object.keys(zh).filter(key => !(key in en))];
    "#;
    assert_eq!(reader.run(texts).await, json!([]));
    let tour = r#"
        await part('tour-part');
        const { CHAPTERS } = await import('/page/chapters.js');
        const found = [], words = [];
        for (const [index, chapter] of CHAPTERS.entries()) {
            $(`#tour-part nav button:nth-child(${index + 1})`).click();
            words.push($('#tour-title').textContent, $('#chapter').textContent);
            // The first and the fourth are tried here; the others measure with the same lanes, for longer.
            if (index !== 0 && index !== 3) { found.push(chapter.command(lesson.page)); continue; }
            $('#guess-2').click();
            await press('find-out');
            found.push([$('.figure').textContent, $('#chapter code.command').textContent]);
        }
        await press('show-origin');
        found.push($('#show-origin').closest('.claim').textContent);
        return [found, words];
    "#;
    let told = reader.run(tour).await;
    let found = &told[0];
    let wrong: f64 = found[0][0].as_str().unwrap().trim_end_matches(" %").parse().unwrap();
    assert!((30.0..65.0).contains(&wrong), "{found:#}");
    // Masked on the way up, plain on the way down: 6 and 2 bytes.
    assert_eq!(found[3][0], "8 bytes", "{found:#}");
    for command in [&found[0][1], &found[1], &found[2], &found[3][1], &found[4], &found[5]] {
        check(command.as_str().unwrap());
    }
    let claim = found[6].as_str().unwrap();
    assert!(claim.contains("Half true") && claim.contains("2 connections reached"), "{claim}");
    let chinese = r#"
        $('#tongues [lang=zh]').click();
        await part('tour-part');
        const figure = $('.figure').textContent;
        const missing = [...document.querySelectorAll('h1, h2, h3, summary, label, button, p, legend')].map(({ textContent }) => textContent).filter(text => /\b[a-z]+_[a-z_0-9]+\b/.test(text.replaceAll(/`[^`]*`/g, '')) && !text.includes('loadgen'));
        return [document.documentElement.lang, $('h1').textContent, missing, figure];
    "#;
    let told =
        reader.run(&chinese.replace("const figure = $('.figure').textContent;", "const figure = '';")).await;
    assert_eq!(told[0], "zh-Hans");
    assert!(told[1].as_str().unwrap().contains("轮询"), "{told}");
    assert_eq!(told[2], json!([]));
    // Its words for a stranger: the browser refuses the page what it may not read, and says so.
    reader.silent(&["blocked by CORS policy", "net::ERR_FAILED", "WebSocket connection to"]);
}

#[tokio::test]
async fn a_result_is_replayed_and_what_is_none_is_refused_by_name() {
    let lesson = Lesson::start(&[]);
    let mut reader = Reader::open(&format!("{}#more=1&lang=en", lesson.url)).await;
    let shipped = r#"
        await part('results-part');
        $('#result-shipped').click();
        await until('charts', () => $('#replay table tbody tr'));
        return [$('#replay').textContent.includes('Stock ticker'), $('#replay tbody').rows.length, document.querySelectorAll('#replay svg').length > 4];
    "#;
    assert_eq!(reader.run(shipped).await, json!([true, 4, true]));
    let dropped = r#"
        const drop = async (name, text) => {
            const data = new DataTransfer();
            data.items.add(new File([text], name, { type: 'application/json' }));
            $('#drop').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
            await pause(300);
            return [$('.error').hidden, $('.error').textContent];
        };
        const good = await (await fetch('/page/shipped/ticker.json')).text();
        return [await drop('mine.json', good.replace('Stock ticker', 'My ticker')), $('#replay').textContent.includes('My ticker'), await drop('other.json', '{"format":"har"}'), await drop('broken.json', '{')];
    "#;
    let told = reader.run(dropped).await;
    assert_eq!((&told[0][0], &told[1]), (&json!(true), &json!(true)), "{told}");
    for (answer, name) in [(&told[2], "other.json"), (&told[3], "broken.json")] {
        assert_eq!(answer[0], false);
        assert!(answer[1].as_str().unwrap().starts_with(name), "{told}");
    }
    assert!(told[2][1].as_str().unwrap().contains("tickertape-result/1"), "{told}");
    reader.silent(&[]);
}

/// A server of the exercise; it ends with this value.
struct Starter(Child);

impl Drop for Starter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn servers_of_ones_own_become_lanes() {
    let starters = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/starters");
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (sse, websocket, page) = (free(), free(), free());
    let start = |program: &str, file: &str, port: u16| {
        let mut command = Command::new(program);
        command.arg(starters.join(file)).args(["--port", &port.to_string()]);
        Starter(command.args(["--allow-origin", &format!("http://127.0.0.1:{page}")]).spawn().unwrap())
    };
    let _servers = [start("python3", "python/sse.py", sse), start("node", "node/websocket.mjs", websocket)];
    let lanes = [format!("sse=127.0.0.1:{sse}"), format!("websocket=127.0.0.1:{websocket}")];
    let lesson = Lesson::at(page, &["--lane", &lanes[0], "--lane", &lanes[1]]);
    let mut reader = Reader::open(&format!("{}#more=1&lang=en&lanes=", lesson.url)).await;
    let shown = r#"
        await until('their quotes', () => ['own-1', 'own-2'].every(name => lanes()[name]?.screen.quotes > 10));
        return ['own-1', 'own-2'].map(name => [lanes()[name].title(), lanes()[name].figures(lesson.page.clock.now_us()).delay_us < 500000]);
    "#;
    let told: Value = reader.run(shown).await;
    assert_eq!(told, json!([["Your server: Server-sent events", true], ["Your server: WebSocket", true]]));
}
