"""Files in the YAML of Azure ML's command line, version 2: read, changed and checked.

The format is what its documentation calls the YAML schema of each resource; its own
package checks it. Here they are read by YAML 1.2, with the line of each part, and what
looks like a secret is refused.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from common.errors import UserErrors
from orchestration.azure.connection import be_quiet
from orchestration.azure.messages import mistakes_in
from orchestration.names import nearest
from orchestration.pipelines.documents import Document, parse_value, read_document
from orchestration.secret_values import secret_in, secrets_in


class FileError(UserErrors):
    """A file is wrong; each line names the file, the line and the key."""


@dataclass(frozen=True)
class AzureFile:
    """A file of one resource.

    Attributes:
        path: Where it is; paths in it are relative to its folder.
        name: How messages call it.
        data: Its content as plain data.
        document: Its content as it is written, with lines.
    """

    path: Path
    name: str
    data: Mapping[str, Any]
    document: Document = field(repr=False)

    def at(self, where: str, message: str) -> str:
        """Put the file, the line and the key before what is wrong there."""
        key = f"{where}: " if where else ""
        return f"{self.name}:{self.document.line(where)}: {key}{message}"


def read_azure_file(path: Path, name: str) -> AzureFile:
    """Read a file, without checking its schema.

    Args:
        path: The file.
        name: How messages call it.

    Raises:
        FileError: It is no YAML mapping, or has what looks like a secret.
        UserError: It cannot be read.
    """
    document = read_document(path)
    lines = [(one.line, one.message) for one in document.mistakes]
    if not lines and not isinstance(document.data, dict):
        lines.append((1, "it holds no mapping"))
    for where, kind in secrets_in(document.data):
        message = f"{where} looks like {kind}; secrets stay out of files"
        lines.append((document.line(where), message))
    if lines:
        raise FileError([f"{name}:{line}: {message}" for line, message in lines])
    return AzureFile(path, name, document.data, document)


def with_settings(file: AzureFile, settings: Sequence[str]) -> dict[str, Any]:
    """Give a file's data with some values changed.

    Args:
        file: The file.
        settings: ``PATH=VALUE`` each, such as ``inputs.epochs=1``; the path has to be
            in the file.

    Raises:
        UserErrors: Some are none of that; a line each.
    """
    data: dict[str, Any] = copy.deepcopy(dict(file.data))
    known, wrong = sorted(file.document.lines), []
    for setting in settings:
        where, found, text = setting.partition("=")
        if not found:
            wrong.append(f"--set {setting}: takes PATH=VALUE")
        elif where not in known:
            hint = nearest(where, known)
            wrong.append(f"--set {where}: there is no such key in {file.name}{hint}")
        elif secret_in(text) is not None:
            wrong.append(f"--set {where}: the value looks like {secret_in(text)}")
        else:
            try:
                _put(data, where, parse_value(text))
            except ValueError as error:
                wrong.append(f"--set {where}: {error}")
    if wrong:
        raise UserErrors(wrong)
    return data


def _put(data: Any, where: str, value: Any) -> None:
    """Set a part of the data, whose keys may have dots themselves."""
    if isinstance(data, list):
        first, _, rest = where.partition(".")
        if rest:
            _put(data[int(first)], rest, value)
        else:
            data[int(first)] = value
        return
    if where in data:
        data[where] = value
        return
    for key in data:
        if where.startswith(f"{key}."):
            _put(data[key], where.removeprefix(f"{key}."), value)
            return


def load(loader: Callable[..., Any], file: AzureFile, data: Mapping[str, Any]) -> Any:
    """Have azure-ai-ml load data of a file, which checks them against their schema.

    Args:
        loader: One of its ``load_*`` functions.
        file: Where the data come from: paths in them are relative to it.
        data: The data.

    Returns:
        The entity.

    Raises:
        FileError: They do not fit the schema; a line for each part that does not.
    """
    be_quiet()
    from azure.ai.ml.exceptions import MlException
    from marshmallow import ValidationError

    try:
        return loader(io.StringIO(dump(data)), relative_origin=str(file.path))
    except (ValidationError, MlException) as error:
        text = error.message if isinstance(error, MlException) else str(error)
        found = mistakes_in(str(text or error))
        raise FileError([file.at(where, said) for where, said in found]) from None


def dump(data: Mapping[str, Any]) -> str:
    """Write data as YAML, in the order that they have."""
    text: str = yaml.safe_dump(
        dict(data), sort_keys=False, allow_unicode=True, width=10_000
    )
    return text
