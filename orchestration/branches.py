"""Names that services accept, made from a git branch, and never one for two branches.

A name that fits stays readable: ``digit_recognition-main``. One that does not (other
characters, capitals, too long) is made to fit and ends with a part of the digest of
what it was made from. Services that tell capitals from small letters, and those that do
not, keep the names apart alike, as every name is in small letters.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_DIGITS = 10
# A name that ends like ours do when they were changed is changed as well, so that it is
# none of them.
_LIKE_CHANGED = re.compile(rf".*-[0-9a-f]{{{_DIGITS}}}")


@dataclass(frozen=True)
class NameRule:
    """What a service accepts as a name, beginning with a letter or digit.

    Attributes:
        longest: The most characters.
        marks: What is allowed inside beside small letters, digits and the hyphen.
    """

    longest: int
    marks: str

    def takes(self, name: str) -> bool:
        """Whether a name is accepted as it stands."""
        plain = rf"[a-z0-9]([a-z0-9{re.escape(self.marks)}-]*[a-z0-9])?"
        return len(name) <= self.longest and bool(re.fullmatch(plain, name))


# Azure Machine Learning's reference of jobs and models; the lengths leave room for what
# endpoints and deployments put around them.
EXPERIMENT = NameRule(36, "_")
MODEL = NameRule(30, "_")
# RFC 1123's label: what Kubernetes takes for an Argo workflow, and for a label's value;
# what Argo adds for pods has to fit as well.
WORKFLOW = NameRule(50, "")
# Before the name of a run.
WORKFLOW_OF_RUN = NameRule(40, "")


def name_for_branch(rule: NameRule, task: str, branch: str) -> str:
    """Make a task's name for a branch.

    Args:
        rule: What the service accepts.
        task: The task, such as ``digit_recognition``.
        branch: The branch, as git has it.

    Returns:
        The name; different for different tasks or branches.
    """
    name = f"{task}-{branch}"
    is_plain = (
        rule.takes(name)
        and not _LIKE_CHANGED.fullmatch(name)
        # Otherwise the task's end and the branch's beginning could be mistaken.
        and "-" not in task
    )
    if is_plain:
        return name
    digest = hashlib.sha256(f"{task}\0{branch}".encode()).hexdigest()[:_DIGITS]
    kept = re.sub(rf"[^a-z0-9{re.escape(rule.marks)}]+", "-", name.lower())
    kept = kept[: rule.longest - _DIGITS - 1].strip(f"-{rule.marks}") or "0"
    return f"{kept}-{digest}"
