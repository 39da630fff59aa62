//! How a product pays interest, as it is stated and shown.

use domain::calendar::BusinessDayRule;
use domain::daycount::{DayCount, NotionalPeriod};
use domain::interest::{
    CouponStatement, Coupons, Frequency, Interest, InterestFault, ListedPeriod, Periods, RateBasis, Schedule, Stub,
};
use domain::money::Percent;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Faults, FieldFault, Fields, Json, boolean, date, list, one_of, parsed};
use super::payable_view::NotionalPeriodView;
use super::problem::{FieldCode, FieldError};

/// Interest periods that can be listed: ten years of months, thirty of quarters. More are generated from a schedule, and would
/// not fit into a body.
const LISTED_PERIODS_MAX: usize = 120;
/// Notional periods of one interest period at most.
const NOTIONAL_MAX: usize = 24;

/// How a product pays interest.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Interest)]
pub struct InterestView {
    /// `coupons`, or `zero_coupon`: everything is paid at maturity.
    #[schema(example = "coupons")]
    pub kind: &'static str,
    /// When the nominal is paid back.
    #[schema(format = Date, example = "2030-01-15")]
    pub maturity_date: String,
    /// Percent of the nominal, a decimal from 0 to 100 with at most six decimals. With `coupons` only, like everything below.
    #[schema(required = true, example = "5.25")]
    pub interest_rate: Option<String>,
    /// `per_year`, or `per_period`: of one interest period, whatever its length.
    #[schema(required = true, example = "per_year")]
    pub rate_basis: Option<&'static str>,
    /// `30E_360`, `30E_360_ISDA`, `30_360_BOND`, `30_360_US`, `ACT_360`, `ACT_365F`, `ACT_ACT_ISDA`, `ACT_ACT_ICMA`.
    #[schema(required = true, example = "30E_360")]
    pub day_count_convention: Option<&'static str>,
    /// The first day that bears interest.
    #[schema(required = true, format = Date, example = "2025-01-15")]
    pub interest_start_date: Option<String>,
    /// Where payment dates go that are no TARGET days: `none`, `following`, `modified_following`.
    #[schema(required = true, example = "following")]
    pub business_day_rule: Option<&'static str>,
    /// Regular interest periods: `annual`, `semi_annual`, `quarterly`, `monthly`.
    #[schema(required = true, example = "annual")]
    pub frequency: Option<&'static str>,
    /// How the periods are generated, where they are not listed.
    #[schema(required = true)]
    pub schedule: Option<ScheduleView>,
    /// The periods, where they are listed.
    #[schema(required = true)]
    pub interest_periods: Option<Vec<ListedPeriodView>>,
}

/// How interest periods are generated.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = InterestSchedule)]
pub struct ScheduleView {
    /// Whether a schedule that is rolled from the last day of a month stays on last days.
    pub end_of_month: bool,
    /// Where the irregular period goes: `none`, `short_first`, `long_first`, `short_last`, `long_last`.
    #[schema(example = "none")]
    pub stub: &'static str,
}

/// A listed interest period.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ListedInterestPeriod)]
pub struct ListedPeriodView {
    /// Its first day.
    #[schema(format = Date, example = "2025-01-15")]
    pub start_date: String,
    /// The day after its last: the coupon date, and the next period's first day.
    #[schema(format = Date, example = "2026-01-15")]
    pub end_date: String,
    /// When it is paid, before the business-day rule; its end where nothing is said.
    #[schema(required = true, format = Date)]
    pub payment_date: Option<String>,
    /// Its own rate, where it differs.
    #[schema(required = true)]
    pub interest_rate: Option<String>,
    /// What it is measured by where it is irregular (Actual/Actual ICMA).
    pub notional_periods: Vec<NotionalPeriodView>,
}

