"""What ``cpc`` can do, as a table: one file for each group of commands."""
