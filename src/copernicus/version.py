"""The version of this distribution, for everything that names it; imports nothing."""

__version__ = "0.1.0"
