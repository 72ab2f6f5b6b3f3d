"""Install the packages of a conda lock file into a prefix, from archives that are already here.

Run by 20-conda.sh with the lock file, a folder whose ``archives`` has the packages, and the prefix. It uses
rattler, which the bake brings along and the image does not keep.
"""

import asyncio
import hashlib
import json
import sys
from pathlib import Path

import rattler
from rattler import RepoDataRecord


def locked_records(lock: Path) -> list[RepoDataRecord]:
    """Return the lock file's packages for this platform."""
    here = str(rattler.Subdir.current())
    if (environment := rattler.LockFile.from_path(lock).default_environment()) is not None:
        for platform in environment.platforms():
            if platform.name == here:
                return environment.conda_repodata_records_for_platform(platform) or []
    sys.exit(f"{lock} has no packages for {here}")


def use_archives(records: list[RepoDataRecord], archives: Path) -> dict[str, str]:
    """Verify each package's archive and make it the package's URL; return the original URLs by file name."""
    origins = {}
    for record in records:
        archive = archives / record.file_name
        with archive.open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != record.sha256:
                sys.exit(f"{record.file_name} is not the package that is locked")
        origins[record.file_name] = record.url
        record.url = archive.as_uri()
    return origins


def restore_origins(prefix: Path, origins: dict[str, str]) -> None:
    """Write the packages' original URLs into the prefix, where conda reads them; every user may read them."""
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        record["url"] = origins[record["fn"]]
        path.write_text(json.dumps(record, indent=2))
        path.chmod(0o644)  # rattler makes them readable by their owner only
    (prefix / "conda-meta" / "history").touch()


def main(lock: Path, work: Path, prefix: Path) -> None:
    """Verify the archives, link them into the prefix, and record where they came from."""
    records = locked_records(lock)
    origins = use_archives(records, work / "archives")
    installing = rattler.install(
        records, prefix, cache_dir=work / "cache", show_progress=False, execute_link_scripts=True
    )
    asyncio.run(installing)
    restore_origins(prefix, origins)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
