"""How the tables came to be: one script per format."""
