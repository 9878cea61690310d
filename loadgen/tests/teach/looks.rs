//! What it looks like, and for whom: four sizes and schemes, the keyboard alone, less motion.

use serde_json::json;

use crate::lesson::{Lesson, Reader};

#[tokio::test]
async fn nothing_is_clipped_or_overlaps_and_less_motion_is_less() {
    let lesson = Lesson::start(&["--updates-per-second", "20"]);
    let mut reader = Reader::open(&format!("{}#lang=en", lesson.url)).await;
    reader.run("await part('results-part'); document.querySelectorAll('details').forEach(part => { part.open = true; }); await pause(300); $('#result-shipped').click(); await until('charts', () => $('#replay tbody'));").await;
    for (width, scheme, tongue) in
        [(1280, "light", "en"), (1280, "dark", "zh"), (390, "light", "zh"), (390, "dark", "en")]
    {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        reader.browser.ask("Emulation.setDeviceMetricsOverride", size).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        reader.browser.ask("Emulation.setEmulatedMedia", media).await;
        let faults = r#"
            $('#tongues [lang=TONGUE]').click();
            await until('parts', () => [...document.querySelectorAll('.part')].every(part => part.children.length > 1));
            $('#result-shipped').click();
            await until('charts', () => $('#replay tbody'));
            await pause(1500);
            const faults = [], root = document.documentElement;
            if (root.scrollWidth > root.clientWidth) faults.push(`page ${root.scrollWidth} > ${root.clientWidth}`);
            const inside = part => part.closest('.scroll, .log, pre, svg');
            for (const part of document.querySelectorAll('header *, main *')) {
                const { left, right, width } = part.getBoundingClientRect();
                if (!inside(part) && width > 0 && (left < -1 || right > root.clientWidth + 1)) faults.push(`${part.tagName} ${part.className} ${part.id} is outside`);
            }
            for (const part of document.querySelectorAll('.lane, .prices li, #controls, #controls > *, .part, .chat, button, label'))
                if (part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0 && getComputedStyle(part).display !== 'inline') faults.push(`${part.tagName} ${part.className} ${part.id} is clipped`);
            const boxes = [...document.querySelectorAll('.lane:not([hidden]), .part, #controls')].map(box => box.getBoundingClientRect());
            for (const [index, a] of boxes.entries())
                for (const b of boxes.slice(index + 1))
                    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) faults.push('boxes overlap');
            return faults;
        "#;
        let faults = reader.run(&faults.replace("TONGUE", tongue)).await;
        assert_eq!(faults, json!([]), "{width} {scheme} {tongue}");
        if let Ok(folder) = std::env::var("TEACH_PICTURES") {
            let shot =
                reader.browser.ask("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
            let file = format!("{folder}/{width}-{scheme}.png.base64");
            std::fs::write(file, shot["data"].as_str().unwrap()).unwrap();
        }
    }
    let media = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
    reader.browser.ask("Emulation.setEmulatedMedia", media).await;
    let frames = r#"
        await pause(600);
        const asked = window.requestAnimationFrame;
        let frames = 0;
        window.requestAnimationFrame = draw => { frames += 1; return asked(draw); };
        await pause(2000);
        window.requestAnimationFrame = asked;
        return frames;
    "#;
    let frames = reader.run(frames).await.as_u64().unwrap();
    assert!((1..=5).contains(&frames), "{frames} frames in two seconds");
    reader.silent(&[]);
}

async fn key(reader: &mut Reader, name: &str, code: u32) {
    let text = if name == "Enter" { "\r" } else { "" };
    for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
        let event = json!({ "type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": if kind == "keyDown" { text } else { "" } });
        reader.browser.ask("Input.dispatchKeyEvent", event).await;
    }
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    let lesson = Lesson::start(&["--updates-per-second", "20"]);
    let mut reader = Reader::open(&format!("{}#lang=en", lesson.url)).await;
    let on = async |reader: &mut Reader, what: &str| {
        // Each step goes to the next thing that can be used; what has the focus shows it.
        for _ in 0..120 {
            key(reader, "Tab", 9).await;
            let found = format!("return document.activeElement.matches('{what}')");
            if reader.run(&found).await == true {
                return;
            }
        }
        panic!("the keyboard never reaches {what}");
    };
    on(&mut reader, "#interval").await;
    for _ in 0..5 {
        key(&mut reader, "ArrowLeft", 37).await;
    }
    let moved = reader.run("return lesson.page.settings.interval_ms").await.as_u64().unwrap();
    assert!(moved < 1_000, "{moved}");
    on(&mut reader, "#hold").await;
    key(&mut reader, "Enter", 13).await;
    assert_eq!(reader.run("return lesson.page.paused").await, true);
    key(&mut reader, "Enter", 13).await;
    on(&mut reader, "#more > summary").await;
    key(&mut reader, "Enter", 13).await;
    reader.run("await until('more', () => $('#more').open)").await;
    reader.run("await until('controls', () => $('#rate'))").await;
    on(&mut reader, "#rate").await;
    key(&mut reader, "ArrowDown", 40).await;
    let stays = "await until('a faster feed', () => lesson.page.feed.updates_per_second === 50 && $('#rate').value === '50'); await pause(500); return document.activeElement.id";
    assert_eq!(reader.run(stays).await, "rate");
    on(&mut reader, "#wire-part > summary").await;
    key(&mut reader, "Enter", 13).await;
    reader.run("await until('a bar', () => $('button.bar'))").await;
    on(&mut reader, "button.bar").await;
    key(&mut reader, "Enter", 13).await;
    reader.run("await until('a dialog', () => $('dialog[open]'))").await;
    key(&mut reader, "Escape", 27).await;
    reader.run("await until('it is closed', () => !$('dialog'))").await;
    on(&mut reader, "#break-part > summary").await;
    key(&mut reader, "Enter", 13).await;
    on(&mut reader, "#break-cut").await;
    key(&mut reader, "Enter", 13).await;
    reader.run("await until('a result', () => $('#break-results table'))").await;
}
