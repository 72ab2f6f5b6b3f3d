"""setup.sh on machines whose programs are stubs: what it installs, what it says, how it ends."""

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "setup.sh"
ELSEWHERE = "HashiCorp's is at https://developer.hashicorp.com/packer/install. What needs Packer is left out."
TOOLS = (
    "awk",
    "bash",
    "cat",
    "chmod",
    "chown",
    "cp",
    "env",
    "grep",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sed",
    "seq",
    "tail",
)
NEEDED = [
    "chromedriver",
    "chromium",
    "dnsmasq",
    "ip",
    "mmdebstrap",
    "nft",
    "rsync",
    "shellcheck",
    "ssh",
    "systemd-nspawn",
]
APT_GET = """
case "$*" in
update) echo "$*" >>"$TMPDIR/apt" ;;
*install*) echo "$*" >>"$TMPDIR/apt"; {install} ;;
*indextargets*) printf '{mirrors}' ;;
*update) cat "$2" "${{2%apt.conf}}sources.list" >"$TMPDIR/fetched"; {fetch} ;;
*download*) : >packer_1.6.6_amd64.deb ;;
esac
"""
APT_CACHE = """
printf 'packer:\\n  Installed: (none)\\n  Candidate: {candidate}\\n'
for line in $(seq 20000); do echo '        500 http://mirror.example bookworm/main amd64'; done
"""
"""Like apt-cache, it fails if the reader stops before the end of a long version table."""
MIRRORS = r"""
Docker|stable|bookworm|http://docker.example/
Debian|main|trixie|http://mirror.example/debian/
Debian|main|trixie-security|http://mirror.example/security/
""".lstrip().replace("\n", r"\n")
NO_BOOKWORM = "E: The repository 'http://mirror.example bookworm Release' does not have a Release file."
UNPACK = 'mkdir -p "$3/usr/bin"; echo "#!/bin/sh" >"$3/usr/bin/packer"; chmod +x "$3/usr/bin/packer"'

debian = pytest.mark.skipif(
    not list(Path("/usr/share/keyrings").glob("debian-archive-keyring.*")),
    reason="Debian's archive keyring is not here",
)


