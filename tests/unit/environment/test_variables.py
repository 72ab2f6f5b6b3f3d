"""Variables of an environment."""

import pytest

from dask_bake.environment.spec import parse_environment
from dask_bake.environment.variables import variables_file
from dask_bake.errors import UsageError

TEXT = b"""
dependencies: [dask]
variables:
  GDAL_CACHEMAX: "512"
  RELEASE: 1.10
  FAST: true
  FLAGS: -O2 --fast
"""


def test_values_are_as_they_are_written():
    variables = parse_environment(TEXT).variables
    assert variables == (
        ("GDAL_CACHEMAX", "512"),
        ("RELEASE", "1.10"),
        ("FAST", "true"),
        ("FLAGS", "-O2 --fast"),
    )
    assert variables_file(variables).decode() == (
        "GDAL_CACHEMAX=512\nRELEASE=1.10\nFAST=true\nFLAGS='-O2 --fast'\n"
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (b"[A]", "has variables that are not KEY: VALUE"),
        (b"{1A: b}", "'1A' is no name of a variable"),
        (b"{A: [b]}", "the value of A is not a text"),
        (b"{A: null}", "the value of A is not a text"),
        (b"{A: }", "the value of A is not a text"),
        (b'{A: "it\'s"}', "an image cannot hold the value of A"),
        (b'{A: "b # c"}', "an image cannot hold the value of A"),
        (b'{A: "b\\nc"}', "an image cannot hold the value of A"),
        (b"{PATH: /opt/bin}", "an image cannot replace PATH"),
        (b"{API_TOKEN: x}", "an image cannot hold a secret, as API_TOKEN seems to be"),
        (b"{PROXY: 'http://me:pw@a.example'}", "an image cannot hold a secret, as PROXY seems to be"),
    ],
)
def test_a_variable_that_an_image_cannot_have_is_refused(variables, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_environment(b"dependencies: [dask]\nvariables: " + variables)
    assert caught.value.hint


@pytest.mark.parametrize("text", [b"", b"variables:\n", b"variables: null\n", b"variables: {}\n"])
def test_an_environment_need_not_have_variables(text):
    assert parse_environment(b"dependencies: [dask]\n" + text).variables == ()
