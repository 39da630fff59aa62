"""Lets schemathesis compare a running sandbox with the OpenAPI file that it serves.

    conformance.py --handout FILE [schemathesis' own options]

FILE is what `scrip sandbox --handout FILE` writes. The sandbox is not worth much afterwards: its clock was turned.
SCRIP_SEED repeats a run.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

import requests

HERE = pathlib.Path(__file__).resolve().parent
DATE = "2025-03-12T07:14:13.630308+00:00"
EXAMPLES = 60

# Left out, because they ask for what a schema cannot say:
# positive_data_acceptance   cursors are opaque, ids must exist, limits are compared with each other
# object_level_authorization one tenant's token cannot show it; the access test walks every id of another tenant
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
]


class Client:
    """One API's client."""

    def __init__(self, url, api, credentials):
        form = {"grant_type": "client_credentials", **credentials}
        token = requests.post(f"{url}/oauth/token", data=form, timeout=30)
        token.raise_for_status()
        self.token = token.json()["access_token"]
        self.base = f"{url}/{api}/v2"

    def get(self, path):
        return self._read(requests.get(f"{self.base}{path}", headers=self._headers(), timeout=30))

    def post(self, path, **body):
        return self._read(requests.post(f"{self.base}{path}", headers=self._headers(), timeout=30, **body))

    def _headers(self):
        return {"Authorization": f"Bearer {self.token}", "X-Idempotency-Key": str(uuid.uuid4())}

    @staticmethod
    def _read(answer):
        assert answer.status_code < 300, answer.content
        return answer.json()


def furnish(handout):
    """Makes what requests can be about, and gives tokens and ids as environment variables."""
    issuer = Client(handout["url"], "issuer", handout["issuer"])
    distributor = Client(handout["url"], "distributor", handout["distributor"])
    product_id = handout["product_id"]
    campaign = issuer.post(f"/products/{product_id}/campaigns/", json={
        "distribution_platform_id": handout["distribution_platform_id"],
        "allocation": 10000,
        "price_per_token": {"amount": "100", "decimals": 2, "currency": "EUR"},
        "min_number_of_tokens": 1,
        "max_number_of_tokens": 100,
        "name": "Conformance",
        "legal_persons_allowed": True,
        "natural_persons_allowed": True,
        "country": "DEU",
        "rule_type": "public_offering",
        "is_campaign_active": True,
    })
    investment = distributor.post("/investments/", json={
        "investor_id": handout["investor_id"],
        "campaign_id": campaign["id"],
        "units": 10,
        "signed_at": DATE,
    })
    document = {"file": ("terms.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")}
    return {
        "SCRIP_ISSUER_TOKEN": issuer.token,
        "SCRIP_DISTRIBUTOR_TOKEN": distributor.token,
        "SCRIP_PRODUCT_ID": product_id,
        "SCRIP_INVESTOR_ID": handout["investor_id"],
        "SCRIP_WALLET_ID": handout["wallet_id"],
        "SCRIP_DISTRIBUTION_PLATFORM_ID": handout["distribution_platform_id"],
        "SCRIP_CAMPAIGN_ID": campaign["id"],
        "SCRIP_INVESTMENT_ID": investment["id"],
        "SCRIP_DOCUMENT_ID": distributor.post("/documents/", files=document)["id"],
        "SCRIP_ISSUER_DOCUMENT_ID": issuer.post("/documents/", files=document)["id"],
        "SCRIP_ISSUER_ID": issuer.get("/issuers/")["results"][0]["id"],
        "SCRIP_LISTING_ID": issuer.get("/listings/")["results"][0]["id"],
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "PYTHONPATH": str(HERE),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--handout", required=True, type=pathlib.Path)
    known, options = parser.parse_known_args()
    handout = json.loads(known.handout.read_text())
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [
        schemathesis, "--config-file", HERE / "schemathesis.toml", "run", f"{handout['url']}/openapi.json",
        "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(EXAMPLES), "--checks", ",".join(CHECKS),
        "--warnings", "off", "--request-timeout", "30", *options,
    ]
    if "SCRIP_SEED" in os.environ:
        command += ["--seed", os.environ["SCRIP_SEED"]]
    # It keeps notes in the folder it is called in.
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.call(command, env={**os.environ, **furnish(handout)}, cwd=folder)


if __name__ == "__main__":
    sys.exit(main())
