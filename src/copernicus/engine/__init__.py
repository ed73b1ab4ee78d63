"""The workflow engine: pure, event-sourced. ``core`` is its door, ``views`` its window."""
