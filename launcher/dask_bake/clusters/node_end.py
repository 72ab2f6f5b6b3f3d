"""Why a node powered itself off, or failed to boot, as its console has it."""

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
