# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of an offsite server's certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
name: server_certificate
author: Backstay contributors
version_added: 0.1.0
short_description: Private key and certificate of an offsite server, given or from Backstay's own authority
description:
  - Returns O(present) unchanged while it is good, otherwise a new private key with its certificate in one PEM text.
  - With O(certificate) and O(key) it returns these, unless a server could not work with them. That is an error.
  - The result holds a private key, so give C(no_log=true) to every task that uses it.
  - The certificate names the server's inventory name, every C(backstay_offsite_url_host) of the protected hosts that use the
    server, and O(names).
options:
  _terms:
    description: Inventory name of the offsite server. Exactly one.
    required: true
    type: list
    elements: str
  present:
    description: The PEM text that is on the server now.
    type: str
    default: ""
  certificate:
    description: A certificate chain to use as it is, as PEM text.
    type: str
    default: ""
  key:
    description: Its private key as PEM text.
    type: str
    default: ""
  names:
    description: More DNS names or addresses of the server.
    type: list
    elements: str
    default: []
  days:
    description: Days a new certificate is valid.
    type: int
    default: 397
  renew_before_days:
    description: Days before its end at which a certificate is replaced.
    type: int
    default: 60
  replace_authority:
    description: Replace a certificate that another authority issued. Without it that is an error.
    type: bool
    default: false
  create:
    description: Make the certificate authority when there is none. Never when the server has a certificate already.
    type: bool
    default: false
  allow_missing:
    description: Return an empty text when there is no authority, for check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Write key and certificate
  ansible.builtin.copy:
    dest: /etc/backstay-offsite/server.pem
    content: "{{ lookup('backstay.fleet.server_certificate', inventory_hostname, create=true) }}"
    mode: "0640"
  no_log: true
"""

RETURN = r"""
_raw:
  description: Private key and certificate as PEM.
  type: list
  elements: str
"""

import datetime
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.backstay.fleet.plugins.module_utils.errors import BackstayError, Refused
from ansible_collections.backstay.fleet.plugins.module_utils.sentences import say
from ansible_collections.backstay.fleet.plugins.plugin_utils.certificate_authority import (
    is_foreign,
    issue,
    load_authority,
    renewal_reason,
)
from ansible_collections.backstay.fleet.plugins.plugin_utils.given_certificate import bundle_of
from ansible_collections.backstay.fleet.plugins.plugin_utils.repository_access import names_in_use, protected_hosts
from ansible_collections.backstay.fleet.plugins.plugin_utils.secret_store import SecretMissing, state_directory


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Return the PEM text for the one server in ``terms``."""
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 1:
            raise AnsibleLookupError("server_certificate wants the inventory name of one offsite server")
        given = variables or {}
        hosts = protected_hosts(given["groups"])
        in_use = names_in_use(terms[0], given["hostvars"], hosts)
        names = list(dict.fromkeys([terms[0], *in_use, *self.get_option("names")]))
        chain, key = self.get_option("certificate"), self.get_option("key")
        try:
            if chain or key:
                return [bundle_of(chain, key, in_use, datetime.datetime.now(datetime.UTC))]
            return [self._certificate(terms[0], names, given["hostvars"][terms[0]])]
        except SecretMissing as error:
            if self.get_option("allow_missing") and not self.get_option("present"):
                return [""]
            raise AnsibleLookupError(say(error)) from None
        except BackstayError as error:
            raise AnsibleLookupError(say(error)) from None

    def _certificate(self, server: str, names: list[str], variables: Any) -> str:
        present, replace = self.get_option("present"), self.get_option("replace_authority")
        create = self.get_option("create") and (replace or not present.strip())
        authority = load_authority(state_directory(variables.get("backstay_state_dir")), create)
        if is_foreign(authority, present) and not replace:
            raise Refused(
                f"the certificate on {server} is from an authority that this control node does not have",
                "bring the state directory here from the control node that set the server up, or set "
                "offsite_tls_replace_authority to true and run the playbook on the whole fleet",
            )
        now = datetime.datetime.now(datetime.UTC)
        reason = renewal_reason(authority, present, names, self.get_option("renew_before_days"), now)
        if reason is None:
            return str(present)
        Display().v(f"{server} gets a new certificate: {reason}")
        return issue(authority, names, self.get_option("days"))
