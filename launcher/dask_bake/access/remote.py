"""Command lines for commands on nodes that end there when this side ends."""

import shlex
from collections.abc import Sequence

CONNECTED = "dask-bake-connected"
"""The first line on stderr of a command that has started: the connection is made."""
SUPERVISOR = r"""set -m
exec 3<&0 4>&2 2>/dev/null
echo "$1" >&4
bash -c "$2" dask-bake </dev/null 2>&4 3<&- 4>&- &
job=$!
exec 4>&-
{ cat <&3; for signal in TERM KILL; do
kill -$signal -- -$job; sudo -n kill -$signal -- -$job; sleep 5; done; } >/dev/null &
watch=$!
wait $job
code=$?
kill -KILL -- -$watch
exit $code"""
"""Program of bash that runs a command in a process group of its own, and ends it when the input ends.

Without a terminal, sshd tells a command nothing when the connection closes. Job control gives it a group, and
leaves SIGINT as it is for it. A command by sudo can be ended by sudo alone.
"""


def command_text(words: Sequence[str]) -> str:
    """Return the words as a line for a shell: a single word is one already, several are quoted."""
    return words[0] if len(words) == 1 else shlex.join(words)


def supervised(text: str, *, as_root: bool = False) -> str:
    """Return the remote command line that runs this line of shell under supervision."""
    sudo = ("sudo", "-n") if as_root else ()
    return shlex.join([*sudo, "bash", "-c", SUPERVISOR, "dask-bake", CONNECTED, text])
