//! The plot: bars, drawn as SVG, in integers.

use std::fmt::Write;

const WIDTH: u64 = 760;
const LABEL_WIDTH: u64 = 300;
const BAR_WIDTH_MAX: u64 = 340;
const ROW_HEIGHT: u64 = 24;
const TITLE_HEIGHT: u64 = 36;

/// Bars of one unit under a title.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What the bars show, with the unit.
    pub title: String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it stands for.
    pub label: String,
    /// How long it is, in the panel's unit.
    pub value: u64,
    /// What is written behind it.
    pub shown: String,
    /// Its kind, for the colour.
    pub kind: Kind,
}

/// What a bar belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Something that Scrip is compared with.
    Baseline,
    /// Scrip, embedded.
    Embedded,
    /// Scrip on `PostgreSQL`.
    Postgres,
}

impl Kind {
    /// Colours that people who do not tell red from green tell apart.
    const fn colour(self) -> &'static str {
        match self {
            Self::Baseline => "#9a9a9a",
            Self::Embedded => "#0072b2",
            Self::Postgres => "#e69f00",
        }
    }
}

/// Draws panels below each other.
pub fn svg(panels: &[Panel]) -> String {
    let rows = panels.iter().map(|panel| count(panel.bars.len()) * ROW_HEIGHT + TITLE_HEIGHT).sum::<u64>();
    let height = rows + ROW_HEIGHT;
    let mut drawn = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0;
    for panel in panels {
        top += TITLE_HEIGHT;
        line(&mut drawn, &format!("<text x=\"8\" y=\"{}\" font-weight=\"bold\">{}</text>", top - 10, escaped(&panel.title)));
        let longest = panel.bars.iter().map(|bar| bar.value).max().unwrap_or(0);
        for bar in &panel.bars {
            draw(&mut drawn, bar, longest, top);
            top += ROW_HEIGHT;
        }
    }
    drawn.push_str("</svg>\n");
    drawn
}

fn draw(drawn: &mut String, bar: &Bar, longest: u64, top: u64) {
    let width = (bar.value.saturating_mul(BAR_WIDTH_MAX)).checked_div(longest).unwrap_or(0).max(1);
    let base = top + ROW_HEIGHT - 8;
    let (label_end, value_start) = (LABEL_WIDTH - 8, LABEL_WIDTH + width + 6);
    line(drawn, &format!("<text x=\"{label_end}\" y=\"{base}\" text-anchor=\"end\">{}</text>", escaped(&bar.label)));
    let colour = bar.kind.colour();
    line(drawn, &format!("<rect x=\"{LABEL_WIDTH}\" y=\"{}\" width=\"{width}\" height=\"16\" fill=\"{colour}\"/>", top + 3));
    line(drawn, &format!("<text x=\"{value_start}\" y=\"{base}\">{}</text>", escaped(&bar.shown)));
}

fn line(drawn: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _written = writeln!(drawn, "{text}");
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share_of_the_longest() {
        let bar = |label: &str, value| Bar { label: label.to_owned(), value, shown: value.to_string(), kind: Kind::Embedded };
        let drawn = svg(&[Panel { title: "a < b".to_owned(), bars: vec![bar("x", 100), bar("y", 25), bar("z", 0)] }]);
        let widths: Vec<&str> = drawn.split("<rect x=\"300\"").skip(1).filter_map(|rest| rest.split('"').nth(3)).collect();
        assert_eq!(widths, ["340", "85", "1"]);
        assert!(drawn.contains("a &lt; b"), "{drawn}");
    }
}
