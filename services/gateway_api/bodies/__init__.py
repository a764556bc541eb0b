"""The models of what comes in (strict) and of what goes out, camelCase on the wire. `models.py` has their two bases."""
