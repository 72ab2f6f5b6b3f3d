"""The local cloud's server: one process that starts everything and removes it when it ends.

It runs as root in a mount namespace of its own, so that the machines' mounts end with it. It reports to the
command that started it with lines of JSON on its standard output; the last is ``ready`` or ``error``.
"""

import io
import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from dask_bake.errors import BakeError
from dask_bake.local.credentials import Credentials, make_credentials, owner_uid
from dask_bake.local.ec2.api import Ec2Api
from dask_bake.local.gateway.app import Gateway
from dask_bake.local.iam.roles import profile_metadata
from dask_bake.local.iam.sessions import Sessions
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.machines.mapped_mount import can_map
from dask_bake.local.machines.nspawn import boot, raise_limits
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.firewall_sync import FirewallSync
from dask_bake.local.moto.metadata import find_metadata
from dask_bake.local.network.bridge import (
    METADATA_PORT,
    S3_PORT,
    Network,
    block_lock,
    blocks_in_use,
    choose_block,
    make_bridge,
    remove_bridge,
)
from dask_bake.local.network.dnsmasq import start_dnsmasq
from dask_bake.local.network.firewall import load_firewall, remove_firewall
from dask_bake.local.network.imds import MetadataService
from dask_bake.local.pidfile import lock_pid_file, lock_root
from dask_bake.local.samples.s3 import SampleLoader
from dask_bake.local.settings import Settings, read_settings
from dask_bake.local.storage.base_image import BaseImages
from dask_bake.local.storage.image_store import ImageStore
from dask_bake.local.user_namespace import OFFSET, first_user
from dask_bake.system.files import make_private
from dask_bake.system.subprocesses import run, stop

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

DEFAULT_REGION = "us-east-1"
REQUEST_TIMEOUT = 60.0
"""Seconds to wait for a request's head."""


def main() -> None:
    """Serve until SIGTERM."""
    report = Reporter()
    stopping = threading.Event()
    be_independent(stopping.set)
    settings = read_settings()
    try:
        with serve(settings) as network:
            report.send({"ready": str(network.block)})
            report.close()
            stopping.wait()
    except BakeError as error:
        report.send({"error": error.message, "hint": error.hint})
        sys.exit(1)
    except OSError as error:
        report.send({"error": f"the local cloud could not start: {error}", "hint": f"see {settings.log}"})
        sys.exit(1)


def be_independent(stop: Callable[[], None]) -> None:
    """Let this process end only by ``stop``, and make files as it must, whatever its caller's settings are.

    With a caller's umask of 000, any user could change files of this process and of the base trees that it
    makes, and so become root of the instances.
    """
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def serve(settings: Settings) -> Iterator[Network]:
    """Start network, machines and endpoints; stop and remove everything when the context ends."""
    with ExitStack() as stack:
        lock_pid_file(settings)
        stack.callback(shutil.rmtree, settings.runtime, ignore_errors=True)
        log = _open_log(settings)
        # With a read-only /sys nspawn does not wait for udev; this mount namespace is ours alone.
        run(["mount", "-o", "remount,bind,ro", "/sys"])
        check_port(settings)
        credentials = make_credentials(settings, owner_uid())
        store = ImageStore(settings)
        store.sweep((), at_start=True)
        store.shift_layers()
        raise_limits()
        network = stack.enter_context(_network(settings, log))
        ec2 = MotoEc2(network, store)
        bases = BaseImages(store, region=DEFAULT_REGION, publish=ec2.images.publish)
        firewall_sync = FirewallSync(network.bridge, ec2.instances.all)
        stack.callback(firewall_sync.close)
        maps_owners = can_map(settings.layers) and can_map(settings.instances)
        users = first_user if maps_owners else lambda _: OFFSET
        hypervisor = Hypervisor(settings, network, store, ec2.instances, boot=boot, users=users)
        stack.callback(hypervisor.end_all)
        sessions = Sessions()
        api, gateway = _gateway(
            settings, credentials, sessions, network, ec2, hypervisor, firewall_sync, bases
        )
        stack.callback(api.instance_faults.cancel)
        find = partial(find_metadata, ec2.instances, partial(profile_metadata, sessions))
        metadata = MetadataService(find, match_faults=api.fault_rules.match)
        for host, port, app in (
            (str(network.gateway), METADATA_PORT, metadata),
            (str(network.gateway), S3_PORT, gateway.only_s3),
            ("127.0.0.1", settings.port, gateway),
        ):
            stack.enter_context(_listening(host, port, app))
        yield network


