//! One operation, so many times: `hot NAME TIMES`, for a tool that counts instructions. Without a name: all names.

use std::process::ExitCode;

use hot::OPERATIONS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, times] = arguments.as_slice() else {
        OPERATIONS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let found = OPERATIONS.iter().find(|(known, _)| known == name);
    let (Some((_, make)), Ok(times)) = (found, times.parse::<u64>()) else {
        eprintln!("error: expected a name that `hot` lists, and a number, found {name:?} and {times:?}");
        return ExitCode::from(2);
    };
    let mut operation = make();
    (0..times).for_each(|_| operation());
    ExitCode::SUCCESS
}