/// What states how a product pays interest. `zero_coupon` takes `maturity_date` only; `coupons` takes either `schedule` or
/// `interest_periods`.
#[derive(Debug, ToSchema)]
pub struct InterestStatement {
    /// `coupons` or `zero_coupon`.
    #[schema(example = "zero_coupon", pattern = "^(coupons|zero_coupon)$")]
    pub kind: String,
    /// When the nominal is paid back.
    #[schema(format = Date, example = "2030-01-15")]
    pub maturity_date: String,
    /// Percent of the nominal.
    #[schema(nullable = false, example = "5.25", pattern = r"^(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?$")]
    pub interest_rate: Option<String>,
    /// `per_year` where nothing is said.
    #[schema(nullable = false, pattern = "^(per_year|per_period)$", example = "per_year")]
    pub rate_basis: Option<String>,
    /// How days are counted.
    #[schema(
        nullable = false,
        example = "30E_360",
        pattern = "^(30E_360|30E_360_ISDA|30_360_BOND|30_360_US|ACT_360|ACT_365F|ACT_ACT_ISDA|ACT_ACT_ICMA)$"
    )]
    pub day_count_convention: Option<String>,
    /// The first day that bears interest.
    #[schema(nullable = false, format = Date, example = "2025-01-15")]
    pub interest_start_date: Option<String>,
    /// `none` where nothing is said.
    #[schema(nullable = false, pattern = "^(none|following|modified_following)$", example = "following")]
    pub business_day_rule: Option<String>,
    /// Regular interest periods.
    #[schema(nullable = false, pattern = "^(annual|semi_annual|quarterly|monthly)$", example = "annual")]
    pub frequency: Option<String>,
    /// How the periods are generated.
    #[schema(nullable = false)]
    pub schedule: Option<ScheduleStatement>,
    /// The periods.
    #[schema(nullable = false, min_items = 1, max_items = 120)]
    pub interest_periods: Option<Vec<ListedPeriodStatement>>,
}

/// How interest periods are generated.
#[derive(Debug, ToSchema)]
pub struct ScheduleStatement {
    /// `false` where nothing is said.
    #[schema(nullable = false)]
    pub end_of_month: Option<bool>,
    /// `none` where nothing is said: the term must be a whole number of periods then.
    #[schema(nullable = false, pattern = "^(none|short_first|long_first|short_last|long_last)$", example = "none")]
    pub stub: Option<String>,
}

/// A listed interest period.
#[derive(Debug, ToSchema)]
pub struct ListedPeriodStatement {
    /// Its first day.
    #[schema(format = Date, example = "2025-01-15")]
    pub start_date: String,
    /// The day after its last.
    #[schema(format = Date, example = "2026-01-15")]
    pub end_date: String,
    /// When it is paid.
    #[schema(nullable = false, format = Date)]
    pub payment_date: Option<String>,
    /// Its own rate.
    #[schema(nullable = false, pattern = r"^(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?$")]
    pub interest_rate: Option<String>,
    /// What it is measured by.
    #[schema(nullable = false, max_items = 24)]
    pub notional_periods: Option<Vec<NotionalPeriodView>>,
}

impl InterestView {
    /// How a product pays interest; `None` where it bears none.
    #[must_use]
    pub fn of(interest: &Interest) -> Option<Self> {
        match interest {
            Interest::None => None,
            Interest::ZeroCoupon { maturity } => Some(Self {
                kind: "zero_coupon",
                maturity_date: maturity.to_string(),
                interest_rate: None,
                rate_basis: None,
                day_count_convention: None,
                interest_start_date: None,
                business_day_rule: None,
                frequency: None,
                schedule: None,
                interest_periods: None,
            }),
            Interest::Coupons(coupons) => Some(Self::of_coupons(coupons.statement())),
        }
    }

    fn of_coupons(stated: &CouponStatement) -> Self {
        let (frequency, schedule, interest_periods) = match &stated.periods {
            Periods::Generated(Schedule { frequency, end_of_month, stub }) => {
                (*frequency, Some(ScheduleView { end_of_month: *end_of_month, stub: stub.code() }), None)
            }
            Periods::Listed { frequency, periods } => {
                (*frequency, None, Some(periods.iter().map(ListedPeriodView::from).collect()))
            }
        };
        Self {
            kind: "coupons",
            maturity_date: stated.maturity.to_string(),
            interest_rate: Some(stated.rate.to_string()),
            rate_basis: Some(stated.rate_basis.code()),
            day_count_convention: Some(stated.day_count.code()),
            interest_start_date: Some(stated.interest_start.to_string()),
            business_day_rule: Some(stated.business_day_rule.code()),
            frequency: Some(frequency.code()),
            schedule,
            interest_periods,
        }
    }
}

