"""Each lock in 3rdparty/ says what its input asks for, and nothing about an index."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path("3rdparty")
NAMES = sorted(path.stem for path in FOLDER.glob("*.in"))


@dataclass(frozen=True)
class Pin:
    """One locked package: its requirement, how many hashes, and who asked for it."""

    requirement: Requirement
    hashes: int
    asked_by: frozenset[str]


def pins(name: str) -> list[Pin]:
    """Read a lock as uv writes it: a pin, its hashes, then `# via` and who asked."""
    found = []
    text = (FOLDER / f"{name}.lock").read_text()
    for block in re.split(r"\n(?=[a-z0-9])", text):
        if block.startswith("#"):
            continue
        lines = block.splitlines()
        notes = [line.strip("# ") for line in lines if line.startswith("    #")]
        asked_by = frozenset(note.removeprefix("via").strip() for note in notes)
        found.append(
            Pin(
                Requirement(lines[0].rstrip("\\ ")),
                sum("--hash=sha256:" in line for line in lines),
                asked_by - {""},
            )
        )
    return found


def inputs(name: str) -> list[Requirement]:
    lines = (FOLDER / f"{name}.in").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_every_lock_has_an_input() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.lock")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_lock_was_made_from_the_input_as_it_is(name: str) -> None:
    digest = hashlib.sha256((FOLDER / f"{name}.in").read_bytes()).hexdigest()
    first = (FOLDER / f"{name}.lock").read_text().partition("\n")[0]

    assert first == f"# sha256 of {name}.in: {digest}", f"run 3rdparty/lock {name}"


@pytest.mark.parametrize("name", NAMES)
def test_the_lock_pins_what_the_input_asks_for(name: str) -> None:
    asked = {canonicalize_name(entry.name): entry for entry in inputs(name)}
    direct = {
        canonicalize_name(pin.requirement.name): pin.requirement
        for pin in pins(name)
        if f"-r 3rdparty/{name}.in" in pin.asked_by
    }

    assert sorted(direct) == sorted(asked), f"run 3rdparty/lock {name}"
    for package, pin in sorted(direct.items()):
        (specifier,) = pin.specifier
        assert specifier.operator == "=="
        assert asked[package].specifier.contains(specifier.version), package


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_hashed_and_none_is_tied_to_a_place(name: str) -> None:
    assert all(pin.hashes > 0 for pin in pins(name))
    assert all(pin.requirement.url is None for pin in pins(name))
    assert "://" not in (FOLDER / f"{name}.lock").read_text()


def test_no_build_for_one_processor_type_got_into_a_lock() -> None:
    # A "+cpu" build satisfies "==" and sorts above the plain one; it cannot use a GPU.
    local = [pin for name in NAMES for pin in pins(name) if "+" in str(pin.requirement)]

    assert local == []


def test_environments_of_our_code_agree_on_versions() -> None:
    versions: dict[str, set[str]] = defaultdict(set)
    # Programs that are started, and never imported by what is ours.
    programs = {"dvc", "pants", "pex", "snakemake", "uv"}
    for name in sorted(set(NAMES) - programs):
        for pin in pins(name):
            versions[pin.requirement.name].add(str(pin.requirement.specifier))

    assert {name: seen for name, seen in versions.items() if len(seen) > 1} == {}
