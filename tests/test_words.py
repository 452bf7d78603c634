"""Nothing that the page, its scripts, its translations or the box says claims to know a feeling."""

import re
from pathlib import Path

import pytest

import mien
import mien_web

WEB = Path(mien_web.__file__).parent
DAEMON = Path(mien.__file__).parent
SAYS = sorted(
    path
    for folder, kinds in ((WEB, ("html", "js", "py", "po", "webmanifest")), (DAEMON, ("py",)))
    for kind in kinds
    for path in folder.rglob(f"*.{kind}")
)

STATES = (
    "angry|annoyed|disgusted|afraid|scared|frightened|anxious|happy|glad|sad|unhappy|surprised|"
    "depressed|depressive|stressed|bored|calm|lying|honest|ill|sick|mentally"
)
ZUSTÄNDE = (
    "wütend|ärgerlich|angeekelt|ängstlich|glücklich|fröhlich|traurig|überrascht|depressiv|"
    "gestresst|gelangweilt|unehrlich|krank"
)
BANNED = re.compile(
    rf"\b(is|are|was|were|be|been|being|seems?|looks|appears?|becomes?|gets?|you're|he's|she's) "
    rf"(very |quite |really |not |no longer |more |less )*({STATES})\b"
    r"|\b(feels|felt|feeling (good|bad|well|better|worse))\b"
    r"|\b(depressed|depression|liars?|lies to|diagnos(is|e|ed|es) of)\b"
    rf"|\b(ist|sind|war|waren|wirkt|scheint|wird) (sehr |nicht )*({ZUSTÄNDE})\b"
    r"|\b(fühlt sich|lügt|lügen|lügner(in)?|depression)\b",
    re.IGNORECASE,
)
# What says that the page does not say so, also across the lines of a source file.
DENIED = re.compile(
    r"\b(not|never|nor) (of )?what [\"\s]*(anybody|somebody|a person|was)\s+(feels|felt)\b"
)


def claims(text: str) -> list[str]:
    return [found[0] for found in BANNED.finditer(DENIED.sub("", text))]


@pytest.mark.parametrize(
    "text",
    [
        "The client is sad.", "She seems very happy", "he FEELS better", "is depressed",
        "was lying",
        "Die Klientin ist traurig", "Er fühlt sich gut", "is not angry", "no depression",
    ],
)  # fmt: skip
def test_a_claim_is_found(text: str) -> None:
    assert claims(text)


@pytest.mark.parametrize(
    "text",
    [
        "Expression looks like sadness, 62 %", "A face is not a feeling", "cannot tell: too dark",
        "looks like happiness", "never what somebody feels", "not what was felt",
        "Der Ausdruck sieht nach Trauer aus", "Ein Gesicht ist kein Gefühl",
    ],
)  # fmt: skip
def test_honest_words_pass(text: str) -> None:
    assert not claims(text)


@pytest.mark.parametrize("path", SAYS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_claimed(path: Path) -> None:
    assert claims(path.read_text(encoding="utf-8")) == []
