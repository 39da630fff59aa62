//! Business days: when a bank that settles euros is open.

use jiff::civil::{Date, Weekday};
use jiff::{Span, ToSpan};

/// Where a payment date goes that is no business day.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BusinessDayRule {
    /// It stays.
    Unadjusted,
    /// To the next business day.
    Following,
    /// To the next business day, unless that lies in the next month: then to the last one before.
    ModifiedFollowing,
}

impl BusinessDayRule {
    /// Every rule.
    pub const ALL: [Self; 3] = [Self::Unadjusted, Self::Following, Self::ModifiedFollowing];

    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unadjusted => "none",
            Self::Following => "following",
            Self::ModifiedFollowing => "modified_following",
        }
    }

    /// The rule a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.code() == code)
    }

    /// The date where the payment goes. `None` at the end of the calendar, where no business day follows.
    #[must_use]
    pub fn adjust(self, date: Date) -> Option<Date> {
        match self {
            Self::Unadjusted => Some(date),
            Self::Following => business_day_from(date, 1.day()),
            Self::ModifiedFollowing => {
                let following = business_day_from(date, 1.day())?;
                if (following.year(), following.month()) == (date.year(), date.month()) {
                    Some(following)
                } else {
                    business_day_from(date, -1.day())
                }
            }
        }
    }
}

/// The first business day from a date on, walking by a span of one day.
fn business_day_from(mut date: Date, step: Span) -> Option<Date> {
    while !is_target_day(date) {
        date = date.checked_add(step).ok()?;
    }
    Some(date)
}

/// Whether TARGET, the settlement system of the Eurosystem, is open.
///
/// Source: ECB decision of 14 December 2000: closed on Saturdays, Sundays, New Year's Day, Good Friday, Easter Monday,
/// 1 May, 25 and 26 December; before, the yearly calendars of 1999 to 2001 with 31 December.
#[must_use]
pub fn is_target_day(date: Date) -> bool {
    let is_weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
    !is_weekend && !is_target_holiday(date)
}

fn is_target_holiday(date: Date) -> bool {
    let year = date.year();
    match (date.month(), date.day()) {
        (1, 1) | (12, 25) => true,
        (5, 1) | (12, 26) => year >= 2000,
        (12, 31) => matches!(year, 1998 | 1999 | 2001),
        _other => year >= 2000 && days_after_easter(date).is_some_and(|days| matches!(days, -2 | 1)),
    }
}

fn days_after_easter(date: Date) -> Option<i64> {
    let easter = easter_sunday(date.year())?;
    Some(easter.duration_until(date).as_hours() / 24)
}

/// Easter Sunday of the Gregorian calendar.
///
/// Source: the anonymous algorithm published in Nature, 20 April 1876, as corrected by Butcher.
fn easter_sunday(year: i16) -> Option<Date> {
    let wide = i32::from(year);
    let golden = wide.rem_euclid(19);
    let (century, in_century) = (wide.div_euclid(100), wide.rem_euclid(100));
    let (leap_centuries, century_rest) = (century.div_euclid(4), century.rem_euclid(4));
    let moon_correction = (century - (century + 8).div_euclid(25) + 1).div_euclid(3);
    let epact = (19 * golden + century - leap_centuries - moon_correction + 15).rem_euclid(30);
    let (leaps, rest) = (in_century.div_euclid(4), in_century.rem_euclid(4));
    let to_sunday = (32 + 2 * century_rest + 2 * leaps - epact - rest).rem_euclid(7);
    let late_moon = (golden + 11 * epact + 22 * to_sunday).div_euclid(451);
    let march_days = epact + to_sunday - 7 * late_moon + 114;
    let month = i8::try_from(march_days.div_euclid(31)).ok()?;
    let day = i8::try_from(march_days.rem_euclid(31) + 1).ok()?;
    Date::new(year, month, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn easter_falls_where_the_almanac_says() {
        for (year, easter) in [
            (1999, "1999-04-04"),
            (2000, "2000-04-23"),
            (2008, "2008-03-23"),
            (2011, "2011-04-24"),
            (2024, "2024-03-31"),
            (2025, "2025-04-20"),
            (2026, "2026-04-05"),
            (2038, "2038-04-25"),
            (2049, "2049-04-18"),
        ] {
            assert_eq!(easter_sunday(year), Some(date(easter)), "{year}");
        }
    }

    /// Gauss' formula in the form of Lichtenberg (Historia Mathematica 24, 1997), which counts days of March.
    #[test]
    fn easter_falls_where_another_formula_says() {
        for year in 1583_i16..=9999 {
            let wide = i64::from(year);
            let century = wide / 100;
            let (moon, sun) = (15 + (3 * century + 3) / 4 - (8 * century + 13) / 25, 2 - (3 * century + 3) / 4);
            let golden = wide % 19;
            let seed = (19 * golden + moon) % 30;
            let full_moon = 21 + seed - (seed + golden / 11) / 29;
            let first_sunday = 7 - (wide + wide / 4 + sun).rem_euclid(7);
            let march_day = full_moon + 7 - (full_moon - first_sunday).rem_euclid(7);
            let expected = Date::new(year, 3, 1).unwrap().checked_add(Span::new().days(march_day - 1)).unwrap();
            assert_eq!(easter_sunday(year), Some(expected), "{year}");
        }
    }

    #[test]
    fn target_is_closed_on_its_holidays_and_weekends_and_open_else() {
        for closed in [
            "2025-01-01",
            "2025-04-18",
            "2025-04-21",
            "2025-05-01",
            "2025-12-25",
            "2025-12-26",
            "2025-03-15",
            "2025-03-16",
            "1999-12-31",
            "2001-12-31",
            "2000-12-26",
            "2000-05-01",
            "2000-04-21",
            "2000-04-24",
            "1998-12-31",
            "1999-01-01",
        ] {
            assert!(!is_target_day(date(closed)), "{closed}");
        }
        for open in [
            "1997-12-26",
            "1998-05-01",
            "1997-12-31",
            "2002-12-31",
            "2025-01-02",
            "2025-05-02",
            "2025-05-12",
            "2025-12-24",
            "2025-12-31",
            "2025-10-03",
            "2025-04-17",
            "2025-04-22",
            "1999-04-02",
            "1999-05-03",
            "2025-06-09",
        ] {
            assert!(is_target_day(date(open)), "{open}");
        }
    }

    #[test]
    fn payment_dates_move_as_the_rule_says() {
        for (rule, stated, expected) in [
            (BusinessDayRule::Unadjusted, "2025-05-31", "2025-05-31"),
            (BusinessDayRule::Following, "2025-05-31", "2025-06-02"),
            (BusinessDayRule::ModifiedFollowing, "2025-05-31", "2025-05-30"),
            (BusinessDayRule::ModifiedFollowing, "2025-03-15", "2025-03-17"),
            (BusinessDayRule::Following, "2025-04-18", "2025-04-22"),
            (BusinessDayRule::ModifiedFollowing, "2024-03-29", "2024-03-28"),
            (BusinessDayRule::Following, "2024-03-29", "2024-04-02"),
            (BusinessDayRule::Following, "2025-12-31", "2025-12-31"),
        ] {
            assert_eq!(rule.adjust(date(stated)), Some(date(expected)), "{rule:?} {stated}");
        }
        assert_eq!(BusinessDayRule::Following.adjust(date("9999-12-31")), Some(date("9999-12-31")));
        for rule in BusinessDayRule::ALL {
            assert_eq!(BusinessDayRule::from_code(rule.code()), Some(rule));
        }
    }
}
