"""(being built)"""

from flask import Blueprint

page = Blueprint("api_v1", __name__)
