//! Interest terms as one column of text: a word, or JSON of what was stated. Periods are worked out anew when they are read.

use domain::calendar::BusinessDayRule;
use domain::daycount::{DayCount, NotionalPeriod};
use domain::interest::{CouponStatement, Coupons, Frequency, Interest, ListedPeriod, Periods, RateBasis, Schedule, Stub};
use domain::money::Percent;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

const NO_INTEREST: &str = "none";

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Stored {
    ZeroCoupon {
        maturity: Date,
    },
    Coupons {
        rate: String,
        rate_basis: String,
        day_count: String,
        interest_start: Date,
        maturity: Date,
        business_day_rule: String,
        frequency: String,
        periods: StoredPeriods,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum StoredPeriods {
    Generated { end_of_month: bool, stub: String },
    Listed(Vec<StoredPeriod>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPeriod {
    start: Date,
    end: Date,
    payment: Option<Date>,
    rate: Option<String>,
    notional: Vec<(Date, Date)>,
}

/// The text of a column.
pub(super) fn encode(interest: &Interest) -> Result<String, serde_json::Error> {
    let stored = match interest {
        Interest::None => return Ok(NO_INTEREST.to_owned()),
        Interest::ZeroCoupon { maturity } => Stored::ZeroCoupon { maturity: *maturity },
        Interest::Coupons(coupons) => stored(coupons.statement()),
    };
    serde_json::to_string(&stored)
}

/// What a column's text says; `None` where it is no terms that could have been stated.
pub(super) fn decode(text: &str) -> Option<Interest> {
    if text == NO_INTEREST {
        return Some(Interest::None);
    }
    match serde_json::from_str(text).ok()? {
        Stored::ZeroCoupon { maturity } => Some(Interest::ZeroCoupon { maturity }),
        Stored::Coupons { rate, rate_basis, day_count, interest_start, maturity, business_day_rule, frequency, periods } => {
            let statement = CouponStatement {
                rate: Percent::parse(&rate).ok()?,
                rate_basis: RateBasis::from_code(&rate_basis)?,
                day_count: DayCount::from_code(&day_count)?,
                interest_start,
                maturity,
                business_day_rule: BusinessDayRule::from_code(&business_day_rule)?,
                periods: decode_periods(periods, Frequency::from_code(&frequency)?)?,
            };
            Coupons::new(statement).ok().map(|coupons| Interest::Coupons(Box::new(coupons)))
        }
    }
}

fn stored(statement: &CouponStatement) -> Stored {
    let (frequency, periods) = match &statement.periods {
        Periods::Generated(Schedule { frequency, end_of_month, stub }) => {
            (*frequency, StoredPeriods::Generated { end_of_month: *end_of_month, stub: stub.code().to_owned() })
        }
        Periods::Listed { frequency, periods } => {
            (*frequency, StoredPeriods::Listed(periods.iter().map(stored_period).collect()))
        }
    };
    Stored::Coupons {
        rate: statement.rate.to_string(),
        rate_basis: statement.rate_basis.code().to_owned(),
        day_count: statement.day_count.code().to_owned(),
        interest_start: statement.interest_start,
        maturity: statement.maturity,
        business_day_rule: statement.business_day_rule.code().to_owned(),
        frequency: frequency.code().to_owned(),
        periods,
    }
}

fn stored_period(period: &ListedPeriod) -> StoredPeriod {
    StoredPeriod {
        start: period.start,
        end: period.end,
        payment: period.payment,
        rate: period.rate.map(|rate| rate.to_string()),
        notional: period.notional.iter().map(|one| (one.start, one.end)).collect(),
    }
}

fn decode_periods(stored: StoredPeriods, frequency: Frequency) -> Option<Periods> {
    match stored {
        StoredPeriods::Generated { end_of_month, stub } => {
            Some(Periods::Generated(Schedule { frequency, end_of_month, stub: Stub::from_code(&stub)? }))
        }
        StoredPeriods::Listed(periods) => {
            let periods: Option<Vec<ListedPeriod>> = periods.into_iter().map(decode_period).collect();
            Some(Periods::Listed { frequency, periods: periods? })
        }
    }
}

fn decode_period(stored: StoredPeriod) -> Option<ListedPeriod> {
    let rate = match stored.rate {
        Some(rate) => Some(Percent::parse(&rate).ok()?),
        None => None,
    };
    let notional = stored.notional.into_iter().map(|(start, end)| NotionalPeriod { start, end }).collect();
    Some(ListedPeriod { start: stored.start, end: stored.end, payment: stored.payment, rate, notional })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn statement(periods: Periods) -> CouponStatement {
        CouponStatement {
            rate: Percent::parse("5.25").unwrap(),
            rate_basis: RateBasis::PerPeriod,
            day_count: DayCount::ActActIcma,
            interest_start: date("2025-01-15"),
            maturity: date("2026-01-15"),
            business_day_rule: BusinessDayRule::ModifiedFollowing,
            periods,
        }
    }

    #[test]
    fn terms_come_back_as_they_were_stated() {
        let listed = ListedPeriod {
            start: date("2025-01-15"),
            end: date("2026-01-15"),
            payment: Some(date("2026-01-20")),
            rate: Some(Percent::parse("4.10").unwrap()),
            notional: vec![NotionalPeriod { start: date("2025-01-15"), end: date("2026-01-15") }],
        };
        let schedule = Schedule { frequency: Frequency::Quarterly, end_of_month: true, stub: Stub::LongLast };
        let coupons = |periods| Interest::Coupons(Box::new(Coupons::new(statement(periods)).unwrap()));
        for interest in [
            Interest::None,
            Interest::ZeroCoupon { maturity: date("2031-06-30") },
            coupons(Periods::Generated(schedule)),
            coupons(Periods::Listed { frequency: Frequency::Annual, periods: vec![listed] }),
        ] {
            let text = encode(&interest).unwrap();
            assert_eq!(decode(&text), Some(interest), "{text}");
        }
    }

    #[test]
    fn a_text_that_nobody_stated_is_not_read() {
        let text = encode(&Interest::Coupons(Box::new(
            Coupons::new(statement(Periods::Generated(Schedule {
                frequency: Frequency::Annual,
                end_of_month: false,
                stub: Stub::None,
            })))
            .unwrap(),
        )))
        .unwrap();
        for (from, to) in [
            ("5.25", "525"),
            ("per_period", "per_day"),
            ("ACT_ACT_ICMA", "ACT_ACT"),
            ("2026-01-15", "2025-01-15"),
            ("annual", "yearly"),
            ("\"stub\":\"none\"", "\"stub\":\"middle\""),
            ("\"kind\"", "\"more\":1,\"kind\""),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert_eq!(decode(&changed), None, "{changed}");
        }
        assert_eq!(decode(""), None);
    }
}
