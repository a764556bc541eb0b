"""The edge to aiohttp: connections and their limits, reading bodies, answers, problems, the log line of a request.

listener.py  connections.py   who may connect, and for how long
middlewares.py                what happens round every handler
reading.py                    what came, within limits;  json_answers.py  problems.py  pages.py  what goes out
request_log.py                the canonical line
"""
