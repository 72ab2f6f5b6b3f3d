"""Which proxy a request goes through."""

import pytest

from dask_bake.environment.proxies import proxy_of

URL = "https://conda.example/x"
CONFIGURED = "http://q.example (proxy_servers in .condarc)"


@pytest.mark.parametrize(
    ("environ", "configured", "phrase"),
    [
        ({}, None, ""),
        ({"HTTPS_PROXY": "http://me:pw@p.example:9"}, None, "http://p.example:9 (HTTPS_PROXY)"),
        ({"https_proxy": "http://p.example"}, None, "http://p.example (https_proxy)"),
        ({"ALL_PROXY": "http://p.example"}, None, "http://p.example (ALL_PROXY)"),
        ({"http_proxy": "http://p.example"}, None, ""),
        ({"https_proxy": "http://p.example", "NO_PROXY": "conda.example"}, None, ""),
        ({"HTTPS_PROXY": "http://p.example"}, {"https": "http://q.example"}, CONFIGURED),
        ({}, {"https://conda.example": "http://q.example"}, CONFIGURED),
    ],
)
def test_the_proxy_is_named_with_its_place(environ, configured, phrase):
    assert proxy_of(URL, environ, configured) == (f" through the proxy {phrase}" if phrase else "")
