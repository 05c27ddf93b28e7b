"""The way to a workspace of Azure Machine Learning, and what can go wrong on it.

Who somebody is comes from ``azure.identity.DefaultAzureCredential`` alone: the
environment, a workload's or managed identity, or whoever has signed in (``az login``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from common.errors import RunError, UserError
from orchestration.azure.messages import mistakes_in
from orchestration.secret_values import hide_secrets
from orchestration.stages import Stage

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.exceptions import HttpResponseError

_SCOPE = ("azure.subscription", "azure.resource_group")
_WORKSPACE = "azure.workspace"
# With pauses of 15 s together; a service that is busy says itself how long to wait.
_RETRIES = 5
_BACKOFF_SECONDS = 0.5
_CONNECT_SECONDS = 20
_READ_SECONDS = 120
_SIGN_IN = "az login, or give an identity by the environment (docs/azure.md)"


def connect(stage: Stage, with_workspace: bool = True) -> MLClient:
    """Make a client for a stage's workspace; no request is sent yet.

    What may be asked twice is tried again when the service is busy or the connection
    breaks: everything here but POST.

    Args:
        stage: Whose workspace it is.
        with_workspace: Whether the workspace has to be there already.

    Raises:
        StageError: The stage does not say where that is.
    """
    scope = stage.require(*_SCOPE, *([_WORKSPACE] if with_workspace else []))
    be_quiet()
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    with reported("Azure"):
        return MLClient(
            DefaultAzureCredential(),
            *scope,
            show_progress=False,
            enable_telemetry=False,
            retry_total=_RETRIES,
            retry_connect=_RETRIES,
            retry_read=_RETRIES,
            retry_status=_RETRIES,
            retry_backoff_factor=_BACKOFF_SECONDS,
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
        )


def be_quiet() -> None:
    """Keep what Azure's packages log from standard error, where nobody asked for it."""
    for name in ("azure", "msal"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    # It has a handler of its own, for remarks on its own schemas.
    remarks = logging.getLogger("azure.ai.ml._utils._experimental")
    remarks.setLevel(logging.ERROR)


@contextmanager
def reported(what: str) -> Iterator[None]:
    """Turn what Azure's packages raise into one line, without anything secret.

    Args:
        what: What is being done, or with what, as the line begins.

    Raises:
        UserError: The request is wrong, or whoever asks may not.
        RunError: The service, or the way to it, failed.
    """
    from azure.ai.ml.exceptions import ErrorCategory, MlException
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        HttpResponseError,
    )

    try:
        yield
    except HttpResponseError as error:
        if error.status_code is None and isinstance(error, ClientAuthenticationError):
            raise UserError(f"{what}: {_sign_in(str(error))}") from None
        raise _refusal(what, error) from None
    except MlException as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, HttpResponseError):
            raise _refusal(what, cause) from None
        found = mistakes_in(str(error.message or error))
        said = "; ".join(": ".join(filter(None, one)) for one in found)
        is_theirs = error.error_category == ErrorCategory.USER_ERROR
        kind = UserError if is_theirs or any(where for where, _ in found) else RunError
        raise kind(f"{what}: {_one_line(said)}") from None
    except AzureError as error:
        raise RunError(
            f"{what}: Azure cannot be reached: {_one_line(str(error))}"
        ) from None


def _refusal(what: str, error: HttpResponseError) -> Exception:
    """Give what to raise for an answer that is no success."""
    status, said = error.status_code or 0, _said(error)
    if status == 401:
        return UserError(f"{what}: Azure refuses the credentials; {_SIGN_IN}: {said}")
    if status == 403:
        return UserError(
            f"{what}: whoever is signed in may not do that; the workspace's role "
            f"AzureML Data Scientist allows it: {said}"
        )
    if 400 <= status < 500 and status not in (408, 429):
        return UserError(f"{what}: {said}")
    return RunError(f"{what}: Azure answers {status}: {said}")


def _said(error: HttpResponseError) -> str:
    details = getattr(error, "error", None)
    message = getattr(details, "message", None) or error.reason or error.message
    return _one_line(str(message))


def _sign_in(message: str) -> str:
    """Say that nobody is signed in, with Entra's own code where it gave one."""
    codes = [line for line in message.splitlines() if "AADSTS" in line]
    reason = f": {_one_line(codes[0])}" if codes else ""
    return f"nobody is signed in; {_SIGN_IN}{reason}"


def _one_line(text: str, longest: int = 400) -> str:
    line = " ".join(hide_secrets(text).split())
    return line if len(line) <= longest else f"{line[:longest]} ..."
