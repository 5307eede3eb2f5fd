"""The command line `knowflow`: one file per noun. It only calls flows and stages."""
