"""What the outside sees of a process besides its metrics: log lines and traces."""
