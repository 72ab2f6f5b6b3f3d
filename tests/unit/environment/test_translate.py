"""Translation of conda's specs for pip."""

import pytest
import yaml

from dask_bake.environment.spec import parse_environment
from dask_bake.environment.translate import for_pip
from dask_bake.errors import UsageError


def test_conda_specs_become_pip_requirements():
    text = b"""
    dependencies:
      - python=3.11
      - python-dateutil
      - dask
      - conda-forge::numpy=2.1
      - pandas>=2
      - bokeh==3.9.2
      - mamba
      - pip
      - pip: [not-on-conda==1]
    """
    assert for_pip(parse_environment(text)).requirements == (
        "python-dateutil",
        "dask[array,dataframe,diagnostics,distributed]",
        "numpy==2.1.*",
        "pandas>=2",
        "bokeh==3.9.2",
        "not-on-conda==1",
        "pip",
    )


@pytest.mark.parametrize(
    ("spec", "requirement"),
    [
        ("toolz >=0.12,!=0.12.1", "toolz>=0.12,!=0.12.1"),
        ("locket >= 1", "locket>=1"),
        ("numpy =1.26,!=1.26.1", "numpy==1.26.*,!=1.26.1"),
        ("numpy 1.26", "numpy==1.26"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy *", "numpy"),
        ("numpy[version='>=2']", "numpy>=2"),
        ("pandas ~=2.1", "pandas~=2.1"),
        ("Pandas", "pandas"),
        ("numpy 1!2", "numpy==1!2"),
        ("dask[complete]", "dask[complete]"),
        ("conda-forge::dask[array, distributed] >=2025", "dask[array,distributed]>=2025"),
        ("pytorch=2", "torch==2.*"),
        ("pytorch_geometric", "torch-geometric"),
        ("ray-default", "ray[default]"),
        ("opencv", "opencv-python-headless"),
    ],
)
def test_a_spec_is_a_requirement(spec, requirement):
    assert for_pip(dependencies(spec)).requirements == (requirement, "pip")


def dependencies(*specs):
    return parse_environment(yaml.safe_dump({"dependencies": list(specs)}).encode())


@pytest.mark.parametrize(
    "spec",
    ["numpy=1.26=py311_0", "numpy>=2|<1", "blas=*=openblas", "https://a.example/x/noarch/lab-1-0.conda"],
)
def test_what_pip_cannot_be_asked_for_is_a_sentence(spec):
    with pytest.raises(UsageError, match=r"which pip cannot be asked for|which only conda has") as caught:
        for_pip(dependencies(spec))
    assert "--installer conda" in str(caught.value.hint)


def test_all_names_that_only_conda_has_are_in_one_sentence():
    with pytest.raises(UsageError) as caught:
        for_pip(dependencies("dask", "plink", "numpy", "nodejs=20"))
    assert (caught.value.message, caught.value.hint) == (
        "environment.yml asks for plink, nodejs, which only conda has: on pip's index a project"
        " of that name is missing, or another",
        "--installer conda installs it, or leave it out",
    )


def test_names_that_are_not_known_are_taken_with_a_note():
    notes = for_pip(dependencies("dask-core", "numpy", "lab-tools", "Scikit_Learn", "ours>=2")).notes
    assert [note.partition(":")[0] for note in notes] == ["lab-tools, ours"]


def test_versions_that_pip_leaves_out_are_a_note():
    notes = for_pip(dependencies("python=3.11", "pip=20.*", "conda", "dask")).notes
    assert notes == ("environment.yml asks for pip=20.*: only conda installs that version.",)


def test_what_describes_the_machine_is_left_out():
    found = for_pip(dependencies("__linux", "__glibc >=2.17", "numpy"))
    assert (found.requirements, found.notes) == (("numpy", "pip"), ())


@pytest.mark.parametrize(
    "name", ["r-ggplot2", "bioconductor-deseq2", "perl-json", "xorg-libx11", "ld_impl_linux-64"]
)
def test_packages_of_other_languages_are_conda_s(name):
    with pytest.raises(UsageError, match=f"asks for {name}, which only conda has"):
        for_pip(dependencies(name))
