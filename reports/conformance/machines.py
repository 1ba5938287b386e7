# SPDX-License-Identifier: MIT OR Apache-2.0
"""Formats that programs read, judged by what other people made to read them. Each function returns its complaints."""

import io
import json
import sys
import tempfile
from pathlib import Path

import kcidb_io
import xmlschema

JUNIT = xmlschema.XMLSchema(Path(__file__).with_name("junit-10.xsd"))
KCIDB = kcidb_io.schema.V5_3


def junit(text):
    """By the schema that Jenkins publishes."""
    # A file, since its own declaration of an encoding forbids to pass it as a string.
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        file.write(text.encode())
        file.flush()
        try:
            return [f"{error.path}: {error.reason}" for error in JUNIT.iter_errors(file.name)]
        except Exception as error:  # Whatever a parser raises, it is no XML.
            return [str(error)]


def kcidb(text):
    """By the schema of the package that submits to KCIDB."""
    try:
        KCIDB.validate(json.loads(text))
    except Exception as error:
        return [str(error).split("\n")[0]]
    return []


class Ktap:
    """By the parser of the kernel's own `kunit.py`, in a source tree of Linux."""

    def __init__(self, tree):
        sys.path.insert(0, str(tree / "tools/testing/kunit"))
        # The tree belongs to a store that notices each new file.
        sys.dont_write_bytecode = True
        import kunit_parser
        import kunit_printer
        self.parser = kunit_parser
        self.printer = kunit_printer.Printer

    def __call__(self, text, cells):
        """`cells`: how many it must read as passed, failed and skipped."""
        said = io.StringIO()
        self.parser.stdout = self.printer(said)
        test = self.parser.parse_run_tests(text.splitlines())
        leaves = [leaf for suite in test.subtests for leaf in suite.subtests]
        read = {word: sum(leaf.status.name == status for leaf in leaves) for word, status in {
            "passed": "SUCCESS", "failed": "FAILURE", "skipped": "SKIPPED"}.items()}
        complaints = [line for line in said.getvalue().splitlines() if "[ERROR]" in line]
        if test.counts.errors:
            complaints.append(f"{test.counts.errors} errors in the log")
        if read != cells:
            complaints.append(f"cells are read as {read}, expected {cells}")
        return complaints
