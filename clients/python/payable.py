#!/usr/bin/env python3
"""Recomputes a payment from the lines that explain it, and shares no code with the program that made them.

    payable.py FILE...        each FILE holds one answer of …/payable/ or …/quotes/ (`-`: standard input)

Every line is computed anew from its inputs, in exact fractions: the days from the dates and the convention, the exact value
from the formula, the amount by rounding half up once, the total as the sum of the rounded components. The first difference
is named, and the exit code is 1.
"""

import json
import sys
from datetime import date
from fractions import Fraction


class Differs(Exception):
    """A line does not follow from its inputs."""


def verify(payable):
    """Checks an answer as parsed from JSON. Raises Differs where something does not follow."""
    total = 0
    exact_amount = None
    for line in payable["lines"]:
        component = line["component"]
        exact = exact_of(line, exact_amount)
        if component == "investment_amount":
            exact_amount = exact
        same(f"{component}, exact", fraction(line["exact"]), exact)
        same(f"{component}, rounded", minor(line["amount"]), round_half_up(exact, line["amount"]["decimals"]))
        same(f"{component}, as shown", payable[component], line["amount"])
        same(f"{component}, currency", line["amount"]["currency"], payable["payment_total"]["currency"])
        total += {"disagio": -1}.get(component, 1) * minor(line["amount"])
    wanted = ["investment_amount", "agio", "disagio", "accrued_interest"]
    same("the components", [line["component"] for line in payable["lines"]], wanted)
    same("the total", minor(payable["payment_total"]), total)
    if total < 0:
        raise Differs("the total is negative")


def exact_of(line, exact_amount):
    inputs = line["inputs"]
    formula = line["formula"]
    if formula == "units_times_price":
        return inputs["units"] * scaled(inputs["price_per_token"])
    if formula == "percent_of_investment_amount":
        same("the base of the agio", fraction(inputs["investment_amount_exact"]), exact_amount)
        return exact_amount * Fraction(inputs["agio_percent"]) / 100
    if formula == "stated":
        return scaled(inputs["disagio"])
    if formula == "interest":
        return interest(inputs)
    if formula == "no_interest":
        return Fraction(0)
    raise Differs(f"{line['component']}: unknown formula {formula}")


def interest(inputs):
    """units × base × rate / 100 × day count fraction; a rate per period is divided by the whole period's fraction."""
    period = inputs["interest_period"]
    start, end = day(period["start_date"]), day(period["end_date"])
    value_date = day(inputs["value_date"])
    if not start <= value_date < end:
        raise Differs("the value date is not in the interest period")
    elapsed = years(inputs, start, value_date)
    same("the days", sum((share(one) for one in inputs["elapsed"]), Fraction(0)), elapsed)
    rate = Fraction(inputs["interest_rate"]) / 100
    if inputs["rate_basis"] == "per_period":
        rate /= years(inputs, start, end)
    return inputs["units"] * scaled(inputs["base"]) * rate * elapsed


def years(inputs, start, end):
    """The fraction of a year from start (counted) to end (not counted)."""
    convention = inputs["day_count_convention"]
    if convention == "ACT_360":
        return Fraction((end - start).days, 360)
    if convention == "ACT_365F":
        return Fraction((end - start).days, 365)
    if convention == "ACT_ACT_ISDA":
        return by_calendar_years(start, end)
    if convention == "ACT_ACT_ICMA":
        return by_notional_periods(inputs, start, end)
    return Fraction(thirties(convention, start, end, day(inputs["maturity_date"])), 360)


def by_calendar_years(start, end):
    total = Fraction(0)
    for year in range(start.year, end.year + 1):
        first, last = max(start, date(year, 1, 1)), min(end, date(year + 1, 1, 1))
        total += Fraction((last - first).days, (date(year + 1, 1, 1) - date(year, 1, 1)).days)
    return total


def by_notional_periods(inputs, start, end):
    total = Fraction(0)
    for period in inputs["notional_periods"]:
        first, last = day(period["start_date"]), day(period["end_date"])
        days = (min(end, last) - max(start, first)).days
        total += Fraction(max(days, 0), (last - first).days * inputs["periods_per_year"])
    return total


def thirties(convention, start, end, maturity):
    """Days of the four 30/360 rules."""
    first, last = start.day, end.day
    if convention == "30E_360":
        first, last = min(first, 30), min(last, 30)
    elif convention == "30E_360_ISDA":
        first = 30 if is_end_of_february(start) else min(first, 30)
        last = 30 if is_end_of_february(end) and end != maturity else min(last, 30)
    elif convention in ("30_360_BOND", "30_360_US"):
        if convention == "30_360_US" and is_end_of_february(start):
            last = 30 if is_end_of_february(end) else last
            first = 30
        first = min(first, 30)
        last = min(last, 30) if first == 30 else last
    else:
        raise Differs(f"unknown convention {convention}")
    return 360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first


def is_end_of_february(one):
    return one.month == 2 and date.fromordinal(one.toordinal() + 1).month == 3


def round_half_up(exact, decimals):
    scaled_up = exact * 10**decimals
    return (2 * scaled_up.numerator + scaled_up.denominator) // (2 * scaled_up.denominator)


def scaled(money):
    return Fraction(int(money["amount"]), 10 ** money["decimals"])


def minor(money):
    return int(money["amount"])


def fraction(shown):
    return Fraction(int(shown["numerator"]), int(shown["denominator"]))


def share(segment):
    return Fraction(segment["days"], segment["days_of_year"])


def day(text):
    return date.fromisoformat(text)


def same(what, found, expected):
    if found != expected:
        raise Differs(f"{what}: {found} where {expected} follows")


def main(paths):
    if not paths:
        print(__doc__, file=sys.stderr)
        return 2
    for path in paths:
        with sys.stdin if path == "-" else open(path, encoding="utf-8") as file:
            payable = json.load(file)
        try:
            verify(payable)
        except Differs as difference:
            print(f"{path}: {difference}")
            return 1
        total = payable["payment_total"]
        print(f"{path}: every line follows; to pay: {scaled(total)} {total['currency']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
