"""Reader of the ``cluster.yaml`` that ``launch --file`` writes: the cluster that it identifies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.models.cloud import CloudChoice
from dask_bake.models.cluster import Cluster
from dask_bake.options.text_files import parse_yaml
from dask_bake.options.values import check_name

VARIABLE = "CLUSTERFILE"
"""Environment variable with the file's path, used without ``--file``, as in dask-ec2."""


@dataclass(frozen=True)
class ClusterFile:
    """The identity of a cluster from its file; everything else is looked up."""

    path: Path
    name: str
    cloud: str
    region: str
    launch_id: str | None

    def check(self, cluster: Cluster) -> None:
        """Raise a ``UsageError`` if the name belongs to a later cluster by now."""
        if self.launch_id is not None and cluster.launch_id != self.launch_id:
            raise UsageError(
                f"{self.path} is about an earlier cluster {self.name}: the current one was launched later",
                hint=f"to use the current one, leave out --file and give the name {self.name}",
            )


def read_cluster_file(
    given: Path | None, environ: Mapping[str, str], flags: Mapping[str, str | None]
) -> ClusterFile | None:
    """Return the given file or the variable's; ignore the variable's if flags contradict it.

    Args:
        flags: ``name``, ``cloud`` and ``region`` from the command line.

    Raises:
        UsageError: if flags contradict the given file.
    """
    path = given or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if path is None:
        return None
    file = parse_cluster_file(_read(path), path)
    for what, flag in flags.items():
        said = getattr(file, what)
        if flag not in (None, said) and not (what == "cloud" and flag == CloudChoice.AUTO):
            if given is None:
                return None
            raise UsageError(
                f"{path} is about {what} {said}, and the command line says {flag}", hint="give one of the two"
            )
    return file


def parse_cluster_file(document: object, path: Path) -> ClusterFile:
    """Parse the file.

    A file of dask-ec2 raises an error of its own, since its cluster does not have dask-bake's tags.
    """
    if not isinstance(document, Mapping):
        raise _foreign(path, "it holds no settings")
    if "instances" in document and not {"name", "cloud"} & document.keys():
        raise UsageError(
            f"{path} was written by dask-ec2, whose clusters dask-bake cannot manage",
            hint="end it with aws ec2 terminate-instances"
            f" --region {document.get('region')} --instance-ids {_ids(document['instances'])}",
        )
    for key in ("name", "cloud", "region"):
        if not isinstance(document.get(key), str):
            raise _foreign(path, f"it has no {key}")
    if document["cloud"] not in (CloudChoice.AWS, CloudChoice.LOCAL):
        raise _foreign(path, f"its cloud is {document['cloud']!r}")
    launch_id = document.get("launch_id")
    return ClusterFile(
        path,
        check_name(document["name"]),
        document["cloud"],
        document["region"],
        None if launch_id is None else str(launch_id),
    )


def _read(path: Path) -> Any:
    import yaml

    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no file {path}",
            hint="dask-bake launch --file writes one; without --file a cluster is found by its tags",
        ) from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="without --file a cluster is found by its tags"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _foreign(path, " ".join(str(error).split())) from error


def _foreign(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} was not written by dask-bake launch --file: {why}",
        hint="without --file a cluster is found by its tags",
    )


def _ids(instances: object) -> str:
    nodes = instances if isinstance(instances, list) else []
    return " ".join(str(node["uid"]) for node in nodes if isinstance(node, Mapping) and "uid" in node) or "…"
