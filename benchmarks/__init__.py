"""Measures how fast the system is, beside the systems that users would pick instead."""
