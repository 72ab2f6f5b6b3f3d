"""The user's own ``#cloud-config``: checked, and joined to ours so that it adds and never replaces."""

from typing import Any

from dask_bake.errors import UsageError
from dask_bake.options.text_files import parse_yaml
from dask_bake.options.values import quoted

FIRST_LINE = "#cloud-config"
MERGE = "list(append)+dict(no_replace,recurse_list)+str()"
"""cloud-init's own words for it: lists grow, what is there stays."""

LISTS = ("ssh_authorized_keys", "write_files", "users")
"""What ours may hold too, where only a list can be added."""

KNOWN = {
    *LISTS,
    *("bootcmd", "device_aliases", "disk_setup", "final_message", "fqdn", "fs_setup", "groups", "hostname"),
    *("mount_default_fields", "mounts", "package_reboot_if_required", "package_update", "package_upgrade"),
    *("packages", "runcmd", "swap", "timezone"),
}
"""What the modules act on that run on a node (95-dask-bake.cfg), but for what would undo ours."""

OURS = ("/etc/dask-bake/", "/etc/dask/dask-bake.yaml", "/etc/ssh/sshd_config.d/40-dask-bake.conf")


def check_extra(text: str) -> None:
    """Raises a ``UsageError`` if a node would not act on the text, or would no longer be one."""
    for key, value in _read(text).items():
        if key not in KNOWN:
            raise UsageError(
                f"--user-data has {key!r}, which a node does not act on",
                hint="bootcmd and runcmd run commands; write_files, mounts, packages and users work too",
            )
        if key in LISTS and not isinstance(value, list):
            raise UsageError(
                f"--user-data: {key} is {value!r}", hint="it must be a list, to be added to ours"
            )
        if key == "write_files":
            _check_paths(value)


def join(ours: str, extra: str) -> str:
    """Both as cloud-init's parts; what is not ASCII is written anew, as mail knows nothing else."""
    import yaml

    if not extra.isascii():
        extra = f"{FIRST_LINE}\n{yaml.safe_dump(yaml.safe_load(extra), sort_keys=False)}"
    boundary = "dask-bake"
    while f"--{boundary}" in ours + extra:
        boundary += "-"
    return (
        f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{boundary}"\n\n'
        f"--{boundary}\nContent-Type: text/cloud-config\n\n{ours}\n"
        f"--{boundary}\nContent-Type: text/cloud-config\nMerge-Type: {MERGE}\n\n{extra}\n"
        f"--{boundary}--\n"
    )


def _read(text: str) -> dict[Any, Any]:
    import yaml

    if text.partition("\n")[0].rstrip() != FIRST_LINE:
        what = "is a script" if text.startswith("#!") else f"does not begin with the line {FIRST_LINE}"
        raise UsageError(
            f"--user-data {what}", hint=f"it must be a {FIRST_LINE}; commands go under runcmd, as a list"
        )
    try:
        read = parse_yaml(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageError(
            f"--user-data is no YAML{where}: {problem}",
            hint="cloud-init schema --config-file finds such faults",
        ) from error
    if not isinstance(read, dict):
        raise UsageError(
            f"--user-data is no mapping, but {quoted(read)}", hint="it must be lines of 'key: value'"
        )
    return read


def _check_paths(entries: list[Any]) -> None:
    for entry in entries:
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str):
            raise UsageError(
                f"--user-data: {quoted(entry)} of write_files has no path",
                hint="each entry says with 'path:' which file it is",
            )
        if path.startswith(OURS):
            raise UsageError(f"--user-data writes {path}, which is dask-bake's own", hint="take another path")
