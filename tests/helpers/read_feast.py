"""Runs in an environment with Feast: a historical read of an applied repository.

python read_feast.py REPOSITORY ROWS.parquet OUT.parquet FEATURE...
"""

import sys

import pandas as pd
from feast import FeatureStore

repository, rows, out, *names = sys.argv[1:]
store = FeatureStore(repo_path=repository)
found = store.get_historical_features(pd.read_parquet(rows), features=[f"{name}:{name}" for name in names])
found.to_df().to_parquet(out)
