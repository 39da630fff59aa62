//! What is to be paid, line by line, so that a client can compute it again.

use domain::daycount::{NotionalPeriod, Segment};
use domain::interest::{CouponPeriod, Interest, RunningAccrual};
use domain::money::Money;
use domain::payable::{Explained, Formula, InterestBase, Line, RULE_VERSION};
use jiff::civil::Date;
use num_rational::BigRational;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::MoneyView;

/// A payment with its explanation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Payable)]
pub struct PayableView {
    investment_amount: MoneyView,
    agio: MoneyView,
    disagio: MoneyView,
    accrued_interest: MoneyView,
    /// Investment amount + agio − disagio + accrued interest.
    payment_total: MoneyView,
    /// Whether the amounts may still change: until the payment is stated.
    provisional: bool,
    /// The calendar date in Europe/Berlin on which the payment counts.
    #[schema(format = Date, example = "2025-03-12")]
    value_date: String,
    /// The version of the rules of computation.
    #[schema(example = 1)]
    rule_version: u32,
    /// One line a component. Each follows from its inputs: `exact` by the formula, `amount` by rounding half up once.
    lines: Vec<LineView>,
}

/// How one component came about.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PayableLine)]
pub struct LineView {
    /// `investment_amount`, `agio`, `disagio`, `accrued_interest`.
    #[schema(example = "investment_amount")]
    component: &'static str,
    /// `units_times_price`, `percent_of_investment_amount`, `stated`, `interest`, `no_interest`.
    #[schema(example = "units_times_price")]
    formula: &'static str,
    inputs: InputsView,
    /// The value before rounding, in whole units of the currency.
    exact: FractionView,
    /// `half_up`: to the currency's minor unit, half away from zero.
    #[schema(example = "half_up")]
    rounding: &'static str,
    amount: MoneyView,
}

/// An exact number.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Fraction)]
pub struct FractionView {
    /// An integer.
    #[schema(example = "10", pattern = "^-?(0|[1-9][0-9]*)$")]
    numerator: String,
    /// An integer above zero.
    #[schema(example = "1", pattern = "^[1-9][0-9]*$")]
    denominator: String,
}

/// What a line was computed from; which fields are there depends on the formula.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = PayableInputs)]
pub struct InputsView {
    /// Units bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    units: Option<u64>,
    /// The campaign's price of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    price_per_token: Option<MoneyView>,
    /// The investment amount before rounding.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    investment_amount_exact: Option<FractionView>,
    /// Percent, a decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agio_percent: Option<String>,
    /// The discount as it was stated, or nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    disagio: Option<MoneyView>,
    /// Why no interest has run up: `no_interest`, `zero_coupon`, `before_interest_start`, `coupon_date`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// What one unit bears interest on: `nominal_value`, or `price_per_token` where the product states none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    base_kind: Option<&'static str>,
    /// Its amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    base: Option<MoneyView>,
    /// Percent, a decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    interest_rate: Option<String>,
    /// `per_year`, or `per_period`: then divided by the fraction of the whole period.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rate_basis: Option<&'static str>,
    /// How days are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    day_count_convention: Option<&'static str>,
    /// The interest period that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    interest_period: Option<PeriodView>,
    /// The day up to which interest has run; it does not count itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    value_date: Option<String>,
    /// The product's maturity (30E/360 ISDA asks for it).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date)]
    maturity_date: Option<String>,
    /// Notional periods that the interest period is measured by (Actual/Actual ICMA asks for them).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    notional_periods: Option<Vec<NotionalPeriodView>>,
    /// Regular periods of a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    periods_per_year: Option<u8>,
    /// The days from the period's start to the value date; their sum is the fraction of a year.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    elapsed: Option<Vec<SegmentView>>,
    /// The same for the whole period, where the rate is one per period.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    whole_period: Option<Vec<SegmentView>>,
}

/// An interest period.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = InterestPeriod)]
pub struct PeriodView {
    /// Its first day.
    #[schema(format = Date, example = "2025-01-15")]
    start_date: String,
    /// The day after its last.
    #[schema(format = Date, example = "2026-01-15")]
    end_date: String,
    /// When its coupon is paid.
    #[schema(format = Date, example = "2026-01-15")]
    payment_date: String,
    /// Percent, a decimal.
    #[schema(example = "5.25")]
    interest_rate: String,
}

/// A notional interest period.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = NotionalPeriod)]
pub struct NotionalPeriodView {
    /// Its first day.
    #[schema(format = Date, example = "2025-01-15")]
    pub start_date: String,
    /// The day after its last.
    #[schema(format = Date, example = "2026-01-15")]
    pub end_date: String,
}

