#!/usr/bin/env python3
"""Makes the calls of the guide "Creating investments via distribution platforms", in its order, against any Scrip.

    guide.py --handout FILE          the file that `scrip sandbox --handout FILE` writes
    guide.py --url URL --issuer-client-id ID …    or every value by option or environment variable (see --help)

Each API is called with its own token. Exit code 0 means that every step answered as the guide says.
"""

import argparse
import dataclasses
import json
import os
import secrets
import sys
import time

import requests

ISSUER_SCOPE = "products:read products:write"
DISTRIBUTOR_SCOPE = "products:read investors:read investments:read investments:write documents:write"
SIGNED_DOCUMENT_TYPES = ("effecta_cryptoregistry_tos", "effecta_document")
CANCELLABLE_STATUSES = ("KYC_PENDING", "WAITING_FOR_ACCEPTANCE")
STATED_AT = "2025-03-12T07:14:13.630308+00:00"
UNITS = 10
REQUEST_TIMEOUT_S = 30
CREDIT_TIMEOUT_S = 60
CREDIT_POLL_INTERVAL_S = 0.2


class GuideError(Exception):
    """Something did not answer as the guide says."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the Scrip is, who calls, and the objects that must exist before the guide begins."""

    url: str
    issuer_client_id: str
    issuer_client_secret: str
    distributor_client_id: str
    distributor_client_secret: str
    distribution_platform_id: str
    product_id: str
    investor_id: str
    wallet_id: str


class Api:
    """One API (`issuer` or `distributor`) seen by one client, with a token of its own."""

    def __init__(self, url, name, token):
        self.base = "{}/{}/v2".format(url, name)
        self.headers = {"Authorization": "Bearer {}".format(token)}

    def call(self, method, path, key=None, expect=None, **arguments):
        """Sends one request and returns the response; refuses a status other than `expect` (default: any below 300)."""
        headers = dict(self.headers)
        if key is not None:
            headers["X-Idempotency-Key"] = key
        response = requests.request(
            method, self.base + path, headers=headers, timeout=REQUEST_TIMEOUT_S, **arguments
        )
        held = response.status_code < 300 if expect is None else response.status_code == expect
        if not held:
            wanted = "a status below 300" if expect is None else "status {}".format(expect)
            raise GuideError(
                "{} {}: wanted {}, got {}: {}".format(method, path, wanted, response.status_code, response.text[:2000])
            )
        return response

    def get(self, path, **arguments):
        """GET, answers the parsed body."""
        return self.call("GET", path, expect=200, **arguments).json()

    def post(self, path, **arguments):
        """POST under a fresh key, answers the parsed body."""
        return self.call("POST", path, key=make_key(), **arguments).json()

    def patch(self, path, body):
        """PATCH under a fresh key, answers the parsed body."""
        return self.call("PATCH", path, key=make_key(), expect=200, json=body).json()


def make_key():
    """A fresh idempotency key."""
    return secrets.token_hex(8)


def require(held, message):
    """Raises where something that the guide promises does not hold."""
    if not held:
        raise GuideError(message)


def token(url, client_id, client_secret, scope):
    """Gets an access token by the client-credentials grant, form-encoded."""
    response = requests.post(
        "{}/oauth/token".format(url),
        data={
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
            "scope": scope,
        },
        timeout=REQUEST_TIMEOUT_S,
    )
    require(response.status_code == 200, "token refused: {} {}".format(response.status_code, response.text[:2000]))
    return response.json()["access_token"]


def issuer_api(settings):
    """The Issuer API with the issuer's token."""
    access = token(settings.url, settings.issuer_client_id, settings.issuer_client_secret, ISSUER_SCOPE)
    return Api(settings.url, "issuer", access)


def distributor_api(settings):
    """The Distributor API with the distributor's token."""
    access = token(settings.url, settings.distributor_client_id, settings.distributor_client_secret, DISTRIBUTOR_SCOPE)
    return Api(settings.url, "distributor", access)


def one_page_pdf(title):
    """A minimal but valid PDF, so that every run uploads documents that any reader opens."""
    content = "BT /F1 18 Tf 72 720 Td ({}) Tj ET".format(title)
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        "<</Length {}>>stream\n{}\nendstream".format(len(content), content),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body = "%PDF-1.4\n"
    offsets = []
    for number, text in enumerate(objects, start=1):
        offsets.append(len(body))
        body += "{} 0 obj{}endobj\n".format(number, text)
    table = "".join("{:010d} 00000 n \n".format(offset) for offset in offsets)
    count = len(objects) + 1
    trailer = "trailer<</Size {}/Root 1 0 R>>\nstartxref\n{}\n%%EOF\n".format(count, len(body))
    return (body + "xref\n0 {}\n0000000000 65535 f \n{}{}".format(count, table, trailer)).encode("ascii")


