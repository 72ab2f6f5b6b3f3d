"""The endpoint of a real local cloud is for the user who started it."""

import os
import stat
import subprocess
import urllib.error
import urllib.request

import pytest

from local_cloud import SETTINGS
from root import as_root


def test_lock_and_key_pair_belong_to_the_user_who_started_the_local_cloud(cloud):
    for file in (SETTINGS.credentials_file, SETTINGS.pid_file):
        about = file.stat()
        assert (about.st_uid, stat.S_IMODE(about.st_mode)) == (os.getuid(), 0o600)


def test_another_user_can_neither_open_them_nor_use_the_endpoint(cloud):
    script = (
        f"cat {SETTINGS.credentials_file} || cat {SETTINGS.pid_file} || flock -n {SETTINGS.pid_file} true ||"
        f" exec 3<>/dev/tcp/127.0.0.1/{SETTINGS.port};"
        f" printf 'POST / HTTP/1.1\\r\\nHost: 127.0.0.1:{SETTINGS.port}\\r\\nContent-Length: 22\\r\\n"
        "Content-Type: application/x-www-form-urlencoded\\r\\n\\r\\nAction=DescribeRegions' >&3; head -1 <&3"
    )
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(as_root(*nobody, "bash", "-c", script), capture_output=True, text=True, check=False)

    assert done.stdout.startswith("HTTP/1.1 401 "), done
    assert done.stderr.count("Permission denied") == 3


def test_a_web_page_is_refused(cloud):
    request = urllib.request.Request(SETTINGS.url, headers={"Origin": "https://evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(request)
    caught.value.close()
