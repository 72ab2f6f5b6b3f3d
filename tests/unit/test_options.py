"""What cannot be launched is refused before anything is looked up."""

from pathlib import Path

import pytest

from dask_bake.errors import UsageError
from dask_bake.options import CloudChoice, LaunchOptions, cloud_choice, launch_options
from dask_bake.settings import Settings, read_settings


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"count": 1}, "--count counts the head: at least 2, not 1"),
        ({"count": 0}, "--count counts the head: at least 2, not 0"),
        ({"nprocs": 0}, "--nprocs is the worker processes of a node: at least 1, not 0"),
        ({"timeout": 0}, "--timeout is in seconds: at least 1, not 0"),
        ({"name": "my cluster"}, "'my cluster' cannot be a cluster's name"),
        ({"name": ""}, "'' cannot be a cluster's name"),
        ({"name": "Dask"}, "'Dask' cannot be a cluster's name"),
        ({"name": "a" * 33}, f"'{'a' * 33}' cannot be a cluster's name"),
        ({"name": "dask\n"}, "'dask\\n' cannot be a cluster's name"),
        (
            {"file": Path("/no/such/cluster.yaml")},
            "--file /no/such/cluster.yaml: there is no folder /no/such",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence(wrong, sentence):
    with pytest.raises(UsageError) as caught:
        LaunchOptions(**wrong)

    assert (caught.value.message, caught.value.exit_code) == (sentence, 2)


def test_the_defaults_are_those_of_the_help():
    assert launch_options({}, Settings()) == LaunchOptions(
        count=4,
        nprocs=1,
        name="dask",
        type=("m6i.2xlarge",),
        ami=None,
        file=None,
        timeout=300,
        allow_mismatch=False,
    )


def test_a_mismatch_is_allowed_by_its_flag():
    assert launch_options({"allow_mismatch": True}, Settings()) == LaunchOptions(allow_mismatch=True)


def test_a_flag_goes_before_the_users_file_and_that_before_the_default():
    options = launch_options({"count": 9, "nprocs": None}, Settings(count=5, nprocs=8))

    assert (options.count, options.nprocs, options.name) == (9, 8, "dask")


def test_a_wrong_value_in_the_users_file_is_refused_like_a_flag():
    with pytest.raises(UsageError, match="at least 2"):
        launch_options({}, Settings(count=1))


@pytest.mark.parametrize(
    ("flag", "variable", "filed", "expected"),
    [
        ("aws", "local", "local", CloudChoice.AWS),
        (None, "local", "aws", CloudChoice.LOCAL),
        (None, "", "aws", CloudChoice.AWS),
        (None, None, None, CloudChoice.AUTO),
    ],
)
def test_the_cloud_is_the_flag_then_the_variable_then_the_file(flag, variable, filed, expected):
    environ = {} if variable is None else {"DASK_BAKE_CLOUD": variable}

    assert cloud_choice(flag, environ, Settings(cloud=filed)) is expected


def test_an_unknown_cloud_is_refused_with_where_it_was_said():
    with pytest.raises(UsageError, match="DASK_BAKE_CLOUD is 'gcp'"):
        cloud_choice(None, {"DASK_BAKE_CLOUD": "gcp"}, Settings())


def test_no_file_means_no_settings(tmp_path):
    assert read_settings(tmp_path / "dask-bake.yaml") == Settings()


def test_the_files_section_holds_the_settings_and_the_rest_is_dasks(tmp_path):
    path = tmp_path / "dask-bake.yaml"
    path.write_text("scheduler-address: tcp://x\ndask-bake:\n  cloud: local\n  count: 5\n")

    assert read_settings(path) == Settings(cloud="local", count=5)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"dask-bake: [", "is not YAML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"- a\n", "must hold a section 'dask-bake:'"),
        (b"dask-bake: 3\n", "holds no settings"),
        (b"dask-bake: {colour: red}\n", "unknown setting 'colour'"),
        (b"dask-bake: {count: many}\n", "count: 'many', which should be a whole number"),
        (b"dask-bake: {count: true}\n", "count: True, which should be a whole number"),
        (b"dask-bake: {name: 7}\n", "name: 7, which should be a text"),
    ],
)
def test_a_file_that_is_not_understood_is_one_sentence_with_its_path(tmp_path, content, sentence):
    path = tmp_path / "dask-bake.yaml"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=sentence) as caught:
        read_settings(path)

    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    path = tmp_path / "dask-bake.yaml"
    path.mkdir()

    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_settings(path)
