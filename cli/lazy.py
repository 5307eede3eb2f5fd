"""The commands by name, each as an import path: importing them all would take seconds of every call."""

COMMANDS = {
    "demo": "cli.demo:demo",
    "init": "cli.init:init",
    "plan": "cli.plan:plan",
    "refresh": "cli.refresh:refresh",
    "train": "cli.train:train",
    "report": "cli.report:report",
    "leak-check": "cli.leak_check:leak_check",
    "release": "cli.release:app",
    "status": "cli.status:status",
}
