#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order trouble from a PowerShare server: `psknob NAME VALUE`, `psknob clear`, `psknob show`."""

from __future__ import annotations

import argparse
import json
import sys

import ps_host


def parsed(name: str, text: str):
    """Read a knob's value; ValueError when it is not of its kind."""
    if isinstance(ps_host.KNOBS[name], bool):
        return {"on": True, "off": False}[text]
    return float(text)


def main() -> int:
    """Set a knob, clear all or show all."""
    parser = argparse.ArgumentParser(prog="psknob", description=__doc__)
    parser.add_argument("--app", choices=("mail", "catalog"))
    parser.add_argument("name", choices=["clear", "show", *ps_host.KNOBS])
    parser.add_argument("value", nargs="?", default="")
    options = parser.parse_args()
    try:
        app = ps_host.installed(options.app)
        path = ps_host.KEPT / f"knobs-{app.role}.json"
        values = ps_host.knobs(app)
        if options.name == "show":
            print(json.dumps(values))
        elif options.name == "clear":
            path.unlink(missing_ok=True)
        else:
            values[options.name] = parsed(options.name, options.value)
            ps_host.write_whole(path, json.dumps(values))
    except (ps_host.Refused, ValueError, KeyError) as error:
        print(f"psknob: {options.name} cannot be '{options.value}': {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
