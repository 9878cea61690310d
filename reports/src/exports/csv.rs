//! Comma-separated values after RFC 4180: lines end with CR LF, quotes double inside quotes.
//!
//! Spreadsheets take a cell that begins with one of `= + - @` for a formula, so a text that does gets an apostrophe in front.

/// What opens a formula, or hides one, in some spreadsheet.
const OPENERS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A line of cells, with its end.
pub(crate) fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell_of(cell.as_ref())).collect();
    cells.join(",") + "\r\n"
}

/// A heading and its rows.
pub(crate) fn table(head: &[String], rows: &[Vec<String>]) -> String {
    std::iter::once(head).chain(rows.iter().map(Vec::as_slice)).map(line).collect()
}

fn cell_of(text: &str) -> String {
    let guarded = if is_formula(text) { format!("'{text}") } else { text.to_owned() };
    // A space at either end is part of the cell (RFC 4180 section 2.4), but some readers trim it.
    let plain = !guarded.contains([',', '"', '\r', '\n']) && guarded.trim() == guarded;
    if plain { guarded } else { format!("\"{}\"", guarded.replace('"', "\"\"")) }
}

fn is_formula(text: &str) -> bool {
    text.starts_with(OPENERS) && !is_figure(text)
}

/// A number with or without a unit: `-3.2 µs`, `+5 %`, `-1,234`. Nothing in it can call or refer.
fn is_figure(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (number, unit) = unsigned.split_once(' ').unwrap_or((unsigned, ""));
    number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || ",.e".contains(c))
        && unit.chars().all(|c| c.is_alphabetic() || "%/ ".contains(c))
}

/// The cell's text as it was before the apostrophe of [`line`].
pub(crate) fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(text) if is_formula(text) => text,
        Some(_) | None => cell,
    }
}

/// Reads lines of cells; the error names the line on which a quote is not closed.
pub(crate) fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut line, mut opened) = (false, 1, 0);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        line += usize::from(c == '\n');
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => (quoted, opened) = (true, line),
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    if quoted {
        return Err(format!("line {opened}: a quote is opened there and never closed"));
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let check =
            |cell: &str, expected: &str| assert_eq!(line([cell]), format!("{expected}\r\n"), "{cell}");
        check("polling 1s", "polling 1s");
        check("a,b", "\"a,b\"");
        check("say \"x\"", "\"say \"\"x\"\"\"");
        check("two\nlines", "\"two\nlines\"");
        check(" spaced", "\" spaced\"");
        check("", "");
    }

    #[test]
    fn no_text_becomes_a_formula_and_no_figure_becomes_text() {
        let check = |cell: &str, expected: &str| assert_eq!(cell_of(cell), expected, "{cell}");
        check("=1+1", "'=1+1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0");
        check("+A1", "'+A1");
        check("-", "'-");
        check("\t=1", "'\t=1");
        check("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\"");
        check("-3.2 µs", "-3.2 µs");
        check("-1,234", "\"-1,234\"");
        check("+5 %", "+5 %");
        check("-1e9", "-1e9");
        check("– ", "\"– \"");
    }

    #[test]
    fn what_is_written_reads_back() {
        let rows: Vec<Vec<String>> = [
            ["variant", "a,b", "c"],
            ["=x", "quote \" and\r\nline", ""],
            ["", " ", "'=kept"],
            ["-5 µs", "'plain", "µ"],
        ]
        .map(|row| row.map(str::to_owned).to_vec())
        .to_vec();
        let text: String = rows.iter().map(line).collect();
        let read = read(&text).unwrap();
        let unguarded: Vec<Vec<String>> =
            read.iter().map(|row| row.iter().map(|cell| unguarded(cell).to_owned()).collect()).collect();
        // A text that was guarded by its author loses that guard: both mean the same to a spreadsheet.
        let mut expected = rows;
        expected[2][2] = "=kept".to_owned();
        assert_eq!(unguarded, expected);
        assert_eq!(super::read("a\n\"b").unwrap_err(), "line 2: a quote is opened there and never closed");
        assert_eq!(super::read("a,b").unwrap(), [["a", "b"]]);
    }
}
