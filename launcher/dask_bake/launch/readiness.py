"""Wait for a launched cluster: from requested nodes to registered workers."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from dask_bake.clusters.condition import POWERED_OFF
from dask_bake.clusters.node_end import end_reason
from dask_bake.clusters.teardown import UNSEEN
from dask_bake.ec2.protocols import ClusterApi, HeadConnection
from dask_bake.errors import BakeError, InstanceReclaimedError, NotReadyError, TransientError
from dask_bake.events import ClusterSeen, Note, Notify, Output, phase_of
from dask_bake.launch.plan import LaunchPlan
from dask_bake.launch.state import ENDING, LaunchState
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Node
from dask_bake.models.tags import Tag
from dask_bake.ssh.host_keys import host_key_from_console, last_lines

TICK = 0.2
LOOK_AT_INSTANCES = 0.5
LOOK_AT_CONSOLE = 0.5
FIRST_LOOK_AT_JOURNAL, LOOK_AT_JOURNAL = 10.0, 5.0
"""A launch that takes longer than usual looks for the cause this often, with a connection for each look."""
LAST_LINES = 30
MOST_RESTARTS = 3
"""Restarts of a service by the same error after which it is not waited for any longer."""
RESTARTS = re.compile(r"restart counter is at (\d+)")
ERROR_LINE = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|SystemExit)(?:: .*)?|Error: .+")
"""The last line of a Python traceback, or Dask's message about its options."""
END_OF_UNIT = re.compile(r"\S+\.service: (?:Main process exited, code=(?!exited, status=0).*|Failed to .*)")
"""systemd's message about a service that ended."""
LONGEST_CAUSE, MOST_LINES = 300, 1000
OF_EC2 = "Server."
"""Prefix of state reasons for which EC2 itself ended the instance."""
NO_DISK = "Client.InternalError"


