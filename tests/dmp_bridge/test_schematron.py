"""Schematron made into a stylesheet: what ISO 19757-3 says of inclusions, abstractions, phases and firing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import saxonche
from lxml import etree

from dmp_bridge import schematron
from dmp_bridge.schematron import NOT_RUN, SchemaUnusable

Fired = list[tuple[str, str, str]]
Run = Callable[[str, str], Fired]


@pytest.fixture(scope="module")
def processor() -> saxonche.PySaxonProcessor:
    return saxonche.PySaxonProcessor(license=False)


@pytest.fixture
def run(tmp_path: Path, processor: saxonche.PySaxonProcessor) -> Run:
    """(role, where, words) of what a schematron says of a document."""

    def fired(schema: str, document: str) -> Fired:
        path = tmp_path / "main.sch"
        path.write_text(f'<schema xmlns="{schematron.SCH}" queryBinding="xslt2">{schema}</schema>')
        sheet = schematron.compiled(path, tmp_path)
        rules = processor.new_xslt30_processor().compile_stylesheet(stylesheet_text=sheet.decode())
        rules.set_global_context_item(xdm_item=processor.parse_xml(xml_text=document))
        found = etree.fromstring(rules.call_template_returning_string("main").encode())
        return [(each.get("role") or "", each.get("at", ""), (each.text or "").strip()) for each in found]

    return fired


def test_an_assertion_fires_where_it_does_not_hold(run: Run) -> None:
    """assert where it is false, report where it is true, with the values that they quote."""
    schema = """<pattern id="p"><rule context="a"><let name="n" value="@n"/>
      <assert test="@n = '1'" role="error">n is <value-of select="$n"/>, of <name/></assert>
      <report test="@m" role="warning">m is there</report></rule></pattern>"""
    where = "/Q{}r[1]/Q{}a[2]"
    assert run(schema, '<r><a n="1"/><a n="2" m="x"/></r>') == [
        ("error", where, "n is 2, of a"),
        ("warning", where, "m is there"),
    ]
    assert run(schema, '<r><a n="1"/></r>') == []


def test_a_node_fires_the_first_rule_that_fits(run: Run) -> None:
    """Within one pattern the rules are tried in order; another pattern starts anew."""
    schema = """<pattern><rule context="a[@x]"><assert test="false()">first</assert></rule>
      <rule context="a"><assert test="false()">second</assert></rule></pattern>
      <pattern><rule context="a"><assert test="false()">other</assert></rule></pattern>"""
    assert [words for _, _, words in run(schema, '<r><a x=""/><a/></r>')] == ["first", "second", "other", "other"]


def test_abstract_patterns_and_rules(run: Run) -> None:
    """Parameters are put in, the longer name first; an abstract rule is used by those that extend it."""
    schema = """<pattern abstract="true" id="t">
        <rule context="$where"><assert test="@c = $wherever">$</assert></rule></pattern>
      <pattern is-a="t"><param name="where" value="a"/><param name="wherever" value="'1'"/></pattern>
      <pattern><rule abstract="true" id="r"><assert test="@d">no d</assert></rule>
        <rule context="a"><extends rule="r"/></rule></pattern>"""
    assert [words for _, _, words in run(schema, '<r><a c="2"/></r>')] == ["$", "no d"]
    assert run(schema, '<r><a c="1" d=""/></r>') == []


def test_a_phase_chooses_patterns(tmp_path: Path, run: Run) -> None:
    """Only what the default phase names is asked; its variables hold everywhere."""
    rule = '<rule context="a"><assert test="$v = 1">fired</assert></rule>'
    second = f'<pattern id="b"><let name="v" value="2"/>{rule}</pattern>'
    text = f'<phase id="f"><active pattern="b"/></phase><pattern id="a">{rule}</pattern>{second}'
    assert len(run(text, "<a/>")) == 2
    path = tmp_path / "main.sch"
    path.write_text(path.read_text().replace("queryBinding", 'defaultPhase="f" queryBinding'))
    assert b'mode="p1"' not in schematron.compiled(path, tmp_path)


def test_what_a_check_lacks_is_said(run: Run) -> None:
    """A value set that is not installed: this check was not made, the next one was."""
    schema = """<pattern><rule context="a"><assert test="doc('absent.xml')//x = @c">never</assert>
      <assert test="@d" role="error">no d</assert></rule></pattern>"""
    found = run(schema, "<a/>")
    assert [role for role, _, _ in found] == [NOT_RUN, "error"]


def test_an_inclusion_is_found_without_case(tmp_path: Path, run: Run) -> None:
    """The published files were written where case does not count."""
    (tmp_path / "Inc").mkdir()
    inner = f'<pattern xmlns="{schematron.SCH}"><rule context="a"><assert test="false()">in</assert></rule></pattern>'
    (tmp_path / "Inc" / "Rules.sch").write_text(inner)
    assert [words for _, _, words in run('<include href="inc/rules.SCH"/>', "<a/>")] == ["in"]


def test_an_inclusion_from_outside_is_refused(tmp_path: Path) -> None:
    """Neither upwards, nor without end, nor of what is not there."""
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.sch").write_text(f'<pattern xmlns="{schematron.SCH}"/>')
    for href in ("../secret.sch", "/etc/passwd", "main.sch", "absent.sch"):
        path = tmp_path / "in" / "main.sch"
        path.write_text(f'<schema xmlns="{schematron.SCH}"><include href="{href}"/></schema>')
        with pytest.raises(SchemaUnusable):
            schematron.compiled(path, tmp_path / "in")


@pytest.mark.parametrize(
    "body",
    [
        '<pattern is-a="absent"/>',
        '<pattern><rule context="a"><extends rule="absent"/></rule></pattern>',
        '<!DOCTYPE x [<!ENTITY e "e">]>',
    ],
)
def test_a_schematron_that_is_not_whole_is_unusable(tmp_path: Path, body: str) -> None:
    """It names what is absent."""
    path = tmp_path / "main.sch"
    doctype = body if body.startswith("<!") else ""
    path.write_text(f'{doctype}<schema xmlns="{schematron.SCH}">{"" if doctype else body}</schema>')
    with pytest.raises(SchemaUnusable):
        schematron.compiled(path, tmp_path)


def test_what_is_no_schematron_is_said_so(tmp_path: Path) -> None:
    """Some other XML."""
    path = tmp_path / "main.sch"
    path.write_text("<x/>")
    with pytest.raises(SchemaUnusable, match="no schematron"):
        schematron.compiled(path, tmp_path)
