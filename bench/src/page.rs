//! A page of Markdown, and numbers as people read them.

use std::fmt;

use crate::findings::{Bound, Target, Unit, Verdict};

/// A page that is being written.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// A page with a title.
    pub fn new(title: &str) -> Self {
        Self(format!("# {title}\n"))
    }

    /// A heading of the second level.
    pub fn heading(&mut self, text: &str) {
        self.0.extend(["\n## ", text, "\n"]);
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.0.extend(["\n", text, "\n"]);
    }

    /// A table.
    pub fn table(&mut self, titles: &[&str], rows: Vec<Vec<String>>) {
        let mut lines = vec![titles.join(" | "), vec!["---"; titles.len()].join(" | ")];
        // A bar would end the cell.
        lines.extend(rows.into_iter().map(|row| row.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | ")));
        self.0.push('\n');
        for line in lines {
            self.0.extend(["| ", &line, " |\n"]);
        }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }
}

impl Target {
    /// What, bound, found, verdict.
    pub fn cells(&self) -> [String; 4] {
        let bound = match self.bound {
            Bound::AtLeast(least) => format!("≥ {}", self.unit.shown(least)),
            Bound::AtMost(most) => format!("≤ {}", self.unit.shown(most)),
        };
        let found = self.found.map_or("–".to_owned(), |found| self.unit.shown(found));
        let verdict = match self.verdict {
            Verdict::Met => "met",
            Verdict::Doubtful => "met beside others' work: does not count",
            Verdict::Missed => "**missed**",
            Verdict::NotMeasured => "not measured",
        };
        [self.what.clone(), bound, found, verdict.to_owned()]
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [what, bound, found, verdict] = self.cells();
        write!(f, "{what}: {found} ({bound}) {verdict}")
    }
}

impl Unit {
    fn shown(self, value: u64) -> String {
        match self {
            Self::PerMille => format!("{} ×", shown_ratio(value)),
            Self::PerSecond => format!("{} /s", thousands(value)),
            Self::Microseconds => format!("{} ms", milliseconds(value)),
            Self::Kib => format!("{} KiB", thousands(value)),
        }
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Microseconds as milliseconds with two places, rounded down.
pub fn milliseconds(value_us: u64) -> String {
    format!("{}.{:02}", thousands(value_us / 1_000), value_us % 1_000 / 10)
}

/// Thousandths as a decimal number.
pub fn shown_ratio(per_mille: u64) -> String {
    format!("{}.{:03}", thousands(per_mille / 1_000), per_mille % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(milliseconds(12_345), "12.34");
        assert_eq!(shown_ratio(8_050), "8.050");
    }

    #[test]
    fn a_bar_in_a_cell_does_not_end_it() {
        let mut page = Page::new("T");
        page.table(&["a"], vec![vec!["x|y".to_owned()]]);
        assert_eq!(page.finish(), "# T\n\n| a |\n| --- |\n| x\\|y |\n");
    }
}
