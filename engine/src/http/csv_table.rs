//! Tables as CSV (RFC 4180): rows of tills as they are sent, and rows that a spreadsheet opens
//! without carrying anything out. Knows nothing of what the rows mean.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, Terminator, Trim, WriterBuilder};

/// Why a table cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TableError {
    /// Nothing is there.
    #[error("must begin with a line of column names")]
    NoHeader,
    /// A column that is not known.
    #[error("has a column that is not known: columns are label, serial_number and life_s")]
    UnknownColumn,
    /// A column that occurs twice.
    #[error("has a column twice")]
    ColumnTwice,
    /// A column that must be there and is not.
    #[error("has no column named label")]
    ColumnMissing,
    /// Neither is it CSV from there on.
    #[error("cannot be read from line {line} on")]
    Malformed {
        /// The line, counted from 1.
        line: u64,
    },
}

/// One row: its values by column, or how many there were when that is not the number of columns.
pub(super) type CsvRow = Result<BTreeMap<String, String>, usize>;

/// Reads a table whose first line names its columns, in any order and case. Empty values are left
/// out. A byte-order mark, as spreadsheets write it, is skipped.
///
/// # Errors
/// [`TableError`].
pub(super) fn read(
    text: &str,
    columns: &[&str],
    required: &str,
) -> Result<Vec<CsvRow>, TableError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let names = header(&mut reader, columns, required)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| malformed(&error))?;
        let row = match record.len() == names.len() {
            true => Ok(names
                .iter()
                .zip(record.iter())
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.clone(), value.to_owned()))
                .collect()),
            false => Err(record.len()),
        };
        rows.push(row);
    }
    Ok(rows)
}

fn header(
    reader: &mut csv::Reader<&[u8]>,
    columns: &[&str],
    required: &str,
) -> Result<Vec<String>, TableError> {
    let header = reader.headers().map_err(|error| malformed(&error))?;
    let names: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
    if names.iter().all(String::is_empty) {
        return Err(TableError::NoHeader);
    }
    for (place, name) in names.iter().enumerate() {
        if !columns.contains(&name.as_str()) {
            return Err(TableError::UnknownColumn);
        }
        if names.iter().skip(place + 1).any(|other| other == name) {
            return Err(TableError::ColumnTwice);
        }
    }
    match names.iter().any(|name| name == required) {
        true => Ok(names),
        false => Err(TableError::ColumnMissing),
    }
}

fn malformed(error: &csv::Error) -> TableError {
    let line = error.position().map_or(1, csv::Position::line);
    TableError::Malformed { line }
}

/// Writes a table.
pub(super) fn write<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing into memory has no way to fail.
    drop(writer.write_record(header));
    for row in rows {
        drop(writer.write_record(&row));
    }
    writer.into_inner().unwrap_or_default()
}

/// A text that spreadsheets show and do not carry out: what could be a formula gets the apostrophe
/// by which they know text (OWASP, "CSV injection").
pub(super) fn inert(text: &str) -> String {
    let is_risky = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    match is_risky {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: [&str; 3] = ["label", "serial_number", "life_s"];

    fn read_all(text: &str) -> Result<Vec<CsvRow>, TableError> {
        read(text, &COLUMNS, "label")
    }

    #[test]
    fn tables_are_read_as_spreadsheets_write_them() {
        let text =
            "\u{feff}Serial_Number, LABEL\r\nSN-1,\"Lane 1, \"\"left\"\"\"\r\n,Lane 2\r\nx\r\n";
        let rows = read_all(text).unwrap();
        let first = rows[0].as_ref().unwrap();
        assert_eq!(first["serial_number"], "SN-1");
        assert_eq!(first["label"], "Lane 1, \"left\"");
        let second = rows[1].as_ref().unwrap();
        assert_eq!(second.len(), 1, "empty is absent");
        assert_eq!(rows[2], Err(1));
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn what_cannot_be_a_table_is_refused_whole() {
        for (text, expected) in [
            ("", TableError::NoHeader),
            ("\n", TableError::NoHeader),
            ("label,colour\nx,y\n", TableError::UnknownColumn),
            ("label,Label\nx,y\n", TableError::ColumnTwice),
            ("serial_number\nx\n", TableError::ColumnMissing),
        ] {
            assert_eq!(read_all(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn nothing_written_is_a_formula() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2", "'-2"),
            ("+2", "'+2"),
            ("\tx", "'\tx"),
            ("Lane 1", "Lane 1"),
            ("", ""),
        ] {
            assert_eq!(inert(text), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(label in "[^\r\n]{1,20}", serial in "[ -~]{0,20}") {
            let table = write(["label", "serial_number"], vec![[label.clone(), serial.clone()]]);
            let text = String::from_utf8(table).unwrap();
            let rows = read_all(&text).unwrap();
            let row = rows[0].as_ref().unwrap();
            let read = |name: &str| row.get(name).cloned().unwrap_or_default();
            prop_assert_eq!(read("label"), label.trim());
            prop_assert_eq!(read("serial_number"), serial.trim());
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            drop(read_all(&text));
        }
    }
}
