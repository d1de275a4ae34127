"""Let a model file contradict itself: change one of two statements of the same fact.

A byte changed at random seldom does that: of two counts, two sizes or two lists it hits one, and
what else it breaks is noticed first.
"""

import json
import re

# What an XGBoost document states twice, one of each pair: the path to it, * for each of a list.
XGBOOST = [
    "learner.gradient_booster.model.iteration_indptr",
    "learner.gradient_booster.model.tree_info",
    "learner.gradient_booster.model.gbtree_model_param.num_trees",
    "learner.gradient_booster.model.gbtree_model_param.num_parallel_tree",
    "learner.gradient_booster.model.trees.*.id",
    *(
        f"learner.gradient_booster.model.trees.*.tree_param.{name}"
        for name in ("num_nodes", "num_feature", "num_deleted")
    ),
    *(
        f"learner.gradient_booster.model.trees.*.{name}"
        for name in ("parents", "left_children", "right_children", "split_type", "split_indices",
                     "split_conditions", "default_left", "categories", "categories_nodes",
                     "categories_segments", "categories_sizes", "base_weights")
    ),
    "learner.learner_model_param.num_feature",
    "learner.learner_model_param.num_class",
    "learner.learner_model_param.num_target",
    "learner.feature_names",
    "learner.feature_types",
]  # fmt: skip
LIGHTGBM = [
    "max_feature_idx", "feature_names", "feature_infos", "num_class", "num_tree_per_iteration",
    "tree_sizes", "num_leaves", "num_cat", "cat_boundaries", "cat_threshold", "split_feature",
    "threshold", "decision_type", "left_child", "right_child", "leaf_value", "leaf_count", "Tree",
]  # fmt: skip
MLLIB = ["numFeatures", "numTrees", "class", "sparkVersion"]


def by_json_facts(data, rng):
    """Change one of XGBoost's facts: a number by one, or a list by one entry."""
    document = json.loads(data)
    *path, key = XGBOOST[rng.integers(0, len(XGBOOST))].split(".")
    holder = document
    for name in path:
        holder = holder[int(rng.integers(0, len(holder)))] if name == "*" else holder[name]
    holder[key] = changed(holder[key], rng)
    return json.dumps(document).encode()


def changed(value, rng):
    """Return a number a little larger or smaller, or a list with an entry changed, less or more."""
    if isinstance(value, str):
        return str(changed(int(value), rng)) if value.lstrip("-").isdigit() else value + "x"
    if isinstance(value, int | float):
        return max(0, value + int(rng.choice([-2, -1, 1, 2])))
    if not value:
        return [0]
    values, at = list(value), int(rng.integers(0, len(value)))
    kind = rng.integers(0, 4)
    if kind == 0:
        del values[at]
    elif kind == 1:
        values.insert(at, values[at])
    elif kind == 2:
        other = int(rng.integers(0, len(values)))
        values[at], values[other] = values[other], values[at]
    else:
        values[at] = changed(values[at], rng)
    return values


def by_text_facts(data, rng):
    """Change one of LightGBM's facts: a line's number by one, or its list by one entry."""
    name = LIGHTGBM[rng.integers(0, len(LIGHTGBM))].encode()
    if name != b"tree_sizes":
        data = re.sub(rb"\ntree_sizes=.*", b"", data)  # else every change of length is refused
    lines = list(re.finditer(rb"(?m)^" + name + rb"=(.*)$", data))
    if not lines:
        return data
    start, end = lines[rng.integers(0, len(lines))].span(1)
    words = [number_in(word) for word in data[start:end].decode().split(" ")]
    line = " ".join(str(word) for word in changed(words, rng))
    return data[:start] + line.encode() + data[end:]


def number_in(word):
    try:
        return int(word)
    except ValueError:
        return word


def by_graph_facts(data, rng):
    """Let an ONNX graph state a name, a type, a shape or a list's size twice, and differently."""
    import onnx

    model = onnx.load_from_string(data)
    graph, node = model.graph, model.graph.node[rng.integers(0, len(model.graph.node))]
    kind = rng.integers(0, 8)
    if kind == 0:
        entry = node.attribute[rng.integers(0, len(node.attribute))]
        entry.type = int(rng.integers(1, 9))
    elif kind == 1:
        node.attribute.append(node.attribute[rng.integers(0, len(node.attribute))])
    elif kind == 2:
        graph.node.append(node)
    elif kind == 3:
        (shape,) = [entry.type.tensor_type.shape for entry in graph.input]
        shape.dim[-1].dim_value = int(rng.integers(1, 6))
    elif kind == 4:
        graph.output.append(graph.output[0])
    elif kind == 5:
        entry = model.metadata_props.add()
        entry.key, entry.value = "feature_names", ",".join("abcde"[: rng.integers(1, 6)])
    elif kind == 6:
        node.attribute.append(onnx.helper.make_attribute("n_targets", int(rng.integers(0, 4))))
    else:
        lists = [entry for entry in node.attribute if entry.name.startswith(("nodes_", "target_"))]
        if lists:
            entry = lists[rng.integers(0, len(lists))]
            values = next(v for v in (entry.ints, entry.floats, entry.strings) if len(v))
            values.extend([values[0]] * int(rng.integers(1, 3)))
    return model.SerializeToString()


def by_folder_facts(facts, rng):
    """Change one of MLlib's facts."""
    document = json.loads(facts)
    key = MLLIB[rng.integers(0, len(MLLIB))]
    holder = document["paramMap"] if key == "numTrees" and rng.random() < 0.5 else document
    holder[key] = changed(holder[key], rng)
    return json.dumps(document).encode()