def check_port(settings: Settings) -> None:
    """Check that the endpoint's port is free.

    Raises:
        BakeError: when another program uses it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.port))
        except OSError:
            raise BakeError(
                f"port {settings.port} is in use by another program",
                hint="set DASK_BAKE_LOCAL_PORT to a free port",
            ) from None


class Reporter:
    """Reports the result of the start to the command that started the server."""

    def send(self, report: dict[str, Any]) -> None:
        """Write one line; the command may have ended."""
        try:
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()
        except (BrokenPipeError, ValueError):
            return

    def close(self) -> None:
        """Redirect stdout to the log."""
        os.dup2(2, 1)


def _open_log(settings: Settings) -> int:
    lock_root(settings)
    make_private(settings.instances)
    for unfinished in settings.instances.glob("i-*"):  # of a killed server; not every user sees them
        shutil.rmtree(unfinished, ignore_errors=True)
    log = os.open(settings.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(log, 0o600)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line for each request
    return log


@contextmanager
def _network(settings: Settings, log: int) -> Iterator[Network]:
    with ExitStack() as stack:
        with block_lock():
            network = Network(settings.bridge, choose_block(settings.block, blocks_in_use()))
            make_bridge(network)
        stack.callback(remove_bridge, network.bridge)
        load_firewall(network)
        stack.callback(remove_firewall, network.bridge)
        dnsmasq = start_dnsmasq(settings, network, log)
        stack.callback(stop, dnsmasq)
        yield network


def _gateway(
    settings: Settings,
    credentials: Credentials,
    sessions: Sessions,
    network: Network,
    ec2: MotoEc2,
    hypervisor: Hypervisor,
    firewall_sync: FirewallSync,
    bases: BaseImages,
) -> tuple[Ec2Api, Gateway]:
    from dask_bake.local.moto.app import moto_services, one_service
    from dask_bake.local.moto.s3 import is_public

    firewall_sync.update()

    def status() -> dict[str, Any]:
        return {
            "name": settings.name,
            "pid": os.getpid(),
            "url": settings.url,
            "block": str(network.block),
            "images": len(ImageStore(settings).all()),
            "instances": hypervisor.slots.machines_on(),
            "root": str(settings.root),
        }

    api = Ec2Api(one_service("ec2"), ec2, hypervisor, update_firewall=firewall_sync.update)
    gateway = Gateway(
        moto_services(),
        one_service("s3"),
        api,
        credentials=credentials,
        sessions=sessions,
        is_public=is_public,
        caller_address=str(network.gateway),
        load_samples=SampleLoader(settings.samples),
        status=status,
        bases=bases,
    )
    return api, gateway


class DeadlineReader(io.RawIOBase):
    """Reads from a connection until ``deadline``, by the monotonic clock, if there is one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline: float | None = None

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what has come, or wait for it.

        Raises:
            TimeoutError: at the deadline.
        """
        left = None if self.deadline is None else self.deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class RequestHandler(WSGIRequestHandler):
    """Handler for an address to which strangers can connect: it does not wait for ever, and logs nothing."""

    def setup(self) -> None:
        """Read the connection with a deadline."""
        super().setup()
        self.rfile.close()
        self._reader = DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Handle one request, or close the connection if none comes in time."""
        self._reader.deadline = time.monotonic() + REQUEST_TIMEOUT
        super().handle_one_request()

    def run_wsgi(self) -> None:
        """Handle a request whose head has come, for as long as it takes."""
        self._reader.deadline = None
        self.connection.settimeout(None)
        super().run_wsgi()

    def log_error(self, *_: object) -> None:
        """Log nothing: others could fill the disk with what is no request."""


@contextmanager
def _listening(host: str, port: int, app: Any) -> Iterator[BaseWSGIServer]:
    try:
        bound = socket.create_server((host, port))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise BakeError(f"the local cloud cannot listen at {host}:{port}: {why}") from error
    with bound:
        server = make_server(
            host, port, app, threaded=True, fd=bound.fileno(), request_handler=RequestHandler
        )
    server.log_startup = lambda: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()  # until then it may hold the port open
        server.server_close()


if __name__ == "__main__":
    main()
