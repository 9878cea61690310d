//! One file per verb of the command line. Each writes to what it is given; none ends the process.

use std::io::{self, Write};

use comfy_table::{Table, presets};

pub mod ab;
pub mod capacity;
pub mod check;
pub mod compare;
pub mod crossover;
pub mod doctor;
mod gating;
pub mod history;
pub mod list;
pub mod probe;
pub mod report;
pub mod run;
pub mod verify;
pub mod worker;

/// A table as all verbs print them: no frame, columns two spaces apart.
fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if heading.iter().any(|title| !title.is_empty()) {
        table.set_header(heading);
    }
    table
}

/// Prints a table two spaces in, an empty line after it.
fn write_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    for line in table.lines() {
        // Each cell begins with a space of its own.
        writeln!(out, " {}", line.trim_end())?;
    }
    writeln!(out)
}

/// A reader that has seen enough (`loadgen list | head`) is no error.
fn printed(written: io::Result<()>) -> miette::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(miette::miette!("failed to print: {error}"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Draws an error for a person.
#[expect(clippy::print_stderr, reason = "the program's last words")]
pub fn complain(report: &miette::Report) {
    eprintln!("{report:?}");
}
