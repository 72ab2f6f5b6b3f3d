"""Installers and locks of environments, with the real rattler and pip and local indexes."""

import hashlib
import json
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from conda_channel import index_channel
from conda_packages import make_package
from conda_server import Served, serve
from dask_bake.environment import installers
from dask_bake.environment.conda import channels as conda_client
from dask_bake.environment.conda import lock
from dask_bake.environment.conda.lock import TERMS
from dask_bake.environment.installers import CondaInstaller, Installer, PipInstaller, tool_wheel
from dask_bake.environment.options import EnvironmentOptions
from dask_bake.environment.pip.resolve import Resolution, resolve
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Lock, Package, render_lock
from dask_bake.environment.request import Directories, Request, read_request
from dask_bake.environment.resolve import pip_release, prepare
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Event, Note, Notify
from dask_bake.models.cloud import Architecture, InstallerChoice
from dask_bake.models.debian import NEWEST, RELEASES, DebianRelease, release_with

PYTHON = "{}.{}".format(*sys.version_info)
DEBIAN = release_with(PYTHON)
IS_DEBIANS = pytest.mark.skipif(DEBIAN is None, reason="pip resolves for the Python that it runs in")
BASE_PYTHON = DEBIAN.python if DEBIAN else f"{PYTHON}.0"
OTHER = next(release for release in RELEASES if release != DEBIAN)
CONDA, PIP, AUTO = InstallerChoice
PYTHONS = (f"python >={PYTHON}",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a channel with Dask's dependencies, and packages that pip cannot read or names differently."""
    channel = tmp_path_factory.mktemp("channel")
    make_package(channel, "python", f"{PYTHON}.9", ["_libgcc_mutex"])
    make_package(channel, "_libgcc_mutex", "0.1")
    make_package(channel, "pip", "25.0", PYTHONS)
    make_package(channel, "dask", "2.0", PYTHONS)
    make_package(channel, "distributed", "2.0", [*PYTHONS, "msgpack-python", "zstd"])
    make_package(channel, "msgpack-python", "1.1", PYTHONS)
    make_package(channel, "zstd", "9e")
    make_package(channel, "odd", "2024_b", PYTHONS)
    make_package(channel, "anaconda", "1", PYTHONS)
    index_channel(channel)
    return channel


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(conda_client, "SHUTDOWN_GRACE", 0)
    monkeypatch.setattr(conda_client, "RETRIES", 0)
    with serve(folder) as served:
        yield served


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of wheels; its ``msgpack`` is newer than that of the channel."""
    wheels = tmp_path_factory.mktemp("index")
    for name, version, needs in (
        ("pip", "25.0", ()),
        ("pip", "26.0", ()),
        ("dask", "2.0", ()),
        ("dask", "3.0", ()),
        ("distributed", "2.0", ("dask",)),
        ("msgpack", "1.1", ()),
        ("msgpack", "1.2", ()),
        ("zstd", "1.5", ()),
        ("rides", "1.0", ("msgpack", "zstd")),
    ):
        info = f"{name}-{version}.dist-info"
        extras = "".join(f"Provides-Extra: {each}\n" for each in EXTRAS) if name == "dask" else ""
        required = "".join(f"Requires-Dist: {each}\n" for each in needs)
        with zipfile.ZipFile(wheels / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(
                f"{info}/METADATA",
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{extras}{required}",
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return wheels


EXTRAS = ("array", "dataframe", "diagnostics", "distributed")


@pytest.fixture(autouse=True)
def pip_settings(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))


@dataclass
class Project:
    """A folder with an environment.yml, and the events while it was locked."""

    home: Path
    channel: str
    environ: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.home / "project" / "environment.yml"

    def write(self, *specs: str, pip: tuple[str, ...] = (), channels: tuple[str, ...] | None = None) -> None:
        self.file.parent.mkdir(exist_ok=True)
        lines = [f"  - {spec!r}" for spec in specs]
        lines += ["  - pip:", *(f"    - {each}" for each in pip)] if pip else []
        places = "[" + ", ".join((self.channel,) if channels is None else channels) + "]"
        self.file.write_text("\n".join([f"channels: {places}", "dependencies:", *lines, ""]))

    def request(
        self,
        installer: InstallerChoice = CONDA,
        *,
        renew: bool = False,
        base: DebianRelease | None = None,
        caller: str = PYTHON,
        **options: object,
    ) -> Request:
        source = self.home / "source"
        source.mkdir(exist_ok=True)
        (source / "installers.lock").write_text(INSTALLERS)
        self.events.clear()
        chosen = EnvironmentOptions(file=self.file, installer=installer)
        request = read_request(
            replace(chosen, **options),  # type: ignore[arg-type]
            Directories(source, self.home / "state", self.home / "cache"),
            notify=self.events.append,
            renew=renew,
            base=base,
            environ={"HOME": str(self.home), **self.environ},
        )
        return replace(request, caller=caller)

    def prepare(self, installer: InstallerChoice = CONDA, **options: Any) -> Installer:
        return prepare(self.request(installer, **options), notify=self.events.append)

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in self.file.parent.iterdir() if path != self.file)


INSTALLERS = "".join(
    f"{machine} {tool}=={version} --hash=sha256:{version * 64}\n"
    for machine, tool, version in (
        ("x86_64", "py-rattler", "1"),
        ("aarch64", "py-rattler", "2"),
        ("x86_64", "uv", "3"),
        ("aarch64", "uv", "4"),
    )
)
DASK = (f"python={PYTHON}", "dask", "distributed")


@pytest.fixture
def project(tmp_path: Path, served: Served) -> Project:
    project = Project(tmp_path, served.url)
    project.write(*DASK)
    return project


def packages(installer: Installer, kind: str) -> list[str]:
    return sorted(f"{each.name} {each.version}" for each in installer.lock.packages if each.kind == kind)


# Who installs


def test_conda_s_lock_has_its_python_and_its_packages(project: Project) -> None:
    installer = project.prepare()
    assert isinstance(installer, CondaInstaller)
    assert (installer.name, installer.lock.python, installer.lock.platform) == (
        "conda",
        f"{PYTHON}.9",
        "x86_64",
    )
    assert packages(installer, "conda") == [
        *("_libgcc_mutex 0.1", "dask 2.0", "distributed 2.0", "msgpack-python 1.1"),
        *(f"python {PYTHON}.9", "zstd 9e"),
    ]
    assert (list(installer.files), project.kept) == (
        ["environment.yml", "conda.lock", "installers.lock"],
        ["conda.lock"],
    )


@IS_DEBIANS
def test_pip_locks_the_packages_of_conda_specs(project: Project) -> None:
    installer = project.prepare(PIP)
    assert isinstance(installer, PipInstaller)
    assert (installer.name, installer.lock.python) == ("pip", BASE_PYTHON)
    assert packages(installer, "pypi") == ["dask 3.0", "distributed 2.0", "pip 26.0"]
    assert (list(installer.files), project.kept) == (
        ["environment.yml", "pip.lock", "installers.lock"],
        ["pip.lock"],
    )


def test_auto_is_conda_if_the_channel_answers(project: Project) -> None:
    assert project.prepare(AUTO).name == "conda"
    assert project.notes == []


@IS_DEBIANS
def test_auto_is_pip_if_the_channel_does_not_answer_with_one_note(project: Project, served: Served) -> None:
    served.unavailable = True
    (project.file.parent / "pip.lock").write_text(pip_lock(project, "dask", "distributed"))
    assert project.prepare(AUTO).name == "pip"
    assert project.notes == [
        f"Packages come from pip's index: the channel {served.url} does not answer: 503 Service Unavailable."
    ]


def pip_lock(project: Project, *names: str, python: str = BASE_PYTHON) -> str:
    """Return a pip.lock of these packages for the project's environment."""
    pinned = tuple(Package(name, "2.0", "0" * 64) for name in names)
    return render_lock(Lock(hashlib.sha256(project.file.read_bytes()).hexdigest(), python, "x86_64", pinned))


def test_with_conda_a_channel_that_does_not_answer_is_an_error_and_no_lock_is_written(
    project: Project, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conda_client, "PROBE_TIMEOUT", 0.5)
    served.hanging = True
    with pytest.raises(
        BakeError, match=f"the channel {served.url} does not answer: nothing came from"
    ) as caught:
        project.prepare()
    assert "--installer pip" in str(caught.value.hint)
    assert project.kept == []


@pytest.mark.parametrize("installer", [CONDA, PIP])
def test_an_environment_without_dask_is_refused(installer: InstallerChoice, project: Project) -> None:
    project.write("python")
    (project.file.parent / f"py{PYTHON.replace('.', '')}.pip.lock").write_text(pip_lock(project, "numpy"))
    with pytest.raises(UsageError) as caught:
        project.prepare(installer)
    message = "environment.yml does not include dask and distributed, which a cluster needs"
    assert caught.value.message == message


def test_an_environment_that_names_no_python_gets_the_caller_s_from_conda(project: Project) -> None:
    """Each Python has a lock of its own beside the environment."""
    project.write("dask", "distributed")
    assert project.prepare().lock.python == f"{PYTHON}.9"
    assert project.kept == [f"py{PYTHON.replace('.', '')}.conda.lock"]


def pip_lock_for(project: Project, python: str) -> None:
    """Write a pip.lock for the Python beside an environment.yml that names no Python."""
    project.write("dask", "distributed")
    name = f"py{''.join(python.split('.')[:2])}.pip.lock"
    (project.file.parent / name).write_text(pip_lock(project, "dask", "distributed", python=python))


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_pip_installs_for_the_python_of_the_given_base(release: DebianRelease, project: Project) -> None:
    """A client with another Python gets a note."""
    pip_lock_for(project, release.python)
    assert project.prepare(PIP, base=release).lock.python == release.python
    note = f"The image will have Python {release.python}, this machine has {PYTHON}:"
    assert project.notes == (
        [] if release == DEBIAN else [f"{note} a client here could not use its clusters."]
    )


@IS_DEBIANS
def test_another_patch_of_the_base_s_python_is_a_note(project: Project) -> None:
    project.write(f"python={PYTHON}.29", *DASK[1:])
    assert project.prepare(PIP).lock.python == BASE_PYTHON
    assert project.notes == [
        f"environment.yml asks for python={PYTHON}.29: pip's packages run on {DEBIAN}'s {BASE_PYTHON}."
        " --installer conda brings the version that is asked for."
    ]


def test_of_several_allowed_pythons_the_caller_s_is_preferred_then_the_newest(project: Project) -> None:
    project.write("python >=3.10", *DASK[1:])
    request = project.request(PIP)
    taken = [pip_release(replace(request, caller=caller)) for caller in ("3.11", "3.13", "3.12")]
    assert taken == [*RELEASES, NEWEST]


def test_the_python_of_a_given_lock_decides_the_base(project: Project) -> None:
    project.write("dask", "distributed")
    mine = project.home / "mine.lock"
    mine.write_text(pip_lock(project, "dask", "distributed", python=OTHER.python))
    assert pip_release(project.request(PIP, lock=mine)) == OTHER
    mine.write_text(pip_lock(project, "dask", "distributed", python="3.12.1"))
    with pytest.raises(UsageError, match=r"is for Python 3\.12\.1, which no base image has"):
        project.prepare(PIP, lock=mine)


def test_for_an_unsolvable_environment_no_lock_is_written(project: Project) -> None:
    project.write(*DASK, "nothing-like-it")
    with pytest.raises(BakeError, match="cannot be solved: No candidates were found for nothing-like-it"):
        project.prepare()
    assert project.kept == []


# Channels


@pytest.mark.parametrize("spec", ["anaconda", "anaconda=1", "main::dask"])
def test_anaconda_s_packages_get_a_note_about_their_terms(
    spec: str, project: Project, served: Served
) -> None:
    project.environ = {"CONDA_CHANNEL_ALIAS": served.url}
    project.write(*DASK, spec)
    if "::" in spec:
        with pytest.raises(BakeError, match="/main is not there: 404"):
            project.prepare()
    else:
        project.prepare()
    assert project.notes == [TERMS]


def test_anaconda_s_channels_get_a_note_about_their_terms(project: Project, served: Served) -> None:
    project.environ = {"CONDA_CHANNEL_ALIAS": served.url}
    project.write(*DASK, channels=("defaults",))
    with pytest.raises(BakeError, match=f"the channel {served.url}/(main|r) is not there: 404"):
        project.prepare()
    assert project.notes == [TERMS]


def test_a_channel_flag_precedes_the_environment_s_channels_and_makes_the_lock_again(
    project: Project, served: Served, tmp_path: Path
) -> None:
    project.prepare()
    make_package(tmp_path / "mine", "dask", "1.0", PYTHONS)
    index_channel(tmp_path / "mine")
    with serve(tmp_path / "mine") as mine:
        installer = project.prepare(channels=(mine.url,))
    assert isinstance(installer, CondaInstaller)
    assert installer.conda_lock.channels == (mine.url, served.url)
    assert installer.lock.version("dask") == "1.0"


def test_the_channel_of_one_package_need_not_be_listed(project: Project, tmp_path: Path) -> None:
    """conda adds it, last; the user's settings say where it is."""
    for name, version in (("onlyb", "1"), ("dask", "9")):
        make_package(tmp_path / "mine" / "lab", name, version, PYTHONS)
    index_channel(tmp_path / "mine" / "lab")
    with serve(tmp_path / "mine") as mine:
        project.environ = {"CONDA_CHANNEL_ALIAS": mine.url}
        project.write(*DASK, "lab::onlyb")
        installer = project.prepare()
        assert (installer.lock.version("onlyb"), installer.lock.version("dask")) == ("1", "2.0")
        assert project.prepare().files == installer.files
        project.write(*DASK, f"{mine.url}/lab/noarch/onlyb-1-0.conda")
        assert project.prepare().lock.version("onlyb") == "1"
        channels = (project.channel + "/noarch",)
        project.write(*DASK, f"{mine.url}/lab/noarch::onlyb >=1,!=1.1", channels=channels)
        assert project.prepare().lock.version("onlyb") == "1"


@pytest.mark.parametrize("installer", [CONDA, pytest.param(PIP, marks=IS_DEBIANS)])
def test_variables_are_brought_into_the_image(installer: InstallerChoice, project: Project) -> None:
    project.file.write_text(project.file.read_text() + "variables: {GDAL_CACHEMAX: 512}\n")
    assert project.prepare(installer).files["variables.env"] == b"GDAL_CACHEMAX=512\n"


def test_extras_are_a_note_for_conda(project: Project) -> None:
    project.write(f"python={PYTHON}", "dask[complete]", "distributed")
    assert project.prepare().lock.version("dask") == "2.0"
    assert project.notes == ["Extras are pip's; for conda dask[complete] is dask."]


def test_a_changed_condarc_makes_the_lock_again(project: Project, served: Served, tmp_path: Path) -> None:
    project.write(*DASK, channels=("lab",))
    condarc = project.home / ".condarc"
    condarc.write_text(f"custom_multichannels: {{lab: ['{served.url}']}}\n")
    assert project.prepare().lock.version("dask") == "2.0"
    make_package(tmp_path / "mine", "dask", "1.0", PYTHONS)
    index_channel(tmp_path / "mine")
    with serve(tmp_path / "mine") as mine:
        condarc.write_text(f"custom_multichannels: {{lab: ['{mine.url}', '{served.url}']}}\n")
        assert project.prepare().lock.version("dask") == "1.0"


def test_unchanged_inputs_are_not_resolved_again(project: Project, served: Served) -> None:
    first = project.prepare()
    served.requests.clear()
    again = project.prepare()
    assert (again.files, served.requests) == (first.files, [])
    project.prepare(renew=True)
    assert served.requests != []


def test_a_changed_environment_is_locked_again(project: Project) -> None:
    project.prepare()
    project.write(*DASK, "odd")
    assert project.prepare().lock.version("odd") == "2024_b"


def test_secrets_do_not_appear_in_lock_manifest_or_message(project: Project, folder: Path) -> None:
    with serve(folder, username="me", password="s3same") as channel:
        project.write(*DASK, channels=(channel.url.replace("://", "://me:s3same@"),))
        installer = project.prepare()
        channel.unavailable = True
        with pytest.raises(BakeError) as caught:
            project.prepare(renew=True)
    messages = f"{caught.value.message} {caught.value.hint} {project.events}"
    assert "s3same" not in f"{installer.files['conda.lock'].decode()} {installer.lock} {messages}"


# Locks that are given


def test_the_format_of_a_given_lock_decides_the_installer_without_a_request(
    project: Project, served: Served
) -> None:
    made = project.prepare()
    mine = project.home / "mine.lock"
    (project.file.parent / "conda.lock").rename(mine)
    served.requests.clear()
    assert project.prepare(lock=mine).lock == made.lock
    assert (served.requests, project.kept) == ([], [])
    mine.write_text(without_header(mine.read_text()))
    assert project.prepare(lock=mine).lock == made.lock
    with pytest.raises(UsageError, match="is conda's, and --installer pip"):
        project.prepare(PIP, lock=mine)


def without_header(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def test_a_given_lock_of_another_environment_is_refused(project: Project) -> None:
    project.prepare()
    mine = (project.file.parent / "conda.lock").rename(project.home / "mine.lock")
    project.write(*DASK, "odd")
    with pytest.raises(UsageError, match=r"mine\.lock is not a lock of this environment"):
        project.prepare(lock=mine)
    mine.write_text(without_header(mine.read_text()))
    with pytest.raises(UsageError, match=r"mine\.lock does not satisfy odd"):
        project.prepare(lock=mine)
    with pytest.raises(UsageError, match=r"--lock .*nowhere does not exist"):
        project.prepare(lock=project.home / "nowhere")
    mine.write_text("nonsense")
    with pytest.raises(UsageError, match=r"mine\.lock is not a lock"):
        project.prepare(lock=mine)
    mine.write_text("version: 6\nenvironments: {}\npackages: []\n")
    with pytest.raises(UsageError, match="locks nothing for linux-aarch64"):
        project.prepare(lock=mine, architecture=Architecture.ARM64)
    assert project.kept == []


def test_a_given_pip_lock_is_installed_by_pip(project: Project) -> None:
    mine = project.home / "pip.lock"
    mine.write_text(pip_lock(project, "dask", "distributed"))
    installer = project.prepare(AUTO, lock=mine)
    with pytest.raises(UsageError, match="is pip's, and --installer conda"):
        project.prepare(lock=mine)
    assert (installer.name, installer.lock.version("distributed")) == ("pip", "2.0")
    with pytest.raises(UsageError, match=r"pip\.lock is not a lock of this environment"):
        project.prepare(AUTO, lock=mine, architecture=Architecture.ARM64)


def test_a_malformed_spec_is_refused_before_any_request(project: Project, served: Served) -> None:
    project.write(*DASK, "numpy==")
    with pytest.raises(UsageError, match="'numpy==' is not a conda spec"):
        project.prepare()
    assert (served.requests, project.kept) == ([], [])


# pip on top of conda


def test_a_pip_requirement_from_outside_an_index_is_refused(tmp_path: Path) -> None:
    """A lock cannot pin a dependency's URL."""

    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        (report,) = (each for each in arguments if each.startswith("--report="))
        item = {
            "metadata": {"name": "lab", "version": "1"},
            "is_direct": True,
            "download_info": {"vcs_info": {}},
        }
        Path(report.partition("=")[2]).write_text(json.dumps({"install": [item]}))

    with pytest.raises(BakeError, match="lab is not from an index"):
        resolve(
            ["lab"],
            Target(f"{PYTHON}.2", "x86_64"),
            folder=tmp_path,
            cache=tmp_path,
            notify=[].append,
            pip=pip,
        )


def test_the_pip_part_keeps_conda_s_versions_and_adds_only_missing_packages(
    project: Project, served: Served, tmp_path: Path
) -> None:
    """``zstd`` is a C library in conda and a Python package in pip: two packages of one name."""
    project.write(*DASK, "odd", pip=("rides",))
    installer = project.prepare()
    assert packages(installer, "pypi") == ["rides 1.0", "zstd 1.5"]
    assert {"msgpack-python 1.1", "pip 25.0", "zstd 9e"} <= set(packages(installer, "conda"))
    assert project.kept == ["conda.lock", "conda.pip.lock"]
    assert list(installer.files) == ["environment.yml", "conda.lock", "installers.lock", "pip.lock"]
    # The part belongs to the lock that it is on top of.
    before = installer.files["pip.lock"]
    assert project.prepare().files["pip.lock"] == before
    make_package(tmp_path / "mine", "msgpack-python", "1.2", PYTHONS)
    index_channel(tmp_path / "mine")
    with serve(tmp_path / "mine") as mine:
        again = project.prepare(channels=(mine.url,))
    assert again.lock.version("msgpack-python") == "1.2"
    assert again.files["pip.lock"] != before


def test_conda_s_python_packages_with_valid_versions_are_constraints_for_pip(project, monkeypatch) -> None:
    bound: list[str] = []

    def resolve(requirements, target, *, folder, cache, notify, constraints):
        bound.extend(constraints)
        return Resolution(())

    monkeypatch.setattr(lock, "resolve", resolve)
    project.write(*DASK, "odd", pip=("rides",))
    project.prepare()
    assert bound == ["dask==2.0", "distributed==2.0", "msgpack==1.1", "pip==25.0"]


def test_a_pip_part_that_contradicts_conda_s_versions_is_an_error_of_pip(project: Project) -> None:
    project.write(*DASK, pip=("msgpack==1.2",))
    with pytest.raises(BakeError, match=r"cannot be resolved:(.|\n)*msgpack==1\.1"):
        project.prepare()
    assert project.kept == ["conda.lock"]


# What goes into the payload


@pytest.mark.parametrize(
    ("tool", "machine", "version"),
    [
        ("py-rattler", "x86_64", "1"),
        ("py-rattler", "aarch64", "2"),
        ("uv", "x86_64", "3"),
        ("uv", "aarch64", "4"),
    ],
)
def test_what_installs_packages_is_chosen_by_architecture(tool: str, machine: str, version: str) -> None:
    assert tool_wheel(tool, INSTALLERS, machine) == Package(tool, version, version * 64)
    with pytest.raises(BakeError, match=rf"installers\.lock has no wheel of {tool} for {machine}"):
        tool_wheel(tool, "# empty\n", machine)


def test_the_payload_has_every_package_in_its_lock_s_order(
    project: Project, tmp_path: Path, monkeypatch
) -> None:
    wheels = {}

    def fetch(wanted, target, cache, notify, **sources):
        for each in wanted:
            wheels[each.name] = (target.python, cache)
            (tmp_path / f"{each.name}.whl").write_text(each.name)
        return tuple(tmp_path / f"{each.name}.whl" for each in wanted)

    monkeypatch.setattr(installers, "fetch_wheels", fetch)
    installer = project.prepare()
    assert isinstance(installer, CondaInstaller)
    installer = replace(installer, pip_text=pip_lock(project, "rides", "zstd", python=f"{PYTHON}.9"))
    payload = tmp_path / "payload"
    payload.mkdir()
    size = installer.bring(payload, project.events.append)
    held, sizes = {}, {}
    for path in payload.iterdir():
        with tarfile.open(path) as tar:
            held[path.name] = tar.getnames()
            sizes[path.name] = sum(member.size for member in tar)
    archives = [each for each in installer.lock.packages if each.kind == "conda"]
    assert held == {
        "conda.tar": [f"{each.name}-{each.version}-0.conda" for each in archives],
        "rattler.tar": ["py-rattler.whl"],
        "uv.tar": ["uv.whl"],
        "wheels.tar": ["rides.whl", "zstd.whl"],
    }
    cache = project.home / "cache" / "wheels"
    assert wheels == {
        "py-rattler": ("3.11.2", cache),
        "rides": (f"{PYTHON}.9", cache),
        "zstd": (f"{PYTHON}.9", cache),
        "uv": ("3.11.2", cache),
    }
    assert size == sizes["conda.tar"] + sizes["wheels.tar"]


def test_pip_installs_where_the_index_does_not_have_uv(project: Project, tmp_path: Path, monkeypatch) -> None:
    def fetch(wanted, target, cache, notify, **sources):
        if wanted[0].name == "uv":
            raise BakeError("pip cannot download it:\n  no matching distribution")
        return ()

    monkeypatch.setattr(installers, "fetch_wheels", fetch)
    installer = PipInstaller(
        project.request().environment, pip_lock(project, "zstd"), INSTALLERS, tmp_path / "cache"
    )
    payload = tmp_path / "payload"
    payload.mkdir()
    installer.bring(payload, project.events.append)

    assert [path.name for path in payload.iterdir()] == ["wheels.tar"]
    (note,) = project.notes
    assert note == (
        "pip installs the packages in the image, as uv's wheel is not to be had: pip cannot download it."
    )