impl From<&ListedPeriod> for ListedPeriodView {
    fn from(period: &ListedPeriod) -> Self {
        Self {
            start_date: period.start.to_string(),
            end_date: period.end.to_string(),
            payment_date: period.payment.map(|payment| payment.to_string()),
            interest_rate: period.rate.map(|rate| rate.to_string()),
            notional_periods: period.notional.iter().map(NotionalPeriodView::from).collect(),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Coupons,
    ZeroCoupon,
}

/// Reads how a product pays interest.
///
/// # Errors
/// Everything that is wrong with it; what is wrong with a listed period points at it.
pub fn interest(json: &Json) -> Result<Interest, Faults> {
    let mut fields = Fields::of(json);
    let kind = fields.required("kind", one_of(&[("coupons", Kind::Coupons), ("zero_coupon", Kind::ZeroCoupon)]));
    let maturity = fields.required("maturity_date", date);
    match kind {
        None => {
            // What else may stand there depends on the kind.
            let anything = |_: &Json| Ok::<(), FieldFault>(());
            let _ = fields.unread_names().into_iter().map(|name| fields.optional(name, anything)).count();
            fields.finish_with(|| None)
        }
        Some(Kind::ZeroCoupon) => fields.finish_with(|| Some(Interest::ZeroCoupon { maturity: maturity? })),
        Some(Kind::Coupons) => {
            let rate = fields.required("interest_rate", parsed(Percent::parse));
            let rate_basis = fields.optional("rate_basis", code(RateBasis::ALL, RateBasis::code));
            let day_count = fields.required("day_count_convention", code(DayCount::ALL, DayCount::code));
            let interest_start = fields.required("interest_start_date", date);
            let rule = fields.optional("business_day_rule", code(BusinessDayRule::ALL, BusinessDayRule::code));
            let frequency = fields.required("frequency", code(Frequency::ALL, Frequency::code));
            let periods = read_periods(&mut fields, frequency);
            let statement = fields.finish_with(|| {
                Some(CouponStatement {
                    rate: rate?,
                    rate_basis: rate_basis.unwrap_or(RateBasis::PerYear),
                    day_count: day_count?,
                    interest_start: interest_start?,
                    maturity: maturity?,
                    business_day_rule: rule.unwrap_or(BusinessDayRule::Unadjusted),
                    periods: periods?,
                })
            })?;
            Coupons::new(statement).map(|coupons| Interest::Coupons(Box::new(coupons))).map_err(|faults| shown(&faults))
        }
    }
}

/// Either the way in which periods are generated, or their list.
fn read_periods(fields: &mut Fields<'_>, frequency: Option<Frequency>) -> Option<Periods> {
    if fields.has("schedule") && fields.has("interest_periods") {
        let anything = |_: &Json| Ok::<(), FieldFault>(());
        let _ = (fields.optional("schedule", anything), fields.optional("interest_periods", anything));
        fields.fault("interest_periods", FieldFault::invalid("must not stand beside schedule"));
        return None;
    }
    if fields.has("interest_periods") {
        let periods = fields.optional("interest_periods", list(LISTED_PERIODS_MAX, listed_period))?;
        return Some(Periods::Listed { frequency: frequency?, periods });
    }
    let (end_of_month, stub) = fields.required("schedule", schedule)?;
    Some(Periods::Generated(Schedule { frequency: frequency?, end_of_month, stub }))
}

fn schedule(json: &Json) -> Result<(bool, Stub), Faults> {
    let mut fields = Fields::of(json);
    let end_of_month = fields.optional("end_of_month", boolean);
    let stub = fields.optional("stub", code(Stub::ALL, Stub::code));
    fields.finish_with(|| Some((end_of_month.unwrap_or(false), stub.unwrap_or(Stub::None))))
}

fn listed_period(json: &Json) -> Result<ListedPeriod, Faults> {
    let mut fields = Fields::of(json);
    let start = fields.required("start_date", date);
    let end = fields.required("end_date", date);
    let payment = fields.optional("payment_date", date);
    let rate = fields.optional("interest_rate", parsed(Percent::parse));
    let notional = fields.optional("notional_periods", list(NOTIONAL_MAX, notional_period));
    fields.finish_with(|| Some(ListedPeriod { start: start?, end: end?, payment, rate, notional: notional.unwrap_or_default() }))
}

fn notional_period(json: &Json) -> Result<NotionalPeriod, Faults> {
    let mut fields = Fields::of(json);
    let start = fields.required("start_date", date);
    let end = fields.required("end_date", date);
    fields.finish_with(|| Some(NotionalPeriod { start: start?, end: end? }))
}

fn code<T: Copy, const N: usize>(all: [T; N], word: fn(T) -> &'static str) -> impl Fn(&Json) -> Result<T, FieldFault> {
    let choices: Vec<(&'static str, T)> = all.into_iter().map(|choice| (word(choice), choice)).collect();
    one_of(&choices)
}

fn shown(faults: &[InterestFault]) -> Faults {
    let errors = faults.iter().map(|fault| {
        let pointer = match fault {
            InterestFault::MaturityNotAfterStart => "/maturity_date".to_owned(),
            InterestFault::NoPeriods | InterestFault::TooManyPeriods => "/interest_periods".to_owned(),
            InterestFault::Irregular => "/schedule/stub".to_owned(),
            InterestFault::Period { index, .. } => format!("/interest_periods/{index}"),
        };
        FieldError::new(pointer, FieldCode::Interest(*fault), fault.to_string())
    });
    errors.collect()
}
