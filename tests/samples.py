"""One face that looks happy, in every form in which the box tells of it."""

from mien.events import EXPRESSIONS, Health, Live, Part, Reading, Turn

HEALTH = Health(
    id="1",
    box="testbox",
    time="2026-11-20T09:30:00.000Z",
    status="ok",
    paused=False,
    version="0.1.0",
    parts=[Part("camera", "ok", "15.0 frames a second")],
)
PROBABILITIES = dict(zip(EXPRESSIONS, (0.03, 0.02, 0.04, 0.62, 0.05, 0.08, 0.16), strict=True))
READING = Reading(
    box=(400, 100, 200, 240),
    score=0.97,
    track=1,
    quality=0.8,
    label="happiness",
    reason=None,
    confidence=0.62,
    probabilities=PROBABILITIES,
    valence=0.5,
    turn=Turn(14, -4, 2),
    facing=True,
)
HAPPY = Live(
    frame=1,
    width=1280,
    height=720,
    readings=[READING],
    expression="happiness",
    reason=None,
    probabilities=PROBABILITIES,
    valence=0.5,
    facing_share=0.84,
    episode="happiness",
    episode_s=72.4,
    note="Demo: a portrait – moved <and> re-lit",
)
