"""Addresses as they may be written down: in a log, on the page, at the broker.

A URL can carry a secret in its user, its password, its path and its query (XM and Hisilicon cameras
want the password in the path), so nothing but its scheme and its host is ever shown.
"""

import os
import re
from urllib.parse import unquote, urlsplit


def shown(spec: str) -> str:
    """Return a source, or another address, without anything that may be secret."""
    if "://" not in spec:
        # An address whose scheme was forgotten; a file may have such a name.
        if "@" in spec and not os.path.exists(spec):
            return "…@" + spec.rpartition("@")[2].partition("/")[0]
        return spec
    try:
        url = urlsplit(spec)
        host = url.hostname or "…"
        port = f":{url.port}" if url.port else ""
    except ValueError:
        return spec.split("://")[0] + "://…"
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def hidden(text: str, spec: str) -> str:
    """Return what somebody else says of an address, without what `shown` leaves out of it."""
    text = text.replace(spec, shown(spec))
    if shown(spec) == spec:
        return text
    user, _, rest = spec.split("://", 1)[-1].rpartition("@")
    _, _, path = rest.partition("/")
    pieces = {user, path, *user.split(":", 1), *re.split("[:/]", user), *path.split("?", 1)}
    for piece in sorted(pieces | {unquote(each) for each in pieces}, key=len, reverse=True):
        if len(piece) > 2:
            text = text.replace(piece, "…")
    return text
