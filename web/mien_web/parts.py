"""What the service says of the box's parts, in the visitor's language.

The service speaks English and may be of another version: a sentence that is not known here is shown
as it came.
"""

import re
from typing import Any

from flask_babel import gettext, lazy_gettext

NAMES: dict[str, Any] = {
    "service": lazy_gettext("service"),
    "camera": lazy_gettext("camera"),
    "consent": lazy_gettext("consent"),
    "faces": lazy_gettext("faces"),
    "expression": lazy_gettext("expression"),
    "store": lazy_gettext("store"),
    "broker": lazy_gettext("broker"),
    "clock": lazy_gettext("clock"),
}

STATUSES: dict[str, Any] = {
    "ok": lazy_gettext("ok"),
    "degraded": lazy_gettext("degraded"),
    "failed": lazy_gettext("failed"),
}

N_ = str
"""Marks a sentence for the translators; `say` looks up which it is."""

# A name between `%(` and `)s` stands for anything; that too is said in the visitor's language where
# it is a sentence of this list or one of `WITHIN`. The first that fits counts.
SENTENCES = (
    # what goes round another sentence
    N_("%(why)s; next try in %(seconds)s s"),
    N_("%(why)s; it is being tried again"),
    N_("%(why)s; it is still being released"),
    N_("%(who)s; the personal head was fitted to bundle %(old)s, and %(new)s is running"),
    N_("%(who)s; the personal head is damaged: it must be %(count)s finite numbers"),
    # the camera
    N_("the camera is off"),
    N_("paused, the camera is off"),
    N_("nothing was decided yet"),
    N_("no face is in the seat"),
    N_("%(camera)s is being opened"),
    N_("%(camera)s gives frames"),
    N_("%(camera)s has given no frame for %(seconds)s s"),
    N_("%(camera)s gave no frame within %(seconds)s s"),
    N_("%(camera)s has given one and the same picture for %(seconds)s s"),
    N_("%(camera)s was closed"),
    N_(
        "the picture is %(now)s, but the seat was drawn on %(before)s, so that its zones would "
        "cover something else: nobody is read"
    ),
    N_("draw the seat anew on the page, or give the camera its former size"),
    N_("the picture is black: the lens is covered, or there is no light"),
    N_("the picture is white and shows nothing: far too much light falls into the lens"),
    N_("the picture is of one colour and shows nothing: the camera or its stream is broken"),
    N_("take the cap off the lens and see that there is light; if that is so, restart the camera"),
    N_("%(camera)s gives no more frames: it was unplugged"),
    N_("%(camera)s has ended or broken off"),
    N_("%(camera)s gives pixels of a kind that OpenCV cannot turn to BGR"),
    N_("%(camera)s is not there: plug it in"),
    N_("%(camera)s may not be opened: let this user into the group 'video'"),
    N_("%(camera)s cannot be opened: it is in use by another program, or no camera"),
    N_("%(camera)s cannot be reached (%(reason)s): check the address and the network"),
    N_(
        "%(camera)s answers, but gives no video: check the path, the user and the password of the "
        "URL"
    ),
    N_("%(camera)s: this is no URL such as %(examples)s"),
    N_("no camera was found: plug one in, or name a source: a device, URL, video or folder"),
    N_("%(source)s is neither a camera, a file nor a folder"),
    N_("several cameras are called %(source)s: %(names)s; name one"),
    N_("there is no camera, file or folder %(source)s; cameras plugged in now: %(names)s"),
    N_("picamera2 cannot be used (%(reason)s): %(cure)s"),
    N_(
        "picamera2 is installed but does not load, for a library of it was built for another "
        "NumPy (%(reason)s): put simplejpeg into the box's environment with pip"
    ),
    N_("picamera2 is installed but does not load: %(reason)s"),
    N_("no camera is connected to this Raspberry Pi: %(cure)s"),
    N_("%(camera)s cannot be opened (%(reason)s): %(cure)s"),
    N_("%(camera)s cannot be started (%(reason)s): %(cure)s"),
    N_("%(camera)s gives no more frames (%(reason)s): %(cure)s"),
    N_("%(camera)s gives %(format)s; known are %(formats)s: use it through V4L2 (/dev/video…)"),
    N_(
        "`sudo apt install python3-picamera2`, and make the virtual environment with "
        "--system-site-packages"
    ),
    N_(
        "check that its ribbon cable sits at both ends, that no other program uses it, and that "
        "`rpicam-hello --list-cameras` lists it"
    ),
    N_("check that the camera is plugged in and that no other program uses it"),
    N_(
        "%(path)s is neither a picture nor a video that can be read; it may be cut off, or "
        "something else under this name"
    ),
    N_("%(path)s is a HEIC or AVIF picture, which cannot be read here: save it as JPEG first"),
    N_("%(path)s has not one frame that can be decoded"),
    N_("none of the %(count)s pictures in %(path)s can be decoded"),
    N_("there is no picture in the folder %(path)s; expected is JPEG, PNG, WebP, BMP, TIFF or GIF"),
    N_(
        "Demo: there is no camera, so a portrait of Grace Hopper plays, moved and re-lit. "
        "Readings of a still photograph say nothing about anybody."
    ),
    # consent
    N_("not set up yet: open the page"),
    N_("say there where the box stands"),
    N_("a demo: whoever sits there is read and kept"),
    N_("a session was not stopped for %(hours)s hours, so the camera is off"),
    N_("no session is running, so the camera is off"),
    N_("a session runs without valid consent, so the camera is off"),
    N_("a session runs, but its client was not shown the notice, so the camera is off"),
    N_("a session runs with consent"),
    N_("a session runs with consent; its numbers are not kept"),
    N_("nobody of the house consents to the home log, so the camera is off"),
    N_("the home log runs with consent"),
    N_("quiet hours until %(time)s, so the camera is off"),
    N_(
        "there are quiet hours, and the box does not know the time yet, so the camera is off: "
        "connect the network, which sets the clock"
    ),
    N_("the camera is being aimed, and nobody is read"),
    N_("who consents cannot be looked up, so the camera is off"),
    N_("fit the head anew on its client's page, or go back to the bundle's own"),
    N_("the box is paused; resume it first, then aim the camera"),
    N_("a session is running; stop it first, then aim the camera"),
    N_("the session was stopped meanwhile"),
    N_("pictures are kept only in a session whose client consents to pictures"),
    # faces
    N_(
        "faces are found with OpenCV's Haar cascade, which is slower, misses turned and distant "
        "faces and measures no head turn, because %(why)s"
    ),
    N_(
        "the face model is not on this box: there is no %(path)s; fetch it once with "
        "`mien models fetch`"
    ),
    N_(
        "the face model %(path)s cannot be read: %(reason)s; make it readable for this user, or "
        "fetch it again with `mien models fetch`"
    ),
    N_(
        "the face model %(path)s is damaged: its SHA-256 is not %(digest)s; fetch it again with "
        "`mien models fetch`"
    ),
    # the network that reads
    N_("%(bundle)s (shipped) on the %(device)s"),
    N_("%(bundle)s (activated) on the %(device)s"),
    N_("%(bundle)s (named in the config) on the %(device)s"),
    N_("the activated bundle cannot be used, the shipped %(bundle)s reads instead: %(why)s"),
    N_(
        "install it again, or go back with `mien models rollback`; either counts from the next "
        "start"
    ),
    N_("the Edge TPU cannot be used, the CPU reads instead: %(why)s"),
    N_("bundle %(bundle)s has no file compiled for it"),
    N_("it did not answer within %(seconds)s s; unplug it and plug it in again"),
    N_("%(path)s crashed (signal %(number)s); reinstall libedgetpu1-std"),
    N_("its probe failed: %(reason)s"),
    N_("%(path)s cannot be loaded: %(reason)s"),
    N_("the %(device)s fails its known-answer test: logits are off by %(share)s"),
    N_("no bundle %(bundle)s is installed in %(path)s; there are: %(names)s"),
    N_(
        "%(path)s is damaged: its SHA-256 is %(found)s, the bundle says %(digest)s; copy the "
        "bundle again"
    ),
    # the store
    N_("%(size)s GB free"),
    N_("only %(size)s MB free: episodes are kept, readings are not"),
    N_("free some space"),
    N_("free some space; what was seen meanwhile waits in memory"),
    N_("restore a backup if those records are needed"),
    N_(
        "The disk of %(path)s is full, so the last rows were not written. Free some space; what "
        "was stored before is safe."
    ),
    N_(
        "Cannot use %(path)s: %(reason)s. The file and its folder must belong to the user Mien "
        "runs as, on a disk that can be written."
    ),
    N_("Cannot use %(path)s: %(reason)s. Is its disk still there?"),
    N_(
        "Cannot use the state folder %(path)s: %(reason)s. Start the daemon first, as a user whose "
        "files this one may read and write."
    ),
    N_(
        "The database was damaged or is under another key (%(reason)s). It was set aside as "
        "%(file)s and a new one begun, so the history starts anew. To have the old one back, stop "
        "Mien, put back %(new)s and its key from a backup and start again."
    ),
    N_("no broker is in use here, so no commands come by MQTT"),
    # backups
    N_("a backup is being restored, so the camera is off"),
    N_("a backup is being restored already; wait until that is done"),
    N_("this cannot be the passphrase of a backup: it needs %(hint)s"),
    N_("there is a file %(path)s already; choose another name or remove it"),
    N_(
        "this needs %(needed)s MB in %(path)s, and %(free)s MB are free. Free some space, or take "
        "another disk"
    ),
    N_("%(path)s cannot be used: %(reason)s"),
    N_("%(path)s cannot be written: %(reason)s"),
    N_("%(path)s cannot be made: %(reason)s"),
    N_("the file is empty (0 bytes); copy it again from where it came"),
    N_("the file is no backup of Mien; choose one that ends in %(suffix)s"),
    N_("the file is no backup of Mien, or was cut off: it has %(count)s bytes"),
    N_("the file is a database of something else, not a backup of Mien"),
    N_(
        "this passphrase does not open the file. Either it is not the one that the backup was made "
        "with, or the file is no backup of Mien or damaged at its beginning"
    ),
    N_(
        "the file is damaged: it was cut off or altered since it was made. Copy it again from "
        "where it came, or take another backup"
    ),
    N_(
        "the file is damaged: its rows do not fit together, or its audit list was altered. Take "
        "another backup"
    ),
    N_(
        "the backup is of a demo, which reads people without their consent. Set this box up on its "
        "page instead"
    ),
    N_("the box stays paused, for %(file)s cannot be removed: %(why)s. Look at its disk"),
    N_(
        "the file was made by a newer Mien than this one (%(version)s). Update this box, then "
        "restore it"
    ),
    N_("what is to be restored was not prepared by this box; begin again"),
    N_("what was prepared is not there any more; begin again"),
    # the broker
    N_("not in use"),
    N_("connected to %(address)s"),
    N_("the broker at %(address)s refuses this box: %(reason)s"),
    N_("check username and password_file under [mqtt]"),
    N_(
        "the broker at %(address)s ends the connection again and again; probably another box uses "
        "the id %(box)s"
    ),
    N_("give each box an id of its own, [box] id in its config"),
    N_("the broker at %(address)s takes events but does not acknowledge them"),
    N_("see the broker's log; events are kept and sent again"),
    N_("other boxes at the broker at %(address)s send far more than they should"),
    N_("they are not listened to for ten minutes; see there which one it is"),
    N_("events wait: %(why)s"),
    N_("see the store"),
    N_("the broker at %(address)s cannot be reached: %(reason)s"),
    N_("start it, or name another under [mqtt]; events wait on this box until then"),
    # the clock
    N_("set by the network"),
    N_("not set by the network yet"),
    N_("connect the network; times are mended once it is"),
    # the service itself
    N_(
        "the Mien service does not answer at %(path)s; start it with `mien run`, or with "
        "`sudo systemctl start mien` on an installed box"
    ),
    N_(
        "this user may not open the control socket %(path)s; join the group that owns it, or run "
        "this as its owner"
    ),
    N_(
        "the service at %(path)s answers in another version's way (%(reason)s); install the same "
        "version of both services and restart them"
    ),
    # quiet hours
    N_("%(count)s quiet hours are more than %(most)s; put some together."),
    N_("“%(text)s” is no time of day; write it as 22:30."),
    N_("Choose the days on which %(start)s to %(end)s is quiet."),
    # check-ins
    N_("A mood is one of five steps, 1 to 5, not %(mood)s. Choose one."),
    N_(
        "This check-in says nothing yet. Choose a mood, an emotion or an activity, or write a note."
    ),
    N_("A check-in cannot be from before %(year)s. Correct the date."),
    N_("This moment has not come yet. Choose one that has passed."),
    N_("“%(name)s” is none of the eighteen emotions. Choose among them."),
    N_("A check-in may have %(most)s activities, not %(count)s. Take some out."),
    N_("A note may have %(most)s characters, this one has %(count)s. Shorten it."),
    N_("This check-in belongs to somebody else. Load the page again."),
    N_("This activity is not there any more. Load the page again."),
    N_("An activity needs a name. Type one."),
    N_("An activity may have %(most)s characters, “%(beginning)s…” has %(count)s. Shorten it."),
    N_("What does the mood “%(word)s” mean? Choose one of five steps."),
    # files of check-ins; a problem of a line may come after its number
    N_("%(path)s is empty. Export the file anew."),
    N_("%(path)s cannot be read: %(reason)s. Name a CSV file."),
    N_("%(path)s cannot be read: %(reason)s. Copy it anew."),
    N_("%(path)s is a zip or a spreadsheet, not a CSV file. Unpack it, or save it as CSV."),
    N_("%(path)s is not a text file. Export the file as CSV."),
    N_("%(path)s holds no table: its first lines are blank. Export the file anew."),
    N_(
        "%(path)s, line %(line)s: a quotation mark is opened here and not closed again. Close it, "
        "or export the file anew."
    ),
    N_(
        "%(path)s, line %(line)s: a quotation mark is opened here and not closed again, or a field "
        "is too large. Mend it, or export the file anew."
    ),
    N_(
        "%(path)s: missing among the columns: %(names)s. The first line must name %(all)s, in any "
        "order."
    ),
    N_("%(path)s: the first line names %(names)s more than once. Leave one."),
    N_(
        "%(path)s: the first line names no %(names)s. Is it Daylio's export? In the app choose "
        "More, Export Entries, CSV (table)."
    ),
    N_("line %(line)s: %(why)s"),
    N_("%(why)s (and %(count)s more)"),
    N_("a value is missing"),
    N_("the hour is not a whole number from 0 to 23"),
    N_("the day is not a whole number from 1 to 7"),
    N_("an emotion is neither 0 nor 1, or the row has more fields than the header"),
    N_("it has more fields than the first line"),
    N_("it has no date"),
    N_("there is no day “%(day)s”"),
    N_("“%(day)s” may be two different days; take the file as Daylio exported it"),
    N_("“%(day)s” is no date such as 2026-11-20"),
    N_("“%(day)s” of the year “%(year)s” is no date such as May 18"),
    N_("there is no time “%(time)s”"),
    N_("“%(time)s” is no time such as 20:39 or 8:39 PM"),
    # an uploaded diary
    N_(
        "%(path)s is neither Daylio's export (its first line names full_date, time, mood, "
        "activities) nor a file of reports (id, Hours, Day and the eighteen emotions). "
        "Export it anew, or choose another file."
    ),
    N_(
        "%(path)s: its column “mood” holds %(count)s different words. "
        "Is it Daylio's export, as the app made it?"
    ),
    N_("%(path)s holds no row that could be taken. The first problem: %(problem)s."),
    N_("%(path)s holds no row that could be taken."),
    # reminders
    N_("%(count)s times are too many; choose %(most)s at most."),
    N_("Days go from 1, Monday, to 7, Sunday."),
    N_("Choose at least one time and one day, or switch reminders off."),
    N_("The hours since the last check-in must be from 0 to 24."),
    N_("A reminder can be put off by 5 to 240 minutes."),
    # files of any kind
    N_("%(path)s cannot be read: %(reason)s"),
    N_("%(path)s is empty (0 bytes)"),
    # the file of a home log
    N_(
        "The file has %(size)s MB; an everything.zip has at most %(most)s MB. Choose the file that "
        "a box exported."
    ),
    N_("The file is empty. Choose an everything.zip."),
    N_("This is no zip file. Choose the everything.zip as it was exported."),
    N_("The zip is broken or cut off. Copy it again from where it came."),
    N_(
        "The zip is locked or packed in a way that is not read here. Choose the everything.zip as "
        "it was exported."
    ),
    N_(
        "The zip has %(count)s files; an everything.zip has four. Choose the file that a box "
        "exported."
    ),
    N_(
        "A file in the zip is named as if it belonged elsewhere on the box. The zip may be made to "
        "do harm; leave it out."
    ),
    N_("The zip has no %(name)s, or several. Choose an everything.zip of a Mien box."),
    N_("The zip would unpack to far more than a home log has. Leave it out."),
    N_("%(name)s in the zip is no JSON, or cut off. %(cure)s"),
    N_("%(name)s is not a home log of a Mien box. Choose another zip."),
    N_(
        "The file is of version %(version)s, and this box reads version %(ours)s. Update this box, "
        "or export with the same version."
    ),
    N_(
        "In everything.json something is wrong: %(why)s. Export it anew from the box where it came "
        "from."
    ),
    N_("Check-in %(place)s has the id of another one, %(id)s. %(cure)s"),
    N_("Check-in %(place)s has only one of its day and its time. %(cure)s"),
    N_("Check-in %(place)s: %(day)s is no weekday %(weekday)s. %(cure)s"),
    N_("Check-in %(place)s: its day and its time are not the same. %(cure)s"),
    N_("Check-in %(place)s: its note has letters that are none. %(cure)s"),
    N_(
        "Row %(place)s of the log cannot be: %(why)s. Export it anew from the box where it came "
        "from."
    ),
    N_("Row %(place)s of the log has %(count)s numbers, not %(right)s. %(cure)s"),
    N_("The log's columns must be %(columns)s. Export it anew from the box where it came from."),
)