@dataclass
class Readiness:
    """Polling loop of a launch: queries EC2 and the scheduler, and records their answers."""

    state: LaunchState
    cloud: ClusterApi
    connection: HeadConnection
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    deadline: float
    next_look: float = 0.0
    next_console: float = 0.0
    next_end: float = 0.0
    next_journal: float = field(init=False)
    unseen_until: float = 0.0
    is_silence_reported: bool = False

    def __post_init__(self) -> None:
        self.next_journal = self.clock() + FIRST_LOOK_AT_JOURNAL

    @property
    def plan(self) -> LaunchPlan:
        """The plan of the launch."""
        return self.state.plan

    def wait(self) -> None:
        """Wait until the cluster is as the options request.

        Raises:
            NotReadyError: at the deadline, or if a node ends that the cluster needs.
            InstanceReclaimedError: if EC2 itself ends a node that the cluster needs.
        """
        with phase_of("head", self.notify, self.clock):
            self._until(lambda: self.state.head.state == "running", "the head to run")
        with phase_of("host key", self.notify, self.clock):
            self._until(self._pin_head, "the head's host key on its console")
        if self.plan.options.runs_dask:
            self._wait_for_dask()
        else:
            self._wait_for_shells()
        if self.state.abandoned:
            self.unseen_until = self.clock() + UNSEEN
            self.deadline = max(self.deadline, self.unseen_until)
            self._until(self._end_abandoned, "the abandoned nodes to end")
        self.show()

    def _wait_for_dask(self) -> None:
        with phase_of("scheduler", self.notify, self.clock):
            self._until(self._ask_scheduler, "the scheduler to answer through SSH")
        with phase_of("workers", self.notify, self.clock):
            try:
                self._until(
                    lambda: self._ask_scheduler() and not self.state.laggards, "all workers to register"
                )
            except NotReadyError:
                if not self.state.has_enough_workers:
                    raise
        if late := self.state.laggards:
            numbers = ", ".join(str(node.index) for node in late)
            self.notify(
                Note(
                    f"The workers of node {numbers} have not registered; the node is running and costs money."
                )
            )

    def _wait_for_shells(self) -> None:
        """Wait for a cluster without Dask: every node runs, and SSH to the head works."""
        with phase_of("nodes", self.notify, self.clock):
            self._until(lambda: self.state.all_run, "all nodes to run")
            self._until(lambda: self.connection.opens(self.state.head), "the head to answer through SSH")

    def show(self) -> None:
        """Report the cluster as last seen."""
        self.notify(ClusterSeen(self.state.snapshot, tuple(sorted(self.state.registered.items()))))

    def awaited(self) -> Node:
        """Return the node that the launch waits for."""
        return self.state.awaited(self.connection.is_pinned)

    def _until(self, condition: Callable[[], bool], awaited: str) -> None:
        while not self._is_so(condition, awaited):
            if self.clock() >= self.deadline:
                raise self._too_late(awaited)
            self.sleep(TICK)
            if self.clock() >= self.next_look:
                self.next_look = self.clock() + LOOK_AT_INSTANCES
                self._is_so(self._look, awaited)
            if self.clock() >= self.next_journal:
                self.next_journal = self.clock() + LOOK_AT_JOURNAL
                self._is_so(self._check_restarts, awaited)

    def _is_so(self, condition: Callable[[], bool], awaited: str) -> bool:
        """Return the condition; False if EC2 is unreachable, because it may answer before the deadline."""
        try:
            return condition()
        except TransientError as error:
            if self.clock() >= self.deadline:
                raise self._too_late(awaited, f"; {error.message}") from error
            if not self.is_silence_reported:
                self.is_silence_reported = True
                self.notify(Note(f"Waiting for EC2: {error.message}."))
            return False

    def _look(self) -> bool:
        self.state.record(self.cloud.nodes({Tag.LAUNCH: self.plan.launch_id}))
        self.show()
        for node in self.state.snapshot.nodes:
            if node.state in ENDING:
                self._lose(node)
        return True

    def _lose(self, node: Node) -> None:
        """Abandon a node that has ended; raise if the cluster needs the node."""
        console = self._show_console(node)
        reason = node.state_reason or f"it is {node.state}"
        if reason.startswith(POWERED_OFF):
            reason = end_reason(console) or reason
        ended = f"node {node.index} ({node.id}) ended while the cluster was launched: {reason}"
        if not self.state.can_spare(node):
            error = InstanceReclaimedError if reason.startswith(OF_EC2) else NotReadyError
            hint = "the last lines of its console are above"
            if reason.startswith(NO_DISK):
                hint = "often its disk: check that these credentials may use the KMS key that encrypts it"
            raise error(ended, hint=hint)
        self.state.abandon(node)
        self.notify(Note(f"{ended[0].upper()}{ended[1:]}."))

    def _end_abandoned(self) -> bool:
        """Terminate the abandoned nodes, and return whether all have ended.

        The request is repeated while EC2 does not list a node, because EC2 may not know it yet.
        """
        seen = {node.id: node for node in self.cloud.nodes({Tag.LAUNCH: self.plan.launch_id})}
        unseen = self.state.abandoned - set(seen) if self.clock() < self.unseen_until else set()
        live = {each for each in self.state.abandoned & set(seen) if seen[each].is_live}
        if live | unseen and self.clock() >= self.next_end:
            self.next_end = self.clock() + LOOK_AT_INSTANCES
            self.cloud.terminate(sorted(live | unseen))
        return not live | unseen

    def _pin_head(self) -> bool:
        head = self.state.head
        if self.clock() >= self.next_console:
            self.next_console = self.clock() + LOOK_AT_CONSOLE
            host_key = host_key_from_console(self.cloud.console_output(head.id))
            if host_key is not None:
                self.connection.pin(head, host_key)
        return self.connection.is_pinned(head)

    def _ask_scheduler(self) -> bool:
        registered = self.connection.registered(self.state.head)
        self.state.has_scheduler |= registered is not None
        if registered is not None and dict(registered) != self.state.registered:
            self.state.registered = dict(registered)
            self.show()
        return registered is not None

    def _show_console(self, node: Node) -> str:
        """Print the last lines of the node's console, and return it; "" if it cannot be read."""
        try:
            console = self.cloud.console_output(node.id)
        except BakeError as error:
            self.notify(Output(f"node {node.index}: its console cannot be read: {error.message}"))
            return ""
        for line in last_lines(console, LAST_LINES):
            self.notify(Output(f"node {node.index}: {line}"))
        return console

    def _too_late(self, awaited: str, why: str = "") -> BakeError:
        node, registered = self.awaited(), self.state.registered
        console, journal = self._show_console(node), self._journal(node)
        for line in last_lines(journal, LAST_LINES):
            self.notify(Output(f"node {node.index}: {line}"))
        error = last_error(journal) or end_reason(console) or end_of_unit(journal)
        cause = f": {error}" if error else ""
        trouble = (
            f"; SSH says: {self.connection.trouble}" if self.connection.trouble and not registered else ""
        )
        expected = self.state.expected_workers
        ready = f"{sum(registered.values())} of {expected} workers registered, "
        return NotReadyError(
            f"waited {self.plan.options.timeout} s for {awaited}:"
            f" {ready if self.plan.options.runs_dask else ''}node {node.index} is late{cause}{trouble}{why}",
            hint="--timeout gives it longer, --keep-on-failure keeps it for a look;"
            f" the last lines of that node's {'console and journal' if journal else 'console'} are above",
        )

    def _check_restarts(self) -> bool:
        """Raise if the service that the launch waits for fails again and again by the same error."""
        node = self.awaited()
        journal = self._journal(node)
        error, restarts = last_error(journal), [int(each) for each in RESTARTS.findall(journal)]
        if not error or max(restarts, default=0) < MOST_RESTARTS or journal.count(error) < MOST_RESTARTS:
            return False
        for line in last_lines(journal, LAST_LINES):
            self.notify(Output(f"node {node.index}: {line}"))
        unit = "scheduler" if node.role is Role.HEAD else "worker"
        raise NotReadyError(
            f"the {unit} on node {node.index} does not start, at {max(restarts)} restarts: {error}",
            hint="the last lines of its journal are above; --keep-on-failure keeps the cluster for a look",
        )

    def _journal(self, node: Node) -> str:
        """Return the journal of the service that the launch waits for; "" while SSH cannot reach it."""
        if not self.plan.options.runs_dask or not self.connection.is_pinned(self.state.head):
            return ""
        if not self.connection.opens(self.state.head):
            return ""
        if not self.connection.is_pinned(node):
            try:
                host_key = host_key_from_console(self.cloud.console_output(node.id))
            except BakeError:
                return ""
            if host_key is None:
                return ""
            self.connection.pin(node, host_key)
        unit = "dask-scheduler" if node.role is Role.HEAD else "dask-worker"
        return self.connection.journal(self.state.snapshot, node, unit)


def last_error(journal: str) -> str:
    """Return the last line of the last traceback in the journal; "" if there is none."""
    return _last(ERROR_LINE, journal)


def end_of_unit(journal: str) -> str:
    """Return how the service ended last, as systemd says: a signal, or no such program; "" if it has not."""
    return _last(END_OF_UNIT, journal)


def _last(pattern: re.Pattern[str], journal: str) -> str:
    found = [line for line in last_lines(journal, MOST_LINES) if pattern.fullmatch(line)]
    return found[-1][:LONGEST_CAUSE] if found else ""
