"""The command ``cpc``: each command is imported when it is run, and only then."""
