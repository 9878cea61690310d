//! The physical anchor of every comparison: epoll, one thread, one send or one recv for each message, no framework.
//!
//! Servers run until they are killed; clients print one line of JSON. Neither knows what is compared with it.

mod answer;
mod drive;
mod fanout;
mod meter;
mod options;
mod poll;
mod recv;
mod timer;

use std::{io, process::ExitCode};

use options::Options;

const USAGE: &str = "usage: raw ws-fanout|sse-fanout  --port P --rate ROUNDS
       raw http|echo            --port P
       raw recv --kind ws|sse --port P [--path /ws] [--clients N] [--warmup S] [--seconds S] [--watch PID]
       raw drive --kind http|echo --port P [--path /quotes] [--clients N] [--warmup S] [--seconds S] [--watch PID]
       raw timer [--rate PER_SECOND] [--seconds S]";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let work = arguments.next().unwrap_or_default();
    match Options::parse(arguments).and_then(|options| run(&work, &options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: raw {work}: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(work: &str, options: &Options) -> io::Result<()> {
    match work {
        "ws-fanout" => fanout::run(fanout::Form::WebSocket, options),
        "sse-fanout" => fanout::run(fanout::Form::EventStream, options),
        "http" => answer::run(answer::Form::Http, options),
        "echo" => answer::run(answer::Form::Echo, options),
        "recv" => recv::run(options),
        "drive" => drive::run(options),
        "timer" => timer::run(options),
        other => Err(io::Error::other(format!("expected a program, found {other:?}\n{USAGE}"))),
    }
}
