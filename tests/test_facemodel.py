"""`mien.facemodel`: two files out of one pinned wheel, whole and verified, or a sentence."""

import shutil
import zipfile
from pathlib import Path

import pytest

from mien import facemodel
from mien.config import default_state_dir
from mien.facemodel import FULL_RANGE, SHORT_RANGE, WHEEL, WIDE, FacesError


@pytest.fixture(scope="module")
def fetched() -> Path:
    models = default_state_dir() / "models"
    facemodel.fetch(models)
    return models


@pytest.fixture
def models(fetched: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(fetched / "blazeface", tmp_path / "models" / "blazeface")
    return tmp_path / "models"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip looks nowhere but in the folder that comes back."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return shelf


def leftovers(models: Path) -> list[str]:
    return [path.name for path in models.iterdir() if path.name != "blazeface"]


def test_licence_and_attribution_lie_beside_the_networks(fetched: Path) -> None:
    folder = fetched / "blazeface"
    assert {path.name for path in folder.iterdir()} == {
        FULL_RANGE,
        SHORT_RANGE,
        WIDE,
        "LICENSE",
        "ATTRIBUTION",
    }
    assert "Apache License" in (folder / "LICENSE").read_text()
    attribution = (folder / "ATTRIBUTION").read_text()
    assert "MediaPipe Authors" in attribution
    assert FULL_RANGE in attribution
    assert facemodel.path(fetched) == folder / FULL_RANGE
    facemodel.verify(fetched)


def test_a_second_fetch_does_nothing_and_needs_no_network(models: Path, offline: Path) -> None:
    before = facemodel.path(models).stat().st_mtime_ns
    said: list[str] = []
    assert facemodel.fetch(models, said.append) == facemodel.path(models)
    assert facemodel.path(models).stat().st_mtime_ns == before
    assert "already" in said[0]


@pytest.mark.parametrize("network", [FULL_RANGE, SHORT_RANGE, WIDE])
def test_a_damaged_file_is_told(models: Path, network: str) -> None:
    file = facemodel.path(models, network)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(FacesError, match=rf"{network} is damaged.*mien models fetch"):
        facemodel.verify(models)


def test_a_missing_file_is_told(models: Path) -> None:
    facemodel.path(models, SHORT_RANGE).unlink()
    with pytest.raises(FacesError, match=rf"there is no .*{SHORT_RANGE}.*mien models fetch"):
        facemodel.verify(models)


def test_a_file_that_cannot_be_read_is_told(models: Path) -> None:
    facemodel.path(models).unlink()
    facemodel.path(models).mkdir()
    with pytest.raises(FacesError, match="cannot be read"):
        facemodel.verify(models)


def test_without_a_registry_it_is_a_sentence_and_nothing_is_left(
    tmp_path: Path, offline: Path
) -> None:
    models = tmp_path / "models"
    with pytest.raises(FacesError, match=r"pip says.*mediapipe.*check the network"):
        facemodel.fetch(models)
    assert not leftovers(models)
    assert not (models / "blazeface").exists()


def test_another_wheel_of_the_same_name_is_refused(models: Path, offline: Path) -> None:
    facemodel.path(models).unlink()
    info = "mediapipe-0.10.18.dist-info"
    with zipfile.ZipFile(offline / WHEEL, "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.18\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        wheel.writestr(f"{info}/RECORD", "")
        wheel.writestr(f"mediapipe/modules/face_detection/{FULL_RANGE}", "something else")
    with pytest.raises(FacesError, match="not the pinned"):
        facemodel.fetch(models)
    assert not facemodel.path(models).exists()
    assert facemodel.path(models, SHORT_RANGE).exists(), "what was there stays"
    assert not leftovers(models)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(FacesError, match="cannot be kept in"):
        facemodel.fetch(blocked / "models")


@pytest.mark.slow
def test_a_damaged_model_is_fetched_anew(models: Path) -> None:
    facemodel.path(models).write_bytes(b"half a file")
    said: list[str] = []
    facemodel.fetch(models, said.append)
    facemodel.verify(models)
    assert "36 MB" in said[0]
    assert not leftovers(models)
