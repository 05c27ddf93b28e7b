"""The tree as the checks see it: its files, its graph, its tasks and stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from common.errors import UserError
from orchestration.checkout import Checkout
from orchestration.engines.local import LocalEngine
from orchestration.pipelines.code import Scripts
from orchestration.pipelines.documents import Document, read_document
from orchestration.pipelines.flags import flags_of_script
from orchestration.pipelines.keys import StepCode
from orchestration.pipelines.script_flags import PROGRAM, ScriptFlags
from orchestration.stages import STAGES, Stage, load_stage
from orchestration.target_graph import Tree
from orchestration.tasks import Task, find_tasks

YAML = (".yaml", ".yml")


class Look:
    """A look at a tree; what has been read is kept.

    Args:
        checkout: The checkout.
        tree: Its files, and its graph, which is empty where Pants cannot tell it.
        tell: Is told when something takes long.
    """

    def __init__(
        self, checkout: Checkout, tree: Tree, tell: Callable[[str], None]
    ) -> None:
        self.checkout = checkout
        self.tree = tree
        self.tell = tell
        self._documents: dict[str, Document] = {}
        self._texts: dict[str, str] = {}

    @property
    def root(self) -> Path:
        """The tree's top folder."""
        return self.checkout.root

    def text(self, file: str) -> str:
        """Give a file's text.

        Raises:
            UserError: It cannot be read, or is no text.
        """
        if file not in self._texts:
            try:
                self._texts[file] = (self.root / file).read_bytes().decode()
            except OSError as error:
                raise UserError(f"it cannot be read: {error.strerror}") from None
            except UnicodeDecodeError:
                raise UserError("it is not UTF-8 text") from None
        return self._texts[file]

    def document(self, file: str) -> Document:
        """Give a YAML or JSON file's content.

        Raises:
            UserError: It cannot be read.
        """
        if file not in self._documents:
            self._documents[file] = read_document(self.root / file)
        return self._documents[file]

    def mapping(self, file: str) -> dict[str, Any]:
        """Give what a YAML file holds, empty if that is no mapping.

        Raises:
            UserError: It cannot be read.
        """
        data = self.document(file).data
        return data if isinstance(data, dict) else {}

    def mappings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give the YAML files that can be read as mappings, and what they hold."""
        for file in sorted(self.tree.files):
            if file.endswith(YAML):
                try:
                    yield file, self.mapping(file)
                except UserError:
                    continue  # the check of the file says so

    def line_with(self, file: str, word: str, start: int) -> int:
        """Give the first line from a line on that has a word, or that line itself."""
        lines = self.text(file).splitlines()
        for number in range(start, len(lines) + 1):
            if word in lines[number - 1]:
                return number
        return start

    @cached_property
    def knows_graph(self) -> bool:
        """Whether Pants could say what depends on what."""
        return bool(self.tree.targets)

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks, by name.

        Raises:
            UserError: A task reaches a package that its lock lacks.
        """
        return find_tasks(self.root, self.tree)

    @cached_property
    def scripts(self) -> Scripts:
        """The tree's scripts, and what each reaches."""
        return Scripts(self.root, self.tree)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages whose files are sound."""
        sound = []
        for name in STAGES:
            try:
                sound.append(load_stage(self.root, name))
            except UserError:
                continue  # the check of the file says so
        return tuple(sound)

    def owner(self, file: str) -> Task | None:
        """Give the task in whose folder a file lies."""
        owners = [t for t in self.tasks.values() if file.startswith(f"{t.folder}/")]
        return max(owners, key=lambda one: len(one.name), default=None)

    def flags(self, code: StepCode) -> ScriptFlags:
        """Say what a script takes; its environment is made if it has to be asked.

        Raises:
            UserError: The script cannot be imported, or has no parser.
            RunError: Its environment cannot be made, or it takes too long.
        """

        def provide() -> tuple[list[str], Path]:
            engine = LocalEngine(
                self.checkout,
                self.tree,
                lambda said: self.tell(f"to ask {code.module} for its flags: {said}"),
            )
            provided = engine.provide_code(code)
            return engine.python(provided, PROGRAM), Path(provided.code)

        return flags_of_script(self.checkout.cache, code, provide)
