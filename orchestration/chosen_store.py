"""The store that a command works on: named by a flag, the environment, or nothing."""

from __future__ import annotations

import os

from common.command_line import Parser
from orchestration.checkout import Checkout
from orchestration.store.store import Store


def add_store(parser: Parser) -> None:
    """Add the flag that names the store."""
    parser.add_argument(
        "--store",
        metavar="ADDRESS",
        help="where results are kept: a folder, s3://, az:// or gs://; from "
        "STRATA_STORE if left out, else a folder of the user's cache",
    )


def open_store(given: str | None) -> Store:
    """Open the store that is asked for, or the user's own.

    Raises:
        UserError: It is no address of a store.
    """
    address = given or os.environ.get("STRATA_STORE")
    return Store.open(address or str(Checkout.of_this_code().cache / "store"))
