"""The host's own apt settings: from where, and through which proxy, it gets Debian's packages."""

import subprocess
from collections.abc import Sequence

FORMAT = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
CARRIED = ("Proxy", "CaInfo", "Verify-Peer", "Verify-Host")


def host_sources(suite: str) -> tuple[str, ...]:
    """The sources from which this host gets that Debian suite; none where it is another system."""
    command = ["apt-get", "indextargets", "--format", FORMAT, "Created-By: Packages"]
    return read_sources(_said(command), suite)


def host_options() -> tuple[str, ...]:
    """The host's proxies and certificates, in apt's own language."""
    return read_options(_said(["apt-config", "dump", "Acquire"]))


def read_sources(targets: str, suite: str) -> tuple[str, ...]:
    """Of apt's index targets, a Debian suite's, its updates' and its security's, as sources.list says."""
    components: dict[tuple[str, str], list[str]] = {}
    for line in targets.splitlines():
        origin, codename, uri, release, component = line.split("|")
        if origin == "Debian" and codename.removesuffix("-security").removesuffix("-updates") == suite:
            known = components.setdefault((uri, release), [])
            known.extend({component} - set(known))
    lines = tuple(f"deb {uri} {release} {' '.join(names)}" for (uri, release), names in components.items())
    has_suite_itself = any(not release.endswith(("-security", "-updates")) for _, release in components)
    return lines if has_suite_itself else ()


def read_options(dump: str) -> tuple[str, ...]:
    """Of apt's configuration, what says how its hosts are reached."""
    lines = (line.strip().removesuffix(";") for line in dump.splitlines())
    return tuple(line for line in lines if line.split(" ")[0].rpartition("::")[2] in CARRIED)


def _said(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
