//! Tables for people.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};
use serde_json::Value;

/// A column: its title and the key of its value.
pub(super) type Column = (&'static str, &'static str);

/// Prints objects as a table.
pub(super) fn print(columns: &[Column], rows: &[Value]) {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(
            columns
                .iter()
                .map(|(title, _)| Cell::new(title).add_attribute(Attribute::Bold)),
        );
    for row in rows {
        table.add_row(columns.iter().map(|(_, key)| cell(key, &row[*key])));
    }
    println!("{table}");
}

/// Prints one object as names and values.
pub(super) fn print_one(columns: &[Column], row: &Value) {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    for (title, key) in columns {
        table.add_row(vec![
            Cell::new(title).add_attribute(Attribute::Bold),
            cell(key, &row[*key]),
        ]);
    }
    println!("{table}");
}

fn cell(key: &str, value: &Value) -> Cell {
    let text = text(value);
    let cell = Cell::new(&text);
    match (key, text.as_str()) {
        ("state", "alive") => cell.fg(Color::Green),
        ("state", "suspect" | "draining" | "unknown") => cell.fg(Color::Yellow),
        ("state", "dead" | "left") => cell.fg(Color::Red),
        _ => cell,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(self::text).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| format!("{key} {}", text(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