def create_campaign(issuer, settings, **changes):
    """The issuer creates a campaign for the distribution platform, as in the guide but for the changes."""
    campaign = issuer.post(
        "/products/{}/campaigns/".format(settings.product_id),
        expect=201,
        json={
            "distribution_platform_id": settings.distribution_platform_id,
            "allocation": 10000,
            "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
            "min_number_of_tokens": 1,
            "max_number_of_tokens": 100,
            "name": "Test",
            "legal_persons_allowed": True,
            "natural_persons_allowed": True,
            "country": "DEU",
            "rule_type": "public_offering",
            "is_campaign_active": True,
            **changes,
        },
    )
    print("Campaign: {}".format(campaign["id"]))
    return campaign


def retrieve_campaign(distributor):
    """The distributor finds a product listed on its platform and the first campaign of that product."""
    products = distributor.get("/products/")["results"]
    require(products, "no product is listed on the distribution platform")
    product = distributor.get("/products/{}/".format(products[0]["id"]))
    print("Product: {}".format(product["id"]))
    campaigns = distributor.get("/products/{}/campaigns/".format(product["id"]))["results"]
    require(campaigns, "product {} has no campaign for the distribution platform".format(product["id"]))
    campaign = distributor.get("/products/{}/campaigns/{}/".format(product["id"], campaigns[0]["id"]))
    print("Campaign: {}".format(campaign["id"]))
    return campaign


def upload_documents(distributor):
    """Uploads one document for each required type; answers the document ids by type."""
    ids = {}
    for document_type in SIGNED_DOCUMENT_TYPES:
        upload = {"file": (document_type + ".pdf", one_page_pdf(document_type), "application/pdf")}
        ids[document_type] = distributor.post("/documents/", expect=201, files=upload)["id"]
        print("Document: {} [{}]".format(ids[document_type], document_type))
    return ids


def create_investment(distributor, settings, campaign_id):
    """Creates an investment, then sends the same request under the same key: the first answer must come back."""
    body = {"investor_id": settings.investor_id, "campaign_id": campaign_id, "units": UNITS, "signed_at": STATED_AT}
    key = make_key()
    first = distributor.call("POST", "/investments/", key=key, expect=201, json=body)
    require("Idempotency-Replayed" not in first.headers, "a first answer says that it is a repeat")
    second = distributor.call("POST", "/investments/", key=key, expect=201, json=body)
    require(second.headers.get("Idempotency-Replayed") == "true", "a repeated request is not marked as such")
    require(second.json() == first.json(), "a repeated request got another answer")
    investment = first.json()
    show(investment)
    require(investment["status"] in CANCELLABLE_STATUSES, "a new investment has status {}".format(investment["status"]))
    return investment


def attach_documents(distributor, investment_id, document_ids):
    """Adds the signed documents to the investment and reads them back."""
    path = "/investments/{}/signed-documents/".format(investment_id)
    for document_type, document_id in document_ids.items():
        distributor.post(path, expect=201, json={"document_type": document_type, "document_id": document_id})
    attached = {row["document_type"]: row["document_id"] for row in distributor.get(path)["results"]}
    require(attached == document_ids, "the investment's signed documents are {}".format(attached))


def set_fact(distributor, investment_id, body, status):
    """Sends one PATCH of the guide and checks the status that follows."""
    investment = distributor.patch("/investments/{}/".format(investment_id), body)
    show(investment)
    require(investment["status"] == status, "after {} the status is {}".format(body, investment["status"]))


def wait_for_credit(distributor, investment_id, credit_id):
    """Polls the credit until it ends, then checks that the investment is delivered."""
    deadline = time.monotonic() + CREDIT_TIMEOUT_S
    path = "/investments/{}/credits/{}/".format(investment_id, credit_id)
    credit = distributor.get(path)
    while credit["status"] not in ("succeeded", "failed"):
        require(time.monotonic() < deadline, "the credit is {} after {} s".format(credit["status"], CREDIT_TIMEOUT_S))
        time.sleep(CREDIT_POLL_INTERVAL_S)
        credit = distributor.get(path)
    print("Credit: {} [{}]".format(credit["id"], credit["status"]))
    require(credit["status"] == "succeeded", "the credit failed: {}".format(credit.get("error")))
    investment = distributor.get("/investments/{}/".format(investment_id))
    show(investment)
    require(investment["status"] == "DELIVERED", "after the credit the status is {}".format(investment["status"]))


