"""Sessions of the command line: options from flags and configuration."""

import pytest

from dask_bake.cli.session import launch_options
from dask_bake.errors import UsageError


@pytest.fixture
def torch(tmp_path, monkeypatch):
    """A configured environment.yml with the name torch."""
    file = tmp_path / "environment.yml"
    file.write_text("name: torch\ndependencies: [dask]\n")
    monkeypatch.setenv("DASK_BAKE__IMAGE__ENV", str(file))
    return file


def test_launch_takes_an_image_of_the_configured_environment(torch):
    assert launch_options({}).image_name == "torch"
    assert launch_options({"image_name": "taxi"}).image_name == "taxi"
    assert launch_options({"ami": "ami-1"}).image_name is None


def test_launch_takes_the_default_environment_if_none_is_configured():
    assert launch_options({}).image_name is None


def test_a_configured_environment_that_is_not_there_is_an_error(torch):
    torch.unlink()
    with pytest.raises(UsageError, match=r"environment\.yml cannot be read"):
        launch_options({})
