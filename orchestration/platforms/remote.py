"""What is asked of a platform: to take a pipeline, say how it goes, end it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True)
class RemoteState:
    """How a platform says that a run goes.

    Attributes:
        ended: How it has ended: done, failed, or stopped by somebody; None while it
            waits or runs.
        message: Why, as far as the platform says.
        notices: What it says of containers that cannot start, while it goes on.
        failures: What it says of the steps whose containers have failed, by name.
    """

    ended: Literal["done", "failed", "stopped"] | None
    message: str = ""
    notices: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)


class Remote(Protocol):
    """One run on a platform.

    Every method raises UserError when the platform refuses, and RunError when it, or
    the way to it, fails.

    Attributes:
        name: What the platform calls it.
        link: Where a browser shows it; empty if nobody knows.
    """

    name: str
    link: str

    def submit(self) -> bool:
        """Hand it over; what is sent again stands for the same run.

        Returns:
            Whether it is new; False if the platform has it already.
        """

    def state(self) -> RemoteState | None:
        """Say how it goes; None if the platform does not know it."""

    def last_lines(self, step: str) -> str:
        """Give the last that a step's failed container wrote; empty if unknown."""

    def stop(self) -> None:
        """Have it end."""
