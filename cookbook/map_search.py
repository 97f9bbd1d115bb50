"""Search on a map: cities in a rectangle, above a size, and nearest to a point.

Needs no search module. Without --url the program starts a private Valkey server, which ends with it.

    python cookbook/map_search.py
    python cookbook/map_search.py --url valkey://localhost:6379
"""

from __future__ import annotations

import argparse
import uuid

from valkey_vector.secondary import Column, CompositeIndex, Dimension, SpatialIndex

# Latitude, longitude, millions of inhabitants of the city, country.
CITIES = {
    "Amsterdam": (52.37, 4.90, 0.9, "NL"), "Athens": (37.98, 23.73, 0.6, "GR"), "Barcelona": (41.39, 2.17, 1.6, "ES"),
    "Belgrade": (44.79, 20.45, 1.2, "RS"), "Berlin": (52.52, 13.40, 3.7, "DE"), "Bologna": (44.49, 11.34, 0.4, "IT"),
    "Bordeaux": (44.84, -0.58, 0.3, "FR"), "Brussels": (50.85, 4.35, 1.2, "BE"), "Bucharest": (44.43, 26.10, 1.7, "RO"),
    "Budapest": (47.50, 19.04, 1.7, "HU"), "Catania": (37.50, 15.09, 0.3, "IT"), "Cologne": (50.94, 6.96, 1.1, "DE"),
    "Copenhagen": (55.68, 12.57, 0.6, "DK"), "Dublin": (53.35, -6.26, 0.6, "IE"), "Florence": (43.77, 11.26, 0.4, "IT"),
    "Genoa": (44.41, 8.93, 0.6, "IT"), "Hamburg": (53.55, 9.99, 1.9, "DE"), "Helsinki": (60.17, 24.94, 0.7, "FI"),
    "Lisbon": (38.72, -9.14, 0.5, "PT"), "London": (51.51, -0.13, 8.9, "GB"), "Lyon": (45.76, 4.84, 0.5, "FR"),
    "Madrid": (40.42, -3.70, 3.3, "ES"), "Marseille": (43.30, 5.37, 0.9, "FR"), "Milan": (45.46, 9.19, 1.4, "IT"),
    "Munich": (48.14, 11.58, 1.5, "DE"), "Naples": (40.85, 14.27, 0.9, "IT"), "Oslo": (59.91, 10.75, 0.7, "NO"),
    "Palermo": (38.12, 13.36, 0.6, "IT"), "Paris": (48.86, 2.35, 2.1, "FR"), "Porto": (41.15, -8.61, 0.2, "PT"),
    "Prague": (50.08, 14.44, 1.3, "CZ"), "Riga": (56.95, 24.11, 0.6, "LV"), "Rome": (41.90, 12.50, 2.8, "IT"),
    "Sofia": (42.70, 23.32, 1.2, "BG"), "Stockholm": (59.33, 18.07, 1.0, "SE"), "Turin": (45.07, 7.69, 0.8, "IT"),
    "Valencia": (39.47, -0.38, 0.8, "ES"), "Vienna": (48.21, 16.37, 1.9, "AT"), "Vilnius": (54.69, 25.28, 0.6, "LT"),
    "Warsaw": (52.23, 21.01, 1.9, "PL"), "Zagreb": (45.81, 15.98, 0.8, "HR"), "Zurich": (47.37, 8.54, 0.4, "CH"),
}  # fmt: skip

DIMENSIONS = [
    Dimension("latitude", -90.0, 90, 0.01),
    Dimension("longitude", -180.0, 180, 0.01),
    Dimension("millions", 0.0, 50, 0.1),
]
COLUMNS = [Column("country", str), Column("millions", float, descending=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a Valkey server; by default a private one")
    arguments = parser.parse_args()

    name = f"cookbook-{uuid.uuid4().hex}"
    with SpatialIndex(name, DIMENSIONS, url=arguments.url) as index:
        index.put_many({city: place[:3] for city, place in CITIES.items()})

        italy = index.box((36, 6.5, 0.5), (47, 18.5, None))
        print(
            "Cities of at least half a million between 36 and 47 degrees north, 6.5 and 18.5 east:"
        )
        for city, (latitude, longitude, millions) in sorted(italy.items):
            print(f"    {city:10} {latitude:6.2f} {longitude:6.2f} {millions:4.1f}")
        print(f"  ({italy.ranges} ranges read, {italy.scanned} entries scanned)")

        # The distance counts all dimensions equally, so this index has only the two of the map.
        plane = SpatialIndex(f"{name}-plane", DIMENSIONS[:2], connection=index.connection)
        plane.put_many({city: place[:2] for city, place in CITIES.items()})
        print("The nearest to Geneva (46.20, 6.15), in degrees:")
        for city in plane.nearest((46.20, 6.15), 3):
            print(f"    {city.member:10} {city.distance:.2f}")

        countries = CompositeIndex(name, COLUMNS, connection=index.connection)
        countries.put_many(
            {city: {"country": place[3], "millions": place[2]} for city, place in CITIES.items()}
        )
        largest = countries.items({"country": "IT"}, limit=3)
        print(
            "The largest of Italy:",
            ", ".join(f"{city} ({row['millions']})" for city, row in largest),
        )
        for each in (countries, plane, index):
            assert each.verify().ok
            each.clear()


if __name__ == "__main__":
    main()
