"""The door: who comes in, as what, and who stays out."""

import hashlib

from flask import Blueprint, Flask, abort, g, request

from mien import users
from mien.users import Role
from mien_web import desk

COOKIE = "mien_login"


def guard(app: Flask) -> None:
    """Find out who asks, before each request."""
    app.before_request(_recognise)


def needs(page: Blueprint, *roles: Role) -> None:
    """Let into a blueprint only who is signed in and has one of these roles (any, if none)."""

    def check() -> None:
        if g.user is None or (roles and not g.user.roles.intersection(roles)):
            abort(403)

    page.before_request(check)


def _recognise() -> None:
    token = request.cookies.get(COOKIE, "")
    g.user = (
        desk.read(lambda db: users.user_of(db, hashlib.sha256(token.encode()).hexdigest()))
        if token
        else None
    )
