#!/usr/bin/env python3
"""Runs the guide's own code blocks, unchanged and in order, against a Scrip.

The blocks stand in `guide_blocks/`, letter for letter as the guide shows them (its text has no indentation; inside brackets Python
needs none). They share one namespace that holds what the guide assumes: `requests`, `URL`, `headers`, `make_key` and the ids.
What the guide says in prose between two blocks (upload documents, create the investment, poll the credit) is done by `guide.py`.

Options are those of `guide.py`, and `--skip-if-old`: end with exit code 0 where Python is older than 3.12, which the quotes inside
the guide's f-strings need.
"""

import pathlib
import sys

import requests

import guide

BLOCKS = pathlib.Path(__file__).resolve().parent / "guide_blocks"
OLDEST_PYTHON = (3, 12)


class Player:
    """The namespace that the blocks share, and the two tokens."""

    def __init__(self, settings):
        self.settings = settings
        self.issuer = guide.issuer_api(settings)
        self.distributor = guide.distributor_api(settings)
        self.names = {
            "requests": requests,
            "URL": settings.url,
            "make_key": guide.make_key,
            "product_id": settings.product_id,
            "distribution_platform_id": settings.distribution_platform_id,
            "wallet_id": settings.wallet_id,
        }

    def run(self, name, api, status=None):
        """Executes one block with the headers of `api`; the answer must show `status` where one is given."""
        path = block_path(name)
        guide.heading(path.name)
        self.names["headers"] = dict(api.headers)
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), self.names)
        answer = self.names["r"].json()
        if status is not None:
            guide.require(answer["status"] == status, "{}: the status is {}".format(path.name, answer["status"]))
        return answer

    def create_investment(self):
        """The investment of which the guide's prose speaks; later blocks find its id in `investment_id`."""
        investment = guide.create_investment(self.distributor, self.settings, self.names["campaign_id"])
        self.names["investment_id"] = investment["id"]
        return investment["id"]

    def play(self):
        """All blocks, in the guide's order."""
        self.run("campaign", self.issuer)
        self.run("retrieval", self.distributor)
        guide.heading("the investment and its signed documents")
        investment_id = self.create_investment()
        guide.attach_documents(self.distributor, investment_id, guide.upload_documents(self.distributor))
        self.run("acceptance", self.distributor, "ACCEPTED")
        self.run("payment", self.distributor, "PAID")
        self.run("wallet", self.distributor, "PAID")
        credit = self.run("credit", self.distributor)
        guide.wait_for_credit(self.distributor, investment_id, credit["id"])
        guide.heading("an investment to cancel")
        self.create_investment()
        self.run("cancellation", self.distributor, "ABORTED")


def block_paths():
    """The files of the blocks, in the guide's order."""
    return sorted(BLOCKS.glob("[0-9][0-9]_*.py"))


def block_path(name):
    """The file of the block that is called `name`."""
    return next(path for path in block_paths() if path.stem.split("_", 1)[1] == name)


def main():
    """Runs the blocks; the exit code says whether everything held."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--skip-if-old"]
    if sys.version_info < OLDEST_PYTHON:
        print("SKIPPED: the guide's code blocks need Python 3.12 or newer; this is {}.{}".format(*sys.version_info[:2]))
        return 0 if "--skip-if-old" in sys.argv else 1
    settings = guide.load_settings(arguments)
    try:
        Player(settings).play()
    except (AssertionError, guide.GuideError, requests.RequestException) as error:
        print("\nThe guide's blocks do not hold: {}".format(error), file=sys.stderr)
        return 1
    print("\nThe guide's blocks hold.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
