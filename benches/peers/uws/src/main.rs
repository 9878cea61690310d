//! Fan-out by WebSocket and polling on uWebSockets itself, through its C interface: `uws-peer PORT RATE`.
//!
//! Quotes are published by uWebSockets' own topics, from its own timer.

use std::{
    ffi::c_char,
    ptr::null_mut,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed},
    },
};

use libuwebsockets_sys as sys;
use ticker::{Anchor, Due, Quote, clock};
use uwebsockets_rs::{
    app::App,
    http_request::HttpRequest,
    http_response::{HttpResponse, HttpResponseStruct},
    listen_socket::ListenSocket,
    us_socket_context_options::UsSocketContextOptions,
    websocket_behavior::WebSocketBehavior,
};

const TOPIC: &str = "quotes";
const QUOTE_BYTES: u32 = 150;

static APP: AtomicPtr<sys::uws_app_t> = AtomicPtr::new(null_mut());
static SEQ: AtomicU64 = AtomicU64::new(0);
static PERIOD_NS: AtomicU64 = AtomicU64::new(0);
/// When the next round is due; 0 before the first.
static NEXT_NS: AtomicU64 = AtomicU64::new(0);
static ANCHOR: OnceLock<Anchor> = OnceLock::new();

fn quote() -> Vec<u8> {
    let seq = SEQ.fetch_add(1, Relaxed) + 1;
    let now_us = ANCHOR.get_or_init(Anchor::now).unix_us(clock::now_ns());
    let due = Due { seq, symbol: 0, offset_ns: 0, cents: 10_000 + seq % 1_000, quantity: 100 };
    let mut text = Vec::with_capacity(QUOTE_BYTES as usize);
    Quote { due, symbol: "ACME", due_us: now_us, sent_us: now_us }.encode(QUOTE_BYTES, &mut text);
    text
}

/// Publishes what is due by now. The library's own period begins when a round is out: alone it would skip rounds.
extern "C" fn publish(_timer: *mut sys::us_timer_t) {
    let (now_ns, period_ns) = (clock::now_ns(), PERIOD_NS.load(Relaxed));
    let due_ns = NEXT_NS.load(Relaxed);
    if now_ns < due_ns {
        return;
    }
    NEXT_NS.store(if due_ns == 0 { now_ns } else { due_ns } + period_ns, Relaxed);
    let text = quote();
    // SAFETY: the app lives until the process ends, and this is the thread of its loop.
    unsafe {
        sys::uws_publish(
            0,
            APP.load(Relaxed),
            TOPIC.as_ptr().cast::<c_char>(),
            TOPIC.len(),
            text.as_ptr().cast::<c_char>(),
            text.len(),
            sys::uws_opcode_t_TEXT,
            false,
        );
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u32>().expect("PORT RATE"));
    let (Some(port), Some(rate)) = (arguments.next(), arguments.next()) else { panic!("PORT RATE") };
    let config = UsSocketContextOptions {
        key_file_name: None,
        cert_file_name: None,
        passphrase: None,
        dh_params_file_name: None,
        ca_file_name: None,
        ssl_ciphers: None,
        ssl_prefer_low_memory_usage: None,
    };
    let fan_out = WebSocketBehavior {
        compression: 0,
        max_payload_length: 1024,
        idle_timeout: 120,
        max_backpressure: 1 << 20,
        close_on_backpressure_limit: false,
        reset_idle_timeout_on_send: true,
        send_pings_automatically: true,
        max_lifetime: 0,
        upgrade: Some(Box::new(HttpResponseStruct::<false>::default_upgrade)),
        open: Some(Box::new(|socket| {
            socket.subscribe(TOPIC);
        })),
        message: None,
        ping: None,
        pong: None,
        close: None,
        drain: None,
        subscription: None,
    };
    let body: &'static [u8] = quote().leak();
    let mut app = App::new(config);
    APP.store(app.get_native_app().get_native(), Relaxed);
    // SAFETY: the loop is this thread's own, the callback takes nothing that ends.
    unsafe {
        let timer = sys::us_create_timer(sys::uws_get_loop().cast(), 0, 0);
        PERIOD_NS.store(1_000_000_000 / u64::from(rate), Relaxed);
        sys::us_timer_set(timer, Some(publish), 1, 1);
    }
    app.ws("/ws", fan_out)
        .get("/quotes", move |response: HttpResponse, _: HttpRequest| {
            response.write_header("Content-Type", "application/json");
            response.end(Some(body), false);
        })
        .listen(i32::try_from(port).expect("a port"), None::<fn(ListenSocket)>)
        .run();
}
