"""The verifier of payables against the public vectors, and against answers that were tampered with."""

import copy
import json
import unittest
from fractions import Fraction
from pathlib import Path

import payable

VECTORS = Path(__file__).resolve().parents[2] / "vectors"

MONEY = {"decimals": 2, "currency": "EUR"}

# 100 units with a nominal of EUR 10.00 for EUR 9.80 each, agio 1.5 %, disagio EUR 0.10, 5 % a year by 30E/360, 71 days.
ANSWER = {
    "investment_amount": {"amount": "98000", **MONEY},
    "agio": {"amount": "1470", **MONEY},
    "disagio": {"amount": "10", **MONEY},
    "accrued_interest": {"amount": "986", **MONEY},
    "payment_total": {"amount": "100446", **MONEY},
    "lines": [
        {
            "component": "investment_amount",
            "formula": "units_times_price",
            "inputs": {"units": 100, "price_per_token": {"amount": "980", **MONEY}},
            "exact": {"numerator": "980", "denominator": "1"},
            "amount": {"amount": "98000", **MONEY},
        },
        {
            "component": "agio",
            "formula": "percent_of_investment_amount",
            "inputs": {"investment_amount_exact": {"numerator": "980", "denominator": "1"}, "agio_percent": "1.5"},
            "exact": {"numerator": "147", "denominator": "10"},
            "amount": {"amount": "1470", **MONEY},
        },
        {
            "component": "disagio",
            "formula": "stated",
            "inputs": {"disagio": {"amount": "10", **MONEY}},
            "exact": {"numerator": "1", "denominator": "10"},
            "amount": {"amount": "10", **MONEY},
        },
        {
            "component": "accrued_interest",
            "formula": "interest",
            "inputs": {
                "units": 100,
                "base_kind": "nominal_value",
                "base": {"amount": "1000", **MONEY},
                "interest_rate": "5",
                "rate_basis": "per_year",
                "day_count_convention": "30E_360",
                "interest_period": {"start_date": "2025-01-01", "end_date": "2025-07-01"},
                "value_date": "2025-03-12",
                "maturity_date": "2030-01-01",
                "notional_periods": [{"start_date": "2025-01-01", "end_date": "2025-07-01"}],
                "periods_per_year": 2,
                "elapsed": [{"start_date": "2025-01-01", "end_date": "2025-03-12", "days": 71, "days_of_year": 360}],
            },
            "exact": {"numerator": "355", "denominator": "36"},
            "amount": {"amount": "986", **MONEY},
        },
    ],
}


def vectors(name):
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


class Vectors(unittest.TestCase):
    def test_day_counts(self):
        rows = vectors("day_counts.json")
        compared = 0
        for row in rows["thirty_360"]:
            start, end, maturity = (payable.day(row[name]) for name in ("start_date", "end_date", "maturity_date"))
            for convention, days in row["days"].items():
                self.assertEqual(payable.thirties(convention, start, end, maturity), days, (convention, row))
                compared += 1
        for row in rows["actual_isda"]:
            years = payable.by_calendar_years(payable.day(row["start_date"]), payable.day(row["end_date"]))
            self.assertEqual(years, Fraction(row["years"]), row)
        for row in rows["actual_icma"]:
            dates = row["notional_dates"]
            notional = [{"start_date": first, "end_date": last} for first, last in zip(dates, dates[1:])]
            inputs = {"notional_periods": notional, "periods_per_year": row["periods_per_year"]}
            years = payable.by_notional_periods(inputs, payable.day(row["start_date"]), payable.day(row["end_date"]))
            self.assertEqual(years, Fraction(row["years"]), row)
        self.assertGreater(compared, 90)

    def test_accrued_interest(self):
        rows = vectors("accrued_interest.json")
        nominal, rate = Fraction(rows["nominal_minor"], 100), Fraction(rows["interest_rate"]) / 100
        for row in rows["cases"]:
            start, value_date = payable.day(row["start_date"]), payable.day(row["value_date"])
            for convention, minor in row["interest_minor"].items():
                inputs = {"day_count_convention": convention, "maturity_date": "2040-06-30"}
                exact = nominal * rate * payable.years(inputs, start, value_date)
                self.assertEqual(payable.round_half_up(exact, 2), minor, (convention, row))

    def test_rounding(self):
        rows = vectors("rounding.json")
        for row in rows["half_up"]:
            exact = Fraction(row["exact"])
            rounded = payable.round_half_up(abs(exact), 2) * (1 if exact >= 0 else -1)
            self.assertEqual(rounded, row["minor"], row)
        for row in rows["per_unit_trap"]:
            of_one = Fraction(row["nominal_minor"], 100) * Fraction(row["interest_rate"]) / 100 * Fraction(row["years"])
            self.assertEqual(payable.round_half_up(of_one * row["units"], 2), row["interest_minor"])
            self.assertNotEqual(payable.round_half_up(of_one, 2) * row["units"], row["interest_minor"])

    def test_payments(self):
        for row in vectors("payments.json")["cases"]:
            decimals = {"JPY": 0, "EUR": 2, "KWD": 3}[row["currency"]]
            exact = row["units"] * Fraction(int(row["amount"]), 10 ** row["decimals"])
            agio = exact * Fraction(row["agio_percent"]) / 100
            amounts = payable.round_half_up(exact, decimals), payable.round_half_up(agio, decimals)
            self.assertEqual(amounts, (row["investment_amount_minor"], row["agio_minor"]), row)
            self.assertEqual(sum(amounts) - row["disagio_minor"], row["payment_total_minor"], row)


class Tampering(unittest.TestCase):
    def test_an_honest_answer_follows(self):
        payable.verify(ANSWER)

    def test_every_change_of_a_number_is_named(self):
        changes = [
            (["payment_total", "amount"], "100447"),
            (["agio", "amount"], "1471"),
            (["accrued_interest", "currency"], "USD"),
            (["lines", 0, "inputs", "units"], 101),
            (["lines", 0, "exact", "numerator"], "981"),
            (["lines", 1, "inputs", "agio_percent"], "1.6"),
            (["lines", 1, "inputs", "investment_amount_exact", "numerator"], "981"),
            (["lines", 2, "amount", "amount"], "11"),
            (["lines", 3, "amount", "amount"], "1000"),
            (["lines", 3, "amount", "currency"], "USD"),
            (["lines", 3, "inputs", "interest_rate"], "5.1"),
            (["lines", 3, "inputs", "rate_basis"], "per_period"),
            (["lines", 3, "inputs", "day_count_convention"], "ACT_360"),
            (["lines", 3, "inputs", "value_date"], "2025-03-13"),
            (["lines", 3, "inputs", "value_date"], "2026-01-01"),
            (["lines", 3, "inputs", "elapsed", 0, "days"], 70),
            (["lines", 3, "inputs", "base", "amount"], "980"),
        ]
        for path, value in changes:
            answer = copy.deepcopy(ANSWER)
            place = answer
            for step in path[:-1]:
                place = place[step]
            self.assertNotEqual(place[path[-1]], value)
            place[path[-1]] = value
            with self.assertRaises(payable.Differs, msg=path):
                payable.verify(answer)


if __name__ == "__main__":
    unittest.main()
