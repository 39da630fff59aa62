#!/usr/bin/env python3
"""Compares day counts with QuantLib, an independent implementation.

    day_counts.py FILE        FILE: what the example `day_counts` of the crate `server` printed, given a seed and a number

Both sides are whole or exact numbers: days for the conventions with one denominator, and for Actual/Actual QuantLib's
binary fraction, which must be the nearest to ours. Prints how many pairs of each convention agreed; the first difference
is named, and the exit code is 1.
"""

import sys
from collections import Counter
from fractions import Fraction

import QuantLib as ql

DENOMINATOR = {"30E_360": 360, "30E_360_ISDA": 360, "30_360_BOND": 360, "30_360_US": 360, "ACT_360": 360, "ACT_365F": 365}
TOLERANCE = Fraction(1, 10**12)


def date(text):
    year, month, day = map(int, text.split("-"))
    return ql.Date(day, month, year)


def counter(convention, termination):
    return {
        "30E_360": lambda: ql.Thirty360(ql.Thirty360.European),
        "30E_360_ISDA": lambda: ql.Thirty360(ql.Thirty360.ISDA, termination),
        "30_360_BOND": lambda: ql.Thirty360(ql.Thirty360.BondBasis),
        "30_360_US": lambda: ql.Thirty360(ql.Thirty360.USA),
        "ACT_360": lambda: ql.Actual360(),
        "ACT_365F": lambda: ql.Actual365Fixed(),
        "ACT_ACT_ISDA": lambda: ql.ActualActual(ql.ActualActual.ISDA),
        "ACT_ACT_ICMA": lambda: ql.ActualActual(ql.ActualActual.ISMA),
    }[convention]()


def main(path):
    agreed = Counter()
    with open(path, encoding="utf-8") as file:
        for line in file:
            convention, start, end, termination, first, last, _per_year, numerator, denominator = line.split("\t")
            ours = Fraction(int(numerator), int(denominator))
            start, end = date(start), date(end)
            theirs = counter(convention, date(termination))
            if convention in DENOMINATOR:
                is_same = ours == Fraction(theirs.dayCount(start, end), DENOMINATOR[convention]) or start == end and ours == 0
            else:
                fraction = theirs.yearFraction(start, end, date(first), date(last))
                is_same = abs(Fraction(fraction) - ours) < TOLERANCE
            if not is_same:
                print(f"differs: {line.strip()}: QuantLib counts {theirs.dayCount(start, end)} days, {theirs.yearFraction(start, end, date(first), date(last))} years")
                return 1
            agreed[convention] += 1
    print("no difference to QuantLib " + ql.__version__ + ": " + ", ".join(f"{name} {count}" for name, count in agreed.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
