"""A payment provider of Razorpay's shape, as far as a course seller meets it.

entities.py   orders, payments and refunds, and their JSON;  books.py  all of them, in memory, and how they change
api.py        the REST API with basic auth
checkout.py   the page where a student pays, and the callback's signature
events.py     the webhooks
incidents.py  what a provider does by itself: a dispute, a late authorisation
Source: Razorpay's API reference (orders, payments, refunds) and "Validate and test webhooks".
"""
