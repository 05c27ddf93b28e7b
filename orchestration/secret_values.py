"""Texts that look like a secret: refused in files, hidden in messages."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

# What each form is called, and how it looks. Those with a group hide that group alone.
_FORMS = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*"),
    "a token": re.compile(
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
        r"|\bgh[oprsu]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
        r"|\bxox[abeprs]-[\w-]{10,}|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{20,}"
        r"|\bsk-[\w-]{20,}|\bdapi[0-9a-f]{32}|\bAIza[\w-]{30,}"
        r"|(?i:\bbearer)\s+([\w.~+/=-]{8,})"
    ),
    "an access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a shared access signature": re.compile(
        r"(?:(?<=[?&;])|^|(?<=\s))(?i:sig)=([^&\s'\"]+)|SharedAccessSignature=[^;\s]+"
    ),
    "a connection string": re.compile(
        r"(?i)\b(?:account_?key|sharedaccesskey|shared_access_key|access_key|"
        r"client_?secret|password|passwd|pwd|secret|api_?key)\s*=\s*([^;&\s'\"]+)"
    ),
    "a password in an address": re.compile(r"://[^/\s:@]*:([^/\s@]+)@"),
}
# A slash ends a run: otherwise long paths would be taken for keys.
_RUN = re.compile(r"[A-Za-z0-9+=]{24,}")
# Between neighbours in runs without digits; names in camel case have less.
_LEAST_CHANGES = 0.35
# Digests, and the store's artifacts, which are named by theirs.
_DIGEST = re.compile(r"\b(?:sha256|file|executable|tree):[0-9a-f]{64}\b")
# An SSH public key is one to show; its file says so at its beginning.
_PUBLIC = re.compile(r"\b(?:ssh-(?:rsa|ed25519)|ecdsa-sha2-\S+) [A-Za-z0-9+/=]+")
# Bits per character. Words stay below, random hexadecimal digits come near 4.
_LEAST_ENTROPY = 3.2
_HIDDEN = "***"


def secret_in(text: str) -> str | None:
    """Say what kind of secret a text looks like, such as ``a token``; None if none.

    Forms that services are known to use count, and long runs of letters and digits
    that look drawn by chance. Digests (``sha256:...``), UUIDs and SSH public keys do
    not.
    """
    for kind, form in _FORMS.items():
        if form.search(text):
            return kind
    rest = _PUBLIC.sub("", _DIGEST.sub("", text))
    return "a key" if any(map(_is_random, _RUN.findall(rest))) else None


def secrets_in(data: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Find what looks like a secret anywhere in plain data.

    Args:
        data: Mappings, lists and scalars.
        where: What precedes the places.

    Yields:
        The place, as keys joined with dots, and the kind of secret.
    """
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from secrets_in(value, f"{where}.{key}" if where else str(key))
    elif isinstance(data, list | tuple):
        for number, value in enumerate(data):
            yield from secrets_in(value, f"{where}.{number}" if where else str(number))
    elif isinstance(data, str):
        kind = secret_in(data)
        if kind is not None:
            yield where, kind


def hide_secrets(text: str) -> str:
    """Replace what has the form of a secret, so that a message can be shown."""
    for form in _FORMS.values():
        text = form.sub(_hide, text)
    return text


def _hide(found: re.Match[str]) -> str:
    for group in found.groups():
        if group is not None:
            return found[0].replace(group, _HIDDEN)
    return _HIDDEN


def _changes(run: str) -> float:
    """Give how often the class of a character is another than the one's before."""
    classes = [(c.isupper(), c.islower(), c.isdigit()) for c in run]
    return sum(a != b for a, b in zip(classes, classes[1:])) / len(run)


def _is_random(run: str) -> bool:
    if run.isdigit() or not (
        any(map(str.isdigit, run)) or _changes(run) > _LEAST_CHANGES
    ):
        return False
    counts = Counter(run)
    shares = [count / len(run) for count in counts.values()]
    return -sum(share * math.log2(share) for share in shares) > _LEAST_ENTROPY
