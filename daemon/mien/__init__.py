"""Mien reads facial expressions on the device: see → read → smooth → store → publish."""

__version__ = "0.1.0"
