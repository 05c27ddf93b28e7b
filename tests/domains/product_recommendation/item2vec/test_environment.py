"""What the environment of the task holds."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path


def test_there_is_no_deep_learning_in_it() -> None:
    lock = Path("3rdparty/gensim.lock").read_text()
    assert re.search(r"^gensim==", lock, re.MULTILINE)
    assert not re.search(r"^(torch|nvidia-\w+|triton)==", lock, re.MULTILINE)
    assert find_spec("torch") is None
