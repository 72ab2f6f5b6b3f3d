"""Print each requirement between the environment's packages that is not met.

Run by 80-check.sh. It only reports: what is installed is what the lock says.
"""

import importlib.metadata
from collections.abc import Iterator


def unmet_requirements() -> Iterator[str]:
    """Yield a line for each requirement that is not met, those of extras excepted."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    versions = {canonicalize_name(one.name): one.version for one in importlib.metadata.distributions()}
    for one in importlib.metadata.distributions():
        for line in one.requires or ():
            try:
                needed = Requirement(line)
            except InvalidRequirement:
                continue
            if needed.marker and not needed.marker.evaluate({"extra": ""}):
                continue
            found = versions.get(canonicalize_name(needed.name))
            if found is None or not needed.specifier.contains(found, prereleases=True):
                state = f"{found} is installed" if found else "it is not installed"
                yield f"{one.name} {one.version} requires {needed.name}{needed.specifier}, but {state}"


def main() -> None:
    """Print them; without the packaging library, which Dask brings, there is nothing to print."""
    try:
        for line in unmet_requirements():
            print(f"note: {line}")
    except ImportError:
        return


if __name__ == "__main__":
    main()