/// Days over the days of a year.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DayCountSegment)]
pub struct SegmentView {
    /// The first day.
    #[schema(format = Date, example = "2025-01-15")]
    start_date: String,
    /// The day after the last.
    #[schema(format = Date, example = "2025-03-12")]
    end_date: String,
    /// Days as the convention counts them.
    #[schema(example = 57)]
    days: i64,
    /// What they are divided by.
    #[schema(example = 360)]
    days_of_year: i64,
}

impl PayableView {
    /// The explanation of a payment.
    #[must_use]
    pub fn of(explained: &Explained<'_>, interest: &Interest, provisional: bool) -> Self {
        let amounts = explained.payable;
        let money = |money: Money| MoneyView::from(money);
        let value_date = explained.value_date;
        Self {
            investment_amount: money(amounts.investment_amount),
            agio: money(amounts.agio),
            disagio: money(amounts.disagio),
            accrued_interest: money(amounts.accrued_interest),
            payment_total: money(amounts.payment_total),
            provisional,
            value_date: value_date.to_string(),
            rule_version: RULE_VERSION,
            lines: explained.lines.iter().map(|line| line_view(line, interest, value_date)).collect(),
        }
    }
}

fn line_view(line: &Line<'_>, interest: &Interest, value_date: Date) -> LineView {
    let (formula, inputs) = match &line.formula {
        Formula::UnitsTimesPrice { units, price } => {
            let price_per_token = Some(MoneyView::from(*price));
            ("units_times_price", InputsView { units: Some(units.get()), price_per_token, ..InputsView::default() })
        }
        Formula::PercentOfInvestmentAmount { base, percent } => {
            let (base, percent) = (Some(FractionView::of(base)), Some(percent.to_string()));
            let inputs = InputsView { investment_amount_exact: base, agio_percent: percent, ..InputsView::default() };
            ("percent_of_investment_amount", inputs)
        }
        Formula::Stated => ("stated", InputsView { disagio: Some(line.amount.into()), ..InputsView::default() }),
        Formula::Interest { units, base, running } => {
            let inputs = InputsView { units: Some(units.get()), ..interest_inputs(*base, running, interest, value_date) };
            ("interest", inputs)
        }
        Formula::NoInterest(reason) => ("no_interest", InputsView { reason: Some(reason.code()), ..InputsView::default() }),
    };
    LineView {
        component: line.component.code(),
        formula,
        inputs,
        exact: FractionView::of(&line.exact),
        rounding: "half_up",
        amount: line.amount.into(),
    }
}

fn interest_inputs(base: InterestBase, running: &RunningAccrual<'_>, interest: &Interest, value_date: Date) -> InputsView {
    let (base_kind, base) = match base {
        InterestBase::NominalValue(nominal) => ("nominal_value", MoneyView::from(nominal)),
        InterestBase::Price(price) => ("price_per_token", MoneyView::from(price)),
    };
    let segments = |segments: &[Segment]| segments.iter().map(SegmentView::from).collect::<Vec<_>>();
    InputsView {
        base_kind: Some(base_kind),
        base: Some(base),
        interest_rate: Some(running.period.rate.to_string()),
        rate_basis: Some(running.rate_basis.code()),
        day_count_convention: Some(running.day_count.code()),
        interest_period: Some(PeriodView::from(running.period)),
        value_date: Some(value_date.to_string()),
        maturity_date: interest.maturity().map(|maturity| maturity.to_string()),
        notional_periods: Some(running.period.notional.iter().map(NotionalPeriodView::from).collect()),
        periods_per_year: Some(running.periods_per_year),
        elapsed: Some(segments(&running.elapsed)),
        whole_period: (!running.whole.is_empty()).then(|| segments(&running.whole)),
        ..InputsView::default()
    }
}

impl FractionView {
    fn of(exact: &BigRational) -> Self {
        Self { numerator: exact.numer().to_string(), denominator: exact.denom().to_string() }
    }
}

impl From<&CouponPeriod> for PeriodView {
    fn from(period: &CouponPeriod) -> Self {
        Self {
            start_date: period.start.to_string(),
            end_date: period.end.to_string(),
            payment_date: period.payment.to_string(),
            interest_rate: period.rate.to_string(),
        }
    }
}

impl From<&NotionalPeriod> for NotionalPeriodView {
    fn from(period: &NotionalPeriod) -> Self {
        Self { start_date: period.start.to_string(), end_date: period.end.to_string() }
    }
}

impl From<&Segment> for SegmentView {
    fn from(segment: &Segment) -> Self {
        Self {
            start_date: segment.start.to_string(),
            end_date: segment.end.to_string(),
            days: segment.days,
            days_of_year: segment.days_of_year,
        }
    }
}
