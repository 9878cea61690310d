//! The reference servers as a program of their own.
fn main() {}
