"""Dashboards in Python, and the JSON that Grafana reads.

generate.py  writes the JSON;  pages/  what each shows;  shared.py  what several show;  panels.py  how it is drawn
"""
