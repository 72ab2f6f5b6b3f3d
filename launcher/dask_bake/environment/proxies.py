"""Names of the proxies that requests go through, for errors about hosts that do not answer."""

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from dask_bake.environment.names import without_secrets


def proxy_of(url: str, environ: Mapping[str, str], configured: Mapping[str, str] | None = None) -> str:
    """Return a phrase that names the proxy for a URL and where it is configured; empty without one.

    Args:
        configured: conda's ``proxy_servers``, which come first.
    """
    parts = urlsplit(url)
    for key in (f"{parts.scheme}://{parts.hostname}", parts.scheme, "all"):
        if configured and configured.get(key):
            return f" through the proxy {without_secrets(configured[key])} (proxy_servers in .condarc)"
    no_proxy = {"no": environ.get("no_proxy") or environ.get("NO_PROXY", "")}
    if parts.hostname and proxy_bypass_environment(parts.hostname, no_proxy):
        return ""
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for written in (name, name.upper()):
            if environ.get(written):
                return f" through the proxy {without_secrets(environ[written])} ({written})"
    return ""
