"""Copernicus: distributed computing for statistical problems."""

__version__ = "0.1.0"
