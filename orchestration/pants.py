"""Ask Pants, through the tree's own launcher. Never from within ``pants run``."""

from __future__ import annotations

import subprocess
import sys

from common.errors import UserError
from orchestration.checkout import Checkout


def ask_pants(checkout: Checkout, *arguments: str) -> str:
    """Run ``./pants`` and give what it prints.

    Raises:
        UserError: It fails: something in the tree, or in the request, is wrong.
    """
    # A person sees what Pants says while it starts; otherwise it is kept for the error.
    seen = sys.stderr.isatty()
    done = subprocess.run(
        [str(checkout.root / "pants"), *arguments],
        cwd=checkout.root,
        # What stands there is for the command that this is done for.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if seen else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in (done.stderr or "").splitlines() if line.strip()]
        said = " ".join(lines[-3:]) or "it says why above"
        raise UserError(f"./pants {' '.join(arguments)} failed: {said}")
    return done.stdout
