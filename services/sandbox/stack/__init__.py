"""Kafka and PostgreSQL for one machine: given by address, on Docker, or as local processes fetched by Maven.

lifetime.py    the two lifetimes: `temporary_stack()` ends with its caller, `lasting_stack()` when it is told to
choice.py      which kind of servers, by the settings and by what this machine has
server.py      what a stack and a server are;  given.py  servers that somebody else runs
artifacts.py   jars and binaries, fetched once;  java.py  which Java runs them
kafka.py, postgres.py   the servers as processes;  process.py  a process that is started, paused and stopped
containers.py  the servers on Docker, through testcontainers;  engine.py  what else its engine is asked
broker.py      how the broker behaves, in either case
state.py       what runs for a state directory, so that anybody can end it;  watcher.py  ends it when its owner died
others.py      processes that are not our children, found and ended;  waiting.py  waiting with a deadline
"""

from services.sandbox.stack.lifetime import end_stack, lasting_stack, running_stack, temporary_stack
from services.sandbox.stack.server import Server, Stack

__all__ = ["Server", "Stack", "end_stack", "lasting_stack", "running_stack", "temporary_stack"]
