"""knowflow eval: measures what knowledge is worth outside the click-through-rate model."""

from cyclopts import App

app = App(name="eval", help="Measure what rewrites, item vectors and recommenders are worth.", help_format="plaintext")
app.command(
    "cli.eval_rewrites:rewrites",
    name="rewrites",
    help="Measure what rewritten queries find that the original ones do not.\n\n"
    "Example: knowflow eval rewrites --config examples/movielens/knowflow.yaml",
)
app.command(
    "cli.eval_similar:similar",
    name="similar",
    help="Measure how many of the items that people choose next are near in an encoder's vectors.\n\n"
    "Example: knowflow eval similar --config examples/movielens/knowflow.yaml",
)
app.command(
    "cli.eval_recommend:recommend",
    name="recommend",
    help="Compare recommenders, ranking all items, with popularity, co-occurrence and chance.\n\n"
    "Example: knowflow eval recommend --config examples/movielens/knowflow.yaml",
)
