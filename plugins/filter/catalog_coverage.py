# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: catalog_coverage
short_description: Which catalog folders have a copy elsewhere
version_added: 0.1.0
description:
  - Audits PowerShare catalog systems. Every folder has to have a good copy on another running server, in a repository, or both.
author: Backstay contributors
positional: answers, newest
options:
  _input:
    description: What the lookup C(catalog_system) says of each host.
    type: list
    elements: dict
    required: true
  answers:
    description: Registered results of each host's query command.
    type: list
    elements: dict
    required: true
  newest:
    description: Registered results of the plan for each host's newest set.
    type: list
    elements: dict
    required: true
  offsite:
    description: Whether every folder has to be in a repository.
    type: bool
    default: false
  max_age_hours:
    description: Age in hours at which a set no longer counts. 0 means never.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Show what is not covered
  ansible.builtin.debug:
    msg: "{{ (systems | backstay.fleet.catalog_coverage(answers, newest)).problems }}"
"""

RETURN = r"""
_value:
  description: C(ok), C(lines), C(problems), C(folders) and the same as text in C(json).
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils import catalog_coverage


def coverage(*arguments: Any, **options: Any) -> dict[str, Any]:
    """Return the audit; an inventory without catalog servers is an error of the template."""
    try:
        return catalog_coverage.coverage(*arguments, **options)
    except BackstayError as error:
        raise AnsibleFilterError(say(error)) from None


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"catalog_coverage": coverage}
