# Targets of the outer layer that wrap submissions.


def submissions(*tasks):
    """A runnable target for each task that submits its job, as ./strata job does."""
    for task in tasks:
        run_shell_command(  # noqa: F821
            name=task.replace("/", "."),
            # Pants waits for this to end, and may be asked for the graph meanwhile: the
            # one that answers must not wait for the one that waits.
            command="PANTS_CONCURRENT=true ./strata job " + task + ' "$@"',
            workdir="/",
        )
