"""What an image is: its inputs and its packages, as JSON in the image and as tags beside it."""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dask_bake.environment.pip_lock import Package
from dask_bake.models.tags import Tag, Tags

CHUNK = 256
"""The most characters of a tag's value (EC2 User Guide, "Tag restrictions")."""

IMAGE_CHUNKS, SNAPSHOT_CHUNKS = 30, 34
"""Of a resource's 50 tags, what a manifest may take: 64 of 256 characters are 12 KB, some 250 packages."""


@dataclass(frozen=True)
class File:
    """A file that decides the image: what git tracks of it."""

    path: str
    sha256: str
    executable: bool = False


@dataclass(frozen=True)
class Manifest:
    """All that decided an image, and what is in it; ``inputs`` are names with values: the base image …"""

    digest: str
    python: str
    inputs: Tags
    files: tuple[File, ...]
    packages: tuple[Package, ...]

    def version(self, name: str) -> str:
        """The version of a package, empty where it is not in the image."""
        return next((package.version for package in self.packages if package.name == name), "")

    @property
    def has_hashes(self) -> bool:
        """False where the tags had no room for the packages' hashes."""
        return all(package.sha256 for package in self.packages)


def render(manifest: Manifest) -> str:
    """The manifest as JSON, as it is in the image."""
    packages = [
        {key: value for key, value in asdict(package).items() if value} for package in manifest.packages
    ]
    files = {file.path: {"sha256": file.sha256, "executable": file.executable} for file in manifest.files}
    document = {
        "digest": manifest.digest,
        "python": manifest.python,
        "inputs": dict(manifest.inputs),
        "files": files,
        "packages": packages,
    }
    return json.dumps(document, indent=2) + "\n"


def parse(document: Mapping[str, Any]) -> Manifest:
    """The manifest that the JSON says."""
    return Manifest(
        digest=document["digest"],
        python=document["python"],
        inputs=tuple(sorted(document["inputs"].items())),
        files=tuple(
            File(path, each["sha256"], each["executable"]) for path, each in document["files"].items()
        ),
        packages=tuple(Package(**{"sha256": "", **package}) for package in document["packages"]),
    )


def as_tags(manifest: Manifest) -> tuple[Tags, Tags]:
    """The manifest as tags of the image, and of its snapshot what does not fit there.

    Where both together have no room, the hashes of the last packages are left out: they are in the image.
    """
    text = _packed(manifest, (IMAGE_CHUNKS + SNAPSHOT_CHUNKS) * CHUNK)
    tags = tuple(
        (f"{Tag.MANIFEST}{number:02}", text[start : start + CHUNK])
        for number, start in enumerate(range(0, len(text), CHUNK))
    )
    return tags[:IMAGE_CHUNKS], tags[IMAGE_CHUNKS:]


def from_tags(tags: Iterable[tuple[str, str]]) -> Manifest | None:
    """The manifest that the tags of an image, and of its snapshot, hold; ``None`` where they hold none.

    An image's tags alone are enough for everything but the hashes of its last packages.
    """
    text = "".join(value for key, value in sorted(tags) if key.startswith(Tag.MANIFEST))
    try:
        return _unpacked(text)
    except (ValueError, KeyError, TypeError, zlib.error):
        return None


def _packed(manifest: Manifest, room: int) -> str:
    """At most so many characters: hashes apart, as bytes, as they are what cannot be compressed."""
    document = json.loads(render(manifest))
    hashes = b""
    for each in (*document["files"].values(), *document["packages"]):
        hashes += bytes.fromhex(each.pop("sha256", ""))
    body = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
    fitting = max(0, (room // 4 * 3 - 3 - len(body)) // 32)
    return base64.b64encode(len(body).to_bytes(3, "big") + body + hashes[: fitting * 32]).decode()[:room]


def _unpacked(text: str) -> Manifest:
    raw = base64.b64decode(text, validate=True)
    end = 3 + int.from_bytes(raw[:3], "big")
    document = json.loads(zlib.decompress(raw[3:end]))
    hashes = [raw[start : start + 32].hex() for start in range(end, len(raw) - 31, 32)]
    for each in (*document["files"].values(), *document["packages"]):
        each["sha256"] = hashes.pop(0) if hashes else ""
    return parse(document)
