"""One module per command of the console script; services/cli.py mounts them."""
