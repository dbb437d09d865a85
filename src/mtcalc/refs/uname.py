# SPDX-License-Identifier: GPL-2.0-only
"""What stands behind a release in the output of `uname -r`: whose build it is, and how near to mainline.

Source: the names that the distributions' packages give their kernels, seen in bug reports.
"""

import re
from typing import NamedTuple

from mtcalc.kvm.release import Version

CANDIDATE = re.compile(r"(?:[-~]rc|-0\.rc|-\d{6}rc)(\d*)(?![a-z\d])", re.ASCII | re.IGNORECASE)
"""A release candidate's mark: '-rc3', Fedora's '-0.rc3', Ubuntu's mainline builds '-061100rc3'; '-rc' without one."""

_LOCAL = re.compile(r"\+|.*-dirty|.*-g[0-9a-f]{7,40}(-.*)?\+?", re.IGNORECASE)

# Kernels whose KVM is rebased to that of much later releases. First match counts, here and below.
_ENTERPRISE: tuple[tuple[str, str], ...] = (
    (r"\.el\d+uek", "Oracle UEK"),
    (r"\.el\d+(?!.*\.elrepo)", "RHEL or a clone"),
    (r"-\d{5,}(\.\d+)*-(default|azure|rt|\w*small)$|[.-]lp15", "SLES"),
    (r"\.oe\d", "openEuler"),
    (r"\.ky\d", "Kylin"),
    (r"\.(an|al)\d", "Anolis or Alibaba"),
    (r"\.tl\d|tlinux", "TencentOS"),
    (r"\.vz\d", "Virtuozzo"),
)
_SLES_RELEASES = ((3, 0), (3, 12), (4, 4), (4, 12), (5, 3), (5, 14), (6, 4))

# Builds near upstream: a release, or its stable series, with some patches.
_UBUNTU = (
    r"^-\d+(-\w+)*-(generic|lowlatency|aws|azure|gcp|gke|gkeop|oracle|kvm|oem|ibm|nvidia|raspi|intel|realtime|server)"
)
_NEAR: tuple[tuple[str, str], ...] = (
    (r"^-\d{6}-generic", "Ubuntu's mainline"),
    (_UBUNTU, "Ubuntu's"),
    (r"\+deb\d|\+bpo|\.deb\d+\.|\.bpo\.|-amd64$|-686(-pae)?$", "Debian's"),
    (r"\.fc\d+", "Fedora's"),
    (r"\.elrepo", "ELRepo's"),
    (r"\.amzn\d", "Amazon Linux's"),
    (r"-arch\d|-zen\d*(-|$)|-hardened\d|^(-\d+)?-lts$|-manjaro|-cachyos", "Arch Linux's"),
    (r"-\d+(-\d+)?-pve$|-pve$", "Proxmox VE's"),
    (r"-microsoft", "Microsoft's"),
    (r"-\d+(\.\d+)*-(default|longterm|vanilla)$", "openSUSE's"),
    (r"-gentoo", "Gentoo's"),
    (r"^_\d+$", "Void Linux's"),
    (r"^-\d+-virt$", "Alpine Linux's"),
    (r"-android\d", "Android's"),
)
_NAMES_NO_STABLE = ("Debian's", "Ubuntu's")
"""Who names X.Y.0 whatever stable release of X.Y is in it."""


class Words(NamedTuple):
    """What is taken from mainline, and what an enterprise vendor's kernel likely has instead."""

    what: str
    likely: str


RULE_WORDS = Words("rules", "other rules: give vmx.c")
SPTE_WORDS = Words("SPTEs", "another release's bits")


def build_note(version: Version, shown: str, suffix: str, words: Words = RULE_WORDS) -> str:
    """What a suffix says of a kernel, as a note; `shown` is the release in words."""
    mainline = f"{words.what} of mainline {shown}; '{suffix}' is"
    if _LOCAL.fullmatch(suffix):
        return f"{mainline} a local build, whose own changes are not known"
    owner = _owner(_ENTERPRISE, suffix)
    if owner is None and version[:2] in _SLES_RELEASES and suffix.endswith("-default"):
        owner = "SLES"
    if owner is not None:
        return f"{mainline} an enterprise vendor's ({owner}), who backports later KVM: likely {words.likely}"
    owner = _owner(_NEAR, suffix)
    if owner is None:
        return f"{mainline} a vendor's or a local build, and vendors backport changes"
    if owner in _NAMES_NO_STABLE and version[-1] != -1 and len(version) == (3 if version[0] == 2 else 2):
        return f"{mainline} {owner} build of some {shown}.y, the name does not say which; vendors backport changes"
    return f"{mainline} {owner} build, near upstream; vendors backport changes"


def _owner(rows: tuple[tuple[str, str], ...], suffix: str) -> str | None:
    return next((owner for pattern, owner in rows if re.search(pattern, suffix, re.IGNORECASE)), None)
