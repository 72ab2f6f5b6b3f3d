"""Take ``docs/notebook.png``: the welcome notebook of a cluster in the local cloud, in a headless Chromium.

``make notebook-picture`` runs it. The integration tests take the same steps, and look at what they return.
"""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

PICTURE = Path(__file__).with_name("notebook.png")
NAME = "taxi"
WELCOME = "welcome.ipynb"
SIZE = (1440, 900)
PATIENCE = 300.0
"""Seconds for what a page has to show."""
DATA_OF_PLOTS = """
const texts = [];
for (const document of (window.Bokeh || {documents: []}).documents)
    for (const model of document.all_models)
        if (model.type === "ColumnDataSource")
            for (const [name, column] of Object.entries(model.data))
                texts.push(name, column.length, String(Array.from(column).slice(-3)));
return texts.join();
"""
"""JavaScript: the last values in all of a page's plots."""

Answer = TypeVar("Answer")


class Browser:
    """Chromium of the system without a window, driven by its own chromedriver."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        options.add_argument("--headless=new")
        options.add_argument("--disable-dev-shm-usage")
        options.add_argument(f"--window-size={SIZE[0]},{SIZE[1]}")
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def until(self, ask: Callable[[], Answer], what: str, interval: float = 0.2) -> Answer:
        """Return the answer once it is true; a page that is being changed is asked again.

        Raises:
            selenium.common.exceptions.TimeoutException: if it does not become true.
        """
        waiting: Any = WebDriverWait(
            self.driver, PATIENCE, interval, ignored_exceptions=[WebDriverException, OSError]
        )
        answer: Answer = waiting.until(lambda _: ask(), f"waited for {what}")
        return answer

    def find(self, selector: str) -> Any:
        """Return the first element of a CSS selector, once it can be seen."""

        def visible() -> Any:
            found = self.driver.find_elements(By.CSS_SELECTOR, selector)
            return next((element for element in found if element.is_displayed()), None)

        return self.until(visible, selector)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements of a CSS selector."""
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def links(self, text: str) -> list[str]:
        """Return the addresses of all links with a text."""
        found = self.driver.find_elements(By.LINK_TEXT, text)
        return [str(element.get_attribute("href")) for element in found]

    def click(self, selector: str) -> None:
        """Click the element, once that is possible."""
        self.until(lambda: self.find(selector).click() or True, selector)

    @contextlib.contextmanager
    def inside(self, frame: Any) -> Iterator[None]:
        """Look at the page in a frame during the block."""
        self.driver.switch_to.frame(frame)
        try:
            yield
        finally:
            self.driver.switch_to.default_content()

    def plots(self) -> str:
        """Return the last values of the plots of this page; "" while it has none."""
        return str(self.driver.execute_script(DATA_OF_PLOTS))


