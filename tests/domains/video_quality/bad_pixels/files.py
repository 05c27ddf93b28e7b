"""Make small footage, and read what commands left."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common.command_line import run
from domains.video_quality.bad_pixels import extract, features, generate
from domains.video_quality.bad_pixels.footage import Grey, write_video

SMALL = ["--width", "64", "--height", "48", "--frames", "24"]


def make(*flags: str, output: str | Path = "made") -> Path:
    """Generate small footage; return the output folder."""
    arguments = [*SMALL, *flags, "--output_path", str(output)]
    assert run("generate", generate.main, arguments) == 0
    return Path(output)


def describe(videos: Path, folder: Path) -> Path:
    """Extract and describe all videos of a folder; return the folder of maps."""
    into = ["--output_path", str(folder / "extracted")]
    assert run("extract", extract.main, [str(videos), *into]) == 0
    clips = str(folder / "extracted" / "clips")
    into = ["--output_path", str(folder / "described")]
    assert run("features", features.main, [clips, *into]) == 0
    return folder / "described" / "maps"


def write_lossless(path: Path, frames: Iterable[Grey], bits: int = 8) -> None:
    """Encode frames so that they are read back as they are."""
    write_video(path, frames, codec="ffv1", bits=bits, crf=0)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table, a row each."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path, without: Sequence[str] = ("run.json",)) -> dict[str, bytes]:
    """Read all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without
    }
