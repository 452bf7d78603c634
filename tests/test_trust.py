"""The page on which a tablet learns to trust the box."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

import pages
from mien.config import Page
from pages import Box, text


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A real one, by the script that makes it on a box."""
    script = Path(__file__).parent.parent / "firmware_config" / "certificates.sh"
    subprocess.run(["sh", str(script), str(tmp_path / "tls")], check=True, capture_output=True)
    return tmp_path / "tls"


def give(box: Box, file: Path) -> None:
    box.app.extensions["mien.config"] = replace(box.config, page=Page(ca_file=str(file)))


def test_without_a_network_there_is_nothing_to_trust(box: Box) -> None:
    answer = box.app.test_client().get("/trust")
    assert answer.status_code == 200
    assert "nothing to trust" in text(answer)


def test_everybody_sees_the_fingerprint_that_openssl_prints(box: Box, authority: Path) -> None:
    give(box, authority / "ca.crt")
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", authority / "ca.crt"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    answer = box.app.test_client().get("/trust")
    assert told.stdout.strip().partition("=")[2] in text(answer)


def test_the_certificate_is_downloaded_and_no_key_is(box: Box, authority: Path) -> None:
    give(box, authority / "ca.crt")
    answer = box.app.test_client().get("/trust/mien-ca.crt")
    assert answer.mimetype == "application/x-x509-ca-cert"
    assert answer.data == (authority / "ca.crt").read_bytes()
    assert b"PRIVATE" not in answer.data


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\xfe"])
def test_one_that_cannot_be_read_is_told(box: Box, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.crt").write_bytes(content)
    give(box, tmp_path / "ca.crt")
    for path in ("/trust", "/trust/mien-ca.crt"):
        answer = box.app.test_client().get(path)
        assert answer.status_code == 503
        assert "cannot be read" in text(answer)


class TestCertificates:
    def test_the_server_is_vouched_for_by_the_authority(self, authority: Path) -> None:
        subprocess.run(
            ["openssl", "verify", "-CAfile", authority / "ca.crt", authority / "live.crt"],
            check=True, capture_output=True,
        )  # fmt: skip

    def test_nothing_is_made_twice(self, authority: Path) -> None:
        before = (authority / "live.crt").read_bytes()
        script = Path(__file__).parent.parent / "firmware_config" / "certificates.sh"
        done = subprocess.run(["sh", str(script), str(authority)], check=True, capture_output=True)
        assert done.stdout == b""
        assert (authority / "live.crt").read_bytes() == before

    def test_keys_are_nobody_elses(self, authority: Path) -> None:
        for key in ("ca.key", "server.key"):
            assert (authority / key).stat().st_mode & 0o077 == 0

    def test_your_own_certificate_wins_while_it_is_valid(self, authority: Path) -> None:
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        make += ["-nodes", "-subj", "/CN=clinic.example", "-days", "30"]
        make += ["-keyout", str(authority / "own.key"), "-out", str(authority / "own.crt")]
        subprocess.run(make, check=True, capture_output=True)
        script = Path(__file__).parent.parent / "firmware_config" / "certificates.sh"
        subprocess.run(["sh", str(script), str(authority)], check=True, capture_output=True)
        assert (authority / "live.crt").resolve().name == "own.crt"
        (authority / "own.crt").write_text("no certificate")
        done = subprocess.run(["sh", str(script), str(authority)], check=True, capture_output=True)
        assert b"is no certificate" in done.stdout
        assert (authority / "live.crt").resolve().name == "server.crt"
