"""(being built)"""

from flask import Blueprint

from mien_web import door

page = Blueprint("backups", __name__)
door.needs(page, "administrator")
