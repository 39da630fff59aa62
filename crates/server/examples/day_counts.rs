//! Random date pairs with the fraction of a year that each convention counts, for comparison with another program.
//!
//! `cargo run --example day_counts -- SEED PAIRS` prints PAIRS lines a convention, tab-separated: convention,
//! start, end, termination date, notional start, notional end, periods per year, numerator, denominator. Four in ten dates
//! are the end of a month or of February, where conventions differ.

use std::io::{self, BufWriter, Write};

use domain::daycount::{DayCount, NotionalPeriod, Reference, exact_sum};
use domain::interest::Frequency;
use jiff::Span;
use jiff::civil::Date;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1).map_while(|text| text.parse::<u64>().ok());
    let (Some(seed), Some(pairs)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: day_counts SEED PAIRS");
        std::process::exit(2);
    };
    let mut dates = Dates(ChaCha8Rng::seed_from_u64(seed));
    let mut out = BufWriter::new(io::stdout().lock());
    for convention in DayCount::ALL {
        for _pair in 0..pairs {
            dates.row(convention, &mut out)?;
        }
    }
    out.flush()
}

struct Dates(ChaCha8Rng);

impl Dates {
    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    fn any(&mut self) -> Date {
        let year = i16::try_from(1980 + self.below(120)).unwrap_or(1980);
        let month = i8::try_from(1 + self.below(12)).unwrap_or(1);
        let first = |month| Date::new(year, month, 1).unwrap_or(Date::ZERO);
        match self.below(10) {
            0 | 1 => first(month).last_of_month(),
            2 | 3 => first(2).last_of_month(),
            _else => {
                let day = i8::try_from(1 + self.below(31)).unwrap_or(1).min(first(month).days_in_month());
                Date::new(year, month, day).unwrap_or(Date::ZERO)
            }
        }
    }

    fn pair(&mut self) -> (Date, Date) {
        let (one, other) = (self.any(), self.any());
        (one.min(other), one.max(other))
    }

    /// One line. Actual/Actual ICMA is asked within one notional period, where every implementation must agree.
    fn row(&mut self, convention: DayCount, out: &mut impl Write) -> io::Result<()> {
        let (mut start, mut end) = self.pair();
        let frequency = Frequency::ALL[self.below(4) as usize];
        let notional_start = self.any();
        let notional_end = notional_start.saturating_add(Span::new().months(frequency.months()));
        let notional = [NotionalPeriod { start: notional_start, end: notional_end }];
        if convention == DayCount::ActActIcma {
            let days = u32::try_from(domain::daycount::actual_days(notional_start, notional_end)).unwrap_or(1);
            let (one, other) = (self.below(days + 1), self.below(days + 1));
            let at = |days: u32| notional_start.saturating_add(Span::new().days(i64::from(days)));
            (start, end) = (at(one.min(other)), at(one.max(other)));
        }
        let termination = if self.below(2) == 0 { end } else { end.saturating_add(Span::new().days(400)) };
        let reference = Reference { termination, notional: &notional, periods_per_year: frequency.periods_per_year() };
        let fraction = exact_sum(&convention.segments(start, end, &reference));
        writeln!(
            out,
            "{}\t{start}\t{end}\t{termination}\t{notional_start}\t{notional_end}\t{}\t{}\t{}",
            convention.code(),
            frequency.periods_per_year(),
            fraction.numer(),
            fraction.denom(),
        )
    }
}
