//! How tables look, for people.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Attribute, Cell, ContentArrangement, Table, TableComponent};

/// A table with these titles: one line a row, no lines between.
pub(crate) fn titled(titles: &[&str]) -> Table {
    let bold = |title: &&str| Cell::new(title).add_attribute(Attribute::Bold);
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(titles.iter().map(bold));
    table
}
