"""What 35-variables.sh adds to /etc/environment."""

import pytest

from image_scripts import PAYLOAD, put, run_script


@pytest.mark.parametrize(("given", "added"), [("A=1\nB='b c'\n", "A=1\nB='b c'\n"), (None, "")])
def test_variables_are_added_to_those_of_the_packages(given, added, tmp_path):
    root = tmp_path / "image"
    put(root, "etc/environment", "GDAL_DATA=/opt\n")
    if given is not None:
        put(root, f"{PAYLOAD}/variables.env", given)
    assert run_script("35-variables.sh", root).returncode == 0
    assert (root / "etc/environment").read_text() == f"GDAL_DATA=/opt\n{added}"
