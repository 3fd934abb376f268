#!/usr/bin/env python3
"""Oracle for values of configuration keys: PyYAML and yacs, on a table of spellings in files and on the command line.

usage: config_values.py OUT.json
Writes a list of {source, key, text, value}; source is "file" or "pair", and `value` is missing where the spelling is refused.
WIDER and STRICTER are the cases in which the trainer is meant to differ; there `value` is what the trainer should make of it.
"""
import copy
import json
import sys

from yacs.config import CfgNode

DEFAULTS = CfgNode({
    "SEED": 0,
    "USE_FP16": False,
    "SSL_METHOD": "DINO",
    "SOLVER": {"BASE_LR": 0.3},
    "MULTI_VIEWS_TRANSFORMS": {"NMB_CROPS": [2, 6], "LAMBDAS": [0.1, 0.9]},
    "LOADER": {"SOCKET": ""},
})
INT, BOOL, WORD, FLOAT = "SEED", "USE_FP16", "SSL_METHOD", "SOLVER.BASE_LR"
INTS, FLOATS, TEXT = "MULTI_VIEWS_TRANSFORMS.NMB_CROPS", "MULTI_VIEWS_TRANSFORMS.LAMBDAS", "LOADER.SOCKET"

SPELLINGS = {
    INT: ["7", "010", "08", "0", "00", "0x1F", "0X1F", "0o17", "0b101", "1_000", "1__0", "_1", "1_", "+5", "1:30", "1:5:03", "1:60",
          "1:", "01:30", "2001-01-01", "8.0", "1e3", "(7)", "(7,)", "7,", "'7'", '"0x10"', "True", "many", "- 1", "0x_f", "9" * 30],
    FLOAT: ["0.5", ".5", "+.5", "1.", "1e-3", "1E3", "1.0e-3", "1.5e3", "1.5e+3", "01.5", "1_0.5", "1_.5", "1:30.5", "0.1_", ".inf", "-.INF",
            ".nan", "inf", "nan", "1e999", "0x1F.0", "1.5.2", "(0.5)", "'0.5'", "1_e5", "1e1_0"],
    BOOL: ["True", "False", "'True'", "(True)", "1", "y", "None"] + [word for base in ("yes", "no", "on", "off", "true", "false")
           for word in (base, base.upper(), base.title())],
    WORD: ["SWAV", "'MOCO'", '"MOCO"', "dino"],
    INTS: ["(2, 4)", "[2, 4]", "2, 4", "2,4", "(2,4,)", "[2, 4,]", "((2, 4))", "( 2 ,4 )", "[2 4]", "(2, 4", "[0x2, 0o4]", "[0x2, 04]",
           "[2, '4']", "'[2, 4]'", "[1:02, 2]"],
    FLOATS: ["[0.4, 0.6]", "(0.4, .6)", "[1e-3, 0.5]", "[1.0e-3, 0.5]", "(1e-3, 5e-1)", "0.4, 0.6", "[1, 0.5]"],
    TEXT: ["a", "a b", "None", "runs/exp", "a.b-c_d", "1-2"],
}

# Refused by yacs, or left as text in a list: there, too, the number that Python would read is meant.
WIDER = {(FLOATS, "[1e-3, 0.5]"): [1e-3, 0.5], (INTS, "[2, '4']"): [2, 4], (INTS, "[0x2, 0o4]"): [2, 4]}
# Taken by yacs, which looks at the type only: `None` is no truth, a list of whole numbers holds nothing else, nothing is infinite,
# and a seed fits into 63 bits.
STRICTER = {(BOOL, "None"), (INTS, "[2 4]"), (INTS, "[2, '4']"), (FLOAT, ".inf"), (FLOAT, "-.INF"), (FLOAT, ".nan"), (FLOAT, "1e999"), (INT, "9" * 30),
            (INT, "- 1"), (WORD, "dino")}


def get(config, key):
    for part in key.split("."):
        config = config[part]
    return "" if config is None and key == TEXT else config


def read(source, key, text):
    config = copy.deepcopy(DEFAULTS)
    if source == "pair":
        config.merge_from_list([key, text])
    else:
        *sections, name = key.split(".")
        lines = "".join(f"{'  ' * depth}{section}:\n" for depth, section in enumerate(sections))
        config.merge_from_other_cfg(CfgNode.load_cfg(f"{lines}{'  ' * len(sections)}{name}: {text}\n"))
    return get(config, key)


out = []
for key, texts in SPELLINGS.items():
    for source in ("file", "pair"):
        for text in texts:
            case = {"source": source, "key": key, "text": text}
            try:
                case["value"] = read(source, key, text)
            except Exception:
                pass
            if source == "file" and (key, text) in WIDER:
                case["value"] = WIDER[key, text]
            elif (key, text) in STRICTER:
                case.pop("value", None)
            out.append(case)
json.dump(out, open(sys.argv[1], "w"), indent=1)
