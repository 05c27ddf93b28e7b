"""What lies below a step's packages, on the host and in an image."""

from __future__ import annotations

import platform
import sys

from orchestration.pipelines.keys import Platform


def host_platform() -> Platform:
    """Describe this machine, as far as a step's result may depend on it."""
    try:
        release = platform.freedesktop_os_release()
        name = f"{release['ID']} {release.get('VERSION_ID', '')}".strip()
    except OSError:
        name = f"{platform.system()} {platform.release()}"
    library = " ".join(platform.libc_ver()).strip()
    return Platform(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        machine=f"{sys.platform} {platform.machine()}",
        system=f"host: {name}, {library}" if library else f"host: {name}",
    )


def image_platform(python: str, machine: str, base: str, dockerfile: str) -> Platform:
    """Describe a task's image, below the packages.

    Args:
        python: Implementation and version of its interpreter.
        machine: Its operating system and processor type.
        base: The digest of what the base is made of.
        dockerfile: The digest of the task's Dockerfile.
    """
    return Platform(
        python=python, machine=machine, system=f"image: {base[:24]}, {dockerfile[:24]}"
    )
