"""What nobody waits for: figures measured from outside the workers, the index of dead letters, sweeps.

backlog.py            how far the groups are behind, on the cluster;  stock.py  what waits in PostgreSQL
sampler.py            both into metrics, every few seconds
dead_letter_index.py  every dead-letter topic into the table dead_letters;  dead_letters.py  that table
releases.py           allocations whose last session is past, purchases whose time is over
loops.py              one loop of this service: what goes wrong in a round is counted and the next round tries again
topic_reader.py       topics as they are, without a group
migrations.py         sql/ onto a database;  database_roles.py  the services' roles
replay/               dead letters back to work, behind `coursepay dlq`
schemas/              the events' schemas: does every version read every other?
pages.py              the pages of docs/ that are made from the code
"""
