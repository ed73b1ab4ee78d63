"""Runs module code in a process of its own: describes programs, evaluates workflow functions."""
