"""Credentials that a client forwards, from the scheduler to its worker processes."""

import asyncio
import logging
from contextlib import nullcontext

import pytest
from distributed import Client, Scheduler, Worker

import dask_bake_credentials as program

SECRET = "the-secret-of-a-client"
SENT = {"AccessKeyId": "ASIA1", "SecretAccessKey": SECRET, "Token": "t", "Expiration": "2026-01-01T01:00:00Z"}
LATER = {**SENT, "AccessKeyId": "ASIA2"}


@pytest.fixture
def handed_over(monkeypatch):
    """What was handed over to services, in turn; credentials without a secret are refused."""
    taken = []

    def hand_over(credentials):
        if not credentials["SecretAccessKey"]:
            raise OSError("the service refused them")
        taken.append(credentials)

    monkeypatch.setattr(program, "hand_over", hand_over)
    monkeypatch.setattr(program, "TAKEN", taken, raising=False)  # for tasks
    for name in program.ENVIRONMENT:
        monkeypatch.setenv(name, "set")
    return taken


class Cluster:
    """A scheduler, worker processes and clients in this process, with the preload."""

    def __init__(self, source, monkeypatch):
        monkeypatch.setenv("DASK_BAKE_CREDENTIALS", source)

    async def __aenter__(self):
        self.scheduler = await Scheduler(
            host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0", preload=[program.__name__]
        )
        self.ending = [self.scheduler]
        return self

    async def __aexit__(self, *_):
        for each in reversed(self.ending):
            await each.close()

    async def worker(self, *preloads):
        made = await Worker(
            self.scheduler.address, host="127.0.0.1", preload=list(preloads) or [program.__name__]
        )
        self.ending.append(made)
        return made

    async def client(self):
        made = await Client(self.scheduler.address, asynchronous=True)
        self.ending.append(made)
        return made


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


def send(client, credentials):
    client._send_to_scheduler({"op": program.OPERATION, "credentials": credentials})


def test_workers_get_what_a_client_sent_last_also_those_that_come_later(handed_over, monkeypatch, caplog):
    """The head's own service gets it too, for notebooks."""
    caplog.set_level(logging.DEBUG)

    async def forward():
        async with Cluster("forward", monkeypatch) as cluster:
            await cluster.worker()
            client = await cluster.client()
            before = await client.scheduler.dask_bake_credentials()
            send(client, SENT)
            await until(lambda: handed_over == [SENT, SENT])
            await cluster.worker()
            await until(lambda: handed_over == [SENT] * 3)
            send(client, LATER)
            await until(lambda: handed_over == [SENT] * 3 + [LATER] * 3)
            return before, await client.scheduler.dask_bake_credentials()

    states = asyncio.run(forward())

    assert [state["expiration"] for state in states] == ["", "2026-01-01T01:00:00Z"]
    assert [state["source"] for state in states] == ["forward", "forward"]
    assert "Register worker" in caplog.text
    assert SECRET not in caplog.text


def test_a_task_that_was_sent_later_finds_them(handed_over, monkeypatch):
    async def forward():
        async with Cluster("none", monkeypatch) as cluster:
            await cluster.worker()
            client = await cluster.client()
            send(client, SENT)
            return await client.submit(lambda: list(program.TAKEN))

    assert asyncio.run(forward()) == [SENT, SENT]  # the head's service, and the worker's


def test_a_worker_process_of_somebody_else_s_is_left_alone(handed_over, monkeypatch):
    """It would end by a message that it does not know."""

    async def forward():
        async with Cluster("none", monkeypatch) as cluster:
            await cluster.worker("dask_bake_drain")
            client = await cluster.client()
            send(client, SENT)
            return await client.submit(lambda: list(program.TAKEN)), len(cluster.scheduler.workers)

    assert asyncio.run(forward()) == ([SENT], 1)  # the head's own


def test_they_are_handed_over_again_in_case_the_service_was_started_again(handed_over, monkeypatch):
    monkeypatch.setattr(program, "INTERVAL", 5)

    async def hold():
        program.Holder().take(SENT)
        await until(lambda: len(handed_over) > 2)

    asyncio.run(hold())


def test_variables_are_set_where_user_data_has_set_none(handed_over, monkeypatch):
    for name in program.ENVIRONMENT:
        monkeypatch.delenv(name)

    async def hold():
        program.Holder().take(SENT)

    asyncio.run(hold())

    assert {name: program.os.environ[name] for name in program.ENVIRONMENT} == program.ENVIRONMENT


@pytest.mark.parametrize(
    ("source", "sent"),
    [("profile", SENT), ("forward", {**SENT, "Token": 1}), ("forward", []), ("forward", {})],
)
def test_what_cannot_be_used_is_dropped(handed_over, monkeypatch, source, sent):
    async def forward():
        async with Cluster(source, monkeypatch) as cluster:
            await cluster.worker()
            client = await cluster.client()
            send(client, sent)
            assert await client.submit(lambda: 1) == 1
            return await client.scheduler.dask_bake_credentials()

    assert asyncio.run(forward()) == {"source": source, "expiration": ""}
    assert handed_over == []


def test_a_service_that_does_not_take_them_is_a_line_without_the_secret(handed_over, monkeypatch, caplog):
    async def hold():
        program.Holder().take({**SENT, "SecretAccessKey": ""})

    asyncio.run(hold())

    assert "could not be given to this node's service: the service refused them" in caplog.text
    assert "ASIA" not in caplog.text


def fail(name):
    raise {"none": LookupError("Unable to locate credentials"), "other": LookupError("no file")}[name]


@pytest.mark.parametrize(
    ("source", "failing", "expected"),
    [
        ("none", ["other"], []),
        ("none", ["none", "other", "none"], [program.NONE_HERE]),
        ("forward", ["none"], []),  # there the error of the SDK has the sentence
    ],
)
def test_the_first_refusal_is_one_warning_for_all_clients(
    handed_over, monkeypatch, source, failing, expected
):
    async def run():
        async with Cluster(source, monkeypatch) as cluster:
            await cluster.worker()
            client = await cluster.client()
            for number, name in enumerate(failing):
                with pytest.raises(LookupError):
                    await client.submit(fail, name, key=f"{name}-{number}")
            again = await cluster.client()
            with pytest.raises(LookupError):
                await again.submit(fail, failing[0], key="again")
            return [event for _, event in cluster.scheduler.get_events("warn")]

    with pytest.warns(UserWarning, match="Tasks of this cluster have no") if expected else nullcontext():
        assert asyncio.run(run()) == expected * 2
