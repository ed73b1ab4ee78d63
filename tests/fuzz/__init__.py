"""Fuzzing guided by coverage: a long form of ``property/test_parsers_fuzzed.py``."""
