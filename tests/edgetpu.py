"""An Edge TPU for tests: a library that behaves like libedgetpu, of a device to be pulled out."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mien.bundle import Bundle, load_bundle

SOURCE = Path(__file__).with_name("edgetpu_standin.c")


class EdgeTpu:
    def __init__(self, folder: Path) -> None:
        self._plug = folder / "plugged"
        self._plug.touch()
        self.library = folder / "libedgetpu.so.1"
        self.environment = {"EDGETPU_PLUGGED": str(self._plug), "LD_LIBRARY_PATH": str(folder)}
        """For a process in which Mien finds the library as it finds the real one."""
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("NOT TESTED: there is no C compiler to make an Edge TPU's library")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", self.library, SOURCE], check=True)

    def pull_out(self) -> None:
        self._plug.unlink()


def with_edgetpu_file(bundle: Bundle, folder: Path) -> Bundle:
    """A bundle that says it was compiled, so that the probe gets as far as the library."""
    copy = Path(shutil.copytree(bundle.path, folder / "bundle"))
    shutil.copy(copy / "expression.tflite", copy / "expression_edgetpu.tflite")
    toml = copy / "bundle.toml"
    digest = bundle.files["expression.tflite"]
    toml.write_text(
        toml.read_text().replace(
            "[files]\n", f'[files]\n"expression_edgetpu.tflite" = "{digest}"\n'
        )
    )
    return load_bundle(copy)
