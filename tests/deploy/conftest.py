"""Leave out what needs an environment of its own: its make target asks for it by name."""

OWN_TARGET = {"airflow": "test-airflow", "asl": "test-asl", "wheel": "test-wheel"}


def pytest_collection_modifyitems(config, items):
    asked = config.getoption("-m")
    left_out = [
        item
        for item in items
        if any(item.get_closest_marker(name) and name not in asked for name in OWN_TARGET)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
