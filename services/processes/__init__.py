"""Services as child processes of another: of `coursepay run all`, of a demo, of a test.

catalogue.py   which services there are
leash.py       a child that does not outlive its parent
supervisor.py  starts them, restarts what dies, stops all in order
"""
