"""Run prowler's EC2 checks on clusters: ``python -m security [ENDPOINT]``, as ``make security`` does.

Without an endpoint clusters are launched; with one, the local cloud at that endpoint is scanned.
"""

import logging
import os
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from security.findings import Finding, judge, read_findings, read_rules, table

HERE = Path(__file__).parent
PROWLER = HERE.parents[1] / ".venv-security/bin/prowler"
REGION = "us-east-1"
SCAN_TIMEOUT = 1800
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
KEY_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
DEAD_PROXY = "http://127.0.0.1:9"
"""Proxy without a listener, for all connections other than to the endpoint."""


def environment(endpoint: str, home: str) -> dict[str, str]:
    """Return prowler's environment: no AWS settings of the user, and no network beyond the endpoint."""
    proxies = {"HTTP_PROXY": DEAD_PROXY, "HTTPS_PROXY": DEAD_PROXY, "NO_PROXY": "127.0.0.1,localhost"}
    return {**CREDENTIALS, **proxies, "AWS_ENDPOINT_URL": endpoint, "HOME": home, "PATH": os.defpath}


def scan(endpoint: str) -> tuple[Finding, ...]:
    """Return prowler's findings."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(PROWLER), "aws", "--region", REGION, "--service", "ec2", "--ignore-exit-code-3"]
        output = ["--no-banner", "--no-color", "-M", "csv", "-o", folder, "-F", "found"]
        done = subprocess.run(
            [*command, *output],
            env=environment(endpoint, folder),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SCAN_TIMEOUT,
            check=False,
        )
        found = Path(folder, "found.csv")
        if done.returncode or not found.exists():
            sys.exit(f"prowler ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        with found.open(newline="") as lines:
            return read_findings(lines)


def scanned_cloud(endpoint: str | None) -> AbstractContextManager[str]:
    """Return the endpoint; without one, launch clusters and return theirs."""
    if endpoint:
        return nullcontext(endpoint)
    from security.clusters import launched_clusters

    return launched_clusters()


def main(endpoint: str | None = None) -> int:
    """Return the exit code: 0 if every check passes that is not excepted.

    For an endpoint the environment has the credentials: ``eval "$(dask-bake local env)"``.
    """
    if endpoint:
        CREDENTIALS.update({name: os.environ[name] for name in KEY_PAIR if name in os.environ})
    for name in [name for name in os.environ if name.startswith(("AWS_", "DASK_BAKE_", "XDG_"))]:
        del os.environ[name]
    os.environ.update(CREDENTIALS)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for each request
    rules = read_rules((HERE / "checks.toml").read_text())
    with scanned_cloud(endpoint) as address:
        print(f"prowler scans {address}: this takes a minute or two", flush=True)
        verdict = judge(scan(address), rules)
    print(*table(verdict, rules), sep="\n")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
