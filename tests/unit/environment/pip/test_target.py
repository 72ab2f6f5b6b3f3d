"""Wheels that fit an image."""

import pytest

from dask_bake.environment.pip.target import Target, version_of

TARGET = Target("3.12.1", "x86_64", (2, 36))


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("x-1-py3-none-any.whl", True),
        ("x-1-py2.py3-none-any.whl", True),
        ("x-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("x-1-cp39-abi3-manylinux_2_36_x86_64.whl", True),
        ("x-1-cp312-cp312-manylinux1_x86_64.whl", True),
        ("x-1-cp312-cp312-manylinux_2_37_x86_64.whl", False),
        ("x-1-cp311-cp311-manylinux_2_17_x86_64.whl", False),
        ("x-1-cp312-cp312-manylinux_2_17_aarch64.whl", False),
        ("x-1-cp312-cp312-musllinux_1_2_x86_64.whl", False),
        ("x-1-cp312-cp312-win_amd64.whl", False),
        ("x-1-cp313-none-any.whl", False),
        ("nonsense.whl", False),
    ],
)
def test_a_wheel_fits_its_python_its_platform_and_older_libraries(wheel, fits):
    assert (TARGET.rank(wheel) is not None) == fits


def test_a_compiled_wheel_is_better_than_a_pure_one():
    ranks = [TARGET.rank(f"x-1-{tag}.whl") for tag in ("cp312-cp312-manylinux_2_28_x86_64", "py3-none-any")]
    assert ranks == sorted(ranks)


def test_what_is_compiled_here_for_another_python_does_not_fit():
    assert not Target("3.9.1", "x86_64").fits_when_built("x-1-cp39-cp39-linux_x86_64.whl")
    assert TARGET.fits_when_built("x-1-py3-none-any.whl")


def test_the_platform_has_a_name_for_uv():
    assert (TARGET.uv_platform, Target("3.13", "aarch64", (2, 99)).uv_platform) == (
        "x86_64-manylinux_2_36",
        "aarch64-manylinux_2_40",
    )


def test_a_wheel_s_name_has_its_version():
    assert version_of("x-1.0.dev3+g12-py3-none-any.whl") == "1.0.dev3+g12"
