"""Why a node powered itself off, failed to boot, died or lost processes, as its console has it."""

import json
import re

LAST_WORD = re.compile(r"DASK-BAKE-(?:END \w+|FAILED (?P<stage>[\w-]+)): (?P<reason>.*)")
"""The last line of a node's own programs before it powers itself off; the stage is cloud-init's."""
CLOUD_INIT = re.compile(r"(?:\[ *[0-9.]+\] )?cloud-init\[[0-9]+\]: (?P<text>.*)")
LOG_LINE = re.compile(r"Cloud-init v\.|ci-info: |[0-9-]{10} [0-9:,.]{8,} - |$")
"""How the lines begin that cloud-init itself writes; the others are the output of its commands."""
RAISED = re.compile(r"\('(?P<module>[\w-]+)', \w+\(['\"](?P<message>.*)['\"]\)\)")
"""A module's error as cloud-init records it."""
UNPRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^ -~]")
LONGEST_REASON = 300
SPOT = "Server.SpotInstance"
"""How EC2's state reasons begin for an instance that it took back."""
RECLAIMED = re.compile(r"DASK-BAKE-WARNING spot: EC2 reclaims this node")
OUT_OF_MEMORY = re.compile(r"Out of memory: Killed process [0-9]{1,9} \((?P<program>[^()]{1,40})\)")
"""The kernel's line about a process that it ended (mm/oom_kill.c)."""
PANIC = re.compile(r"Kernel panic - not syncing: (?P<reason>.*)")


def end_reason(console: str) -> str:
    """Return why the node powered itself off, as its console has it; "" if it does not say."""
    lines = [UNPRINTABLE.sub("", line) for line in console.splitlines()]
    found = [(number, word) for number, line in enumerate(lines) if (word := LAST_WORD.search(line))]
    if not found:
        return ""
    number, word = found[-1]
    reason = word["reason"].strip()
    if word["stage"]:
        reason = f"cloud-init failed in {word['stage']}: {_boot_failure(reason, lines[:number])}"
    return reason[:LONGEST_REASON]


def death_reason(console: str, state_reason: str) -> str:
    """Return what a node died of, by its console and EC2's state reason; "" if that says no more."""
    if reason := end_reason(console):
        return reason
    if state_reason.startswith(SPOT) or RECLAIMED.search(console):
        return "EC2 reclaimed it, as it was a spot instance"
    if panics := [match["reason"] for line in console.splitlines() if (match := PANIC.search(line))]:
        return UNPRINTABLE.sub("", f"its kernel stopped: {panics[-1].strip()}")[:LONGEST_REASON]
    return memory_trouble(console)


def memory_trouble(console: str) -> str:
    """Return which program the kernel ended last as memory ran out, and how many in all; "" if none."""
    programs = [match["program"] for match in OUT_OF_MEMORY.finditer(console)]
    if not programs:
        return ""
    program = UNPRINTABLE.sub("", programs[-1])
    times = f", the last of {len(programs)} processes" if len(programs) > 1 else ""
    return f"its memory ran out: the kernel ended {program}{times}"


def _boot_failure(recorded: str, before: list[str]) -> str:
    """Return what cloud-init recorded about the failure, after the last output of the failing commands."""
    try:
        text = str(json.loads(recorded))
    except ValueError:
        text = recorded
    # The error is Python's representation of an exception, with its lines escaped.
    text = RAISED.sub(lambda raised: f"{raised['module']}: {raised['message']}", text)
    text = re.sub(r"\.?\\n", "; ", text)
    output = ""
    for line in before:
        if written := CLOUD_INIT.search(line):
            is_new_stage = written["text"].startswith("Cloud-init v.") and " running " in written["text"]
            if is_new_stage:
                output = ""
            elif not LOG_LINE.match(written["text"]):
                output = written["text"].strip()
    return f"{output} ({text})" if output else text
