"""The bridge's tables: patients (the register, what links to it and what patients object to), and what the filing side
appends.

Promises: every table has a tenant; no column holds a matricule or a trait in clear. Does not: run a
statement.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from relay.store.tables import Moment

metadata = MetaData()

patients = Table(
    "patients",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("id", String(26), nullable=False),
    # A keyed pseudonym of the matricule, never the matricule: '' where the patient has no INS.
    Column("ins", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("merged", Boolean, nullable=False, default=False),
    # Of a row that was merged: whose it is now. Its identity stays, so that it can be taken apart again.
    Column("merged_into", String(26), nullable=False, server_default=""),
    # Who says so: 'csv', or 'adt:' and the application's name; and when he said it.
    Column("source", String(64), nullable=False, server_default=""),
    Column("said_at", Moment()),
    # Pseudonyms by which a person's candidates are found: of the birth date, of birth and first given name.
    Column("birth_key", String(26), nullable=False, server_default=""),
    Column("name_key", String(26), nullable=False, server_default=""),
    # A pseudonym of all that was said last: what is said again is known again without opening it.
    Column("content_key", String(26), nullable=False, server_default=""),
    # Traits, matricule and local identifiers, sealed to the body key's public half.
    Column("identity", LargeBinary, nullable=False),
    Column("updated_at", Moment(), nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    Index("patients_by_ins", "tenant", "ins"),
    Index("patients_by_birth", "tenant", "birth_key"),
    Index("patients_by_name", "tenant", "name_key"),
    Index("patients_merged", "tenant", "merged_into"),
)

patient_identifiers = Table(
    "patient_identifiers",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("patient_id", String(26), nullable=False),
    # 'ins' or 'local'.
    Column("kind", String(8), nullable=False),
    Column("key", String(26), nullable=False),
    Column("root", String(128), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("source", String(64), nullable=False),
    Column("since", Moment(), nullable=False),
    # Of a matricule that the patient bears no more.
    Column("until", Moment()),
    PrimaryKeyConstraint("tenant", "patient_id", "kind", "key", "root"),
    Index("patient_identifiers_by_key", "tenant", "kind", "key"),
)

patient_links = Table(
    "patient_links",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("id", String(26), nullable=False),
    # 'local': a sender's number, as a pseudonym; 'document': one document's id; 'merge': a row of patients.
    Column("kind", String(16), nullable=False),
    Column("key", String(256), nullable=False),
    Column("patient_id", String(26), nullable=False),
    # Where it was learned: a line of the work list, a letter, 'adt:…', or '' for a person's own initiative.
    Column("learned_from", String(64), nullable=False),
    Column("made_by", String(320), nullable=False),
    Column("made_at", Moment(), nullable=False),
    Column("why", String(200), nullable=False),
    Column("ended_by", String(320), nullable=False, server_default=""),
    Column("ended_at", Moment()),
    Column("ended_why", String(200), nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant", "id"),
    Index("patient_links_by_key", "tenant", "kind", "key"),
    Index("patient_links_by_patient", "tenant", "patient_id"),
)

oppositions = Table(
    "oppositions",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("id", String(26), nullable=False),
    Column("patient_id", String(26), nullable=False),
    Column("flag", String(32), nullable=False),
    # '' means every document.
    Column("document_id", String(128), nullable=False),
    # 'person', or 'adt:' and the application's name.
    Column("source", String(64), nullable=False),
    Column("set_by", String(320), nullable=False),
    Column("set_at", Moment(), nullable=False),
    Column("why", String(200), nullable=False),
    Column("lifted_by", String(320), nullable=False, server_default=""),
    Column("lifted_at", Moment()),
    Column("lifted_why", String(200), nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant", "id"),
    Index("oppositions_by_patient", "tenant", "patient_id"),
    Index("oppositions_by_flag", "tenant", "flag", "lifted_at"),
)

filings = Table(
    "filings",
    metadata,
    Column("tenant", String(64), nullable=False),
    # Derived from letter, document, bytes and host: one row however often the attempt is made.
    Column("id", String(64), nullable=False),
    Column("letter_id", String(64), nullable=False),
    Column("document_id", String(128), nullable=False),
    Column("submission_id", String(64), nullable=False),
    Column("set_id", String(256), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha1", String(40), nullable=False),
    Column("size", Integer, nullable=False),
    Column("host", String(64), nullable=False),
    # SHA-256 of the canonical form: the same document in another serialisation has the same.
    Column("canonical", String(64), nullable=False, server_default=""),
    # Row of the register: from whom the entry is hidden until it is announced to him; '' once it is shown.
    Column("hidden_from", String(26), nullable=False, server_default=""),
    Column("state", String(16), nullable=False),
    Column("entry_id", String(64), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("begun_at", Moment(), nullable=False),
    Column("ended_at", Moment()),
    PrimaryKeyConstraint("tenant", "id"),
    Index("filings_by_letter", "tenant", "letter_id"),
    Index("filings_by_document", "tenant", "host", "document_id"),
    Index("filings_by_set", "tenant", "host", "set_id"),
    Index("filings_hidden", "tenant", "hidden_from"),
)

worklist = Table(
    "worklist",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("letter_id", String(64), nullable=False),
    # '' where what was found is no readable document.
    Column("document_id", String(128), nullable=False),
    Column("host", String(64), nullable=False),
    Column("reason", String(64), nullable=False),
    # JSON: names of traits and their answers; row ids of the register. Never a value.
    Column("evidence", Text, nullable=False),
    Column("candidates", Text, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("added_at", Moment(), nullable=False),
    # The evidence for each candidate; pseudonyms of the sender's numbers for the patient.
    Column("sides", Text, nullable=False, server_default="[]"),
    Column("presented", Text, nullable=False, server_default="[]"),
    # 'confirmed', 'corrected', 'refused' or 'answered'; then whose it is, who said so, and why.
    Column("decision", String(16), nullable=False, server_default=""),
    Column("patient_id", String(26), nullable=False, server_default=""),
    Column("decided_by", String(320), nullable=False, server_default=""),
    Column("decided_at", Moment()),
    Column("why", String(200), nullable=False, server_default=""),
    PrimaryKeyConstraint("tenant", "id"),
    Index("worklist_open", "tenant", "open", "added_at"),
    Index("worklist_by_letter", "tenant", "letter_id"),
)
