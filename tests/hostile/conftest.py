"""What hostile tests share: open doors, custody and sites, as the tests of the packages build them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def _fixtures_of(package: str) -> ModuleType:
    """The conftest of another folder, so that nothing is built twice in two ways."""
    file, name = Path(__file__).parent.parent / package / "conftest.py", f"hostile_{package}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_gateway, _relay, _bridge = map(_fixtures_of, ("gateway", "relay", "dmp_bridge"))

trust_space, accounts_of_anna, open_door = _gateway.trust_space, _gateway.accounts_of_anna, _gateway.open_door
store_url, store_of, store = _relay.store_url, _relay.store_of, _relay.store
make_letter, make_mail = _relay.make_letter, _relay.make_mail
report_pdf, report_xml, report, site = _bridge.report_pdf, _bridge.report_xml, _bridge.report, _bridge.site
