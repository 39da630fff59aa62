#!/usr/bin/env python3
"""Sells the bond of docs/payable.md in a sandbox, and computes every answer again with payable.py.

    bond.py --handout FILE          the file that `scrip sandbox --handout FILE` writes; its product must have no campaign yet

The issuer states the terms, the distribution platform asks what the bond costs on many days of its term, then units are
bought, accepted and paid, and what was paid is computed again from its lines. Exit code 0 means that every line followed.
"""

import copy
import sys
from datetime import date, timedelta

import requests

import guide
import payable
from guide import require

TERMS = {
    "interest": {
        "kind": "coupons",
        "interest_rate": "5.25",
        "day_count_convention": "30E_360",
        "interest_start_date": "2025-01-15",
        "maturity_date": "2030-01-15",
        "frequency": "annual",
        "business_day_rule": "following",
        "schedule": {},
    },
    "nominal_value": {"amount": "1000", "decimals": 2, "currency": "EUR"},
}
DISAGIO = {"amount": "10", "decimals": 2, "currency": "EUR"}
PAYMENT_TOTAL = {"amount": "100291", "decimals": 2, "currency": "EUR"}
# Midnight in Berlin: 12 March counts.
PAID_AT = "2025-03-11T23:00:00+00:00"
FIRST_DAY, LAST_DAY, STEP = date(2025, 1, 1), date(2030, 1, 15), timedelta(days=9)


def sell(settings):
    """States the terms, opens a campaign at 9.80 with 1.5 % agio; answers its path in the Distributor API."""
    issuer = guide.issuer_api(settings)
    issuer.patch("/products/{}/".format(settings.product_id), TERMS)
    campaign = guide.create_campaign(
        issuer,
        settings,
        name="Bond",
        price_per_token={"amount": "980", "decimals": 2, "currency": "EUR"},
        max_number_of_tokens=1000,
        agio_percent="1.5",
    )
    return campaign["id"]


def quotes(distributor, settings, campaign_id):
    """What units cost on days from before the interest start to maturity."""
    path = "/products/{}/campaigns/{}/quotes/".format(settings.product_id, campaign_id)
    day = FIRST_DAY
    while day <= LAST_DAY:
        units = 1 + day.toordinal() % 997
        body = {"units": units, "disagio": DISAGIO, "value_date": day.isoformat()}
        yield distributor.call("POST", path, expect=200, json=body).json()
        day += STEP


def buy(distributor, settings, campaign_id):
    """Buys a hundred units, accepted and paid; answers the explanation of what was paid."""
    documents = guide.upload_documents(distributor)
    investment = distributor.post(
        "/investments/",
        expect=201,
        json={
            "investor_id": settings.investor_id,
            "campaign_id": campaign_id,
            "units": 100,
            "signed_at": guide.STATED_AT,
            "signed_documents": [{"document_type": name, "document_id": id} for name, id in documents.items()],
            "accepted_at": guide.STATED_AT,
            "paid_at": PAID_AT,
            "disagio": DISAGIO,
        },
    )
    return distributor.get("/investments/{}/payable/".format(investment["id"]))


def require_tampering_is_seen(answer):
    """The check can fail: a cent more of interest is noticed."""
    changed = copy.deepcopy(answer)
    changed["lines"][3]["amount"]["amount"] = str(int(answer["lines"][3]["amount"]["amount"]) + 1)
    try:
        payable.verify(changed)
    except payable.Differs:
        return
    raise guide.GuideError("a cent more of interest was not noticed")


def play(settings):
    """The whole sale."""
    campaign_id = sell(settings)
    distributor = guide.distributor_api(settings)
    verified = 0
    running = 0
    for quote in quotes(distributor, settings, campaign_id):
        payable.verify(quote)
        verified += 1
        running += quote["lines"][3]["formula"] == "interest"
    require(verified > 200 and running > 190, "only {} quotes, {} with interest".format(verified, running))
    paid = buy(distributor, settings, campaign_id)
    payable.verify(paid)
    require_tampering_is_seen(paid)
    require(not paid["provisional"], "what was paid is provisional")
    require(paid["payment_total"] == PAYMENT_TOTAL, "the bond of the documentation costs {}".format(paid["payment_total"]))
    print("Every line of {} quotes and of a payment follows; the bond costs EUR 1,002.91.".format(verified))


def main():
    """Sells the bond; the exit code says whether every line followed."""
    settings = guide.load_settings(sys.argv[1:])
    try:
        play(settings)
    except (guide.GuideError, payable.Differs, requests.RequestException) as error:
        print("\nThe bond does not add up: {}".format(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
