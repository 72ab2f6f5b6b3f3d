"""A Unix socket whose connections are forwarded to a port of this machine, as by ssh."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from dask_bake.ssh.command import Forward


@contextmanager
def forwarded(path: Path, port: int) -> Iterator[Path]:
    """Yield the path of the socket while it is forwarded to the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="forwarded")
    thread.start()

    accepted: set[asyncio.StreamWriter] = set()

    def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Coroutine[Any, Any, None]:
        accepted.add(writer)
        return _join(port, reader, writer)

    async def listen() -> asyncio.Server:
        return await asyncio.start_unix_server(join, path)

    async def finish(server: asyncio.Server) -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # A task that is cancelled before it runs has closed nothing.
        for writer in accepted:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in accepted), return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield path
    finally:
        asyncio.run_coroutine_threadsafe(finish(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class ForwardedTunnel(ExitStack):
    """A tunnel to ports of this machine instead of a head's."""

    def __init__(self, *ports: int) -> None:
        super().__init__()
        self.is_closed = False
        self.callback(self._end)
        self._ports = ports

    def opened(self, forwards: tuple[Forward, ...]) -> Any:
        """Return itself, open; in place of ``open_tunnel``."""
        for port, forward in zip(self._ports, forwards, strict=True):
            assert isinstance(forward.local, Path)
            self.enter_context(forwarded(forward.local, port))
        return self

    def advance(self) -> bool:
        """Do nothing: it is open."""
        return True

    def _end(self) -> None:
        self.is_closed = True


async def _join(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, to_there = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(_copy(reader, to_there), _copy(there, writer))
    finally:
        to_there.close()
        writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while part := await source.read(65536):
            target.write(part)
            await target.drain()
    except OSError:
        pass
    target.close()
