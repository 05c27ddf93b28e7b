"""What Python starts in a text of shell."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.checks.python_calls import PythonCall, python_calls

WORDS = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_characters="\0\ue000\ue001"), max_size=8
    ),
    max_size=4,
)


def module(name: str, *arguments: str) -> PythonCall:
    return PythonCall(name, True, arguments)


def file(name: str, *arguments: str) -> PythonCall:
    return PythonCall(name, False, arguments)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("python -m a.b --x 1", [module("a.b", "--x", "1")]),
        ("python3.11 -P -W error -um a", [module("a")]),
        ("/usr/bin/python3 -X dev a/b.py c", [file("a/b.py", "c")]),
        ("A=1 exec python a.py", [file("a.py")]),
        ("cd x && python a.py; python b.py | tee y", [file("a.py"), file("b.py")]),
        ("x=$(python -m a b)\necho", [module("a", "b")]),
        ("if python -m a; then echo; fi", [module("a")]),
        ("python \\\n  -m a \\\n  --x", [module("a", "--x")]),
        ("python -m a # -m b", [module("a")]),
        (
            "python -m a # don't\npython b.py '# c' \\;",
            [module("a"), file("b.py", "# c", ";")],
        ),
        ("python -m a --x ${{inputs.x}}/y", [module("a", "--x", "${{inputs.x}}/y")]),
        ("python -m a $[[--x ${{inputs.x}}]]", [module("a", "--x", "${{inputs.x}}")]),
        ("python -c 'import a'", []),
        ("python --version", []),
        ("echo python -m a", []),
        ("torchrun --nproc_per_node 2 a.py --x", [file("a.py", "--x")]),
        ("accelerate launch --num_processes=2 -m a --x", [module("a", "--x")]),
        (
            "python -m torch.distributed.run --nnodes 2 -m a --x",
            [
                module("torch.distributed.run", "--nnodes", "2", "-m", "a", "--x"),
                module("a", "--x"),
            ],
        ),
        (
            "python -m accelerate.commands.launch a.py",
            [module("accelerate.commands.launch", "a.py"), file("a.py")],
        ),
    ],
)
def test_calls_are_found(text: str, calls: list[PythonCall]) -> None:
    assert python_calls(text) == calls


def test_a_quote_that_does_not_end_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="quotation"):
        python_calls("python -m a 'b")


@settings(deadline=None)
@given(words=WORDS)
def test_arguments_arrive_as_a_shell_would_give_them(words: list[str]) -> None:
    quoted = [word for word in words if "$" not in word]

    (call,) = python_calls(shlex.join(["python", "-m", "a", *quoted]))

    assert call.arguments == tuple(quoted)
