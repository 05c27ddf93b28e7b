# The layers as rules that the build enforces; docs/layers.md says why they are drawn so.
# A rule set is read from the top, the first pattern that fits decides, "!" refuses.

_PLATFORMS = (
    "*azure*",
    "*kubernetes*",
    "adlfs*",
    "argo-workflows*",
    "hera*",
    "kfp*",
    "mlflow*",
    "msal*",
)


def _may_reach(*inner):
    return __dependencies_rules__(  # noqa: F821
        (
            ({"type": "python_*"}, {"type": "pex_*"}),
            *["!//3rdparty/*#" + package for package in _PLATFORMS],
            "!//orchestration/**",
            *inner,
            "!//src/domains/**",
            "//src/common/**",
            "//3rdparty/**",
            "!*",
        ),
        ("*", "*"),
    )


def nothing_of_ours():
    """Code below src that is neither shared nor a domain's: reaches packages only."""
    __dependencies_rules__(  # noqa: F821
        (
            ({"type": "python_*"}, {"type": "pex_*"}),
            *["!//3rdparty/*#" + package for package in _PLATFORMS],
            "//3rdparty/**",
            "!*",
        ),
        ("*", "*"),
    )


def shared_code():
    """Code for every domain: reaches third-party packages, no domain, no platform."""
    _may_reach()


def domains():
    """What holds below src/domains: a folder reaches itself and src/common."""
    _may_reach("./**")


def domain():
    """A domain of several folders: they reach each other; put it in the domain's BUILD."""
    _may_reach("//" + "/".join(build_file_dir().parts[:3]) + "/**")  # noqa: F821
