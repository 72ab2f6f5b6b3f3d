"""Check the user's own ``#cloud-config``, and combine it with dask-bake's so that it only adds."""

from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.text_files import parse_yaml
from dask_bake.options.values import quoted

FIRST_LINE = "#cloud-config"
MERGE_TYPE = "list(append)+dict(no_replace,recurse_list)+str()"
"""cloud-init's merge type: lists are appended, existing keys are not replaced."""

LIST_KEYS = ("ssh_authorized_keys", "write_files", "users")
"""Keys that dask-bake's part has as well; only a list can be appended to them."""

SUPPORTED_KEYS = {
    *LIST_KEYS,
    *("bootcmd", "device_aliases", "disk_setup", "final_message", "fqdn", "fs_setup", "groups", "hostname"),
    *("mount_default_fields", "mounts", "package_reboot_if_required", "package_update", "package_upgrade"),
    *("packages", "runcmd", "swap", "timezone"),
}
"""Keys of the cloud-init modules that run on a node (95-dask-bake.cfg) and cannot undo dask-bake's part."""

RESERVED_PATHS = ("/etc/dask-bake/", "/etc/dask/dask-bake.yaml", "/etc/ssh/sshd_config.d/40-dask-bake.conf")


def check_user_config(text: str) -> None:
    """Raise a ``UsageError`` if nodes would ignore a part of the text, or if it would break them."""
    for key, value in _parse(text).items():
        if key not in SUPPORTED_KEYS:
            raise UsageError(
                f"--user-data: the nodes do not support the key {key!r}",
                hint="bootcmd, runcmd, write_files, mounts, packages and users are supported, among others",
            )
        if key in LIST_KEYS and not isinstance(value, list):
            raise UsageError(
                f"--user-data: {key} must be a list, not {value!r}",
                hint="its entries are added to dask-bake's own",
            )
        if key == "write_files":
            _check_paths(value)


def merge(own: str, extra: str) -> str:
    """Return both texts as MIME parts; one that is not ASCII is dumped again, because the parts must be."""
    import yaml

    if not extra.isascii():
        extra = f"{FIRST_LINE}\n{yaml.safe_dump(yaml.safe_load(extra), sort_keys=False)}"
    boundary = "dask-bake"
    while f"--{boundary}" in own + extra:
        boundary += "-"
    return (
        f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{boundary}"\n\n'
        f"--{boundary}\nContent-Type: text/cloud-config\n\n{own}\n"
        f"--{boundary}\nContent-Type: text/cloud-config\nMerge-Type: {MERGE_TYPE}\n\n{extra}\n"
        f"--{boundary}--\n"
    )


def _parse(text: str) -> dict[Any, Any]:
    import yaml

    if text.partition("\n")[0].rstrip() != FIRST_LINE:
        problem = "is a script" if text.startswith("#!") else f"does not start with the line {FIRST_LINE}"
        raise UsageError(
            f"--user-data {problem}", hint=f"it must be a {FIRST_LINE}; put commands under runcmd, as a list"
        )
    try:
        document = parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError(
            f"--user-data is not valid YAML{where}: {problem}",
            hint="cloud-init schema --config-file checks it",
        ) from error
    if not isinstance(document, dict):
        raise UsageError(
            f"--user-data must be a mapping, not {quoted(document)}", hint="write lines of 'key: value'"
        )
    return document


def _check_paths(entries: list[Any]) -> None:
    for entry in entries:
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str):
            raise UsageError(
                f"--user-data: an entry of write_files has no path: {quoted(entry)}",
                hint="give each entry a 'path:'",
            )
        if path.startswith(RESERVED_PATHS):
            raise UsageError(
                f"--user-data cannot write {path}, which belongs to dask-bake", hint="choose another path"
            )
