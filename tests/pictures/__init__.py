"""Pictures of the dashboards: every panel's queries, asked of a real Prometheus beside a real run, drawn by matplotlib.

Not by Grafana, and so not as Grafana looks: they show what the panels say. `make pictures` renews docs/pictures/.
"""
