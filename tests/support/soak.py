"""Launch and take down clusters, one after the other, while a fifth of the requests fail.

Every kind of fault is used: a fifth of all requests meet a request fault, and a launch meets each kind of
instance fault with a probability of 5 %. There are two limits: machines are pretended, so metadata is never
requested and instance faults are visible in EC2's responses only; and delays are short, because a delay
beyond the client's time-out is the same as a lost response (``drop-after``).

``python -m soak --cycles 10000`` runs many cycles; ``--seed S --first N --cycles 1`` repeats cycle N.
"""

import argparse
import faulthandler
import logging
import os
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random

import conftest  # noqa: F401 - moto's settings, before moto is imported
from dask_bake import clouds
from dask_bake.clusters.inventory import find
from dask_bake.clusters.teardown import take_down
from dask_bake.ec2 import api
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.errors import BakeError
from dask_bake.launch.bootstrap import Bootstrap
from dask_bake.launch.executor import launch
from dask_bake.launch.plan import LaunchPlan
from dask_bake.local.faults.model import FOR_INSTANCES, RESPONSE_FAULTS, Fault, FaultKind
from dask_bake.local.settings import Settings
from dask_bake.local.storage.image_store import ImageStore
from dask_bake.models.cloud import Cloud
from dask_bake.options.launch import LaunchOptions
from fake_local_cloud import DEBIAN, Server
from fakes import PUBLIC_KEY, Ec2WithHostKey, FakeHeadConnection, a_target
from isolation import KEY_PAIR
from resource_check import Resource, check, resources

ACCOUNT = "123456789012"
REQUEST_FAULT_CHANCE = 0.2
"""Probability of a fault for each request."""
INSTANCE_FAULT_CHANCE = 0.05
"""Probability of each instance fault for each launch."""
HIDDEN = 0.03
"""Seconds after which hidden resources are visible, and ending ones have ended."""
CYCLES_OF_A_CLOUD = 100
"""Cycles for each cloud, which stores all its responses to client tokens."""
ENDED_THAT_ARE_SHOWN = 20
"""Terminated instances described by the cloud; EC2's hour would be a thousand cycles."""
TIMEOUT = 20
ALL_OF_IT = "whatever is tagged dask-bake:cluster=dask"
CLOCK_LIMIT, PROCESSOR_LIMIT = 3_000.0, 60.0
"""Limits in seconds of the launcher's clock, and of processor time: beyond them a command hangs."""
STUCK = 600
"""Seconds after which a command is blocked for ever: all stacks are printed, and the process ends."""
LAST_ATTEMPTS = 100
"""Attempts to remove a cycle's leftovers without faults."""
LATE_FAULTS = (FaultKind.TERMINATED, FaultKind.SPOT_NOTICE)
"""Faults that may end an instance after the launch has succeeded."""
CODES = ("RequestLimitExceeded", "InternalError", "Unavailable", "ExpiredToken", "UnauthorizedOperation")
REQUEST_FAULTS = (
    *((FaultKind.ERROR, code) for code in CODES),
    *((kind, "") for kind in sorted((RESPONSE_FAULTS | {FaultKind.DELAY}) - {FaultKind.ERROR})),
)
"""All request faults, for any action."""
INSTANCE_FAULTS = tuple(sorted(FOR_INSTANCES | {FaultKind.CAPACITY}))
"""All instance faults."""
NOT_CARRIED_OUT = (FaultKind.ERROR, FaultKind.DROP_BEFORE, FaultKind.HTML)
"""Faults with which a request is not carried out."""


@dataclass
class HangError(Exception):
    """A command exceeds its time limit."""


class Clock:
    """A clock that only ``sleep`` moves; it sleeps a thousandth of the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.allow()

    def allow(self) -> None:
        """Restart the time limit."""
        self.end, self.end_here = self.now + CLOCK_LIMIT, time.process_time() + PROCESSOR_LIMIT

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        time.sleep(min(0.002, seconds / 1000))
        if self.now > self.end or time.process_time() > self.end_here:
            raise HangError


@dataclass
class MachinesRegistered(FakeHeadConnection):
    """A connection to a scheduler with which all machines' workers have registered, or none."""

    host: object = None
    nprocs: int = 2

    def registered(self, head):
        if not self.answers:
            return None
        alive = [each.spec.address for each in self.host.machines if not each.cleaned_up.is_set()]
        return Counter({each: self.nprocs for each in alive if each != head.private_address})


