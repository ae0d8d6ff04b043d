"""The detectors that come with ppc, one file a part of the world or of life."""

from __future__ import annotations

import functools

from ppc.desensitize.discovery.detector import Detector


@functools.cache
def builtin() -> tuple[Detector, ...]:
    """All detectors, the more particular before the more general."""
    from ppc.desensitize.discovery.catalogue import attributes, china, europe, health, people, secrets, usa, world

    found = (
        *secrets.DETECTORS,
        *china.DETECTORS,
        *europe.DETECTORS,
        *usa.DETECTORS,
        *health.DETECTORS,
        *world.DETECTORS,
        *people.DETECTORS,
        *attributes.DETECTORS,
    )
    return found
