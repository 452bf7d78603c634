"""(being built)"""

from flask import Blueprint

from mien_web import door

page = Blueprint("keeping", __name__)
door.needs(page, "home")