@dataclass(frozen=True)
class Finding:
    """A defect, and where it was found."""

    seed: int
    cycle: int
    command: str
    what: str
    faults: tuple[str, ...]

    def __str__(self) -> str:
        again = f"--seed {self.seed} --first {self.cycle} --cycles 1"
        return f"cycle {self.cycle}, {self.command}: {self.what}\n  {again}\n  " + "\n  ".join(self.faults)


@dataclass
class Report:
    """Exit codes, faults and findings of all cycles."""

    codes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        self.codes += other.codes
        self.kinds += other.kinds
        self.findings += other.findings


@dataclass
class Cycle:
    """A cluster that is launched and taken down; ``random`` chooses options and faults."""

    seed: int
    number: int
    server: Server
    report: Report
    cloud: Cloud
    edge: Ec2WithHostKey
    clock: Clock
    there: frozenset[Resource] = frozenset()
    some_end: bool = False

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} {self.number}")

    def run(self) -> None:
        options = self.options()
        code = self.command("launch", lambda: self.launch(options), options)
        if code in (0, 3):
            code = self.command("down", self.down)
        if self.there:
            self.command("down at last", self.down_at_last, faulty=False)

    def options(self) -> LaunchOptions:
        count = self.random.randint(2, 4)
        return LaunchOptions(
            count=count,
            nprocs=2,
            ami=DEBIAN.id,
            timeout=TIMEOUT,
            allow_mismatch=True,
            spot=self.random.random() < 0.3,
            min_workers=2 if count > 2 and self.random.random() < 0.3 else None,
            type=("m6i.2xlarge", "m5.2xlarge") if self.random.random() < 0.3 else ("m6i.2xlarge",),
        )

    def launch(self, options: LaunchOptions) -> None:
        edge = self.edge
        target = a_target(options, self.cloud, edge)
        plan = LaunchPlan(options, target, f"{self.random.getrandbits(48):012x}", Bootstrap(PUBLIC_KEY))
        answers = self.random.random() < 0.95
        connection = MachinesRegistered(edge, answers=answers, host=self.server.host)
        launch(plan, edge, connection, notify=_ignore, clock=self.clock, sleep=self.clock.sleep)

    def down(self) -> None:
        edge = self.edge
        cluster = find(edge, self.cloud, "dask")
        connection = FakeHeadConnection(edge)
        take_down(cluster, edge, connection, notify=_ignore, clock=self.clock, sleep=self.clock.sleep)

    def down_at_last(self) -> None:
        for _ in range(LAST_ATTEMPTS):
            with suppress(BakeError):
                self.down()
            if not self.look():
                break

    def command(self, name: str, act: Callable[[], None], nodes=None, *, faulty: bool = True) -> int:
        """Run a command, check the resources, and return its exit code."""
        before = self.there
        code, message, wrong = 0, "", ""
        with self.faults() if faulty else _quiet() as struck:
            self.clock.allow()
            faulthandler.dump_traceback_later(STUCK, exit=True, file=sys.__stderr__)
            dying = threading.Timer(STUCK - 5, self.tell_that_it_hangs, (name,))
            dying.daemon = True
            dying.start()
            try:
                act()
            except BakeError as error:
                code, message = error.exit_code, f"{error.message} {error.hint}"
            except HangError:
                wrong = f"hangs:\n{traceback.format_exc(limit=-8)}"
            except Exception:
                wrong = f"traceback:\n{traceback.format_exc(limit=-12)}"
            finally:
                faulthandler.cancel_dump_traceback_later()
                dying.cancel()
        after = self.there = self.look()
        try:
            if not wrong:
                self.hold(before, after, code, message, nodes)
        except AssertionError as error:
            wrong = f"{error}; exit code {code}: {message}"
        if wrong:
            self.report.findings.append(Finding(self.seed, self.number, name, wrong, tuple(struck)))
        self.report.codes[f"{name} {code}"] += 1
        return code

    def tell_that_it_hangs(self, name: str) -> None:
        """Print the finding, just before the process ends with all threads' stacks."""
        print(Finding(self.seed, self.number, name, "hangs", ()), file=sys.__stderr__, flush=True)

    def hold(self, before, after, code: int, message: str, options: LaunchOptions | None) -> None:
        """Fail unless the resources match the command's exit code and message."""
        if code == 3:  # more may be named than exists if EC2 refused the look-up
            unnamed = [each for each in after if not each.is_named_in(message)]
            assert not unnamed or ALL_OF_IT in message, f"there is more than was named: {unnamed}"
        elif options is not None:
            some = options.min_workers or self.some_end
            check(before, after, code=code, message=message, nodes=None if some else options.count)
        elif code == 0:
            assert not after, f"there is still {sorted(after)}"
        else:
            check(before, after, code=code, message=message)

    def look(self) -> frozenset[Resource]:
        """Return the resources, once hidden ones are visible and ending ones have ended."""
        time.sleep(HIDDEN)
        return resources(self.server.ec2)

    @contextmanager
    def faults(self) -> Iterator[list[str]]:
        rules, log, struck = self.server.api.fault_rules, self.server.gateway.log, []
        in_force = {fault.id: fault for fault in map(rules.add, faults(self.random))}
        log.clear()
        self.some_end = False
        try:
            yield struck
        finally:
            rules.clear()
            for request in log.all():
                met = [in_force[each] for each in request.faults]
                kinds = {fault.kind for fault in met}
                self.report.kinds.update(
                    kinds if not kinds & {*NOT_CARRIED_OUT} else kinds - {*INSTANCE_FAULTS}
                )
                struck += [f"{request.action}: {fault.kind} {fault.code}" for fault in met]
                self.some_end = self.some_end or bool(kinds & {*LATE_FAULTS})


