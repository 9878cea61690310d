//! The load generator's program: parses the command line and calls the verb.

fn main() {}
