"""Starts Jupyter or its kernel in a Python that does not have it.

    python -P notebook_kernel.py PACKAGES MODULE [ARGUMENT ...]

PACKAGES, a folder with Jupyter, goes last on the path: what the Python has of its own
comes first, so that a notebook sees the task's environment as the task's scripts do.
"""

import runpy
import sys

if __name__ == "__main__":
    _, packages, module, *arguments = sys.argv
    sys.path.append(packages)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
