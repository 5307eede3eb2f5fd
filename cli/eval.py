"""knowflow eval: what knowledge is worth outside of the click-through-rate model."""

from cyclopts import App

app = App(name="eval", help="Measure what rewrites, item vectors and recommenders are worth.", help_format="plaintext")
app.command(
    "cli.eval_rewrites:rewrites",
    name="rewrites",
    help="What rewritten queries find that the original ones do not.\n\n"
    "Example: knowflow eval rewrites --config examples/movielens/knowflow.yaml",
)
app.command(
    "cli.eval_similar:similar",
    name="similar",
    help="How many of the items that people go on to are near by an encoder's vectors.\n\n"
    "Example: knowflow eval similar --config examples/movielens/knowflow.yaml",
)
app.command(
    "cli.eval_recommend:recommend",
    name="recommend",
    help="What recommenders name, all items being candidates, against popularity, co-occurrence and chance.\n\n"
    "Example: knowflow eval recommend --config examples/movielens/knowflow.yaml",
)
