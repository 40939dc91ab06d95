//! Bars, as a drawing that a document can show.

use std::fmt::Write;

const LEFT: usize = 250;
const WIDE: f64 = 340.0;
const ROW: usize = 34;

/// Bars with their names before and their figures behind them, from zero.
pub(crate) fn bars(bars: &[(&str, f64)], unit: &str) -> String {
    let most = bars.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
    let (width, height) = (LEFT + WIDE as usize + 90, bars.len() * ROW + 16);
    let mut drawing = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"14\">\n"
    );
    for (number, (name, figure)) in bars.iter().enumerate() {
        let (top, long) = (number * ROW + 12, figure / most * WIDE);
        let (end, base) = (LEFT as f64 + long + 8.0, top + 16);
        // Grey reads on light and on dark pages.
        let _ = writeln!(
            drawing,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\" fill=\"#808080\">{name}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{long:.0}\" height=\"22\" fill=\"#4a7fb5\"/>\n\
             <text x=\"{end:.0}\" y=\"{base}\" fill=\"#808080\">{figure:.0} {unit}</text>",
            LEFT - 10
        );
    }
    drawing + "</svg>\n"
}
