"""``dask-bake local``: start, stop and inspect the local cloud, and its fault rules."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dask_bake.clouds import local_cloud
from dask_bake.local import control
from dask_bake.local.faults import client
from dask_bake.view.layout import finding_text
from dask_bake.view.terminal import Terminal

FAULT_NUMBERS = {"skip": 0, "chance": 1, "status": 0, "seconds": 0, "notice": 120, "count": 0}
"""Numbers of a fault rule with their defaults; a list of rules shows those that differ."""


def up(terminal: Terminal, *, json_output: bool) -> int:
    """Start the local cloud unless it is running, and show its status."""
    with terminal.working():
        control.up(terminal.notify)
    return status(terminal, json_output=json_output)


def down(terminal: Terminal) -> int:
    """Stop the local cloud and its instances; its images are kept."""
    with terminal.working():
        control.down(terminal.notify)
    terminal.out.print("The local cloud is down. Its images are kept.")
    return 0


def status(terminal: Terminal, *, json_output: bool) -> int:
    """Show whether and where the local cloud is running; return 1 if it is not."""
    found = control.status()
    if json_output:
        terminal.write_json(asdict(found) if found else None)
    elif found is None:
        terminal.out.print("The local cloud is not running. dask-bake local up starts it.")
    else:
        terminal.out.print(
            f"The local cloud is running at {found.url} (pid {found.pid}): network {found.block},"
            f" {found.images} images, {found.instances} instances, stored in {found.root}.",
            soft_wrap=True,
        )
    return 0 if found else 1


def doctor(terminal: Terminal, *, json_output: bool) -> int:
    """Show missing requirements, leftovers and notes; return 1 if there are any but notes."""
    findings = control.doctor()
    is_well = all(finding.kind == control.NOTE for finding in findings)
    if json_output:
        terminal.write_json([asdict(finding) for finding in findings])
        return 0 if is_well else 1
    if is_well:
        terminal.out.print("This machine can run the local cloud, and there are no leftovers.")
    for finding in findings:
        terminal.out.print(finding_text(finding.kind, finding.what, finding.remedy), soft_wrap=True)
    return 0 if is_well else 1


def env(terminal: Terminal, *, region: str | None) -> int:
    """Print the shell commands that make aws, Packer or s3fs use the local cloud."""
    endpoint = control.ensure_up(terminal.notify)
    cloud = local_cloud(endpoint.url, endpoint.credentials, region)
    for name, value in cloud.environment:
        terminal.out.print(f"export {name}={shlex.quote(value)}", soft_wrap=True)
    return 0


def add_fault(terminal: Terminal, rule: Mapping[str, Any]) -> int:
    """Add a fault rule, or apply a fault to a running instance."""
    terminal.out.print(client.add_fault(dict(rule)))
    return 0


def list_faults(terminal: Terminal, *, json_output: bool) -> int:
    """List the fault rules, and how often each was applied."""
    rules = client.list_faults()
    if json_output:
        terminal.write_json(rules)
        return 0
    for rule in rules:
        terminal.out.print(_rule(rule), soft_wrap=True)
    if not rules:
        terminal.out.print("There are no fault rules.")
    return 0


def _rule(rule: Mapping[str, Any]) -> str:
    """Return a rule as one line: its kind, code, action and conditions, then its other options."""
    where = [f"{name}={value}" for name, value in rule["where"].items()]
    more = [f"--{name} {rule[name]:g}" for name, usual in FAULT_NUMBERS.items() if rule[name] != usual]
    words = (rule["kind"], rule["code"], rule["action"], *where, *more)
    often = f"{rule['struck']} of {rule['times'] or 'all'}"
    return f"{rule['id']}: {' '.join(filter(None, words))}, struck {often}"


def clear_faults(terminal: Terminal) -> int:
    """Remove all fault rules."""
    client.clear_faults()
    terminal.out.print("All fault rules were removed.")
    return 0
