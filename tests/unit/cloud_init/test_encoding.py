"""Values arrive unchanged at the shell and at sshd, or are refused."""

import subprocess
from pathlib import Path

import pytest

from dask_bake.cloud_init.encoding import SESSION_PATH, environment_file, sshd_environment
from user_data import UNUSUAL, refusal

ROOTFS = Path(__file__).parents[3] / "packer/rootfs"


def test_a_shell_reads_the_variables_of_an_environment_file(tmp_path):
    values = {f"V{number}": value for number, value in enumerate(UNUSUAL)}
    (tmp_path / "launch.env").write_text(environment_file(values))
    names = " ".join(f'"${name}"' for name in values)
    script = f". {tmp_path}/launch.env; printf '%s\\0' {names}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split("\0")[:-1] == UNUSUAL


def test_quotes_and_backslashes_are_escaped_for_sshd_and_path_can_be_overridden():
    line = sshd_environment({"PATH": "/a", "B": 'c "d" \\e #f'})

    assert line == r'SetEnv "PATH=/a" "B=c \"d\" \\e #f"' + "\n"


def test_the_path_of_sessions_is_that_of_the_image():
    """sshd uses only the first SetEnv line, so the line of the user-data repeats the image's PATH."""
    settings = (ROOTFS / "etc/ssh/sshd_config.d/50-dask-bake.conf").read_text()
    assert f"\nSetEnv PATH={SESSION_PATH}\n" in settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            ("TWO", value, f"the value of TWO contains a control character: {value!r}")
            for value in ("a\nb", "a\tb", "\x00", "\udc80")
        ),
        ("A;reboot", "1", "'A;reboot' is not a valid variable name"),
    ],
)
def test_a_variable_that_cannot_be_encoded_is_refused(name, value, message):
    assert refusal(environment=(("ONE", "1"), (name, value))) == message
