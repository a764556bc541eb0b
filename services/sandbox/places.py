"""Eight Indian cities with the coordinates of their centres, weighted by how many of the students live there."""

import random
from dataclasses import dataclass

_SPREAD_DEGREES = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Degrees, WGS 84."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    name: str
    centre: Place
    weight: int


CITIES = (
    City(name="Mumbai", centre=Place(latitude=19.076, longitude=72.878), weight=20),
    City(name="Delhi", centre=Place(latitude=28.644, longitude=77.216), weight=20),
    City(name="Bengaluru", centre=Place(latitude=12.972, longitude=77.594), weight=18),
    City(name="Hyderabad", centre=Place(latitude=17.385, longitude=78.487), weight=12),
    City(name="Chennai", centre=Place(latitude=13.083, longitude=80.270), weight=10),
    City(name="Kolkata", centre=Place(latitude=22.573, longitude=88.364), weight=8),
    City(name="Pune", centre=Place(latitude=18.520, longitude=73.857), weight=7),
    City(name="Jaipur", centre=Place(latitude=26.912, longitude=75.787), weight=5),
)


def choose_place(dice: random.Random) -> Place:
    """A home in one of the cities, most within 10 km of its centre."""
    centre = dice.choices(CITIES, weights=[city.weight for city in CITIES])[0].centre
    return Place(
        latitude=round(centre.latitude + dice.triangular(-_SPREAD_DEGREES, _SPREAD_DEGREES), 4),
        longitude=round(centre.longitude + dice.triangular(-_SPREAD_DEGREES, _SPREAD_DEGREES), 4),
    )
