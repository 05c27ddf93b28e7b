# A task's image: exactly the locked packages that its scripts reach in one layer, and the
# files that they reach in another. ./strata builds the same Dockerfile from the same two.

# With PEX_INTERPRETER a script's environment runs this instead of the script.
_NAME_PACKAGES = (
    "import importlib.metadata as m; print(*sorted({d.name for d in m.distributions()}))"
)


def task_image(*scripts, lock="torch"):
    """The docker_image `:image` from environment/Dockerfile, for scripts of this folder."""
    folder = build_file_dir()  # noqa: F821
    targets = [str(folder / script) for script in scripts]
    packages = []
    for script, target in zip(scripts, targets):
        packages.append(script + "-packages")
        adhoc_tool(  # noqa: F821
            name=packages[-1],
            runnable=target,
            args=["-c", _NAME_PACKAGES],
            extra_env_vars=["PEX_INTERPRETER=1"],
            stdout=packages[-1],
            root_output_directory=".",
            workdir="/",
        )
    shell_command(  # noqa: F821
        name="image-code",
        command="mkdir code && cp -R src code/",
        tools=["cp", "mkdir"],
        execution_dependencies=targets,
        output_directories=["code"],
        workdir="/",
    )
    adhoc_tool(  # noqa: F821
        name="image-requirements",
        runnable="orchestration/locks.py",
        args=["3rdparty/" + lock + ".lock", *packages],
        execution_dependencies=["3rdparty:" + lock + "-lock", *[":" + p for p in packages]],
        stdout="requirements.txt",
        workdir="/",
    )
    docker_image(  # noqa: F821
        name="image",
        source="environment/Dockerfile",
        repository="strata/" + "/".join(folder.parts[2:]),
        dependencies=[":image-code", ":image-requirements"],
    )
