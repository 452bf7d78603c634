"""Who may ask the page, and what a browser may do with its answers.

Who is signed in is the matter of `door`; here the dangers are other web sites open in the same
browser: a name that resolves to the box (DNS rebinding), a form sent from elsewhere, a picture
embedded elsewhere. What each header does: https://owasp.org/www-project-secure-headers/ and, for
`Sec-Fetch-*`, https://web.dev/articles/fetch-metadata
"""

import hmac
import secrets
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request
from flask.sessions import SecureCookieSessionInterface
from flask_babel import gettext

from mien_web import desk

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
COOKIE = "mien_form"
API = "/api/v1"
"""Of what is beneath, no cookie opens anything: each request carries a token of its own, which no
other web site can have. So there is no form to forge."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
}


def protect(app: Flask) -> None:
    """Check every request, harden every answer."""
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
    app.before_request(_check_host)
    app.before_request(_check_origin)
    app.after_request(_harden)
    app.secret_key = secrets.token_bytes(32)  # of messages shown once, on the very next page
    app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
    app.session_interface = _Messages()
    app.jinja_env.globals["form_token"] = form_token


class _Messages(SecureCookieSessionInterface):
    """The cookie of those messages, kept to HTTPS where it was set over it."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def form_token() -> str:
    """What a form sends along in the field `token`; the browser holds the same in a cookie."""
    if "form_token" not in g:
        g.form_token = request.cookies.get(COOKIE) or secrets.token_urlsafe(24)
    return str(g.form_token)


def _check_host() -> None:
    try:
        name = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        name = None
    if name is None or not (name in LOOPBACK or _is_address(name) or name in _names()):
        abort(
            403,
            gettext(
                "This page answers only at the name and the addresses of its own device, and "
                "at the names in its config file, section [page], key hosts."
            ),
        )


def _is_address(name: str) -> bool:
    """No web site can make its own name resolve to us and then call us by our number."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _names() -> set[str]:
    own = socket.gethostname().lower().partition(".")[0]
    given = {host.lower() for host in desk.config().page.hosts}
    return {own, f"{own}.local", "mien.local", *given}


def _check_origin() -> None:
    site = request.headers.get("Sec-Fetch-Site")
    if request.method in ("GET", "HEAD"):
        opened = request.headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in (None, "same-origin", "none") and not opened:
            abort(403, gettext("Another web site may not read or embed this page."))
        return
    if request.path.startswith(f"{API}/"):
        return
    origin = request.headers.get("Origin")
    ours = site == "same-origin" if site else origin == request.host_url.rstrip("/")
    if not ours:
        abort(403, gettext("This can only be done from the page itself."))
    held = request.cookies.get(COOKIE, "")
    sent = request.headers.get("Mien-Token") or request.form.get("token", "")
    if not held or not hmac.compare_digest(held.encode(), sent.encode()):
        abort(
            403,
            gettext("This form is older than the page’s cookie. Load the page again, then repeat."),
        )


def _harden(response: Response) -> Response:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    if "form_token" in g and request.cookies.get(COOKIE) != g.form_token:
        response.set_cookie(
            COOKIE, g.form_token, httponly=True, samesite="Strict", secure=request.is_secure
        )
    return response
