"""Notebooks in a browser: JupyterLab of a head, its Dask pane, dashboards, and the welcome notebook."""

import itertools
import json
import shutil
import sys
import urllib.parse
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")), reason="there is no Chromium here"
    ),
]

SCRIPT = Path(__file__).parents[2] / "docs" / "notebook_picture.py"


@pytest.fixture(scope="module")
def steps():
    """The script that takes the picture of the documentation: its steps are those of the tests."""
    spec = spec_from_file_location("notebook_picture", SCRIPT)
    module = sys.modules["notebook_picture"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def addresses(cloud, cluster):
    """The local addresses of a connection to the cluster."""
    process = cloud.start("connect", "shared", "--json")
    try:
        lines = iter(process.stdout.readline, "")
        yield json.loads("".join(itertools.takewhile(lambda line: line != "}\n", lines)) + "}")
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def browser(steps):
    """A browser of one test's."""
    with steps.Browser() as browser:
        yield browser


@pytest.fixture
def lab(steps, browser, addresses):
    """JupyterLab in the browser, with the welcome notebook."""
    lab = steps.Lab(browser, addresses["jupyter"])
    lab.open()
    return lab


def workers_of(cluster):
    """Return the number of worker processes: two on each node but the head."""
    return 2 * (len(cluster["nodes"]) - 1)


def test_the_dashboard_shows_its_plots(browser, addresses):
    """At the address that is printed, with the key in it."""
    browser.driver.get(addresses["dashboard"])

    assert browser.until(browser.plots, "the plots")


def test_links_of_a_notebook_lead_to_the_dashboard_and_on_to_each_worker_s(browser, lab, cluster):
    """All through JupyterLab's own address."""
    browser.driver.get(f"{lab.root}/proxy/8787/status")
    assert browser.until(browser.plots, "the plots")
    browser.driver.get(f"{lab.root}/proxy/8787/info/main/workers.html")
    pages = browser.until(lambda: browser.links("dashboard"), "the workers")

    assert len(pages) == workers_of(cluster)
    for page in pages:
        assert urllib.parse.urlsplit(page).netloc == urllib.parse.urlsplit(lab.root).netloc
        browser.driver.get(page)
        assert browser.until(browser.plots, f"the plots of {page}")


def test_the_dask_pane_has_this_cluster_and_nothing_pops_up(browser, lab, cluster):
    """With its workers."""
    lab.open_pane()

    assert browser.until(lab.clusters, "the cluster") == ["shared"]
    found = browser.until(
        lambda: [each for each in lab.get("/dask/clusters") if each["workers"] == workers_of(cluster)],
        "the workers",
    )
    assert [each["name"] for each in found] == ["shared"]
    assert browser.texts(".jp-toast-message, .Toastify__toast, .jp-Dialog") == []


def test_the_welcome_notebook_runs_to_its_end_and_the_plots_move(browser, lab):
    """Its progress bar and its plot are there, and the task stream beside it shows its tasks."""
    lab.open_pane()
    frame = lab.open_plot("Task Stream")
    with browser.inside(frame):
        browser.until(browser.plots, "the task stream")
        before = browser.plots()
    lab.run_all()
    with browser.inside(frame):
        browser.until(lambda: browser.plots() != before, "a movement of the plot")
    cells = lab.finished()

    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [output["evalue"] for output in outputs if output["output_type"] == "error"] == []
    assert all(cell["execution_count"] for cell in cells)
    assert "image/png" in cells[-1]["outputs"][-1]["data"]
