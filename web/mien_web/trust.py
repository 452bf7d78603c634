"""How a tablet learns to trust this box, whose certificate no public authority signed."""

import hashlib
import ssl
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, request
from flask_babel import gettext

from mien_web import desk

page = Blueprint("trust", __name__)


@page.get("/trust")
def show() -> str:
    """For everybody: who cannot trust the page yet cannot sign in either."""
    return render_template(
        "trust.html", fingerprint=_fingerprint(_authority()), secure=request.is_secure
    )


@page.get("/trust/mien-ca.crt")
def authority() -> Response:
    """The authority's certificate; as it is, so that each system knows what to do with it."""
    return Response(
        _authority(),
        mimetype="application/x-x509-ca-cert",
        headers={"Content-Disposition": 'attachment; filename="mien-ca.crt"'},
    )


def _authority() -> str:
    file = desk.config().page.ca_file
    if not file:
        return ""
    try:
        pem = Path(file).read_text()
        ssl.PEM_cert_to_DER_cert(pem)
    except (OSError, ValueError):  # also of a file that is no certificate
        abort(503, gettext("The authority’s certificate cannot be read on the box."))
    return pem


def _fingerprint(pem: str) -> str:
    """SHA-256 as devices show it: pairs of digits. Empty without a certificate."""
    if not pem:
        return ""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    return ":".join(digest[n : n + 2] for n in range(0, len(digest), 2))
