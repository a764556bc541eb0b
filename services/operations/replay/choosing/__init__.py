"""Which dead letters: read, filtered, judged, frozen into a plan. Nothing is sent from here.

letters.py      a record of a dead-letter topic, with what its headers and its event say
expressions.py  `--where`, compiled from an allow-list;  filters.py  which letters, frozen;  scanning.py  reading them
standing.py     what the table dead_letters says of them: decided, replayed, done
plan.py         the frozen list and its digest;  planning.py  a filter resolved into a plan
overview.py     depths and histograms
"""
