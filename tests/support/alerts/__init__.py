"""Real troubles of a real system, for the alerts that must tell of them: scene.py is the system, rules.py the committed
rules with shorter times; the others hold the troubles, each a context that causes one and ends it.
"""
