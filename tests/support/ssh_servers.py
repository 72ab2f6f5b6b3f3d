"""SSH servers on loopback, each in a thread: a head, a worker, a bastion."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

Target = tuple[str, int]


@dataclass
class SshServer:
    """An SSH server that accepts one key.

    Args:
        name: what its ``hostname`` says.
        folder: where commands are run, and files are; without it, every command prints the name.
        environ: the variables of the commands.
        routes: actual destinations of forwarded connections, by the requested ones.
    """

    name: str
    public_key: str
    routes: Mapping[Target, Target] = field(default_factory=dict)
    host_key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    port: int = 0
    folder: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    requested_transport: list[Target] = field(default_factory=list)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)

    @property
    def public_host_key(self) -> str:
        """The host key as a console prints it."""
        return self.host_key.export_public_key().decode().strip()

    @contextmanager
    def listening(self) -> Iterator["SshServer"]:
        """Run the server for the duration of the block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        server = self._on(loop, self._listen())
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._on(loop, self._end(server))
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _end(self, server) -> None:
        server.close()
        for connection in self.connections:
            connection.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        _, late = await asyncio.wait(others, timeout=5) if others else (set(), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await server.wait_closed()

    def _on(self, loop, work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=30)

    async def _listen(self):
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self.host_key],
            server_factory=lambda: _Guard(self),
            process_factory=self._run,
            sftp_factory=self._files if self.folder else None,
            encoding=None,
        )

    async def _run(self, process) -> None:
        self.commands.append(process.command)
        if self.folder is not None:
            await self._execute(process)
            return
        process.stdout.write(f"{self.name}\n".encode())
        process.exit(0)

    async def _execute(self, process) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE)
        child = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command),
            **pipes,
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), **self.environ},
            start_new_session=True,
        )
        feeding = asyncio.ensure_future(_pump(process.stdin, child.stdin, closes=True))
        await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
        code = await child.wait()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        with suppress(OSError, asyncssh.Error):
            process.exit(code)

    def _files(self, channel) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(self.folder).encode())

    def carry(self, host: str, port: int) -> Callable | bool:
        """Forward a connection, if there is a route for it."""
        self.requested_transport.append((host, port))
        target = self.routes.get((host, port))
        if target is None:
            return False

        async def carry(reader, writer) -> None:
            there_reader, there_writer = await asyncio.open_connection(*target)
            try:
                await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
            finally:
                there_writer.close()
                with suppress(OSError):
                    await there_writer.wait_closed()

        return carry


class _Guard(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, connection) -> None:
        self._connection = connection
        self._server.connections.append(connection)

    async def begin_auth(self, username: str) -> bool:
        self._connection.set_authorized_keys(asyncssh.import_authorized_keys(self._server.public_key))
        return True

    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return self._server.carry(dest_host, dest_port)


async def _pump(reader, writer, *, closes: bool = False) -> None:
    """Copy the data, and go on reading where nobody takes it any more."""
    is_taken = True
    with suppress(asyncssh.Error):
        while data := await reader.read(65536):
            try:
                if is_taken:
                    writer.write(data)
                    await writer.drain()
            except (OSError, asyncssh.Error):
                is_taken = False
    if closes:
        with suppress(OSError):
            writer.close()


async def _copy(reader, writer) -> None:
    with suppress(OSError, asyncssh.Error):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()