class Lab:
    """JupyterLab of a head, at the address that ``dask-bake connect`` printed."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.browser = browser
        parts = urlsplit(address)
        self.root = f"{parts.scheme}://{parts.netloc}"
        self.token = parse_qs(parts.query)["token"][0]

    def get(self, path: str) -> Any:
        """Return the JSON that the server has at a path."""
        headers = {"Authorization": f"token {self.token}"}
        with urllib.request.urlopen(urllib.request.Request(self.root + path, headers=headers)) as answer:  # noqa: S310 - http
            return json.load(answer)

    def open(self, notebook: str = WELCOME) -> None:
        """Open a notebook, and wait until its kernel is idle."""
        self.browser.driver.get(f"{self.root}/lab/tree/{notebook}?token={self.token}&reset")
        self.browser.find(".jp-Notebook .jp-CodeCell")
        self.browser.find(".jp-Notebook-ExecutionIndicator[data-status='idle']")

    def run_all(self) -> None:
        """Run all cells of the notebook, which has to be the current tab for that."""
        self.browser.click(f"#jp-main-dock-panel .lm-TabBar-tab[title*='{WELCOME}']")
        self.menu("Run", "runmenu:run-all")

    def menu(self, name: str, command: str) -> None:
        """Choose an entry of the main menu."""
        entries = [
            each
            for each in self.browser.driver.find_elements(By.CSS_SELECTOR, ".lm-MenuBar-item")
            if each.text == name
        ]
        entries[0].click()
        self.browser.click(f".lm-Menu-item[data-command='{command}']")

    def cells(self) -> list[dict[str, Any]]:
        """Save the notebook, and return its code cells."""
        ActionChains(self.browser.driver).key_down(Keys.CONTROL).send_keys("s").key_up(Keys.CONTROL).perform()
        content = self.get(f"/api/contents/{WELCOME}")["content"]
        return [cell for cell in content["cells"] if cell["cell_type"] == "code"]

    def finished(self) -> list[dict[str, Any]]:
        """Return the code cells once all have run, or one has failed."""

        def done() -> list[dict[str, Any]]:
            cells = self.cells()
            ended = all(cell["execution_count"] for cell in cells) and cells[-1]["outputs"]
            failed = any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
            return cells if ended or failed else []

        return self.browser.until(done, "the notebook's end", 2.0)

    def open_pane(self) -> None:
        """Open the Dask pane, and wait until it has plots."""
        tab = ".lm-TabBar-tab[data-id='dask-dashboard-launcher']"
        if "lm-mod-current" not in self.browser.find(tab).get_attribute("class"):
            self.browser.click(tab)
        self.browser.find(".dask-DashboardListing-item button")

    def clusters(self) -> list[str]:
        """Return the names of the clusters in the Dask pane."""
        return self.browser.texts(".dask-ClusterListingItem-title")

    def open_layout(self) -> list[Any]:
        """Open the Dask pane's usual plots beside the notebook, and return their frames."""
        keys = ActionChains(self.browser.driver).key_down(Keys.CONTROL).key_down(Keys.SHIFT)
        keys.send_keys("c").key_up(Keys.SHIFT).key_up(Keys.CONTROL).perform()
        self.browser.find(".lm-CommandPalette-input").send_keys("Launch Dask Dashboard Layout")
        self.browser.click(".lm-CommandPalette-item[data-command='dask:launch-layout']")
        frames = self.browser.until(lambda: self.frames()[2:] and self.frames(), "the plots")
        return list(frames)

    def frames(self) -> list[Any]:
        """Return the frames of the Dask pane's plots."""
        return list(self.browser.driver.find_elements(By.CSS_SELECTOR, ".dask-DaskDashboard-widget iframe"))

    def open_plot(self, name: str) -> Any:
        """Open a plot of the Dask pane, and return its frame."""
        before = len(self.frames())
        self.browser.click(f".dask-DashboardListing-item button[value='{name}']")
        return self.browser.until(lambda: self.frames()[before:], f"the plot {name}")[0]


def take_picture(address: str, path: Path = PICTURE) -> None:
    """Run the welcome notebook with plots of the Dask pane beside it, and take the picture."""
    with Browser() as browser:
        lab = Lab(browser, address)
        lab.open()
        lab.open_pane()
        frames = lab.open_layout()
        lab.run_all()
        lab.finished()
        for frame in frames:
            with browser.inside(frame):
                browser.until(browser.plots, "the plots")
        time.sleep(2)
        browser.driver.save_screenshot(str(path))


@contextlib.contextmanager
def connected(dask_bake: str, name: str) -> Iterator[dict[str, str]]:
    """Connect to a cluster for the duration of the block; its value are the local addresses."""
    with subprocess.Popen(
        [dask_bake, "connect", name, "--json"], stdout=subprocess.PIPE, text=True
    ) as connection:
        lines = connection.stdout or ()
        try:
            yield json.loads("".join(itertools.takewhile(lambda line: line != "}\n", lines)) + "}")
        finally:
            connection.send_signal(signal.SIGINT)


def main(dask_bake: str) -> None:
    """Bake the image if there is none, launch a cluster, take the picture, and end the cluster."""
    os.environ["DASK_BAKE_CLOUD"] = "local"
    subprocess.run([dask_bake, "bake", "--installer", "auto"], check=True)
    try:
        subprocess.run([dask_bake, "launch", "--name", NAME, "--count", "3", "--nprocs", "2"], check=True)
        with connected(dask_bake, NAME) as addresses:
            take_picture(addresses["jupyter"])
    finally:
        subprocess.run([dask_bake, "down", NAME, "--no-save"], check=False)
    sys.stdout.write(f"{PICTURE} is new\n")


if __name__ == "__main__":
    main(sys.argv[1])
