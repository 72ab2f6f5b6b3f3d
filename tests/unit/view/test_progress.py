"""Progress of a launch and of a bake, on a terminal and in a pipe."""

from dataclasses import replace

import pytest

from dask_bake.events import Called, ClusterSeen, Note, Output, PhaseEnded, PhaseStarted
from dask_bake.hints import command_line
from dask_bake.view.progress import BakeProgress, LaunchProgress, is_notebook, watching_in_notebook
from fakes import FakeClock, a_cluster, a_plan
from rendering import a_console, rendered, written

CLUSTER = a_cluster()


def test_a_launch_shows_nodes_and_phases_with_their_times():
    clock = FakeClock()
    launch = LaunchProgress(clock)
    launch.update(PhaseStarted("instances"))
    clock.sleep(0.4)
    pending = replace(CLUSTER, nodes=tuple(replace(node, state="pending") for node in CLUSTER.nodes))
    launch.update(ClusterSeen(pending))
    launch.update(PhaseEnded("instances", 0.4))
    clock.sleep(2)
    launch.update(ClusterSeen(CLUSTER))
    launch.update(PhaseEnded("scheduler", 1.5))
    clock.sleep(1)
    launch.update(ClusterSeen(CLUSTER, (("10.0.0.5", 2),)))

    assert rendered(launch) == (
        "#   role     address    requested   running   ready   workers\n"
        "─────────────────────────────────────────────────────────────\n"
        "0   head     10.0.0.4       0.4 s     2.4 s   2.4 s\n"
        "1   worker   10.0.0.5       0.4 s     2.4 s   3.4 s    2 of 2\n"
        "2   worker   10.0.0.6       0.4 s     2.4 s       ·    0 of 2\n"
        "\n"
        "✓ instances 0.4 s   ✓ scheduler 1.5 s"
    )


def test_without_a_terminal_a_launch_prints_lines():
    clock = FakeClock()
    launch = LaunchProgress(clock)
    clock.sleep(1.25)

    assert launch.update(PhaseStarted("workers")) is None
    assert launch.update(ClusterSeen(CLUSTER)) is None
    assert launch.update(ClusterSeen(CLUSTER, (("10.0.0.5", 2),))) == "   1.2 s  2 of 4 workers"
    assert launch.update(PhaseEnded("workers", 0.5)) == "   1.2 s  workers (0.5 s)"


def test_a_large_launch_shows_nodes_that_are_not_ready_and_a_count():
    launch = LaunchProgress(FakeClock())
    cluster = a_cluster(a_plan(count=101, nprocs=1))
    launch.update(ClusterSeen(cluster, tuple((node.private_address, 1) for node in cluster.workers[:90])))

    lines = rendered(launch).splitlines()
    assert "90 of 101 nodes are ready" in lines


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 10), (120, 40), (30, 24), (80, 3)])
@pytest.mark.parametrize("ready", [0, 30, 39])
def test_phases_and_spinner_stay_within_the_terminal(width, height, ready):
    launch, console = LaunchProgress(FakeClock()), a_console(width, height=height)
    cluster = a_cluster(a_plan(count=40, nprocs=1))
    launch.update(PhaseEnded("instances", 0.4))
    launch.update(ClusterSeen(cluster, tuple((node.private_address, 1) for node in cluster.workers[:ready])))
    launch.update(PhaseEnded("scheduler", 1.5))
    launch.update(PhaseStarted("workers"))
    console.print(launch)

    lines = written(console).splitlines()
    assert (len(lines) <= height) or height == 3
    assert "workers …" in lines[-1]
    assert any("instances 0.4 s" in line for line in lines)
    assert any("of 40 nodes are" in line for line in lines)


def test_in_a_pipe_a_bake_prints_a_line_for_each_finished_phase() -> None:
    out = a_console()
    with BakeProgress(out) as live:
        for event in (
            Note("No AWS credentials: [local] it is."),
            PhaseStarted("look up"),
            PhaseEnded("look up", 0.2),
            PhaseStarted("install"),
            Output("pip says [this]"),
            PhaseEnded("install", 61.25),
        ):
            live.notify(event)
    assert written(out) == "No AWS credentials: [local] it is.\n  install                  61.2 s\n"


def test_in_a_pipe_a_note_is_not_wrapped() -> None:
    out, note = a_console(), "a note that is longer than the eighty columns that a pipe is taken for, " * 2
    with BakeProgress(out) as live:
        live.notify(Note(note))
    assert written(out) == f"{note}\n"


def test_on_a_terminal_a_bake_shows_the_current_phase_and_its_last_output() -> None:
    out = a_console(48, is_terminal=True)
    with BakeProgress(out, clock=lambda: 1.0) as live:
        live.notify(PhaseStarted("install"))
        live.notify(Output("a line that says [more] than there is room for"))
        live.refresh()
    assert "install                   0.0 s  a line tha…" in written(out)


def test_the_nodes_phases_and_notes_are_shown_in_one_place_and_replaced():
    first, later = [], []

    def display(page):
        first.append(page)
        return later.append

    cluster = a_cluster()
    with watching_in_notebook(("--region", "eu-west-1"), display) as notify:
        notify(Called("RunInstances"))
        notify(Note(f"The image is old: {command_line('bake')} renews it."))
        notify(PhaseStarted("instances"))
        notify(ClusterSeen(cluster, ((cluster.nodes[1].private_address, 2),)))
        notify(PhaseEnded("instances", 1.5))

    assert len(first) == 1
    page = later[-1]
    assert "The image is old: dask-bake bake --region eu-west-1 renews it." in page
    assert all(node.address in page for node in cluster.nodes)
    assert "instances 1.5 s" in page
    assert page.startswith("<pre")


def test_what_others_wrote_is_no_html():
    pages = []
    with watching_in_notebook((), lambda page: pages.append(page) or pages.append) as notify:
        notify(Note("<script>\x1b[31m"))
        cluster = a_cluster()
        head = replace(cluster.nodes[0], private_address="<b>", public_address=None)
        notify(ClusterSeen(replace(cluster, nodes=(head,))))

    assert "&lt;script&gt;?[31m" in pages[-1]
    assert "<b>" not in pages[-1]


def fail_after(notify, event):
    notify(event)
    raise KeyError


def test_a_failure_is_shown_with_what_was_done_until_then():
    pages = []
    with (
        pytest.raises(KeyError),
        watching_in_notebook((), lambda page: pages.append(page) or pages.append) as notify,
    ):
        fail_after(notify, PhaseEnded("host key", 2.5))
    assert "host key 2.5 s" in pages[-1]


def test_outside_of_a_notebook_there_is_none():
    assert is_notebook() is False
