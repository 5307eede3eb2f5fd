"""Runs in an environment with RecBole: loads an export as RecBole does, and writes its vectors as JSON.

python read_recbole.py EXPORT PROJECT OUT.json
"""

import json
import sys
from pathlib import Path

from recbole.config import Config
from recbole.data import create_dataset

export, project, out = sys.argv[1:]
sys.argv = sys.argv[:1]  # RecBole reads the command line, too
config = Config(model="BPR", dataset=project, config_file_list=[str(Path(export) / "recbole.yaml")])
dataset = create_dataset(config)
fields = {"user": dataset.uid_field, "item": dataset.iid_field}
found: dict = {"events": dataset.inter_num, "vectors": {}}
for key in config["preload_weight"]:
    kind = "item" if key in (config["alias_of_item_id"] or []) else "user"
    ids = dataset.field2id_token[fields[kind]]
    found["vectors"][key] = dict(zip(ids.tolist(), dataset.get_preload_weight(key).tolist(), strict=True))
Path(out).write_text(json.dumps(found))
