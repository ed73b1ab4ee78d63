"""``cpcc``: the commands of the first Copernicus' client, for scripts that people still have."""
