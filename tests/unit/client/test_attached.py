"""What a page of Dask's shows in place of the scheduler's own address."""

import pytest

from dask_bake.client.attached import with_link

INFO = {"address": "tcp://10.0.0.4:8786", "services": {"dashboard": 8787}}
PAGE = '<a href="http://10.0.0.4:8787/status">http://10.0.0.4:8787/status</a>'


def test_the_link_that_works_replaces_the_scheduler_s_own():
    assert with_link(PAGE, INFO, "http://127.0.0.1:1/status?token=a&b") == (
        '<a href="http://127.0.0.1:1/status?token=a&amp;b">http://127.0.0.1:1/status?token=a&amp;b</a>'
    )


@pytest.mark.parametrize("info", [{}, {"address": "tcp://10.0.0.4:8786", "services": {}}, None])
def test_a_page_without_a_dashboard_stays(info):
    assert with_link(PAGE, info, "http://127.0.0.1:1/status") == PAGE
