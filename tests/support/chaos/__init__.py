"""Faults on a running system, chosen by a seed.

deck.py     every fault that there is; a seed deals some of them, consecutive seeds deal all
storm.py    applies what was dealt while payments flow, mends everything, and tells what it did
processes.py, servers.py, records.py, outside.py   how each kind of fault is done
proxy.py    a TCP proxy that cuts, resets, slows and holds what passes between the services and a server
"""
