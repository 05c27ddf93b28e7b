"""The checkout that the orchestrator works on: where it is, and what git says of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from orchestration.names import nearest


@dataclass(frozen=True)
class Head:
    """What is checked out.

    Attributes:
        commit: The commit; None before the first one.
        branch: The branch; None when it is a commit that is checked out.
        is_changed: Whether a tracked file is not as it is committed.
    """

    commit: str | None
    branch: str | None
    is_changed: bool


@dataclass(frozen=True)
class Checkout:
    """A working tree and the folder for what is remembered about it.

    Attributes:
        root: The top folder.
        cache: The user's cache folder for Strata, shared by all checkouts.
    """

    root: Path
    cache: Path

    @classmethod
    def of_this_code(cls) -> Checkout:
        """The checkout that this package belongs to.

        Raises:
            UserError: It is no git checkout.
        """
        root = Path(__file__).resolve().parents[1]
        if not (root / ".git").exists():
            raise UserError(
                f"{root} is no git checkout; git tells what belongs to the tree "
                "(git init, git add)"
            )
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return cls(root, Path(caches) / "strata")

    def git(self, *arguments: str) -> str:
        """Run git here.

        Returns:
            What it printed, without the last line's end.

        Raises:
            UserError: It failed, or there is no git.
        """
        # Names of files may be no text.
        return os.fsdecode(self._git(*arguments)).removesuffix("\n")

    def diff(self) -> bytes:
        """Give the changes of tracked files that are not committed, as a patch."""
        flags = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv")
        return self._git("diff", *flags, "HEAD")

    def _git(self, *arguments: str) -> bytes:
        # A hook's environment names the repository that git is at work on.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("GIT_")
        }
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
            )
        except FileNotFoundError:
            raise UserError("there is no git on PATH; install it") from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip()
            problem = said or f"status {error.returncode}"
            raise UserError(f"git {arguments[0]}: {problem}") from None
        return done.stdout

    def files(self) -> list[str]:
        """The files of the tree, relative to its root, sorted.

        Tracked files, and those that are neither tracked nor ignored, as Pants sees
        them. A tracked file that was deleted is left out.
        """
        listed = self.git(
            "ls-files", "-z", "--cached", "--others", "--exclude-standard"
        )
        return sorted({name for name in listed.split("\0") if name})

    def commit(self) -> str | None:
        """The commit that is checked out; None before the first one."""
        return self._rev_parse("HEAD")

    def branch(self) -> str | None:
        """The branch that is checked out; None when it is a commit."""
        try:
            return self.git("symbolic-ref", "--quiet", "--short", "HEAD")
        except UserError:
            return None

    def head(self) -> Head:
        """Say what is checked out, in one call of git."""
        listed = self.git(
            *("--no-optional-locks", "status", "--porcelain=v2", "--branch"),
            "--untracked-files=no",
        ).splitlines()
        facts = dict(line[2:].split(" ", 1) for line in listed if line[:2] == "# ")
        commit, branch = facts["branch.oid"], facts["branch.head"]
        return Head(
            None if commit == "(initial)" else commit,
            None if branch == "(detached)" else branch,
            any(line[:2] != "# " for line in listed),
        )

    def merge_base(self, reference: str) -> str:
        """Find the commit from which a reference and what is checked out have parted.

        Raises:
            UserError: git knows no such commit, or none that the two have in common.
        """
        commit = self._rev_parse("--end-of-options", f"{reference}^{{commit}}")
        if commit is None:
            self._refuse_shallow(f"lacks {reference}")
            known = self.git("for-each-ref", "--format=%(refname:short)").splitlines()
            raise UserError(
                f"git knows no commit {reference}{nearest(reference, known)}; name a "
                "branch, a tag or a commit (git fetch gets those of others)"
            )
        if self.commit() is None:
            raise UserError("there is no commit yet; make one (git commit)")
        try:
            return self.git("merge-base", commit, "HEAD")
        except UserError:
            self._refuse_shallow(f"lacks the commit from which {reference} parted")
            raise UserError(
                f"{reference} and HEAD have no commit in common; name another"
            ) from None

    @contextmanager
    def at(self, commit: str) -> Iterator[Checkout]:
        """Check a commit out in a folder of its own, for as long as it is looked at.

        Raises:
            UserError: git cannot.
        """
        with tempfile.TemporaryDirectory(prefix="strata-") as folder:
            root = Path(folder).resolve() / "tree"
            # Hooks are for the folder that a person works in.
            add = ("-c", f"core.hooksPath={os.devnull}", "worktree", "add")
            self.git(*add, "--quiet", "--detach", str(root), commit)
            try:
                yield Checkout(root, self.cache)
            finally:
                self.git("worktree", "remove", "--force", str(root))

    def _rev_parse(self, *arguments: str) -> str | None:
        try:
            return self.git("rev-parse", "--verify", "--quiet", *arguments)
        except UserError:
            return None

    def _refuse_shallow(self, problem: str) -> None:
        if self.git("rev-parse", "--is-shallow-repository") == "true":
            raise UserError(
                f"this clone is shallow and {problem}; fetch all of the history "
                "(fetch-depth: 0 for actions/checkout, fetchDepth: 0 in Azure DevOps, "
                "or git fetch --unshallow)"
            )

    def has_changes(self, paths: list[str]) -> bool:
        """Whether files among the paths differ from what is committed."""
        return bool(paths) and bool(self.git("status", "--porcelain", "--", *paths))
