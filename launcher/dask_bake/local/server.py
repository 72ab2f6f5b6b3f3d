"""The local cloud's server: one process that holds everything up and takes it down again.

Run as root in a mount namespace of its own, so that the machines' mounts end with it. It reports to whoever
started it by lines of JSON on its standard output, the last of them ``ready`` or ``error``.
"""

import json
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from werkzeug.serving import BaseWSGIServer, make_server

from dask_bake.errors import BakeError
from dask_bake.local.ec2.api import Ec2Api
from dask_bake.local.gateway.app import Gateway
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.machines.nspawn import boot
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.firewall_sync import Guard
from dask_bake.local.moto.metadata import find_facts
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
from dask_bake.local.network.firewall import lower_firewall, raise_firewall
from dask_bake.local.network.imds import MetadataService
from dask_bake.local.pidfile import claim, claim_root
from dask_bake.local.samples.s3 import SampleLoader
from dask_bake.local.settings import Settings, read_settings
from dask_bake.local.storage.base_image import Bases
from dask_bake.local.storage.image_store import ImageStore
from dask_bake.system.subprocesses import run, stop

DEFAULT_REGION = "us-east-1"


def main() -> None:
    """Serve until SIGTERM."""
    report = Reporter()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
        report.send({"error": f"The local cloud could not start: {error}.", "hint": f"See {settings.log}."})
        sys.exit(1)


@contextmanager
def serve(settings: Settings) -> Iterator[Network]:
    """Hold the local cloud up: network, machines, endpoints; everything is taken down at the end."""
    with ExitStack() as stack:
        claim(settings)
        stack.callback(shutil.rmtree, settings.runtime, ignore_errors=True)
        log = _open_log(settings)
        # nspawn then asks no udev whether our cables are ready; this mount namespace is ours alone.
        run(["mount", "-o", "remount,bind,ro", "/sys"])
        endpoint_socket_guard(settings)
        store = ImageStore(settings)
        store.sweep((), at_start=True)
        network = stack.enter_context(_network(settings, log))
        ec2 = MotoEc2(network, store)
        bases = Bases(store, region=DEFAULT_REGION, publish=ec2.images.publish)
        guard = Guard(network.bridge, ec2.instances.all)
        stack.callback(guard.close)
        hypervisor = Hypervisor(settings, network, store, ec2.instances, boot=boot)
        stack.callback(hypervisor.end_all)
        api, gateway = _gateway(settings, network, ec2, hypervisor, guard, bases)
        stack.callback(api.fates.end)
        metadata = MetadataService(partial(find_facts, ec2.instances), strike=api.troubles.rules.strike)
        for host, port, app in (
            (str(network.gateway), METADATA_PORT, metadata),
            (str(network.gateway), S3_PORT, gateway.only_s3),
            ("127.0.0.1", settings.port, gateway),
        ):
            stack.enter_context(_listening(host, port, app))
        yield network


def endpoint_socket_guard(settings: Settings) -> None:
    """Fail early, in words, when the endpoint's port is taken.

    Raises:
        BakeError: when another program listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.port))
        except OSError:
            raise BakeError(
                f"Port {settings.port} on this machine is in use by another program.",
                hint="Set DASK_BAKE_LOCAL_PORT to a free port.",
            ) from None


class Reporter:
    """Tells the starting command how the start ended, while it still listens."""

    def send(self, fact: dict[str, Any]) -> None:
        """Write one line; nobody listening any more is fine."""
        try:
            sys.stdout.write(json.dumps(fact) + "\n")
            sys.stdout.flush()
        except (BrokenPipeError, ValueError):
            return

    def close(self) -> None:
        """From here on the server speaks to its log alone."""
        os.dup2(2, 1)


def _open_log(settings: Settings) -> int:
    claim_root(settings)
    settings.instances.mkdir(exist_ok=True)
    log = os.open(settings.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
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
        raise_firewall(network)
        stack.callback(lower_firewall, network.bridge)
        dnsmasq = start_dnsmasq(settings, network, log)
        stack.callback(stop, dnsmasq)
        yield network


def _gateway(
    settings: Settings,
    network: Network,
    ec2: MotoEc2,
    hypervisor: Hypervisor,
    guard: Guard,
    bases: Bases,
) -> tuple[Ec2Api, Gateway]:
    from dask_bake.local.moto.app import moto_app, one_service

    guard.follow()

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

    moto = moto_app()
    api = Ec2Api(one_service("ec2"), ec2, hypervisor, follow=guard.follow)
    gateway = Gateway(
        moto,
        one_service("s3"),
        api,
        caller_address=str(network.gateway),
        load_samples=SampleLoader(settings.samples),
        status=status,
        bases=bases,
    )
    return api, gateway


@contextmanager
def _listening(host: str, port: int, app: Any) -> Iterator[BaseWSGIServer]:
    try:
        bound = socket.create_server((host, port))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise BakeError(f"The local cloud cannot listen at {host}:{port}: {why}.") from error
    with bound:
        server = make_server(host, port, app, threaded=True, fd=bound.fileno())
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
