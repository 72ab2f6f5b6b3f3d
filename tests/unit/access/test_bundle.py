"""Bundles for bug reports."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from dask_bake.access.bundle import compression_of, files, save
from dask_bake.access.logs import NodeLog
from dask_bake.access.records import Record, Source
from dask_bake.errors import UsageError
from fakes import a_cluster

SECRETS = ("AKIA" + "Q" * 16, "hunter2hunter2", "b3BlbnNzaC1rZXk")
PLANTED = (
    f"aws_access_key_id={SECRETS[0]}",
    f"password={SECRETS[1]}",
    "-----BEGIN RSA PRIVATE KEY-----",
    SECRETS[2],
    "-----END RSA PRIVATE KEY-----",
    "the end",
)


@pytest.fixture
def content():
    head = a_cluster().nodes[0]
    sources = (Source.DASK, Source.CONSOLE)
    records = tuple(Record(0.0, 0, source, text) for source in sources for text in PLANTED)
    return files("taxi", [NodeLog(head, records, facts=f"token: {SECRETS[1]}")], {"secret": SECRETS[1]})


def test_each_source_of_a_node_is_a_file_without_its_secrets(content):
    assert sorted(content) == ["about.json", "taxi-0/console.txt", "taxi-0/dask.txt", "taxi-0/facts.txt"]
    assert not [secret for secret in SECRETS for text in content.values() if secret in text]
    assert content["taxi-0/dask.txt"].endswith("the end\n")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz", ".tar", ".tar.zst"])
def test_it_is_packed_as_its_name_says_for_its_owner_alone(content, tmp_path, suffix):
    if suffix == ".tar.zst" and shutil.which("zstd") is None:
        pytest.skip("no zstd")
    path = tmp_path / f"bug{suffix}"
    save(path, content)
    assert path.stat().st_mode & 0o777 == 0o600
    plain = path
    if suffix == ".tar.zst":
        plain = tmp_path / "plain.tar"
        subprocess.run(["zstd", "-q", "-d", "-o", str(plain), str(path)], check=True)
    with tarfile.open(plain) as archive:
        assert sorted(archive.getnames()) == sorted(f"bug/{name}" for name in content)


def test_another_name_is_wrong_use():
    with pytest.raises(UsageError, match="no name of a bundle"):
        compression_of(Path("config"))
