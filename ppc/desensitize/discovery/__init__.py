"""Discovery: what the columns of a dataset hold, found by pattern, check digit, name and dictionary.

found = ppc.desensitize.scan(ds)
found["phone"].category, found["phone"].reasons
"""

from ppc.desensitize.discovery import text
from ppc.desensitize.discovery.detector import Detector
from ppc.desensitize.discovery.files import scan_file
from ppc.desensitize.discovery.findings import Finding, Scan
from ppc.desensitize.discovery.judge import scan
from ppc.desensitize.discovery.listing import Inventory, inventory
from ppc.desensitize.discovery.user import load_detectors

text.register_all()

__all__ = ["Detector", "Finding", "Inventory", "Scan", "inventory", "load_detectors", "scan", "scan_file"]