class Machine:
    """A machine with every program that setup.sh needs; a test removes some."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, folder / "programs"
        self.packer = folder / "cache/dask-bake/packer/bin/packer"
        self.programs.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found
            (self.programs / tool).symlink_to(found)
        self.add("id", "echo 0")
        for program in (*NEEDED, "python3", "packer"):
            self.add(program)

    def add(self, program: str, lines: str = "") -> None:
        path = self.programs / program
        path.write_text(f"#!{shutil.which('bash')}\n{lines}\n")
        path.chmod(0o755)

    def remove(self, *programs: str) -> None:
        for program in programs:
            (self.programs / program).unlink()

    def add_apt(
        self, candidate: str, *, mirrors: str = MIRRORS, fetch: str = "true", install: str = "true"
    ) -> None:
        """Install apt; ``candidate`` is the release's Packer, ``fetch`` what the mirror runs."""
        self.add("apt-get", APT_GET.format(mirrors=mirrors, fetch=fetch, install=install))
        self.add("apt-cache", APT_CACHE.format(candidate=candidate))
        self.add("dpkg", "echo amd64")
        self.add("dpkg-deb", UNPACK)

    def set_up(self, **environment: str) -> tuple[int, str, str]:
        """Return the exit code of setup.sh, what it printed, and its errors."""
        done = subprocess.run(
            [self.programs / "bash", SETUP],
            env={
                "PATH": str(self.programs),
                "HOME": str(self.folder),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "TMPDIR": str(self.folder),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr

    def installed(self) -> list[str]:
        """Return the packages that apt-get was called to install."""
        calls = self.folder / "apt"
        lines = calls.read_text().splitlines() if calls.exists() else []
        assert lines[:1] in ([], ["update"])
        return [word for line in lines[1:] for word in line.split()[1:] if not word.startswith("--")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_if_nothing_is_missing_nothing_is_installed(machine: Machine) -> None:
    machine.add_apt("1.6.6")
    assert machine.set_up() == (0, "", "")
    assert not (machine.folder / "apt").exists()


def test_missing_programs_are_installed_packer_if_the_release_has_it(machine: Machine) -> None:
    machine.remove("mmdebstrap", "systemd-nspawn", "packer")
    machine.add_apt("1.6.6+ds1-2")
    packages = ["mmdebstrap", "systemd-container", "packer"]
    code, output, _ = machine.set_up()
    assert (code, output.splitlines()[0]) == (0, f"installing Debian packages: {' '.join(packages)}")
    assert machine.installed() == packages


def test_the_venv_package_matches_the_python_of_make(machine: Machine) -> None:
    """Only Debian's Python needs a package for venv."""
    machine.add("python3", '[ "$2" != "import ensurepip, venv" ]')
    machine.add("python3.12")
    machine.add_apt("1.6.6")
    assert machine.set_up(PYTHON="python3.12")[0] == 0
    assert machine.installed() == []
    assert machine.set_up()[0] == 0
    assert machine.installed() == ["python3-venv"]


def test_setup_ends_if_packages_cannot_be_installed(machine: Machine) -> None:
    machine.remove("mmdebstrap")
    machine.add_apt("1.6.6", install="echo 'E: no route to the mirror'; exit 100")
    assert machine.set_up() == (
        1,
        "installing Debian packages: mmdebstrap\n",
        "apt-get could not install mmdebstrap:\nE: no route to the mirror\n",
    )


@debian
def test_packer_is_downloaded_if_the_release_has_none(machine: Machine) -> None:
    """It comes from the configured mirror, signed by Debian, and no source or package is installed."""
    machine.remove("packer")
    machine.add_apt("(none)")
    folder = machine.packer.parent
    assert machine.set_up() == (0, f"installing Debian's Packer of bookworm in {folder}\n", "")
    assert machine.installed() == []
    assert list(folder.iterdir()) == [machine.packer]
    source = (machine.folder / "fetched").read_text().splitlines()[-1]
    assert source.startswith("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.")
    assert source.endswith("] http://mirror.example/debian/ bookworm main")
    assert machine.set_up() == (0, "", "")
    assert sorted(path.name for path in machine.folder.iterdir()) == ["apt", "cache", "fetched", "programs"]


@debian
@pytest.mark.parametrize(
    "reason",
    [NO_BOOKWORM, "E: Failed to fetch http://mirror.example/debian/dists/bookworm/InRelease  no such name"],
)
def test_if_the_mirror_has_no_packer_setup_says_so_and_succeeds(reason: str, machine: Machine) -> None:
    machine.remove("packer")
    machine.add_apt("(none)", fetch=f'echo "{reason}"; exit 100')
    code, _, errors = machine.set_up()
    assert (code, errors) == (0, f"Packer is not installed: {reason[3:].rstrip('.')}. {ELSEWHERE}\n")
    assert not machine.packer.exists()


def test_without_a_debian_mirror_packer_s_web_site_is_named(machine: Machine) -> None:
    machine.remove("packer")
    machine.add_apt("(none)", mirrors=r"Ubuntu|main|noble|http://mirror.example/ubuntu/\n")
    reason = "apt has no Debian mirror here"
    assert machine.set_up() == (0, "", f"Packer is not installed: {reason}. {ELSEWHERE}\n")


@debian
def test_packer_is_downloaded_without_root_too(machine: Machine) -> None:
    machine.remove("packer", "mmdebstrap")
    machine.add("id", "echo 1000")
    machine.add_apt("1.6.6")
    code, _, errors = machine.set_up()
    assert (code, errors) == (
        0,
        "Not installed, and there is no root here to do it: mmdebstrap. What needs them is left out.\n",
    )
    assert machine.installed() == []
    assert machine.packer.exists()


def test_without_apt_the_missing_programs_are_listed(machine: Machine) -> None:
    machine.remove("packer", "mmdebstrap")
    assert machine.set_up() == (
        0,
        "",
        "Not installed, and this is not Debian: mmdebstrap. What needs them is left out.\n"
        f"Packer is not installed. {ELSEWHERE}\n",
    )


@pytest.mark.parametrize("python", ["python3", "python3.9", "python3.99"])
def test_a_missing_or_too_old_python_ends_setup(python: str, machine: Machine) -> None:
    machine.add("python3.9", "exit 1")
    machine.add("python3", "exit 1")
    code, _, errors = machine.set_up(PYTHON=python)
    message = "dask-bake needs Python 3.11 or newer. Say which: make PYTHON=python3.12 …\n"
    assert (code, errors) == (2, message)


def test_without_python_debian_s_is_installed(machine: Machine) -> None:
    machine.remove("python3")
    machine.add_apt("1.6.6")
    assert machine.set_up()[0] == 0
    assert machine.installed() == ["python3-venv"]
