"""The host's own apt settings: from where, and through which proxy, it gets Debian's packages."""

from collections.abc import Sequence

from dask_bake.models.debian import RELEASES
from dask_bake.system.subprocesses import RUN_TIMEOUT, run_with_timeout

SUITES = frozenset(release.codename for release in RELEASES)
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
    """Return sources.list's lines for a Debian suite with its updates and security updates.

    A mirror that has the host's own suite has the others too, so another suite is taken from there. Empty
    where apt's index targets name no complete Debian suite.
    """
    components: dict[str, dict[tuple[str, str], list[str]]] = {}
    for line in targets.splitlines():
        origin, codename, uri, release, component = line.split("|")
        own = codename.removesuffix("-security").removesuffix("-updates")
        if origin == "Debian" and own in SUITES:
            known = components.setdefault(own, {}).setdefault((uri, release.removeprefix(own)), [])
            known.extend({component} - set(known))
    whole = [own for own, found in components.items() if any(pocket == "" for _, pocket in found)]
    if not whole:
        return ()
    source = suite if suite in whole else whole[0]
    return tuple(
        f"deb {uri} {suite}{pocket} {' '.join(names)}" for (uri, pocket), names in components[source].items()
    )


def read_options(dump: str) -> tuple[str, ...]:
    """Of apt's configuration, what says how its hosts are reached."""
    lines = (line.strip().removesuffix(";") for line in dump.splitlines())
    return tuple(line for line in lines if line.split(" ")[0].rpartition("::")[2] in CARRIED)


def _said(command: Sequence[str]) -> str:
    try:
        return run_with_timeout(command, RUN_TIMEOUT).stdout
    except FileNotFoundError:
        return ""
