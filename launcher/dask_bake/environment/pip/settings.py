"""The user's settings of pip: where packages come from, for pip and for uv."""

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dask_bake.environment.names import without_secrets
from dask_bake.errors import UsageError
from dask_bake.system.subprocesses import run_with_timeout

PIP_CONFIG = "PIP_CONFIG_FILE"
# Sections of pip's configuration that count, weakest first; ``:env:`` are PIP_… variables.
SECTIONS = ("global", "download", "wheel", "install", ":env:")
LINE = re.compile(r"(?P<section>[^.]+)\.(?P<key>[\w-]+)=(?P<value>.*)")
SECONDS = 60.0
HINT = "pip config debug shows the file or the variable that it comes from"

WHERE = frozenset(
    {
        *("index-url", "extra-index-url", "find-links", "no-index", "proxy", "cert", "client-cert"),
        *("trusted-host", "timeout", "default-timeout", "retries", "keyring-provider", "constraint"),
        *("pre", "uploaded-prior-to", "cache-dir", "no-cache-dir", "use-feature"),
    }
)
"""Settings that say where packages come from, and which; the others say how pip installs."""
PIP_ALONE = ("no-binary", "only-binary", "keyring-provider", "require-hashes")
"""Settings that change the result and that uv is not given."""
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables for certificates that pip knows, and uv does not."""
PLACES = ("find-links", "cert", "client-cert", "constraint")
"""Settings that can be paths, which are relative to the current folder."""


@dataclass(frozen=True)
class PipSettings:
    """pip's settings by their names, as ``pip config list`` shows them."""

    values: Mapping[str, str]

    def for_pip(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for a pip that gets these settings and none about how to install."""
        kept = {key: value for key, value in environ.items() if not key.startswith("PIP_")}
        given = {
            f"PIP_{key.upper().replace('-', '_')}": value
            for key, value in self.values.items()
            if key in WHERE
        }
        return {**kept, **given, PIP_CONFIG: os.devnull}

    def for_uv(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for uv; the user's own settings of uv come first."""
        values = self.values
        extra = values.get("extra-index-url", "").split()
        proxy = values.get("proxy", "")
        given = {
            "UV_DEFAULT_INDEX": values.get("index-url", "").strip(),
            "UV_INDEX": " ".join(extra),
            # pip takes the best version of all indexes.
            "UV_INDEX_STRATEGY": "unsafe-best-match" if extra else "",
            "UV_FIND_LINKS": ",".join(values.get("find-links", "").split()),
            "UV_INSECURE_HOST": " ".join(values.get("trusted-host", "").split()),
            "UV_KEYRING_PROVIDER": "subprocess" if values.get("keyring-provider") == "subprocess" else "",
            "UV_CONSTRAINT": " ".join(values.get("constraint", "").split()),
            "UV_EXCLUDE_NEWER": values.get("uploaded-prior-to", ""),
            "UV_PRERELEASE": "allow" if _is_true(values.get("pre")) else "",
            "UV_HTTP_TIMEOUT": _seconds(values.get("timeout") or values.get("default-timeout")),
            "UV_HTTP_RETRIES": values.get("retries", ""),
            "SSL_CERT_FILE": next((environ[name] for name in BUNDLES if environ.get(name)), ""),
            "SSL_CLIENT_CERT": values.get("client-cert", ""),
        }
        environment = {**{key: value for key, value in given.items() if value}, **environ}
        # pip's own setting precedes the variables that it shares with other programs.
        if values.get("cert"):
            environment["SSL_CERT_FILE"] = values["cert"]
        if proxy:
            environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
        return environment

    @property
    def uv_flags(self) -> tuple[str, ...]:
        """Return the settings that uv has no variable for."""
        return ("--no-index",) if _is_true(self.values.get("no-index")) else ()

    @property
    def unknown_to_uv(self) -> tuple[str, ...]:
        """Return the settings that would change the result and that uv does not get."""
        found = [key for key in PIP_ALONE if key in self.values]
        if self.values.get("keyring-provider") in ("subprocess", "auto", "disabled"):
            found.remove("keyring-provider")
        if self.values.get("only-binary") == ":all:":
            found.remove("only-binary")
        return tuple(found)


def read_settings(pip: list[str] | None, environ: Mapping[str, str] = os.environ) -> PipSettings:
    """Return pip's settings, by that pip; without one those in ``PIP_…`` variables alone.

    Raises:
        UsageError: if pip cannot read them, or one names a file or an index that is none.
    """
    if pip is None:
        values = _variables(environ)
    else:
        done = run_with_timeout([*pip, "config", "list"], SECONDS)
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            why = " ".join(said.removeprefix("An error occurred during configuration:").split())
            raise UsageError(f"pip's settings cannot be read: {without_secrets(why)}", hint=HINT)
        values = parse_settings(done.stdout)
    values = _absolute(values)
    _check(values)
    return PipSettings(values)


def _check(values: Mapping[str, str]) -> None:
    """Raise if a setting names what is not there: uv would do without it."""
    for key in ("cert", "client-cert", "constraint"):
        for place in values.get(key, "").split():
            if "://" not in place and not Path(place).exists():
                raise UsageError(f"pip's setting {key} names {place}, which does not exist", hint=HINT)
    for key in ("index-url", "extra-index-url"):
        for place in values.get(key, "").split():
            if "://" not in place and not Path(place).is_dir():
                raise UsageError(f"pip's setting {key} is {place!r}, which is no address", hint=HINT)


def parse_settings(text: str) -> dict[str, str]:
    """Parse the output of ``pip config list``; stronger sections win."""
    values: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        if found and found["section"] in values:
            values[found["section"]][found["key"]] = str(ast.literal_eval(found["value"]))
    return {key: value for section in SECTIONS for key, value in values[section].items()}


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    names = [name for name in environ if name.startswith("PIP_") and name != PIP_CONFIG]
    return {name.removeprefix("PIP_").lower().replace("_", "-"): environ[name] for name in names}


def _absolute(values: Mapping[str, str]) -> dict[str, str]:
    return {
        key: " ".join(map(_place, value.split())) if key in PLACES else value for key, value in values.items()
    }


def _place(text: str) -> str:
    return text if "://" in text else str(Path(text).expanduser().absolute())


def _is_true(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on", "y", "t")


def _seconds(value: str | None) -> str:
    return value.partition(".")[0] if value else ""
