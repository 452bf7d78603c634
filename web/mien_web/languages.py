"""English and German: which one a visitor gets, and how dates and numbers look in it."""

from flask import Flask, g, request
from flask_babel import Babel

LANGUAGES = ("en", "de")


def speak(app: Flask) -> None:
    """Translate every template and answer of this page."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = "translations"
    Babel(app, locale_selector=language)
    app.jinja_env.globals["language"] = language


def language() -> str:
    """The user's own choice, else the first of the browser's that Mien speaks, else English."""
    user = g.get("user")
    if user is not None and user.language in LANGUAGES:
        return str(user.language)
    return request.accept_languages.best_match(LANGUAGES, "en") or "en"
