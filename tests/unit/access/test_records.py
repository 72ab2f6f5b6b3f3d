"""Lines of journals and consoles, with node, source and time."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dask_bake.access.records import (
    CLOUD_INIT_UNITS,
    DASK_UNITS,
    Record,
    Source,
    console_records,
    journal_command,
    journal_records,
    merged,
)

UNITS = Path(__file__).parents[3] / "packer/rootfs/etc/systemd/system"
LAUNCHED = datetime(2026, 1, 2, tzinfo=UTC)


def journal(message, **fields):
    return json.dumps({"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": message, **fields})


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({"_SYSTEMD_UNIT": "dask-worker.service"}, Source.DASK),
        ({"_SYSTEMD_UNIT": "init.scope", "UNIT": "dask-worker.service"}, Source.DASK),
        ({"_SYSTEMD_UNIT": "cloud-final.service"}, Source.CLOUD_INIT),
        ({"_SYSTEMD_UNIT": "init.scope", "UNIT": "dask-bake-failed@cloud-final.service"}, Source.DASK),
        ({"_TRANSPORT": "kernel"}, Source.KERNEL),
    ],
)
def test_the_unit_decides_the_source(fields, source):
    assert journal_records(3, journal("text", **fields)) == (Record(1.0, 3, source, "text"),)


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("\x1b[31mred\x1b[0m\x07", ["red"]),
        ("a\u202eb", ["a?b"]),
        ([104, 105, 255], ["hi\ufffd"]),
        ([104, "x", 900], ["h"]),
        (None, []),
        ("x" * 10_000, ["x" * 4_000]),
    ],
)
def test_a_message_becomes_plain_lines(message, texts):
    assert [record.text for record in journal_records(0, journal(message))] == texts


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-- No entries --",
        "[]",
        "{}",
        '{"__REALTIME_TIMESTAMP": "x"}',
        '{"__REALTIME_TIMESTAMP": null}',
        "[" * 9_000,
    ],
)
def test_what_is_no_entry_is_no_record(line):
    assert journal_records(0, line) == ()


def test_a_console_has_the_kernel_s_times():
    text = "loader\n[    1.500000] kernel\nafter\r\n[    0.500000] late\n"
    begun = LAUNCHED.timestamp()
    assert [(record.time - begun, record.text) for record in console_records(1, text, LAUNCHED)] == [
        (0.0, "loader"),
        (1.5, "[    1.500000] kernel"),
        (1.5, "after"),
        (1.5, "[    0.500000] late"),
    ]


def test_records_are_merged_by_time_and_keep_their_order():
    records = [Record(2, 0, Source.DASK, "c"), Record(1, 1, Source.DASK, "a"), Record(1, 0, Source.DASK, "b")]
    assert [record.text for record in merged(records)] == ["a", "b", "c"]


def test_the_command_asks_for_the_units_systemd_s_words_about_them_and_the_kernel():
    command = journal_command((Source.DASK, Source.KERNEL), lines=5, since=600, follow=True)
    assert {"--lines=5", "--since=-600s", "--follow", "_TRANSPORT=kernel"} <= set(command)
    begin = command.index("UNIT=dask-worker.service")
    assert command[begin - 1 : begin + 3] == ["+", "UNIT=dask-worker.service", "_PID=1", "+"]
    assert not any("cloud-final" in word for word in command if "dask-bake-failed" not in word)


def test_every_unit_of_the_image_that_logs_is_known():
    there = {path.name for path in UNITS.glob("dask-*.service") if "@" not in path.name}
    assert there <= set(DASK_UNITS)
    drop_ins = {path.parent.name.removesuffix(".d") for path in UNITS.glob("cloud-*.service.d/*")}
    assert drop_ins == set(CLOUD_INIT_UNITS)
