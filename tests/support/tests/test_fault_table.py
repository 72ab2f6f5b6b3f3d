"""The table of faults: what tests record is what the page says."""

from dataclasses import replace

import pytest

import fault_table
from fault_table import PARTS, Row, check, recorded, render, rows_of, store, told_in

ROW = Row("At launch", "a lightning", "the launch goes on", "the cluster", 0.04)
PLACES = {"a lightning": ("a.py", 1, 0), "a flood": ("a.py", 2, 0)}


def test_the_page_has_only_rows_of_tests_and_is_up_to_date():
    page = fault_table.PAGE.read_text()
    assert render(rows_of(page), told_in()) == page
    assert rows_of(page)


def test_recorded_rows_replace_old_ones_and_other_rows_are_kept(tmp_path):
    old, other = replace(ROW, happens="it burns"), replace(ROW, fault="a flood")
    store(old, tmp_path)
    store(ROW, tmp_path)

    page = render([old, other, *recorded(tmp_path)], PLACES)

    assert [row.words for row in rows_of(page)] == [ROW.words, other.words]


def test_a_row_without_a_test_is_removed():
    assert rows_of(render([ROW, replace(ROW, fault="a plague")], PLACES)) == [replace(ROW, seconds=0.0)]


def test_parts_are_in_order_and_rows_in_the_order_of_the_tests():
    rows = [replace(ROW, part=part, fault=fault) for part in reversed(PARTS) for fault in reversed(PLACES)]
    found = [(row.part, row.fault) for row in rows_of(render(rows, PLACES))]
    assert found == [(part, fault) for part in PARTS for fault in PLACES]


@pytest.mark.parametrize(("seconds", "shown"), [(0.04, "0.0"), (9.94, "9.9"), (9.96, "10"), (31.2, "31")])
def test_seconds_are_rounded(seconds, shown):
    assert f" | {shown} | " in str(replace(ROW, seconds=seconds))


def test_the_place_of_a_fault_is_its_first_string_in_a_module_with_the_fixture(tmp_path):
    (tmp_path / "a.py").write_text("def test(fault_row):\n    'a ' 'flood'; 'a flood'\n")
    (tmp_path / "b.py").write_text("'a plague'\n")
    assert told_in(tmp_path) == {"a flood": (str(tmp_path / "a.py"), 2, 4)}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (ROW, "run make faults"),
        (replace(ROW, happens="this | that"), "cannot hold"),
        (replace(ROW, part="At sea"), "is none of"),
        (replace(ROW, fault="a light" + "ning".upper()), "written out"),
    ],
)
def test_a_row_that_is_not_on_the_page_fails_its_test(tmp_path, row, why):
    (tmp_path / "faults.md").write_text(render([replace(ROW, left="ashes")], PLACES))
    with pytest.raises(AssertionError, match=why):
        check([row], tmp_path / "faults.md")


def test_a_row_that_is_on_the_page_passes_whatever_its_seconds(tmp_path):
    (tmp_path / "faults.md").write_text(render([ROW], PLACES))
    check([replace(ROW, seconds=7)], tmp_path / "faults.md")