def cancel(distributor, investment_id, expect):
    """Submits the investor's request to abort; answers the response."""
    return distributor.call(
        "POST",
        "/investments/{}/cancellation/".format(investment_id),
        key=make_key(),
        expect=expect,
        json={"cancellation_date": STATED_AT},
    )


def show(investment):
    """Prints an investment as the guide does."""
    print("ID {} [{}].".format(investment["id"], investment["status"]))


def play(settings):
    """The whole guide."""
    issuer = issuer_api(settings)
    distributor = distributor_api(settings)

    heading("Creating a campaign via the Issuer API")
    create_campaign(issuer, settings)
    heading("Retrieving campaign information")
    campaign = retrieve_campaign(distributor)
    heading("Creating an investment")
    document_ids = upload_documents(distributor)
    investment_id = create_investment(distributor, settings, campaign["id"])["id"]
    attach_documents(distributor, investment_id, document_ids)
    heading("Acceptance by the issuer")
    set_fact(distributor, investment_id, {"accepted_at": STATED_AT}, "ACCEPTED")
    heading("Mark investment as paid")
    set_fact(distributor, investment_id, {"paid_at": STATED_AT}, "PAID")
    heading("Wallet association")
    set_fact(distributor, investment_id, {"wallet": settings.wallet_id}, "PAID")
    heading("Crediting crypto securities")
    credit = distributor.post("/investments/{}/credits/".format(investment_id), expect=201)
    print("Credit: {}".format(credit["id"]))
    wait_for_credit(distributor, investment_id, credit["id"])
    heading("Cancellations")
    other_id = create_investment(distributor, settings, campaign["id"])["id"]
    cancelled = cancel(distributor, other_id, 200).json()
    show(cancelled)
    require(cancelled["status"] == "ABORTED", "after the cancellation the status is {}".format(cancelled["status"]))
    refusal = cancel(distributor, investment_id, 409)
    content_type = refusal.headers.get("Content-Type", "")
    require(content_type.startswith("application/problem+json"), "the refusal is {}".format(content_type))
    print("Refused: {}".format(refusal.json()["title"]))


def heading(text):
    """Prints which part of the guide follows."""
    print("\n== {}".format(text), flush=True)


def load_settings(arguments):
    """Reads the hand-out file; options and environment variables win over it."""
    parser = argparse.ArgumentParser(description="Plays the guide against a Scrip.")
    parser.add_argument("--handout", metavar="FILE", help="the hand-out file of a sandbox")
    for field in dataclasses.fields(Settings):
        variable = "SCRIP_{}".format(field.name.upper())
        option = "--{}".format(field.name.replace("_", "-"))
        parser.add_argument(option, default=os.environ.get(variable), help="or environment variable {}".format(variable))
    options = vars(parser.parse_args(arguments))
    values = read_handout(options.pop("handout"))
    values.update({name: value for name, value in options.items() if value})
    missing = [field.name for field in dataclasses.fields(Settings) if not values.get(field.name)]
    if missing:
        parser.error("not given: {}".format(", ".join(missing)))
    values["url"] = values["url"].rstrip("/")
    return Settings(**values)


def read_handout(path):
    """The hand-out file's values under the names of `Settings`."""
    if path is None:
        return {}
    with open(path, encoding="utf-8") as file:
        handout = json.load(file)
    values = {name: handout[name] for name in ("url", "distribution_platform_id", "product_id", "investor_id", "wallet_id")}
    for kind in ("issuer", "distributor"):
        values["{}_client_id".format(kind)] = handout[kind]["client_id"]
        values["{}_client_secret".format(kind)] = handout[kind]["client_secret"]
    return values


def main():
    """Plays the guide; the exit code says whether everything held."""
    settings = load_settings(sys.argv[1:])
    try:
        play(settings)
    except (GuideError, requests.RequestException) as error:
        print("\nThe guide does not hold: {}".format(error), file=sys.stderr)
        return 1
    print("\nThe guide holds.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
