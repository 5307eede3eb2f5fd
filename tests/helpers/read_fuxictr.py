"""Runs in an environment with FuxiCTR: reads what was exported as a model of FuxiCTR does, and writes it as JSON.

python read_fuxictr.py EXPORT LOG.parquet WORK OUT.json
"""

import json
import sys
from pathlib import Path

import torch
import yaml
from fuxictr.features import FeatureMap
from fuxictr.preprocess import FeatureProcessor, build_dataset
from fuxictr.pytorch.layers import FeatureEmbedding

export, log, work, out = sys.argv[1:]
features = yaml.safe_load((Path(export) / "dataset_config.yaml").read_text())["feature_cols"]
ids = [dict(feature) for feature in features]
label = {"name": "label", "dtype": "float"}
processor = FeatureProcessor(feature_cols=ids, label_col=label, dataset_id="shop", data_root=work)
build_dataset(processor, train_data=log, valid_data="", test_data="", data_format="parquet")
feature_map = FeatureMap("shop", str(Path(work) / "shop"))
feature_map.load(str(Path(work) / "shop" / "feature_map.json"), {})
width = ids[0]["pretrain_dim"]
layer = FeatureEmbedding(feature_map, width)
vocabulary = json.loads((Path(work) / "shop" / "feature_vocab.json").read_text())
found = {}
for feature in ids:
    name = feature["name"]
    codes = vocabulary[name]
    words = [word for word in codes if not word.startswith("__")]
    batch = {one["name"]: torch.zeros(len(words), dtype=torch.long) for one in ids}
    batch[name] = torch.tensor([codes[word] for word in words])
    place = [one["name"] for one in ids].index(name)
    found[name] = dict(zip(words, layer(batch)[:, place].tolist(), strict=True))
Path(out).write_text(json.dumps(found))
