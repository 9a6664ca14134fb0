//! All figures, for people.

use comfy_table::{Cell, Color};

use super::Report;
use super::rows::{Beside, Row, Wanted};
use crate::table::{align, thousands, titled};

pub(super) fn print(report: &Report) {
    let mut table = titled(&["figure", "ours", "wanted", "beside", "over the floor", ""]);
    for row in &report.rows {
        let (mark, colour) = match row.holds {
            true => ("holds", Color::Green),
            false => ("not reached", Color::Yellow),
        };
        table.add_row([
            Cell::new(&row.what),
            Cell::new(format!("{} {}", figure(row.ours), row.unit)),
            Cell::new(wanted(row)),
            Cell::new(row.peer.as_ref().map_or_else(String::new, beside)),
            Cell::new(row.floor.as_ref().map_or_else(String::new, times)),
            Cell::new(mark).fg(colour),
        ]);
    }
    align(&mut table);
    println!("{table}");
    let held = report.rows.iter().filter(|row| row.holds).count();
    println!(
        "{held} of {} figures hold; {:.0} s{}",
        report.rows.len(),
        report.seconds,
        match report.quick {
            true => ", in short runs",
            false => "",
        }
    );
}

fn figure(figure: f64) -> String {
    match figure.abs() {
        large if large >= 1_000.0 => thousands(figure),
        middle if middle >= 20.0 => format!("{figure:.0}"),
        _ => format!("{figure:.2}"),
    }
}

fn wanted(row: &Row) -> String {
    match row.wanted {
        Wanted::Most(most) => format!("at most {}", figure(most)),
        Wanted::Least(least) => format!("at least {}", figure(least)),
        Wanted::MostTimes(most) => format!("at most {most}×"),
        Wanted::LeastTimes(least) => format!("at least {least}×"),
    }
}

fn times(beside: &Beside) -> String {
    format!("{:.2}×", beside.times)
}

fn beside(peer: &Beside) -> String {
    format!("{:.2}× {} ({})", peer.times, peer.name, figure(peer.figure))
}
