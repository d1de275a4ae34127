"""Models of a random portfolio: families, methods, penalties, loads and composites."""


def model_settings(chance, sources, prepare, rows):
    """Draw the models that are trained; the more rows there are, the more features they take."""
    claims = "claims" in sources
    count, amount = ("claim_count", "claim_amount") if claims else ("number", "loss")
    names = list(prepare["features"])

    def some():
        most = 2 if rows < 300 else len(names)
        return chance.sample(names, min(len(names), chance.randrange(1, most + 1)))

    def glm(family, target, per, **more):
        section = {"alpha": chance.choice([0.01, 0.1])} if chance.random() < 0.4 else {}
        return {
            "method": "glm",
            "family": family,
            "target": target,
            "per": per,
            "features": some(),
            "min_level_share": chance.choice([0.0005, 0.02, 0.1]),
            **({"glm": section} if section else {}),
            **more,
        }

    models = {"frequency": glm("poisson", count, "exposure")}
    if chance.random() < 0.6:
        models["severity"] = glm("gamma", amount, count)
    if chance.random() < 0.6:
        is_capped = claims and "cap" in prepare["claims"]
        load = {"large_loss_load": True} if claims and chance.random() < 0.5 and is_capped else {}
        models["premium"] = glm(
            "tweedie", amount, "exposure", tweedie_power=chance.choice([1.5, 1.2, 1.7]), **load
        )
    if chance.random() < 0.3:
        models["spread"] = glm("negative_binomial", count, "exposure", theta=2.0)
    if chance.random() < 0.5:
        family, target = chance.choice([("poisson", count), ("tweedie", amount)])
        models["boosted"] = {
            "method": "boosting",
            "family": family,
            "target": target,
            "per": "exposure",
            "features": some(),
            "min_level_share": 0.02,
            "boosting": {
                "rounds": 8,
                "early_stopping": chance.choice([0, 3]),
                "max_depth": 3,
                "min_child_weight": 1,
                "eta": 0.3,
            },
        }
    if "severity" in models and chance.random() < 0.6:
        beside = ["premium"] if "premium" in models and chance.random() < 0.5 else []
        models["combined"] = {
            "method": "composite",
            "parts": ["frequency", "severity"],
            "target": amount,
            **({"beside": beside} if beside else {}),
        }
    return models
