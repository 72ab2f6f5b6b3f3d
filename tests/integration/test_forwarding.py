"""Tasks that read a private bucket with the credentials of whoever is connected."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from base_release import BASE, PYTHON
from dask_bake.local.admin_client import ask
from dask_bake.local.credentials import read_credentials
from local_cloud import SETTINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BASE.python_minor != PYTHON, reason="client and cluster need the same Python minor version"
    ),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "private_bucket.py"
OBJECT = "forwarded-rides/2026/00.parquet"
LIFETIME = 30
"""Seconds that credentials are valid."""
ASYNCHRONOUS = f"""
import asyncio, json
from dask_bake import connect

def size():
    import s3fs
    return s3fs.S3FileSystem(skip_instance_cache=True).size("{OBJECT}")

async def main():
    async with connect("shared", cloud="local", asynchronous=True, credentials="forward") as client:
        sizes = []
        for _ in range(4):
            sizes += (await client.run(size)).values()
            await asyncio.sleep({LIFETIME} / 2)
    print(json.dumps(sizes))

asyncio.run(main())
"""
"""Program for this machine: all workers read for twice the credentials' lifetime."""
LATER = f"""
import time
from dask_bake import connect

def size():
    import s3fs
    try:
        return s3fs.S3FileSystem(skip_instance_cache=True).size("{OBJECT}")
    except Exception as error:
        return str(error)

with connect("shared", cloud="local", credentials="none") as client:
    deadline = time.monotonic() + 4 * {LIFETIME}
    while True:
        found = list(client.run(size).values())
        if not any(isinstance(each, int) for each in found):
            break
        assert time.monotonic() < deadline, found
        time.sleep(1)
print(found[0])
"""
"""Program for this machine: read without forwarding until that is refused, and print why."""


@pytest.fixture(scope="module")
def lifetime(cloud, cluster):
    """Let new credentials expire soon, so that the cluster keeps none for others."""
    own = read_credentials(SETTINGS)
    ask("POST", "sessions", {"lifetime": LIFETIME}, settings=SETTINGS, credentials=own)
    yield LIFETIME
    ask("POST", "sessions", {"lifetime": None}, settings=SETTINGS, credentials=own)


@pytest.fixture(scope="module")
def figures(cloud, lifetime):
    """The example's figures: it writes the files, and tasks read them with its credentials."""
    words = ("s3://forwarded-rides/2026", "--json", "--write", "--forward", "--name", "shared")
    done = subprocess.run(
        [sys.executable, EXAMPLE, *words, "--cloud", "local"],
        env=cloud.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tasks_of_all_nodes_read_with_the_caller_s_credentials(figures):
    assert (figures["rows"], len(figures["nodes"])) == (120_000, 2)


def test_an_asynchronous_client_renews_them_while_it_is_connected(cloud, figures):
    """It reads for twice their lifetime."""
    sizes = json.loads(cloud.python("-c", ASYNCHRONOUS).splitlines()[-1])

    assert len(sizes) == 4 * 4
    assert len(set(sizes)) == 1


def test_after_the_client_has_gone_they_expire_and_the_message_says_so(cloud, figures):
    """Reading is refused in one sentence that names what to do."""
    message = cloud.python("-c", LATER).strip()

    assert "expired" in message
    assert "connect" in message
