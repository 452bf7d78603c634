"""What is secret in an address is never written down."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import releases
from mien.address import hidden, shown
from mien.releases import ReleaseError

SECRET = "S3cretPassw0rd"
ADDRESSES = [
    f"rtsp://admin:{SECRET}@192.168.1.20/stream",
    f"rtsp://192.168.1.20:554/user=admin&password={SECRET}&channel=1&stream=0.sdp?real_stream",
    f"http://cam.local/video?user=a&pwd={SECRET}",
    f"http://{SECRET}@[fe80::1]/v",
    f"https://bob:{SECRET}@host:99999999/mien.tar",
    f"https://bob:{SECRET}@host:port/mien.tar",
    f"https://host/{SECRET}/mien.tar",
    f"bob:{SECRET}@cam.local/live",
    f"rtsp:/bob:{SECRET}@cam.local/live",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_it_is_not_shown(address: str) -> None:
    assert SECRET not in shown(address)
    assert shown(shown(address)) == shown(address)


@pytest.mark.parametrize("address", ADDRESSES)
def test_nor_in_what_others_say(address: str) -> None:
    for said in (f"cannot open {address}", f"nonnumeric port: '{address.split(':', 2)[-1]}'"):
        assert SECRET not in hidden(said, address)


@given(st.text(min_size=4, max_size=30), st.sampled_from(["rtsp", "http", "https"]))
def test_whatever_the_password_is(password: str, scheme: str) -> None:
    secret = f"Q{quote(password, safe='')}Q"
    for address in (
        f"{scheme}://u:{secret}@host/x", f"{scheme}://host/p={secret}", f"{scheme}://host/?p={secret}",
    ):  # fmt: skip
        assert secret not in shown(address)
        assert secret not in hidden(f"failed: {address}", address)


@pytest.mark.parametrize("address", [each for each in ADDRESSES if "host" in each])
def test_an_update_that_cannot_be_fetched_does_not_say_it(address: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError) as told, releases.unpacked(address, tmp_path / "x", tmp_path):
        pass
    assert SECRET not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "me@home.mp4"
    file.touch()
    assert shown(str(file)) == str(file)
    assert shown("/dev/video0") == "/dev/video0"
