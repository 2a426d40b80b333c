//! Small charts as rectangles and lines: a sparkline and a stacked bar.
//!
//! Bars begin at zero; a sparkline has its own scale and says its ends in words (the figure's alternative text).

use super::sheet::{Colour, Sheet};
use super::style::{GREY, TRACK};

/// A line through the known values; a gap where one is unknown. The last known value has a dot.
pub fn sparkline(
    sheet: &mut Sheet,
    values: &[Option<f64>],
    (x, y): (f32, f32),
    (width, height): (f32, f32),
    ink: Colour,
) {
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let (Some(low), Some(high)) = (known.iter().copied().reduce(f64::min), known.iter().copied().reduce(f64::max))
    else {
        return;
    };
    let span = (high - low).max(0.5);
    let step = width / (values.len().max(2) - 1) as f32;
    let place =
        |index: usize, value: f64| (x + index as f32 * step, y + height - ((value - low) / span) as f32 * height);
    sheet.rule(x, y + height + 2.5, width, 0.4, TRACK);
    let mut run: Vec<(f32, f32)> = Vec::new();
    let mut last = None;
    for (index, value) in values.iter().enumerate() {
        match value {
            Some(value) => {
                run.push(place(index, *value));
                last = run.last().copied();
            }
            None => draw(sheet, &mut run),
        }
    }
    draw(sheet, &mut run);
    if let Some((x, y)) = last {
        sheet.fill(x - 1.8, y - 1.8, 3.6, 3.6, ink);
    }
}

/// Draws a run of neighbouring values and begins a new one; a single value is a dot.
fn draw(sheet: &mut Sheet, run: &mut Vec<(f32, f32)>) {
    match run.as_slice() {
        [] => {}
        [(x, y)] => sheet.fill(x - 0.8, y - 0.8, 1.6, 1.6, GREY),
        points => sheet.line(points, 1.1, GREY),
    }
    run.clear();
}

/// Parts of a whole side by side; a part that is not zero is at least as wide as a hair.
pub fn stacked(sheet: &mut Sheet, parts: &[(u64, Colour)], (x, y): (f32, f32), (width, height): (f32, f32)) {
    let total: u64 = parts.iter().map(|(count, _)| count).sum();
    sheet.fill(x, y, width, height, TRACK);
    if total == 0 {
        return;
    }
    let hair = 2.0;
    let shown = parts.iter().filter(|(count, _)| *count > 0).count() as f32;
    let rest = width - hair * shown;
    let mut left = x;
    for (count, colour) in parts.iter().filter(|(count, _)| *count > 0) {
        let part = hair + rest * (*count as f32 / total as f32);
        sheet.fill(left, y, part, height, *colour);
        left += part;
    }
}
