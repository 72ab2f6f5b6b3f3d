"""``dask-bake local``: the EC2 on this machine, started, ended and looked at."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.text import Text

from dask_bake.clouds import local_cloud
from dask_bake.local import control
from dask_bake.local.faults import client
from dask_bake.view import clusters
from dask_bake.view.terminal import Terminal

FAULT_NUMBERS = {"skip": 0, "chance": 1, "status": 0, "seconds": 0, "notice": 120, "count": 0}
"""What a list of fault rules shows where it is not as usual."""


def up(terminal: Terminal, *, json_output: bool) -> int:
    """Starts it, unless it runs, and says where it is."""
    with terminal.working():
        control.up(terminal.notify)
    return status(terminal, json_output=json_output)


def down(terminal: Terminal) -> int:
    """Ends it and everything in it; its images stay."""
    with terminal.working():
        control.down(terminal.notify)
    terminal.out.print("The local cloud is down. Its images are kept.")
    return 0


def status(terminal: Terminal, *, json_output: bool) -> int:
    """Says whether and where it runs; 1 when it does not."""
    seen = control.status()
    if json_output:
        terminal.write_json(clusters.as_json(asdict(seen) if seen else None))
    elif seen is None:
        terminal.out.print("The local cloud is not running. dask-bake local up starts it.")
    else:
        terminal.out.print(
            f"The local cloud answers at {seen.url} (pid {seen.pid}): network {seen.block},"
            f" {seen.images} images, {seen.instances} instances, kept in {seen.root}.",
            soft_wrap=True,
        )
    return 0 if seen else 1


def doctor(terminal: Terminal, *, json_output: bool) -> int:
    """Says what is missing for it, or left over from it; 1 when there is anything."""
    findings = control.doctor()
    if json_output:
        terminal.write_json(clusters.as_json([asdict(finding) for finding in findings]))
    elif not findings:
        terminal.out.print("This machine can run the local cloud, and nothing is left over.")
    else:
        for finding in findings:
            text = Text.assemble((f"{finding.kind}: ", "bold yellow"), finding.what, "\n  ", finding.remedy)
            terminal.out.print(text, soft_wrap=True)
    return 1 if findings else 0


def env(terminal: Terminal, *, region: str | None) -> int:
    """Prints what a shell must export for aws, Packer or s3fs to use the local cloud."""
    cloud = local_cloud(control.ensure_up(terminal.notify).url, region)
    for name, value in cloud.environment:
        terminal.out.print(f"export {name}={shlex.quote(value)}", soft_wrap=True)
    return 0


def add_fault(terminal: Terminal, said: Mapping[str, Any]) -> int:
    """Puts a fault rule in force, or has an instance meet a fault."""
    terminal.out.print(Text(client.add_fault(dict(said))))
    return 0


def list_faults(terminal: Terminal, *, json_output: bool) -> int:
    """Says which fault rules are in force, and how often each has struck."""
    rules = client.list_faults()
    if json_output:
        terminal.write_json(clusters.as_json(rules))
        return 0
    for rule in rules:
        terminal.out.print(Text(_rule(rule)), soft_wrap=True)
    if not rules:
        terminal.out.print("There are no fault rules.")
    return 0


def _rule(rule: Mapping[str, Any]) -> str:
    """A rule in one line: what is struck, then whatever else was said of it."""
    where = [f"{name}={value}" for name, value in rule["where"].items()]
    more = [f"--{name} {rule[name]:g}" for name, usual in FAULT_NUMBERS.items() if rule[name] != usual]
    words = (rule["kind"], rule["code"], rule["action"], *where, *more)
    often = f"{rule['struck']} of {rule['times'] or 'all'}"
    return f"{rule['id']}: {' '.join(filter(None, words))}, struck {often}"


def clear_faults(terminal: Terminal) -> int:
    """Takes all fault rules out of force."""
    client.clear_faults()
    terminal.out.print("There are no fault rules any more.")
    return 0
