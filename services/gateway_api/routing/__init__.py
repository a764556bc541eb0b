"""The table of endpoints, from which the guard, the OpenAPI document and the tests are made; routes without a home.

endpoint.py  endpoints.py  admin_endpoints.py   what is known about each route
guard.py                                        holds every request to it
openapi.py  problem_types.py  service_routes.py, and the routes that are gone
"""
