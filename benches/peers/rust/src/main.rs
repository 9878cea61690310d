//! Small programs around the Rust libraries that this project is held against, each written as its own examples are.
//!
//! One thread, a task for each connection, a broadcast channel between the publisher and them.

mod axum_server;
mod client;
mod fast;
mod feed;
mod tungstenite;

use std::{error::Error, process::ExitCode};

use tokio::net::TcpListener;

/// The read buffer that keeps an idle connection small; the libraries' own default is 128 KiB.
const SMALL_BUFFER: usize = 4096;
const DEFAULT_BUFFER: usize = 128 * 1024;

type Failure = Box<dyn Error>;

const USAGE: &str = "usage: rust-peers tungstenite|tungstenite-128k|axum|axum-128k|fastwebsockets PORT RATE
       rust-peers client PORT CLIENTS SECONDS";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(run(&arguments)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["client", port, clients, seconds] = words[..] {
        return client::run(port.parse()?, clients.parse()?, seconds.parse()?).await;
    }
    let [name, port, rate] = words[..] else { return Err(USAGE.into()) };
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    let feed = feed::publish(rate.parse()?);
    match name {
        "tungstenite" => tungstenite::serve(listener, feed, SMALL_BUFFER).await,
        "tungstenite-128k" => tungstenite::serve(listener, feed, DEFAULT_BUFFER).await,
        "axum" => axum_server::serve(listener, feed, SMALL_BUFFER).await,
        "axum-128k" => axum_server::serve(listener, feed, DEFAULT_BUFFER).await,
        "fastwebsockets" => fast::serve(listener, feed).await,
        _ => Err(USAGE.into()),
    }
}
