"""Bundles for tests, made of the shipped one."""

import hashlib
import shutil
from pathlib import Path

from mien.bundle import shipped_bundle


def made(folder: Path, name: str = "fer-a", **files: bytes) -> Path:
    """A sound bundle of that name, with these files in place of its own."""
    bundle = Path(shutil.copytree(shipped_bundle(), folder / name))
    toml = bundle / "bundle.toml"
    text = toml.read_text().replace(f'name = "{shipped_bundle().name}"', f'name = "{name}"')
    for file, content in files.items():
        path = next(bundle.glob(f"{file}.*"))
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        path.write_bytes(content)
        text = text.replace(before, hashlib.sha256(content).hexdigest())
    toml.write_text(text)
    return bundle