# What a sentence may have in place of a name.
WITHIN = (
    N_("Export it anew from the box where it came from."),
    N_("camera %(device)s"),
    N_("video %(path)s"),
    N_("picture %(path)s"),
    N_("folder %(path)s"),
    N_("the folder %(path)s"),
    N_("not connected yet"),
    N_("no answer"),
    N_("none with a stable name"),
    N_("the connection was lost (%(reason)s)"),
    N_("what answers there is no MQTT broker, or one that wants tls = true"),
)


def _pattern(sentence: str) -> re.Pattern[str]:
    pieces = re.split(r"%\((\w+)\)s", sentence)
    pieces[::2] = map(re.escape, pieces[::2])
    pieces[1::2] = [f"(?P<{name}>.+)" for name in pieces[1::2]]
    return re.compile("".join(pieces), re.DOTALL)


_KNOWN = {sentence: _pattern(sentence) for sentence in SENTENCES}
_WITHIN = _KNOWN | {sentence: _pattern(sentence) for sentence in WITHIN}


def say(text: str) -> str:
    """A sentence of the service in the visitor's language, the same where it is not known."""
    return _said(text, _KNOWN)


def _said(text: str, known: dict[str, re.Pattern[str]]) -> str:
    for sentence, pattern in known.items():
        if found := pattern.fullmatch(text):
            values = {name: _said(value, _WITHIN) for name, value in found.groupdict().items()}
            return str(gettext(sentence, **values))
    return text


def name(part: str) -> str:
    """What a part of the box is called."""
    return str(NAMES.get(part, part))


def status(status: str) -> str:
    """How it is, in a word."""
    return str(STATUSES.get(status, status))