def faults(random: Random) -> Iterator[Fault]:
    """Yield rules for every kind of fault, so that a fifth of the requests fail."""
    chance = 1 - (1 - REQUEST_FAULT_CHANCE) ** (1 / len(REQUEST_FAULTS))
    rules = [("*", kind, code, chance) for kind, code in REQUEST_FAULTS]
    rules += [("RunInstances", kind, "", INSTANCE_FAULT_CHANCE) for kind in INSTANCE_FAULTS]
    for action, kind, code, odds in rules:
        yield Fault(
            kind,
            action,
            times=0,
            chance=odds,
            seed=random.getrandbits(32),
            code=code,
            seconds=random.choice([0.0, 0.01, 0.02]),
            notice=0.01,
            count=random.randint(0, 1),
        )


def soak(seed: int, numbers: Iterable[int]) -> Report:
    """Run these cycles, one after the other, in a new cloud."""
    report = Report()
    with a_cloud() as server:
        cloud, clock = clouds.local_cloud(server.url, KEY_PAIR, None), Clock()
        retries = RetryPolicy(_ignore, clock, clock.sleep)
        edge = Ec2WithHostKey(api.connect(cloud, _ignore, retries=retries))
        for number in numbers:
            Cycle(seed, number, server, report, cloud, edge, clock).run()
            server.host.machines.clear()
    return report


def batches(first: int, cycles: int) -> list[range]:
    """Return the numbers of the cycles in batches, one for each cloud."""
    end = first + cycles
    return [range(at, min(at + CYCLES_OF_A_CLOUD, end)) for at in range(first, end, CYCLES_OF_A_CLOUD)]


@contextmanager
def a_cloud() -> Iterator[Server]:
    from moto.ec2.models import ec2_backends

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(name="soak", root=Path(folder) / "root")
        store = ImageStore(settings)
        store.layer("base").mkdir()
        store.save(DEBIAN)
        ec2_backends.reset()
        with Server(settings, "10.9.0.0/20").listening() as server:
            server.hypervisor.terminated_kept = ENDED_THAT_ARE_SHOWN
            yield server


@contextmanager
def _quiet() -> Iterator[list[str]]:
    yield []


def _ignore(_event: object) -> None:
    pass


def _forget_the_account() -> None:
    """Replace the user's AWS settings with dummy credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=Random().getrandbits(32))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="clouds at a time")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    start, report, done = time.monotonic(), Report(), 0
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), _begin) as pool:
        tried = batches(options.first, options.cycles)
        running = {pool.submit(soak, options.seed, batch): len(batch) for batch in tried}
        try:
            for each in as_completed(running):
                report.add(each.result())
                done += running[each]
                for finding in each.result().findings:
                    print(finding)
                so_far = f"{len(report.findings)} findings, {time.monotonic() - start:.0f} s"
                print(f"{done} of {options.cycles} cycles: {so_far}", flush=True)
        except BrokenProcessPool:
            print("One cycle hangs, as reported above; the remaining cycles were not run.")
            return 1
    for counted in (report.codes, report.kinds):
        print(", ".join(f"{name}: {number}" for name, number in sorted(counted.items())))
    return bool(report.findings)


def _begin() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _forget_the_account()


if __name__ == "__main__":
    sys.exit(main())
