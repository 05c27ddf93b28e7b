"""``./strata hooks``: have git build changed images after each commit."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from common.command_line import Parser, one_of, say
from common.errors import UserError
from orchestration.checkout import Checkout

_OURS = "# Written by ./strata hooks install; removed by ./strata hooks remove."
# In the background, so that git is done at once; one build after another, in the order
# of the commits. What git sets for hooks is about its own repository.
_HOOK = """#!/bin/sh
{ours}
unset $(git rev-parse --local-env-vars)
log={log}
(
  exec >>"$log" 2>&1 </dev/null
  flock 9 || true
  echo "== $(date) $(git -C {root} rev-parse --short HEAD)"
  set --
  if git -C {root} rev-parse --quiet --verify HEAD~1 >/dev/null; then
    set -- --changed-since HEAD~1
  fi
  {command} "$@" || echo "== failed"
) 9>"$log.lock" &
"""


def main(arguments: Sequence[str]) -> None:
    """Install or remove the hook.

    Raises:
        UserError: There is another hook, or nothing to push to.
    """
    parser = Parser(
        "strata hooks",
        "After a commit, build the images that it changed, in the background, with "
        "a log.",
        "./strata hooks install --push --registry localhost:5000",
    )
    parser.add_argument(
        "action", type=one_of("install", "remove"), metavar="{install,remove}"
    )
    parser.add_argument("--push", action="store_true", help="push them as well")
    parser.add_argument(
        "--registry",
        metavar="HOST/PATH",
        help="where to; from STRATA_REGISTRY if left out",
    )
    args = parser.parse_args(arguments)
    checkout = Checkout.of_this_code()
    folder = Path(checkout.root, checkout.git("rev-parse", "--git-path", "hooks"))
    hook, log = folder / "post-commit", folder.parent / "strata-images.log"
    is_ours = hook.exists() and _OURS in hook.read_text(errors="replace")
    if hook.exists() and not is_ours:
        raise UserError(
            f"{hook} is not ours and stays as it is; move it away, or have it run "
            "./strata image --changed-since HEAD~1"
        )
    if args.action == "remove":
        hook.unlink(missing_ok=True)
        say(f"removed {hook}" if is_ours else "there is no hook")
        return
    command = [str(checkout.root / "strata"), "image"]
    if args.push:
        command.append("--push")
    if args.registry is not None:
        command += ["--registry", args.registry]
    folder.mkdir(exist_ok=True)
    hook.write_text(
        _HOOK.format(
            ours=_OURS,
            log=shlex.quote(str(log)),
            root=shlex.quote(str(checkout.root)),
            command=shlex.join(command),
        )
    )
    hook.chmod(0o755)
    say(f"installed {hook}")
    say(f"it logs to  {log}")
