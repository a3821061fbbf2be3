"""A front as places in a drawing."""

import pytest

from qcompile.front_chart import HEIGHT, WIDTH, front_chart

FRONT = {
    "on": "size",
    "points": [[100.0, 1.0], [200.0, 0.01], [300.0, 0.0001]],
    "uniform": {"W4A8": [200.0, 0.1]},
}


def drawn(front=FRONT, chosen=(200.0, 0.01)):
    return front_chart(front, chosen, str)


def test_damage_falls_by_equal_steps_on_a_logarithmic_axis():
    first, second, third = (point["y"] for point in drawn()["points"])
    assert second - first == pytest.approx(third - second, abs=0.11)
    assert second > first


def test_the_line_goes_through_the_points():
    places = "L".join(f"{p['x']},{p['y']}" for p in drawn()["points"])
    assert drawn()["line"] == f"M{places}"


def test_the_chosen_point_is_on_the_front():
    assert drawn()["chosen"] == drawn()["points"][1]


def test_all_is_within_the_field():
    found = drawn()
    places = [*found["points"], *found["uniform"], found["chosen"]]
    assert all(0 < p["x"] < WIDTH and 0 < p["y"] < HEIGHT for p in places)


def test_ticks_are_round():
    assert [tick["label"] for tick in drawn()["across"]] == [
        "100.0",
        "150.0",
        "200.0",
        "250.0",
        "300.0",
    ]
    assert [tick["label"] for tick in drawn()["up"]] == ["1e-4", "1e-3", "1e-2", "1e-1", "1e0"]


def test_a_front_of_one_point_has_room():
    found = drawn({"on": "size", "points": [[0.0, 0.0]], "uniform": {}}, None)
    assert found["points"][0] | {"says": ""} == {"x": WIDTH / 2, "y": HEIGHT / 2, "says": ""}
