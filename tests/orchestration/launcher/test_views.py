"""A view of an environment shows some packages, and hides all others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.launcher.views import view_environment

FILES = {
    "alone": ["alone/__init__.py", "alone/part.py"],
    "share-one": ["shared/one.py", "top_one.py"],
    "share-two": ["shared/two.py", "shared/deep/two.py"],
    "share-three": ["shared/deep/three.py"],
}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with packages that share folders."""
    folder = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True
    )
    (site,) = folder.glob("lib/python3.*/site-packages")
    for package, files in FILES.items():
        info = site / f"{package.replace('-', '_')}-1.dist-info"
        info.mkdir()
        # Names are spelt in several ways; here with capitals and dots.
        name = package.replace("-", ".").title()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n")
        listed = [*files, f"{info.name}/METADATA", f"{info.name}/RECORD"]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in listed))
        for file in files:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).write_text("")
    return folder


@pytest.mark.parametrize(
    "packages",
    [set(), {"alone"}, {"share-one"}, {"share-two", "absent"}, set(FILES)],
    ids=lambda names: "+".join(sorted(names)) or "none",
)
def test_exactly_the_named_packages_can_be_imported(
    environment: Path, tmp_path: Path, packages: set[str]
) -> None:
    view = tmp_path / "view"
    view.mkdir()
    view_environment(environment, packages, view)
    modules = {
        file.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name
        for name, files in FILES.items()
        for file in files
    }
    code = (
        "import importlib, importlib.metadata, sys\n"
        f"for name in {sorted(modules)!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ImportError:\n"
        "        continue\n"
        "    print(name)\n"
        "print(sys.prefix)\n"
        "print(*sorted(d.name.lower() for d in importlib.metadata.distributions()))\n"
    )

    done = subprocess.run(
        [view / "bin/python", "-I", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )

    *imported, prefix, names = done.stdout.split("\n")[:-1]
    assert imported == sorted(m for m, name in modules.items() if name in packages)
    assert Path(prefix) == view
    known = packages & set(FILES)
    assert names.split() == sorted(name.replace("-", ".") for name in known)
