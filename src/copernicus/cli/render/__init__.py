"""What is shown: views in, lines that fit the terminal out."""
