"""Batch systems, through Parsl's providers: in a process of its own, which the server drives."""
