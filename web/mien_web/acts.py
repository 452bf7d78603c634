"""What the actions of the audit list are called in the visitor's language."""

from flask_babel import gettext


def named(action: str) -> str:
    """An action in words; one that has none keeps its own name."""
    return _names().get(action, action)


def _names() -> dict[str, str]:
    return {
        "audit.exported": gettext("audit list downloaded"),
        "baseline.deleted": gettext("neutral baseline deleted"),
        "baseline.recorded": gettext("neutral baseline recorded"),
        "baseline.unused": gettext("neutral baseline switched off"),
        "baseline.used": gettext("neutral baseline used"),
        "box.changed": gettext("settings of the box changed"),
        "box.set-up": gettext("box set up"),
        "bundle.activated": gettext("network activated"),
        "capture.deleted": gettext("capture deleted"),
        "capture.restored": gettext("capture restored"),
        "client.archived": gettext("client archived"),
        "client.created": gettext("client added"),
        "client.erased": gettext("client erased"),
        "client.renamed": gettext("client renamed"),
        "client.restored": gettext("client taken out of the archive"),
        "consent.given": gettext("consent given"),
        "consent.withdrawn": gettext("consent withdrawn"),
        "export.elan": gettext("session exported for ELAN"),
        "export.everything": gettext("everything about a client exported"),
        "export.notes": gettext("private notes exported"),
        "export.record.csv": gettext("record exported as CSV"),
        "export.record.pdf": gettext("record exported as PDF"),
        "export.seconds": gettext("seconds exported for research"),
        "head.activated": gettext("personal head activated"),
        "head.erased": gettext("personal head erased"),
        "head.fitted": gettext("personal head fitted"),
        "head.none": gettext("personal head switched off"),
        "library.added": gettext("pictures added to the library"),
        "library.deleted": gettext("pictures deleted from the library"),
        "library.exported": gettext("library exported"),
        "library.predicted": gettext("library predicted"),
        "mood.shared": gettext("mood shared with the smart home"),
        "mood.unshared": gettext("mood no longer shared with the smart home"),
        "notice.shown": gettext("notice shown"),
        "numbers.erased": gettext("numbers erased"),
        "passphrase.changed": gettext("passphrase changed"),
        "pin.removed": gettext("PIN removed"),
        "pin.set": gettext("PIN set"),
        "quiet.changed": gettext("quiet hours changed"),
        "seat.saved": gettext("seat saved"),
        "session.ended": gettext("session ended"),
        "session.started": gettext("session started"),
        "sign-in.refused": gettext("sign-in refused after wrong attempts"),
        "signed-in": gettext("signed in"),
        "signed-out": gettext("signed out"),
        "smart-home.changed": gettext("rights of the smart home changed"),
        "token.made": gettext("token made"),
        "token.revoked": gettext("token revoked"),
        "user.added": gettext("user added"),
        "user.disabled": gettext("user disabled"),
        "user.enabled": gettext("user enabled"),
        "user.reset": gettext("passphrase reset"),
        "user.roles": gettext("roles changed"),
        "zone.changed": gettext("time zone changed"),
    }
