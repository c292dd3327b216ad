//! What people see: colours on a terminal only, tables, sizes and times.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::mpsc;
use std::time::Duration;

use ecr_secret_engine::{Figure, Limits, Unit, Usage};

/// Who waits longer than this is told for what.
const PATIENCE: Duration = Duration::from_secs(1);

/// A word in green, on a terminal.
pub(crate) fn good(word: &str) -> String {
    coloured(word, "32")
}

/// A word in red, on a terminal.
pub(crate) fn bad(word: &str) -> String {
    coloured(word, "31")
}

fn coloured(word: &str, colour: &str) -> String {
    if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\u{1b}[{colour}m{word}\u{1b}[0m")
    } else {
        word.to_owned()
    }
}

/// Says what is being waited for, once that has taken a second and somebody looks. It ends with its guard.
pub(crate) struct Progress {
    done: Option<mpsc::Sender<()>>,
}

impl Progress {
    /// Begins to wait for something, in some words.
    pub(crate) fn of(what: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { done: None };
        }
        let (done, ended) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{what} …");
            }
        });
        Self { done: Some(done) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // The other end hears that nobody is left to send.
        self.done.take();
    }
}

/// Columns of their own width, without blanks at the end of a line.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Each limit with what was used of it.
pub(crate) fn usage(usage: &Usage, limits: &Limits) -> String {
    let rows: Vec<Vec<String>> = usage
        .figures(limits)
        .iter()
        .map(|figure| vec![format!("  {}", figure.name), used(figure)])
        .collect();
    table(&rows)
}

fn used(figure: &Figure) -> String {
    let shown = |number| amount(number, figure.unit);
    let limit = shown(figure.limit);
    match figure.used {
        Some(used) => format!("{} of {limit}", shown(used)),
        None => format!("at most {limit}"),
    }
}

/// A number with its unit.
pub(crate) fn amount(number: u64, unit: Unit) -> String {
    match unit {
        Unit::Count => number.to_string(),
        Unit::Micros if number < 10_000 => format!("{number} µs"),
        Unit::Micros if number < 10_000_000 => format!("{} ms", number / 1_000),
        Unit::Micros => format!("{} s", number / 1_000_000),
        Unit::Bytes if number < 10 << 10 => format!("{number} B"),
        Unit::Bytes if number < 10 << 20 => format!("{} KiB", number >> 10),
        Unit::Bytes => format!("{} MiB", number >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_text() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            table(&[row(["a", "b"]), row(["long", ""])]),
            "a      b\nlong\n"
        );
    }

    #[test]
    fn numbers_are_shown_in_the_unit_that_fits() {
        assert_eq!(amount(250_000, Unit::Micros), "250 ms");
        assert_eq!(amount(9, Unit::Micros), "9 µs");
        assert_eq!(amount(16 << 20, Unit::Bytes), "16 MiB");
        assert_eq!(amount(20_000_000, Unit::Count), "20000000");
    }
}
