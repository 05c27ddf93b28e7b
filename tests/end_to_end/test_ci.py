"""CI's blocks of shell under the tree's own checker, and its Pants for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.orchard import Orchard
from tests.orchestration.ci.definitions import all_blocks, run_block


@pytest.mark.parametrize("wrong", ["", "rm -r $FOLDER/*\n"])
def test_shellcheck_passes_on_every_block(same_orchard: Orchard, wrong: str) -> None:
    tree = same_orchard.tree
    for number, block in enumerate(all_blocks()):
        text = f"#!/usr/bin/env bash\n{block.text}\n{wrong}"
        tree.write({f"blocks/block-{number}.sh": text})
    tree.write({"blocks/BUILD": "shell_sources()\n"})

    outcome = tree.pants("lint", "--only=shellcheck", "blocks::")

    assert (outcome.status != 0) == bool(wrong), outcome.errors
    assert "shellcheck" in outcome.errors


def test_pants_takes_the_command_line_of_a_pull_request(
    same_orchard: Orchard, tmp_path: Path
) -> None:
    tree = same_orchard.tree
    calls = {
        tuple(call[1:])
        for number, block in enumerate(all_blocks())
        for call in run_block(block, tmp_path / str(number)).calls
        if call[0] == "pants"
    }
    tree.write({"notes.txt": "Nothing depends on it."})
    tree.commit("Take notes")

    (call,) = calls
    outcome = tree.pants(*call)
    assert outcome.status == 0, outcome.errors
    assert tree.pants(*call, "--no-such-flag").status != 0
